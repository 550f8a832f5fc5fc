//! The way into the engine, and the only way to change a balance.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Arbiter};
use tokio::sync::oneshot;

use super::door::Door;
use super::lane::Lane;
use super::registry::Registry;
use super::responder::{InFlight, Responder, Submitted};
use super::settle::Settler;
use super::wallet::WalletActor;
use crate::ledger::{Operation, Outcome, WalletId};
use crate::posting::Attempt;
use crate::settings::{self, ms};
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// Takes operations in, each into its wallet's line. Cheap to clone.
#[derive(Clone)]
pub struct Processor(Arc<Inner>);

struct Inner {
    lanes: Vec<LaneHandle>,
    registry: Arc<Registry>,
    settler: Arc<Settler>,
    in_flight: Arc<InFlight>,
    metrics: Arc<Metrics>,
    batch_operations_max: usize,
    incarnations: AtomicU64,
    door: Arc<Door>,
}

/// A lane has a thread of its own, and the actors of its wallets live there too: what they say to each other crosses no thread.
struct LaneHandle {
    thread: Arbiter,
    addr: Addr<Lane>,
}

/// Why an operation has no outcome.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// Purser is stopping: nothing was applied, ask again elsewhere or later.
    #[error("the server is stopping")]
    ShuttingDown,
    /// What held it ended by a panic or by a stop that ran out of time: it may or may not have been applied.
    #[error("the operation was abandoned; it may or may not have been applied")]
    Abandoned,
    /// It brought out a bug in what decides or writes it, and would again.
    #[error("the operation met a bug and was given up; look into its wallet before asking again")]
    Panicked,
    /// The database refused it for a reason that trying again cannot mend; nothing was applied.
    #[error("the operation could not be stored")]
    Store(#[source] Arc<StoreError>),
}

impl SubmitError {
    /// Whether asking again can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::ShuttingDown | Self::Abandoned => true,
            Self::Panicked | Self::Store(_) => false,
        }
    }
}

impl Processor {
    /// Starts the lanes. Needs a running actix `System`.
    pub fn start(store: Store, settings: &settings::Engine, metrics: Arc<Metrics>) -> Self {
        let settler = Arc::new(Settler::new(store, settings, Arc::clone(&metrics)));
        let door = Arc::new(Door::new());
        let lanes = (0..settings.lanes)
            .map(|_| {
                let thread = Arbiter::new();
                let lane = Lane::new(Arc::clone(&settler), Arc::clone(&door), Arc::clone(&metrics), settings.batch_max);
                let addr = Lane::start_in_arbiter(&thread.handle(), move |_| lane);
                LaneHandle { thread, addr }
            })
            .collect();
        let registry = Arc::new(Registry::new());
        let inner = Inner {
            lanes,
            registry: Arc::clone(&registry),
            settler,
            in_flight: Arc::new(InFlight::new(Arc::clone(&metrics))),
            metrics,
            batch_operations_max: settings.batch_max,
            incarnations: AtomicU64::new(0),
            door,
        };
        inner.lanes[0].thread.spawn(sweep(Arc::downgrade(&registry), ms(settings.actor_idle_timeout_ms)));
        Self(Arc::new(inner))
    }

