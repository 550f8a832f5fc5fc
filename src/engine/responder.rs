//! The way back to a caller: it is always told, whatever happens to the actors in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use prometheus::IntCounter;
use tokio::sync::Notify;

use super::SubmitError;
use crate::ledger::{Kind, Operation, Outcome, Rejection, Status};
use crate::posting::Attempt;
use crate::telemetry::Metrics;

/// An operation on its way through the engine.
pub(super) struct Submitted {
    pub operation: Operation,
    /// Whether an earlier try of it may have been committed unheard.
    pub attempt: Attempt,
    pub responder: Responder,
    /// When it was received.
    pub received: Instant,
}

/// What a caller wants done with its result.
type Answer = Box<dyn FnOnce(Result<Outcome, SubmitError>) + Send>;

/// Answers a caller exactly once. Dropped unanswered, as in a panic, it answers [`SubmitError::Abandoned`].
pub(super) struct Responder {
    answer: Option<Answer>,
    in_flight: Arc<InFlight>,
    kind: Kind,
}

impl Responder {
    pub fn new(
        kind: Kind,
        in_flight: Arc<InFlight>,
        answer: impl FnOnce(Result<Outcome, SubmitError>) + Send + 'static,
    ) -> Self {
        in_flight.enter();
        Self { answer: Some(Box::new(answer)), in_flight, kind }
    }

    pub fn answer(mut self, result: Result<Outcome, SubmitError>) {
        self.give(result);
    }

    fn give(&mut self, result: Result<Outcome, SubmitError>) {
        let Some(answer) = self.answer.take() else { return };
        let _leaving = Leaving(&self.in_flight);
        self.in_flight.answered.count(self.kind, result.as_ref().map_or(FAILED, Outcome::label));
        answer(result);
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.give(Err(SubmitError::Abandoned));
    }
}

/// Counts an operation out once its caller has been called, even if the caller panics: a drain would wait for it.
struct Leaving<'a>(&'a InFlight);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The outcome of an operation that has none.
const FAILED: &str = "failed";

/// A counter per kind and outcome. All of them exist from the start, at 0, and are found once: looking one up costs more than counting.
struct Answered([(Kind, Vec<(&'static str, IntCounter)>); Kind::ALL.len()]);

impl Answered {
    fn new(metrics: &Metrics) -> Self {
        let outcomes = || {
            let statuses = [Status::Success, Status::Created].map(Status::as_str);
            statuses.into_iter().chain(Rejection::ALL.map(Rejection::code)).chain([FAILED])
        };
        let counter = |kind: Kind, outcome| metrics.operations.with_label_values(&[kind.as_str(), outcome]);
        Self(Kind::ALL.map(|kind| (kind, outcomes().map(|outcome| (outcome, counter(kind, outcome))).collect())))
    }

    fn count(&self, kind: Kind, outcome: &str) {
        let counters = self.0.iter().find(|(known, _)| *known == kind);
        let counter = counters.and_then(|(_, counters)| counters.iter().find(|(known, _)| *known == outcome));
        if let Some((_, counter)) = counter {
            counter.inc();
        }
    }
}

/// Operations accepted and not yet answered.
pub(super) struct InFlight {
    count: AtomicUsize,
    emptied: Notify,
    answered: Answered,
    metrics: Arc<Metrics>,
}

impl InFlight {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { count: AtomicUsize::new(0), emptied: Notify::new(), answered: Answered::new(&metrics), metrics }
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until there are none.
    pub async fn emptied(&self) {
        loop {
            // Registered before the look, so that a leave in between is not missed.
            let emptied = self.emptied.notified();
            if self.count() == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn enter(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.metrics.operations_in_flight.inc();
    }

    fn leave(&self) {
        self.metrics.operations_in_flight.dec();
        if self.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.emptied.notify_waiters();
        }
    }
}
