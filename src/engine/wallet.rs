//! The actor of one wallet: its line.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message};

use super::lane::{Company, Group, Lane};
use super::registry::Registry;
use super::responder::Submitted;
use crate::ledger::WalletId;
use crate::telemetry::Metrics;

/// Keeps one wallet's operations in the order they came: a line of waiting ones, and at most one group in the lane.
///
/// While a group commits the next one gathers, so a busy wallet's groups grow by themselves.
pub(super) struct WalletActor {
    wallet: WalletId,
    incarnation: u64,
    lane: Addr<Lane>,
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
    group_operations_max: usize,
    waiting: VecDeque<Submitted>,
    group: GroupState,
    received: u64,
    end: End,
}

/// How long a wallet waits that others have locked. As long as a lane waits for the lock by default, so that half of its time stays for others.
const LOCKED_PAUSE: Duration = Duration::from_secs(2);

/// Whether a group is in the lane.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GroupState {
    None,
    InFlight,
    /// None, and none may go: others have the wallet locked.
    Paused,
}

/// How the actor ends, known when it is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was not asked to: a panic, or the whole process stops.
    Unexpected,
    Retired,
}

/// The lane is done with this wallet's group.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct GroupDone {
    /// What could not be posted because others have the wallet locked, in its order.
    pub again: VecDeque<Submitted>,
}

/// Stop, if there is nothing left to do.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Retire;

impl WalletActor {
    pub fn new(
        (wallet, incarnation): (WalletId, u64),
        lane: Addr<Lane>,
        registry: Arc<Registry>,
        metrics: Arc<Metrics>,
        group_operations_max: usize,
    ) -> Self {
        metrics.wallet_actors.inc();
        Self {
            wallet,
            incarnation,
            lane,
            registry,
            metrics,
            group_operations_max,
            waiting: VecDeque::new(),
            group: GroupState::None,
            received: 0,
            end: End::Unexpected,
        }
    }

    /// Hands the lane what waits, unless it still has a group of this wallet.
    fn advance(&mut self, context: &Context<Self>) {
        if self.group == GroupState::None && !self.waiting.is_empty() {
            self.hand_over(self.group_operations_max, Company::Others, context);
        }
    }

    /// At least one, and as many more as are allowed; a batch counts as its operations.
    fn hand_over(&mut self, operations_max: usize, company: Company, context: &Context<Self>) {
        let mut weight = 0;
        let mut fits = |waiting: &Submitted| {
            weight += waiting.operation.request.weight();
            weight <= operations_max
        };
        let count = self.waiting.iter().position(|waiting| !fits(waiting)).map_or(self.waiting.len(), |end| end.max(1));
        let rest = self.waiting.split_off(count);
        let operations = std::mem::replace(&mut self.waiting, rest);
        self.group = GroupState::InFlight;
        self.lane.do_send(Group { wallet: context.address(), operations, company });
    }

    /// Puts operations back at the head of the line; after a while the first of them goes alone.
    fn pause(&mut self, mut again: VecDeque<Submitted>, context: &mut Context<Self>) {
        again.append(&mut self.waiting);
        self.waiting = again;
        self.group = GroupState::Paused;
        context.run_later(LOCKED_PAUSE, |actor, context| actor.hand_over(1, Company::None, context));
    }
}

impl Actor for WalletActor {
    type Context = Context<Self>;
}

impl Message for Submitted {
    type Result = ();
}

impl Handler<Submitted> for WalletActor {
    type Result = ();

    fn handle(&mut self, submitted: Submitted, context: &mut Self::Context) {
        self.received += 1;
        self.waiting.push_back(submitted);
        self.advance(context);
    }
}

impl Handler<GroupDone> for WalletActor {
    type Result = ();

    fn handle(&mut self, GroupDone { again }: GroupDone, context: &mut Self::Context) {
        if again.is_empty() {
            self.group = GroupState::None;
            self.advance(context);
        } else {
            self.pause(again, context);
        }
    }
}

impl Handler<Retire> for WalletActor {
    type Result = ();

    fn handle(&mut self, Retire: Retire, context: &mut Self::Context) {
        let is_busy = self.group != GroupState::None || !self.waiting.is_empty();
        if !is_busy && self.registry.leave(self.wallet, self.incarnation, self.received) {
            self.end = End::Retired;
            context.stop();
        }
    }
}

impl Drop for WalletActor {
    fn drop(&mut self) {
        self.metrics.wallet_actors.dec();
        if self.end == End::Unexpected {
            if std::thread::panicking() {
                self.metrics.actor_panics.with_label_values(&["wallet"]).inc();
                tracing::error!(wallet.id = self.wallet.0, "a wallet actor panicked");
            }
            // Before the operations it held answer their callers as they are dropped. The next operation starts a new actor.
            self.registry.abandon(self.wallet, self.incarnation);
        }
    }
}

/// No release has it.
#[cfg(any(test, debug_assertions))]
pub(super) mod testing {
    use super::{Handler, Message, WalletActor};

    /// Panics in the actor, as a bug would.
    #[derive(Message)]
    #[rtype(result = "()")]
    pub struct Panic;

    impl Handler<Panic> for WalletActor {
        type Result = ();

        fn handle(&mut self, Panic: Panic, _: &mut Self::Context) {
            panic!("a bug, on purpose");
        }
    }
}
