//! A lane: one connection's turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt, Addr, Arbiter, AsyncContext, Context, Handler, Message, WrapFuture};
use prometheus::Histogram;

use super::door::Door;
use super::responder::{Responder, Submitted};
use super::settle::{Settled, Settler};
use super::wallet::{GroupDone, WalletActor};
use crate::ledger::{Kind, Operation};
use crate::posting::Attempt;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::seconds;

/// Commits what its wallets have ready: everything there is, up to a limit, as one batch; then the next.
pub(super) struct Lane {
    settler: Arc<Settler>,
    door: Arc<Door>,
    metrics: Arc<Metrics>,
    durations: Durations,
    batch_operations_max: usize,
    ready: VecDeque<Group>,
    turn: Turn,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Idle,
    Committing,
}

/// What one wallet has ready, in its order.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Group {
    pub wallet: Addr<WalletActor>,
    pub operations: VecDeque<Submitted>,
    pub company: Company,
}

/// Whom a group may share a batch with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    /// Any others.
    Others,
    /// None: others had its wallet locked, and would make everyone wait again.
    None,
}

/// A batch being committed: what is needed once it is.
struct Batch {
    operations: Vec<Operation>,
    attempt: Attempt,
    callers: Vec<(Responder, Instant)>,
    /// Whose operations they are: so many of each, in order.
    wallets: Vec<(Addr<WalletActor>, usize)>,
}

impl Lane {
    pub fn new(settler: Arc<Settler>, door: Arc<Door>, metrics: Arc<Metrics>, batch_operations_max: usize) -> Self {
        let durations = Durations::new(&metrics);
        Self { settler, door, metrics, durations, batch_operations_max, ready: VecDeque::new(), turn: Turn::Idle }
    }

    /// Starts the next batch unless one is under way or nothing is ready.
    fn advance(&mut self, context: &mut Context<Self>) {
        if self.turn == Turn::Committing || self.ready.is_empty() {
            return;
        }
        self.turn = Turn::Committing;
        let Batch { operations, attempt, callers, wallets } = self.next_batch();
        let settler = Arc::clone(&self.settler);
        let committing = async move {
            let settled = settler.settle(&operations, attempt).await;
            (operations, settled)
        };
        let committed = committing.into_actor(self).map(move |(operations, settled), lane, context| {
            lane.turn = Turn::Idle;
            let results = operations.into_iter().zip(callers).zip(settled);
            lane.finish(wallets, results);
            lane.advance(context);
        });
        context.spawn(committed);
    }

    /// Takes whole groups, at least one. A group is never larger than a batch, unless it is one atomic batch by itself.
    fn next_batch(&mut self) -> Batch {
        let mut batch =
            Batch { operations: Vec::new(), attempt: Attempt::First, callers: Vec::new(), wallets: Vec::new() };
        let mut weight = 0;
        let started = Instant::now();
        while let Some(group) = self.ready.front() {
            let group_weight: usize =
                group.operations.iter().map(|submitted| submitted.operation.request.weight()).sum();
            let is_too_much = weight + group_weight > self.batch_operations_max;
            if !batch.operations.is_empty() && (is_too_much || group.company == Company::None) {
                break;
            }
            let Some(Group { wallet, operations, company }) = self.ready.pop_front() else { break };
            weight += group_weight;
            batch.wallets.push((wallet, operations.len()));
            for Submitted { operation, attempt, responder, received } in operations {
                self.metrics.queue_wait.observe(seconds(started.saturating_duration_since(received)));
                if attempt == Attempt::Again {
                    batch.attempt = attempt;
                }
                batch.callers.push((responder, received));
                batch.operations.push(operation);
            }
            if company == Company::None {
                break;
            }
        }
        batch
    }

    /// Answers the callers and lets the wallets go on, each with what is to be tried again.
    fn finish(
        &self,
        wallets: Vec<(Addr<WalletActor>, usize)>,
        mut results: impl Iterator<Item = ((Operation, (Responder, Instant)), Settled)>,
    ) {
        for (wallet, operations) in wallets {
            let mut again = VecDeque::new();
            for ((operation, (responder, received)), settled) in results.by_ref().take(operations) {
                match settled {
                    Settled::Answered(result) => {
                        self.durations.observe(operation.request.kind(), received.elapsed());
                        responder.answer(result);
                    }
                    Settled::Later(attempt) => again.push_back(Submitted { operation, attempt, responder, received }),
                }
            }
            wallet.do_send(GroupDone { again });
        }
    }
}

impl Actor for Lane {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        // One group per wallet at most, so this bounds nothing that is not bounded already; the default would be 16.
        context.set_mailbox_capacity(self.batch_operations_max);
    }
}

impl Handler<Group> for Lane {
    type Result = ();

    fn handle(&mut self, group: Group, context: &mut Self::Context) {
        self.ready.push_back(group);
        self.advance(context);
    }
}

impl Drop for Lane {
    /// A lane that dies takes its thread with it. Its wallets' actors live there and would wait for it for ever; as they are dropped, they
    /// answer their callers. No other lane takes over: what this one was committing may still be on its way to the database, and a successor
    /// could overtake it. So the process ends, and what it leaves behind is delivered again in its order.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.door.lane_died();
        self.metrics.actor_panics.with_label_values(&["lane"]).inc();
        tracing::error!("a lane panicked; the process has to end");
        if let Some(thread) = Arbiter::try_current() {
            thread.stop();
        }
    }
}

/// A histogram per kind of operation, found once: looking it up by its label costs more than observing.
struct Durations([(Kind, Histogram); Kind::ALL.len()]);

impl Durations {
    fn new(metrics: &Metrics) -> Self {
        Self(Kind::ALL.map(|kind| (kind, metrics.operation_duration.with_label_values(&[kind.as_str()]))))
    }

    fn observe(&self, kind: Kind, duration: Duration) {
        for (_, histogram) in self.0.iter().filter(|(known, _)| *known == kind) {
            histogram.observe(seconds(duration));
        }
    }
}
