//! Gets every operation of a batch an answer, whatever the database does: tries again, and splits until a culprit stands alone.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use rand::Rng;
use tokio::time::timeout;

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

/// What became of an operation.
pub(super) enum Settled {
    /// Its caller can be told.
    Answered(Result<Outcome, SubmitError>),
    /// Others keep its wallet locked: it is to be tried again, before anything else of its wallet.
    Later(Attempt),
}

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
    /// One of its operations was refused, or brought the rules to panic. Nothing of it was written.
    Culprit(SubmitError),
    /// Others are in the way of one of its operations. Nothing of this try was written.
    Locked,
    /// The process stops; whether it was written is not known.
    GivenUp,
}

impl Settler {
    pub fn new(store: Store, settings: &settings::Engine, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            metrics,
            conflict_retries_max: settings.conflict_retries_max,
            reconnect_pause_max: ms(settings.reconnect_pause_max_ms).max(RECONNECT_PAUSE_MIN),
            database_is_up: AtomicBool::new(true),
            gives_up: AtomicBool::new(false),
        }
    }

    /// Whether the last thing asked of the database was answered.
    pub fn database_is_up(&self) -> bool {
        self.database_is_up.load(Ordering::Relaxed)
    }

    /// See [`posting::preview`].
    pub async fn preview(&self, operation: &Operation) -> Result<Outcome, StoreError> {
        posting::preview(&self.store, operation).await
    }

    /// Ends the waiting for a database that is away.
    pub fn give_up(&self) {
        self.gives_up.store(true, Ordering::Relaxed);
    }

    /// What became of each operation, in order. Parts are posted in order, so that splitting does not change it; behind an operation that
    /// is to be tried later, nothing of its wallet is posted.
    pub async fn settle(&self, operations: &[Operation], attempt: Attempt) -> Vec<Settled> {
        let mut settled = Vec::with_capacity(operations.len());
        let mut held_up = HashSet::new();
        let mut parts = vec![(operations, attempt)];
        while let Some((part, mut attempt)) = parts.pop() {
            let failure = if part.iter().any(|operation| held_up.contains(&operation.request.wallet())) {
                Failure::Locked
            } else {
                match self.post(part, &mut attempt).await {
                    Ok(outcomes) => {
                        settled.extend(outcomes.into_iter().map(|outcome| Settled::Answered(Ok(outcome))));
                        continue;
                    }
                    Err(failure) => failure,
                }
            };
            match (part, failure) {
                (part, Failure::GivenUp) => {
                    settled.extend(part.iter().map(|_| Settled::Answered(Err(SubmitError::Abandoned))));
                }
                ([_], Failure::Culprit(error)) => settled.push(Settled::Answered(Err(error))),
                ([operation], Failure::Locked) => {
                    held_up.insert(operation.request.wallet());
                    settled.push(Settled::Later(attempt));
                }
                (part, _) => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([(right, attempt), (left, attempt)]);
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
            if self.gives_up.load(Ordering::Relaxed) {
                return Err(Failure::GivenUp);
            }
            let error = match self.try_once(part, *attempt).await {
                Some(Ok(outcomes)) => return Ok(outcomes),
                Some(Err(error)) => error,
                None => return Err(Failure::Culprit(SubmitError::Abandoned)),
            };
            let pause = match error.trouble() {
                Trouble::Refused => return Err(self.refused(part, error)),
                Trouble::Locked => None,
                Trouble::Conflict if conflicts == self.conflict_retries_max => None,
                Trouble::Conflict => {
                    conflicts += 1;
                    Some(pause(CONFLICT_PAUSE_MIN, CONFLICT_PAUSE_MAX, conflicts))
                }
                Trouble::Away => {
                    *attempt = Attempt::Again;
                    reconnects += 1;
                    Some(pause(RECONNECT_PAUSE_MIN, self.reconnect_pause_max, reconnects))
                }
            };
            self.metrics.store_retries.with_label_values(&[&error.sqlstate()]).inc();
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(Failure::Locked),
            }
        }
    }

    /// `None` when it panicked: a bug that one operation brought out; the others are not to suffer for it.
    async fn try_once(&self, part: &[Operation], attempt: Attempt) -> Option<Result<Vec<Outcome>, StoreError>> {
        let started = Instant::now();
        let posted = timeout(self.store.batch_timeout(), posting::post(&self.store, part, attempt));
        match AssertUnwindSafe(posted).catch_unwind().await {
            Ok(posted) => {
                let posted = posted.unwrap_or_else(|_| Err(StoreError::silence()));
                match &posted {
                    Err(error) if error.trouble() == Trouble::Away => self.lost(error),
                    _ => self.heard(),
                }
                if posted.is_ok() {
                    self.metrics.commit_duration.observe(seconds(started.elapsed()));
                    self.metrics.batch_operations.observe(as_f64(part.len()));
                }
                Some(posted)
            }
            Err(_) => {
                // Whether the database is there was not learnt, and nobody waits for it any longer: the next batch finds out.
                self.heard();
                self.metrics.actor_panics.with_label_values(&["lane"]).inc();
                tracing::error!(operations = part.len(), "posting a batch panicked");
                None
            }
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
