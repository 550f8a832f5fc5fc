//! A lane: one connection's turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture};

use super::SubmitError;
use super::responder::{Responder, Submitted};
use super::settle::Settler;
use super::wallet::{GroupDone, WalletActor};
use crate::ledger::{Kind, Operation, Outcome};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::seconds;

/// Commits what its wallets have ready: everything there is, up to a limit, as one batch; then the next.
pub(super) struct Lane {
    settler: Arc<Settler>,
    metrics: Arc<Metrics>,
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
}

/// A batch being committed: what is needed once it is.
#[derive(Default)]
struct Batch {
    operations: Vec<Operation>,
    callers: Vec<(Responder, Kind, Instant)>,
    wallets: Vec<Addr<WalletActor>>,
}

impl Lane {
    pub fn new(settler: Arc<Settler>, metrics: Arc<Metrics>, batch_operations_max: usize) -> Self {
        Self { settler, metrics, batch_operations_max, ready: VecDeque::new(), turn: Turn::Idle }
    }

    /// Starts the next batch unless one is under way or nothing is ready.
    fn advance(&mut self, context: &mut Context<Self>) {
        if self.turn == Turn::Committing || self.ready.is_empty() {
            return;
        }
        self.turn = Turn::Committing;
        let Batch { operations, callers, wallets } = self.next_batch();
        let settler = Arc::clone(&self.settler);
        let committed =
            async move { settler.settle(&operations).await }.into_actor(self).map(move |results, lane, context| {
                lane.turn = Turn::Idle;
                lane.finish(callers, wallets, results);
                lane.advance(context);
            });
        context.spawn(committed);
    }

    /// Takes whole groups, at least one; a group is never larger than a batch.
    fn next_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        let started = Instant::now();
        while let Some(group) = self.ready.front() {
            if !batch.operations.is_empty()
                && batch.operations.len() + group.operations.len() > self.batch_operations_max
            {
                break;
            }
            let Some(Group { wallet, operations }) = self.ready.pop_front() else { break };
            for Submitted { operation, responder, received } in operations {
                self.metrics.queue_wait.observe(seconds(started.saturating_duration_since(received)));
                batch.callers.push((responder, operation.request.kind(), received));
                batch.operations.push(operation);
            }
            batch.wallets.push(wallet);
        }
        batch
    }

    /// Lets the wallets go on, then answers the callers.
    fn finish(
        &self,
        callers: Vec<(Responder, Kind, Instant)>,
        wallets: Vec<Addr<WalletActor>>,
        results: Vec<Result<Outcome, SubmitError>>,
    ) {
        for wallet in wallets {
            wallet.do_send(GroupDone);
        }
        for ((responder, kind, received), result) in callers.into_iter().zip(results) {
            self.metrics.operation_duration.with_label_values(&[kind.as_str()]).observe(seconds(received.elapsed()));
            responder.answer(result);
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
