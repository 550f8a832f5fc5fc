//! The way back to a caller: it is always told, whatever happens to the actors in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::Notify;

use super::SubmitError;
use crate::ledger::{Kind, Operation, Outcome};
use crate::telemetry::Metrics;

/// An operation on its way through the engine.
pub(super) struct Submitted {
    pub operation: Operation,
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
        let label = result.as_ref().map_or("failed", Outcome::label);
        self.in_flight.metrics.operations.with_label_values(&[self.kind.as_str(), label]).inc();
        answer(result);
        self.in_flight.leave();
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.give(Err(SubmitError::Abandoned));
    }
}

/// Operations accepted and not yet answered.
pub(super) struct InFlight {
    count: AtomicUsize,
    emptied: Notify,
    metrics: Arc<Metrics>,
}

impl InFlight {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { count: AtomicUsize::new(0), emptied: Notify::new(), metrics }
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
