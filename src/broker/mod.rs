//! RabbitMQ: operations in, replies out, every delivery settled after its commit.
//!
//! ```text
//!  queue ──> Consumer (reads, decodes and submits in delivery order) ──> Processor
//!                                                                          │ outcomes, in bulk
//!  reply queue <── replies ── Settler (all replies, then one ack) <────────┘   those to the broker's own addresses: DirectReplies
//!  queue <──────── acks ─────────┘   └──> DeadLetters (confirmed, then acknowledged)
//! ```
//! One session per connection: when any part of it fails, all of it ends and a new one starts. What was not acknowledged is delivered
//! again; answers that belong to an ended session go nowhere. Nothing here decides about money, and nothing waits for the database: while
//! it is away the lanes hold what they have, and the prefetch stops the rest.
//!
//! **After a lost session** the next one waits until everything that was submitted before is answered, so that the prefetch bounds all of them
//! together: during an outage of the database, each would otherwise submit the same messages again.
//!
//! **Known limit.** lapin reads the short strings of a message (its id, its routing key) as UTF-8 and ends the connection over one that is not.
//! Such a message comes back until the queue's delivery limit dead-letters it; a session with a prefetch of one sees to it that the messages
//! around it are not counted with it.

mod ack_window;
mod consumer;
mod dead_letter;
mod direct_replies;
mod message;
mod session;
mod settler;
mod tls;
mod topology;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::engine::Processor;
use crate::settings::Settings;
use crate::telemetry::Metrics;

use session::Supervisor;

pub use tls::{connect, trust};

/// How long the end of the last session may take once everything is answered: some replies, an ack, a goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Purser's side of RabbitMQ.
#[derive(Debug)]
pub struct Broker {
    health: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    consuming_ended: watch::Receiver<bool>,
    supervisor: JoinHandle<()>,
}

impl Broker {
    /// Starts consuming on the current tokio runtime, and keeps at it: a broker that is away is tried again for ever.
    pub fn start(settings: &Settings, processor: Processor, metrics: Arc<Metrics>) -> Self {
        let health = Arc::new(AtomicBool::new(false));
        let (stop, stop_asked) = watch::channel(false);
        let (ended, consuming_ended) = watch::channel(false);
        let supervisor = Supervisor::new(settings, processor, metrics, Arc::clone(&health), stop_asked, ended);
        Self { health, stop, consuming_ended, supervisor: tokio::spawn(supervisor.run()) }
    }

    /// True while operations are consumed; the metric `purser_amqp_connected` says the same.
    pub fn health(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.health)
    }

    /// Takes no more deliveries. When it returns, everything that was delivered has been submitted.
    ///
    /// Acks are held back meanwhile, so that the broker hands out no more than the prefetch, and the consumer is cancelled when all of that is
    /// committed: another instance takes over from there, and a wallet's operations stay in their order. If it is not after a short while, the
    /// consumer stays until the connection is closed, and another instance takes over with what is left.
    /// A broker that does not listen, as under a memory or disk alarm, is not waited for: its deliveries are left to it.
    pub async fn stop_consuming(&self) {
        self.stop.send_replace(true);
        let mut ended = self.consuming_ended.clone();
        // An error means that the supervisor is gone, and with it every consumer.
        ended.wait_for(|ended| *ended).await.ok();
    }

    /// Sends the last replies and acks, and says goodbye. Call it after [`Processor::drain`]; what is still unanswered then is delivered
    /// again later.
    pub async fn close(self) {
        self.stop.send_replace(true);
        let mut supervisor = self.supervisor;
        if tokio::time::timeout(CLOSE_TIMEOUT, &mut supervisor).await.is_err() {
            tracing::warn!("the broker connection was not closed in time; what is not acknowledged is delivered again");
            supervisor.abort();
        }
    }
}
