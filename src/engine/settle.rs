//! Gets every operation of a batch an answer, whatever the database does: tries again, and splits until a culprit stands alone.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use rand::Rng;

use super::SubmitError;
use crate::ledger::{Operation, Outcome};
use crate::posting::{self, Attempt};
use crate::settings::{self, ms};
use crate::store::{Store, StoreError, Trouble};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::seconds;

/// First pause when the database is away.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(50);
/// First pause when others are in the way: about the time of a small batch.
const CONFLICT_PAUSE_MIN: Duration = Duration::from_millis(5);
/// Longest pause when others are in the way.
const CONFLICT_PAUSE_MAX: Duration = Duration::from_millis(500);

type Settled = Result<Outcome, SubmitError>;

pub(super) struct Settler {
    store: Store,
    metrics: Arc<Metrics>,
    conflict_retries_max: u32,
    reconnect_pause_max: Duration,
    database_is_up: AtomicBool,
    /// Set when the stop has run out of time: nobody waits for the database any longer.
    gives_up: AtomicBool,
}

/// Why a part of a batch was not posted.
enum Failure {
    /// It was refused, was in conflict for too long, or brought the rules to panic. Nothing of it was written.
    Culprit(SubmitError),
    /// The process stops while the database is away; whether it was written is not known.
    GivenUp,
}

impl Settler {
    pub fn new(store: Store, settings: &settings::Engine, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            metrics,
            conflict_retries_max: settings.conflict_retries_max,
            reconnect_pause_max: ms(settings.reconnect_pause_max_ms),
            database_is_up: AtomicBool::new(true),
            gives_up: AtomicBool::new(false),
        }
    }

    /// Whether the last thing asked of the database was answered.
    pub fn database_is_up(&self) -> bool {
        self.database_is_up.load(Ordering::Relaxed)
    }

    /// Ends the waiting for a database that is away.
    pub fn give_up(&self) {
        self.gives_up.store(true, Ordering::Relaxed);
    }

    /// One answer per operation, in order. Parts are posted in order, so that splitting does not change it.
    pub async fn settle(&self, operations: &[Operation]) -> Vec<Settled> {
        let mut settled = Vec::with_capacity(operations.len());
        let mut parts = vec![(operations, Attempt::First)];
        while let Some((part, mut attempt)) = parts.pop() {
            match self.post(part, &mut attempt).await {
                Ok(outcomes) => settled.extend(outcomes.into_iter().map(Ok)),
                Err(Failure::Culprit(_)) if part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([(right, attempt), (left, attempt)]);
                }
                Err(Failure::Culprit(error)) => settled.push(Err(error)),
                Err(Failure::GivenUp) => {
                    settled.extend(part.iter().map(|_| Err(SubmitError::Abandoned)));
                }
            }
        }
        settled
    }

    /// Posts a part, trying again where that can help. `attempt` says afterwards whether a try may have been committed unheard.
    async fn post(&self, part: &[Operation], attempt: &mut Attempt) -> Result<Vec<Outcome>, Failure> {
        let mut conflicts = 0;
        let mut reconnects = 0;
        loop {
            let started = Instant::now();
            // A panic in the rules is a bug that one operation brought out; the others are not to suffer for it.
            let posted = AssertUnwindSafe(posting::post(&self.store, part, *attempt)).catch_unwind().await;
            let error = match posted {
                Ok(Ok(outcomes)) => {
                    self.heard();
                    self.metrics.commit_duration.observe(seconds(started.elapsed()));
                    self.metrics.batch_operations.observe(as_f64(part.len()));
                    return Ok(outcomes);
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    // Whether the database is there was not learnt, and nobody waits for it any longer: the next batch finds out.
                    self.heard();
                    self.metrics.actor_panics.with_label_values(&["lane"]).inc();
                    tracing::error!(operations = part.len(), "posting a batch panicked");
                    return Err(Failure::Culprit(SubmitError::Abandoned));
                }
            };
            let trouble = error.trouble();
            if trouble != Trouble::Away {
                self.heard();
            }
            let pause = match trouble {
                Trouble::Refused => return Err(self.refused(part, error)),
                Trouble::Conflict if conflicts == self.conflict_retries_max => {
                    return Err(Failure::Culprit(SubmitError::Contended));
                }
                Trouble::Conflict => {
                    conflicts += 1;
                    pause(CONFLICT_PAUSE_MIN, CONFLICT_PAUSE_MAX, conflicts)
                }
                Trouble::Away => {
                    *attempt = Attempt::Again;
                    self.lost(&error);
                    if self.gives_up.load(Ordering::Relaxed) {
                        return Err(Failure::GivenUp);
                    }
                    reconnects += 1;
                    pause(RECONNECT_PAUSE_MIN, self.reconnect_pause_max, reconnects)
                }
            };
            self.metrics.store_retries.with_label_values(&[&error.sqlstate()]).inc();
            tokio::time::sleep(pause).await;
        }
    }

    /// The database answered, be it with a refusal.
    fn heard(&self) {
        if !self.database_is_up.swap(true, Ordering::Relaxed) {
            tracing::info!("the database is back");
        }
    }

    fn lost(&self, error: &StoreError) {
        if self.database_is_up.swap(false, Ordering::Relaxed) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(error = cause, "the database is away; operations wait until it is back");
        }
    }

    fn refused(&self, part: &[Operation], error: StoreError) -> Failure {
        if let [operation] = part {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(
                wallet.id = operation.request.wallet().0,
                operation.kind = %operation.request.kind(),
                error = cause,
                "the database refused an operation"
            );
        }
        Failure::Culprit(SubmitError::Store(Arc::new(error)))
    }
}

/// Between half of and all of a pause that doubles with every try: lanes and instances that met do not meet again.
fn pause(min: Duration, max: Duration, tries: u32) -> Duration {
    let longest = min.saturating_mul(1 << tries.min(16)).min(max);
    longest / 2 + longest.mul_f64(rand::rng().random_range(0.0..0.5))
}

/// A number of operations as Prometheus wants it.
fn as_f64(operations: usize) -> f64 {
    u32::try_from(operations).map_or(f64::INFINITY, f64::from)
}