    /// Puts an operation in its wallet's line before it returns; the future gives the outcome, after the commit.
    pub fn submit(
        &self,
        operation: Operation,
    ) -> impl Future<Output = Result<Outcome, SubmitError>> + Send + 'static + use<> {
        let (sender, receiver) = oneshot::channel();
        // A caller that has gone away does not want the answer; the operation stands all the same.
        self.submit_with(operation, move |result| drop(sender.send(result)));
        async move { receiver.await.unwrap_or(Err(SubmitError::Abandoned)) }
    }

    /// The same for callers that want to be called: exactly once, after the commit, from the lane's thread or, if nothing can be done, at once.
    /// They must not block there, nor submit anything.
    pub fn submit_with(
        &self,
        operation: Operation,
        answer: impl FnOnce(Result<Outcome, SubmitError>) + Send + 'static,
    ) {
        self.accept(operation, None, answer);
    }

    /// Begins a sequence of operations whose order matters to whoever submits them.
    pub fn sequence(&self) -> Sequence {
        Sequence { processor: self.clone(), since: self.0.registry.deaths() }
    }

    fn accept(
        &self,
        operation: Operation,
        since: Option<u64>,
        answer: impl FnOnce(Result<Outcome, SubmitError>) + Send + 'static,
    ) {
        let inner = &self.0;
        let kind = operation.request.kind();
        // Counted before the look: a drain either sees this operation or has closed the door before it.
        let responder = Responder::new(kind, Arc::clone(&inner.in_flight), answer);
        if inner.door.is_closed() {
            responder.answer(Err(SubmitError::ShuttingDown));
            return;
        }
        let submitted = Submitted { operation, attempt: Attempt::First, responder, received: Instant::now() };
        let unsent = inner.registry.send(submitted, since, |wallet| inner.start_actor(wallet));
        // Dropped, it is abandoned: here, where no lock is held.
        drop(unsent);
    }

    /// Says what an operation would do now, and does nothing of it. It does not take the wallet's line.
    pub async fn preview(&self, operation: &Operation) -> Result<Outcome, StoreError> {
        self.0.settler.preview(operation).await
    }

    /// Refuses new operations and waits until the accepted ones are answered. Returns how many were not in time; those are abandoned.
    pub async fn drain(&self, timeout: Duration) -> usize {
        let inner = &self.0;
        inner.door.close();
        if tokio::time::timeout(timeout, inner.in_flight.emptied()).await.is_ok() {
            return 0;
        }
        let left = inner.in_flight.count();
        inner.settler.give_up();
        left
    }

    /// Stops the lanes' threads. Call it after [`Self::drain`].
    pub fn stop(&self) {
        self.0.door.close();
        for lane in &self.0.lanes {
            lane.thread.stop();
        }
    }

    /// Whether new operations are refused: a drain has begun, or a lane has died.
    pub fn is_closed(&self) -> bool {
        self.0.door.is_closed()
    }

    /// Waits until a lane dies by a panic. Its operations are abandoned then, new ones are refused, and the process should drain and end.
    pub async fn until_a_lane_died(&self) {
        self.0.door.until_a_lane_died().await;
    }

    /// Whether the last commit found the database there.
    pub fn database_is_up(&self) -> bool {
        self.0.settler.database_is_up()
    }

    /// Operations accepted and not yet answered.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.count()
    }

    /// Wallets that have a live actor.
    pub fn actors(&self) -> usize {
        self.0.registry.len()
    }

    /// Brings the actor of a wallet to panic, if it has one, as a bug would. For tests; no release has it.
    #[cfg(any(test, debug_assertions))]
    #[doc(hidden)]
    pub fn panic_in_actor(&self, wallet: WalletId) {
        if let Some(actor) = self.0.registry.addr(wallet) {
            actor.do_send(super::wallet::testing::Panic);
        }
    }
}

/// Operations whose order matters to whoever submits them, such as the deliveries of one connection.
///
/// An actor that dies abandons what it held. The operations of its wallet that come later in the same sequence are abandoned too, so that
/// none of them is applied before those that are to be submitted again. The other wallets do not notice.
#[derive(Clone)]
pub struct Sequence {
    processor: Processor,
    /// How many actors had died when it began.
    since: u64,
}

impl Sequence {
    /// See [`Processor::submit_with`].
    pub fn submit_with(
        &self,
        operation: Operation,
        answer: impl FnOnce(Result<Outcome, SubmitError>) + Send + 'static,
    ) {
        self.processor.accept(operation, Some(self.since), answer);
    }
}

impl Inner {
    fn start_actor(&self, wallet: WalletId) -> (Addr<WalletActor>, u64) {
        let incarnation = self.incarnations.fetch_add(1, Ordering::Relaxed);
        let lane = &self.lanes[lane_of(wallet, self.lanes.len())];
        let (addr, registry, metrics) = (lane.addr.clone(), Arc::clone(&self.registry), Arc::clone(&self.metrics));
        let operations_max = self.batch_operations_max;
        // Made over there: see the registry on what may happen while its lock is held.
        let make = move |_: &mut _| WalletActor::new((wallet, incarnation), addr, registry, metrics, operations_max);
        (WalletActor::start_in_arbiter(&lane.thread.handle(), make), incarnation)
    }
}

