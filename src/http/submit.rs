//! How an operation goes from a request to the engine and its outcome back, within bounds.
//!
//! A caller that goes away cancels nothing: the operation was accepted, so it is carried out, and asking again with the same key tells
//! its outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::error::{Problem, Unserved};
use super::server::Context;
use crate::engine::SubmitError;
use crate::ledger::{Operation, Outcome};
use crate::wire::{self, Part, Refusal};

/// Batches that may be in flight at least, whatever their size.
const BATCH_SHARE: usize = 4;

/// Bounds the operations in flight over HTTP, and how long a caller waits for one.
#[derive(Debug)]
pub(super) struct Gate {
    free: Arc<Semaphore>,
    operations_max: usize,
    time_max: Duration,
}

impl Gate {
    pub fn new(in_flight_max: usize, time_max: Duration) -> Self {
        let operations_max = in_flight_max.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(operations_max)), operations_max, time_max }
    }

    /// Lets so many operations in, or none. A batch counts as its operations, but as no more than a part of what may be in flight: it neither waits until
    /// all others are done, nor shuts them out.
    fn admit(&self, operations: usize) -> Result<OwnedSemaphorePermit, Unserved> {
        let share = (self.operations_max / BATCH_SHARE).max(1);
        let wanted = u32::try_from(operations.min(share)).unwrap_or(u32::MAX);
        Arc::clone(&self.free).try_acquire_many_owned(wanted).map_err(|_| Unserved::Overloaded)
    }

    /// The longest a caller waits.
    pub fn time_max(&self) -> Duration {
        self.time_max
    }
}

/// Why a request has no outcome to show.
#[derive(Clone, Debug)]
pub enum Unanswered {
    /// HTTP itself refuses it, or waited for it in vain.
    Unserved(Unserved),
    /// It is no operation.
    Refused(Refusal),
    /// The engine gave it up.
    Failed(SubmitError),
}

impl From<Unanswered> for Problem {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Unserved(unserved) => unserved.into(),
            Unanswered::Refused(refusal) => refusal.into(),
            Unanswered::Failed(error) => error.into(),
        }
    }
}

impl From<Unserved> for Unanswered {
    fn from(unserved: Unserved) -> Self {
        Self::Unserved(unserved)
    }
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Says what an operation would do now, and does nothing of it. It does not take the wallet's line: it sees what is committed.
pub async fn preview(context: &Context, operation: &Operation) -> Result<Outcome, Problem> {
    let _permit = context.gate.admit(operation.request.weight())?;
    let preview = context.state.processor.preview(operation);
    Ok(timeout(context.gate.time_max(), preview).await.map_err(|_| Unserved::DatabaseAway)??)
}

/// Submits operations that stand for themselves, and waits for all of them.
pub async fn submit_each(context: &Context, operations: Vec<Result<Operation, Refusal>>) -> Result<Vec<Part>, Problem> {
    if !context.state.processor.database_is_up() {
        return Err(Unserved::DatabaseAway.into());
    }
    let permit = context.gate.admit(operations.len())?;
    let (sender, receiver) = oneshot::channel();
    let submit = |operation, answer| context.state.processor.submit_with(operation, answer);
    wire::submit_each(submit, operations, move |parts| {
        drop(permit);
        drop(sender.send(parts));
    });
    match timeout(context.gate.time_max, receiver).await {
        Ok(Ok(parts)) => Ok(parts),
        Ok(Err(_)) | Err(_) => Err(Unserved::TimedOut.into()),
    }
}

/// Submits an operation and waits for its outcome, without holding up the worker's other requests.
pub async fn submit(context: &Context, operation: Operation) -> Result<Outcome, Unanswered> {
    // What could only wait inside is turned away at the door.
    if !context.state.processor.database_is_up() {
        return Err(Unserved::DatabaseAway.into());
    }
    let permit = context.gate.admit(operation.request.weight())?;
    let (wallet, kind) = (operation.request.wallet().0, operation.request.kind());
    let (sender, receiver) = oneshot::channel();
    context.state.processor.submit_with(operation, move |result| {
        // Held until the engine is done with it, whether or not the caller still waits: it bounds what is in flight, not who listens.
        drop(permit);
        // The caller may be gone; the operation is done all the same.
        drop(sender.send(result));
    });
    match timeout(context.gate.time_max, receiver).await {
        Ok(Ok(Ok(outcome))) => Ok(outcome),
        Ok(Ok(Err(SubmitError::ShuttingDown))) => Err(Unserved::Stopping.into()),
        Ok(Ok(Err(error))) => Err(Unanswered::Failed(error)),
        Ok(Err(_)) => Err(Unanswered::Failed(SubmitError::Abandoned)),
        Err(_) => {
            tracing::warn!(wallet.id = wallet, operation.kind = %kind, "an HTTP caller was not answered in time");
            Err(Unserved::TimedOut.into())
        }
    }
}
