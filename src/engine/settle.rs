//! Gets every operation of a batch an answer, whatever the database does: tries again, and splits until a culprit stands alone. What is done
//! about which trouble stands in [`super::retry`].

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::SubmitError;
use super::retry::{Policy, Setback, Size, Step, Tries};
use crate::ledger::{Operation, Outcome};
use crate::pause::jittered;
use crate::posting::{self, Attempt};
use crate::settings::{self, ms};
use crate::store::{Store, StoreError, Trouble};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::seconds;

/// Previews at a time: with the lanes, all connections that post.
const PREVIEWS_MAX: usize = 4;

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
    policy: Policy,
    database_is_up: AtomicBool,
    previews: Semaphore,
    /// Set when the stop has run out of time: nobody waits for the database any longer.
    gives_up: AtomicBool,
}

/// A part of a batch that was not posted. Nothing of it was written, unless a try that was interrupted wrote all of it.
struct Unposted {
    step: Step,
    /// What its callers are told if it is given up.
    error: SubmitError,
}

impl Settler {
    pub fn new(store: Store, settings: &settings::Engine, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            metrics,
            policy: Policy {
                conflict_retries_max: settings.conflict_retries_max,
                reconnect_pause_max: ms(settings.reconnect_pause_max_ms),
            },
            database_is_up: AtomicBool::new(true),
            previews: Semaphore::new(PREVIEWS_MAX),
            gives_up: AtomicBool::new(false),
        }
    }

    /// Whether the last thing asked of the database was answered.
    pub fn database_is_up(&self) -> bool {
        self.database_is_up.load(Ordering::Relaxed)
    }

    /// See [`posting::preview`]. Few at a time, and not for ever: each takes a connection.
    pub async fn preview(&self, operation: &Operation) -> Result<Outcome, StoreError> {
        let preview = async {
            let _turn = self.previews.acquire().await;
            posting::preview(&self.store, operation).await
        };
        timeout(self.store.batch_timeout(), preview).await.unwrap_or_else(|_| Err(StoreError::silence()))
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
            let posted = if part.iter().any(|operation| held_up.contains(&operation.request.wallet())) {
                Err(self.unposted(part, Setback::HeldUp, 1, SubmitError::Abandoned))
            } else {
                self.post(part, &mut attempt).await
            };
            match posted {
                Ok(outcomes) => settled.extend(outcomes.into_iter().map(|outcome| Settled::Answered(Ok(outcome)))),
                Err(Unposted { step: Step::GiveUp, error }) => {
                    settled.extend(part.iter().map(|_| Settled::Answered(Err(error.clone()))));
                }
                Err(Unposted { step: Step::Later, .. }) => {
                    held_up.extend(part.iter().map(|operation| operation.request.wallet()));
                    settled.extend(part.iter().map(|_| Settled::Later(attempt)));
                }
                // A retry has been made where it was due.
                Err(Unposted { step: Step::Split | Step::Retry(_), .. }) => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([(right, attempt), (left, attempt)]);
                }
            }
        }
        settled
    }

    /// Posts a part, trying again where that can help. `attempt` says afterwards whether a try may have been committed unheard.
    async fn post(&self, part: &[Operation], attempt: &mut Attempt) -> Result<Vec<Outcome>, Unposted> {
        let mut tries = Tries::default();
        loop {
            if self.gives_up.load(Ordering::Relaxed) {
                return Err(self.unposted(part, Setback::OutOfTime, 1, SubmitError::Abandoned));
            }
            let (setback, error) = match self.try_once(part, *attempt).await {
                Some(Ok(outcomes)) => return Ok(outcomes),
                Some(Err(error)) => (Setback::Store(error.trouble()), self.failed(part, error)),
                None => (Setback::Panic, SubmitError::Panicked),
            };
            if matches!(setback, Setback::Store(Trouble::Away) | Setback::Panic) {
                *attempt = Attempt::Again;
            }
            let unposted = self.unposted(part, setback, tries.count(setback), error);
            match unposted.step {
                Step::Retry(pause) => tokio::time::sleep(jittered(pause)).await,
                _ => return Err(unposted),
            }
        }
    }

    fn unposted(&self, part: &[Operation], setback: Setback, tries: u32, error: SubmitError) -> Unposted {
        let size = if part.len() == 1 { Size::One } else { Size::Several };
        Unposted { step: self.policy.step(setback, tries, size), error }
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

    /// Counts and logs what a try met.
    fn failed(&self, part: &[Operation], error: StoreError) -> SubmitError {
        if error.is_transient() {
            self.metrics.store_retries.with_label_values(&[&error.sqlstate()]).inc();
        } else if let [operation] = part {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(
                wallet.id = operation.request.wallet().0,
                operation.kind = %operation.request.kind(),
                error = cause,
                "the database refused an operation"
            );
        }
        SubmitError::Store(Arc::new(error))
    }
}

/// A number of operations as Prometheus wants it.
fn as_f64(operations: usize) -> f64 {
    u32::try_from(operations).map_or(f64::INFINITY, f64::from)
}