/// The lane of a wallet. Neighbouring numbers, which are often busy together, are spread by a multiplicative hash.
fn lane_of(wallet: WalletId, lanes: usize) -> usize {
    let hash = wallet.0.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    usize::try_from(hash).expect("32 bits fit") % lanes
}

/// Asks idle actors to stop, for as long as there is an engine. One look at all of them now and then instead of a timer in each.
async fn sweep(registry: Weak<Registry>, idle: Duration) {
    let mut ticks = tokio::time::interval((idle / 2).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while let Some(registry) = registry.upgrade() {
        registry.retire_idle(idle);
        drop(registry);
        ticks.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::engine::wallet::testing::Panic;
    use crate::ledger::{Request, TransactionId};
    use crate::settings::{Secret, Settings};

    #[test]
    fn wallets_are_spread_evenly_over_lanes() {
        for lanes in 1..=8 {
            let mut wallets = vec![0; lanes];
            for id in 1..=8000 {
                wallets[lane_of(WalletId(id), lanes)] += 1;
            }
            let fair = 8000 / lanes;
            assert!(wallets.iter().all(|count| (fair * 9 / 10..=fair * 11 / 10).contains(count)), "{wallets:?}");
        }
    }

    /// A processor whose database is away, so that operations stay where they are.
    fn processor_without_database() -> Processor {
        let mut settings = Settings::load(None).unwrap();
        settings.database.url = Secret::new("postgres://nobody@127.0.0.1:1/nothing");
        settings.database.acquire_timeout_ms = 50;
        let store = Store::new(&settings.database).unwrap();
        Processor::start(store, &settings.engine, Arc::new(Metrics::new()))
    }

    fn look(wallet: i64) -> Operation {
        Operation {
            id: TransactionId(Uuid::now_v7()),
            idempotency_key: None,
            request: Request::Balance { wallet: WalletId(wallet) },
        }
    }

    /// Waits for what other threads do; a test that would wait for ever has failed.
    async fn until(mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "what was waited for did not come");
            tokio::task::yield_now().await;
        }
    }

    #[actix_rt::test]
    async fn a_panic_in_one_actor_answers_its_callers_and_leaves_the_others_alone() {
        let processor = processor_without_database();
        let in_the_lane = processor.submit(look(1));
        let in_line = processor.submit(look(1));
        let of_another = processor.submit(look(2));
        let actor = processor.0.registry.addr(WalletId(1)).unwrap();
        actor.send(Panic).await.unwrap_err();

        assert!(matches!(in_line.await, Err(SubmitError::Abandoned)));
        until(|| processor.actors() == 1 && processor.in_flight() == 2).await;
        assert_eq!(processor.0.metrics.actor_panics.with_label_values(&["wallet"]).get(), 1);
        // What was in the lane is not lost, the other wallet's actor lives, and the wallet has a new actor for what comes.
        let next = processor.submit(look(1));
        assert_eq!(processor.actors(), 2);

        assert_eq!(processor.drain(Duration::from_millis(1)).await, 3);
        for submission in [in_the_lane, of_another, next] {
            assert!(matches!(submission.await, Err(SubmitError::Abandoned)));
        }
        until(|| processor.in_flight() == 0).await;
    }

    #[actix_rt::test]
    async fn an_actor_that_cannot_start_answers_and_holds_up_nobody() {
        let processor = processor_without_database();
        for lane in &processor.0.lanes {
            lane.thread.stop();
            until(|| !lane.thread.spawn_fn(|| ())).await;
        }
        // On another thread: holding the registry's lock for ever would be seen as a test that fails, not as one that hangs.
        let submitting = std::thread::spawn(move || (0..3).map(|_| processor.submit(look(1))).collect::<Vec<_>>());
        until(|| submitting.is_finished()).await;
        for submission in submitting.join().unwrap() {
            assert!(matches!(submission.await, Err(SubmitError::Abandoned)));
        }
    }

    #[actix_rt::test]
    async fn a_closed_door_lets_nothing_in() {
        let processor = processor_without_database();
        assert_eq!(processor.drain(Duration::from_secs(5)).await, 0);
        assert!(matches!(processor.submit(look(1)).await, Err(SubmitError::ShuttingDown)));
        assert_eq!(processor.actors(), 0);
    }
}
