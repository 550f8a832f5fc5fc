//! Deliveries in: decoded and submitted in the order they were delivered, by one task. That order is the order of every wallet's operations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::BasicCancelOptions;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::message::{self, Envelope, Intake};
use super::session::SessionError;
use super::settler::Settled;
use super::verdict::Fate;
use crate::engine::Sequence;
use crate::wire::{self, Limits};

/// How long a stop waits for a moment when everything delivered is committed. Longer than any batch takes while the database is well.
const HANDOVER_MAX: Duration = Duration::from_secs(2);

/// How long no delivery may have come by then. While acks are held the prefetch fills up and nothing more is sent; one that the broker sent
/// just before it heard of the end would be dropped on the way, and come again as a redelivery. Longer than a broker on a busy disk pauses:
/// on RabbitMQ 4.0, 50 ms were too few.
const HANDOVER_SILENCE: Duration = Duration::from_millis(250);

/// How often it looks for that moment.
const HANDOVER_POLL: Duration = Duration::from_millis(2);

/// How long the broker may take to confirm that the consumer is cancelled. One that blocks its publishers never hears of it.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Deliveries taken before other tasks of the thread have a turn.
const TURN: u64 = 64;

/// Reads deliveries until it is told to stop.
pub(super) struct Consumer {
    pub(super) channel: Channel,
    pub(super) deliveries: lapin::Consumer,
    pub(super) operations: Sequence,
    pub(super) system_000: Option<String>,
    pub(super) limits: Limits,
    pub(super) settled: mpsc::UnboundedSender<Settled>,
    /// How many deliveries the settler has heard of.
    pub(super) heard_of: Arc<AtomicU64>,
    /// While it says true, the settler acknowledges nothing.
    pub(super) hold_acks: watch::Sender<bool>,
    /// Says true once an operation has no outcome: the session is to end, so that it comes again.
    pub(super) is_abandoned: watch::Receiver<bool>,
    pub(super) stop: watch::Receiver<bool>,
    /// When it stops without being told.
    pub(super) until: Option<Instant>,
}

impl Consumer {
    pub(super) async fn run(mut self) -> Result<(), SessionError> {
        let told = told(self.stop.clone(), self.is_abandoned.clone(), self.until);
        tokio::pin!(told);
        let mut read = 0;
        loop {
            tokio::select! {
                biased;
                () = &mut told => break,
                delivery = self.deliveries.next() => {
                    self.take(delivery.ok_or(SessionError::Cancelled)?.map_err(SessionError::Consumer)?);
                    read += 1;
                    if read % TURN == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
        self.wind_down(read).await
    }

    /// Stops so that another session, of this instance or of another, can take over in order: no ack, so that the broker delivers the rest of the prefetch at most; then,
    /// when all of it is committed, no consumer; then all acks.
    async fn wind_down(&mut self, mut read: u64) -> Result<(), SessionError> {
        self.hold_acks.send_replace(true);
        let deadline = Instant::now() + HANDOVER_MAX;
        let mut looks = tokio::time::interval(HANDOVER_POLL);
        let mut last_came = Instant::now();
        loop {
            tokio::select! {
                biased;
                delivery = self.deliveries.next() => {
                    self.take(delivery.ok_or(SessionError::Cancelled)?.map_err(SessionError::Consumer)?);
                    read += 1;
                    last_came = Instant::now();
                }
                _ = looks.tick() => {
                    let is_committed = self.heard_of.load(Ordering::Acquire) == read;
                    if (is_committed && last_came.elapsed() >= HANDOVER_SILENCE) || Instant::now() >= deadline {
                        break;
                    }
                }
            }
        }
        // Not while something is not done: the broker would hand those behind it to the next consumer at once, and what it had just sent
        // would come before what is handed back later. Acks stay held, and the end of the channel hands everything back in its order.
        if self.heard_of.load(Ordering::Acquire) != read || *self.is_abandoned.borrow() {
            return Ok(());
        }
        let cancelled = tokio::time::timeout(CANCEL_TIMEOUT, self.cancel()).await;
        self.hold_acks.send_replace(false);
        cancelled.unwrap_or_else(|_| {
            tracing::warn!("the broker does not hear that consuming ends; what is delivered from now on is left to it");
            Ok(())
        })
    }

    /// What came before the broker heard of it is taken too: handed back, it would come again as a redelivery.
    async fn cancel(&mut self) -> Result<(), SessionError> {
        let (tag, options) = (self.deliveries.tag(), BasicCancelOptions::default());
        self.channel.basic_cancel(tag, options).await.map_err(SessionError::Consumer)?;
        while let Some(delivery) = self.deliveries.next().await {
            self.take(delivery.map_err(SessionError::Consumer)?);
        }
        Ok(())
    }

    fn take(&self, delivery: Delivery) {
        let dialect = message::dialect_of(delivery.exchange.as_str(), self.system_000.as_deref());
        let envelope = Envelope {
            dialect,
            routing_key: delivery.routing_key.as_str(),
            redelivered: delivery.redelivered,
            properties: &delivery.properties,
            body: &delivery.data,
        };
        let intake = message::read(envelope, self.limits);
        let settled = self.settled.clone();
        let delivery = Box::new(delivery);
        // A settler that is gone has left its deliveries to the broker, which delivers them again.
        let settle = move |fate| drop(settled.send(Settled { delivery, dialect, fate }));
        match intake {
            Intake::Submit(operation) => {
                let request = operation.request.clone();
                self.operations.submit_with(operation, move |result| settle(Fate::Answered(request, result)));
            }
            Intake::SubmitEach(each) => {
                let submit = |operation, answer| self.operations.submit_with(operation, answer);
                wire::submit_each(submit, each, move |parts| settle(Fate::AnsweredEach(parts)));
            }
            Intake::Refused(refusal) => settle(Fate::Refused(refusal)),
            Intake::Ambiguous => settle(Fate::Ambiguous),
        }
    }
}

/// Returns when it is time to stop.
async fn told(mut stop: watch::Receiver<bool>, mut is_abandoned: watch::Receiver<bool>, until: Option<Instant>) {
    let asked = async {
        // An error means that whoever could ask is gone.
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            _ = is_abandoned.wait_for(|is_abandoned| *is_abandoned) => {}
        }
    };
    match until {
        Some(until) => drop(tokio::time::timeout_at(until, asked).await),
        None => asked.await,
    }
}
