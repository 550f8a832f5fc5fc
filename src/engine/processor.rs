//! The way into the engine, and the only way to change a balance.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Arbiter};
use tokio::sync::oneshot;

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
    is_closed: AtomicBool,
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
    /// The database refused it for a reason that trying again cannot mend; nothing was applied.
    #[error("the operation could not be stored")]
    Store(#[source] Arc<StoreError>),
}

impl SubmitError {
    /// Whether asking again can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::ShuttingDown | Self::Abandoned => true,
            Self::Store(_) => false,
        }
    }
}

impl Processor {
    /// Starts the lanes. Needs a running actix `System`.
    pub fn start(store: Store, settings: &settings::Engine, metrics: Arc<Metrics>) -> Self {
        let settler = Arc::new(Settler::new(store, settings, Arc::clone(&metrics)));
        let lanes = (0..settings.lanes)
            .map(|_| {
                let thread = Arbiter::new();
                let lane = Lane::new(Arc::clone(&settler), Arc::clone(&metrics), settings.batch_max);
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
            is_closed: AtomicBool::new(false),
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

    /// The same for callers that want to be called: exactly once, after the commit, from the lane's thread, which they must not block.
    pub fn submit_with(
        &self,
        operation: Operation,
        answer: impl FnOnce(Result<Outcome, SubmitError>) + Send + 'static,
    ) {
        let inner = &self.0;
        let kind = operation.request.kind();
        // Counted before the look: a drain either sees this operation or has closed the door before it.
        let responder = Responder::new(kind, Arc::clone(&inner.in_flight), answer);
        if inner.is_closed.load(Ordering::SeqCst) {
            responder.answer(Err(SubmitError::ShuttingDown));
            return;
        }
        let submitted = Submitted { operation, attempt: Attempt::First, responder, received: Instant::now() };
        inner.registry.send(submitted, |wallet| inner.start_actor(wallet));
    }

    /// Says what an operation would do now, and does nothing of it. It does not take the wallet's line.
    pub async fn preview(&self, operation: &Operation) -> Result<Outcome, StoreError> {
        self.0.settler.preview(operation).await
    }

    /// Refuses new operations and waits until the accepted ones are answered. Returns how many were not in time; those are abandoned.
    pub async fn drain(&self, timeout: Duration) -> usize {
        let inner = &self.0;
        inner.is_closed.store(true, Ordering::SeqCst);
        if tokio::time::timeout(timeout, inner.in_flight.emptied()).await.is_ok() {
            return 0;
        }
        let left = inner.in_flight.count();
        inner.settler.give_up();
        left
    }

    /// Stops the lanes' threads. Call it after [`Self::drain`].
    pub fn stop(&self) {
        for lane in &self.0.lanes {
            lane.thread.stop();
        }
    }

    /// Whether a drain has begun: new operations are refused.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed.load(Ordering::SeqCst)
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
}

impl Inner {
    fn start_actor(&self, wallet: WalletId) -> (Addr<WalletActor>, u64) {
        let incarnation = self.incarnations.fetch_add(1, Ordering::Relaxed);
        let lane = &self.lanes[lane_of(wallet, self.lanes.len())];
        let actor = WalletActor::new(
            (wallet, incarnation),
            lane.addr.clone(),
            Arc::clone(&self.registry),
            Arc::clone(&self.metrics),
            self.batch_operations_max,
        );
        (WalletActor::start_in_arbiter(&lane.thread.handle(), move |_| actor), incarnation)
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
    async fn a_closed_door_lets_nothing_in() {
        let processor = processor_without_database();
        assert_eq!(processor.drain(Duration::from_secs(5)).await, 0);
        assert!(matches!(processor.submit(look(1)).await, Err(SubmitError::ShuttingDown)));
        assert_eq!(processor.actors(), 0);
    }
}
