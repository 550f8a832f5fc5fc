//! The life of a connection, and of the next one, and so on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lapin::options::{BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ErrorKind};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};

use super::ack_window::AckWindow;
use super::consumer::Consumer;
use super::dead_letter::DeadLetters;
use super::direct_replies::DirectReplies;
use super::settler::{Counters, Settled, Settler};
use super::tls;
use super::topology::{DeclareError, Topology, short};
use crate::engine::Processor;
use crate::pause::jittered;
use crate::settings::{self, Settings, ms};
use crate::telemetry::Metrics;
use crate::wire::Limits;

/// The first pause before a broker that is away is tried again; each pause is about twice the one before.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(100);

/// How long connecting and declaring may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How soon a broker that fell silent counts as gone, unless its address says otherwise. Seconds. RabbitMQ suggests 60.
const HEARTBEAT: u16 = 20;

/// How long a session reads one message at a time after one that was ended by a message, or may have been.
const CAREFUL_SPAN: Duration = Duration::from_secs(5);

/// A session that lived this long was in order: the pauses start anew. One that ended sooner may end as soon the next time.
const STEADY_SPAN: Duration = Duration::from_secs(5);

/// How often it looks whether everything that an ended session submitted is answered.
const ANSWERS_POLL: Duration = Duration::from_millis(20);

/// How long a goodbye may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait for the consumer to say what happened when another part of the session noticed first.
const EXPLANATION_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps one session running.
pub(super) struct Supervisor {
    settings: settings::Broker,
    limits: Limits,
    topology: Topology,
    processor: Processor,
    metrics: Arc<Metrics>,
    counters: Counters,
    health: Arc<AtomicBool>,
    stop: watch::Receiver<bool>,
    consuming_ended: watch::Sender<bool>,
}

/// How a session reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// As many messages at once as the prefetch allows.
    Full,
    /// One at a time: the next may be one that ends the connection, and those with it would be counted as delivered too.
    Careful,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("broker.url (or AMQP_URL) is not an AMQP address: amqp://USER:PASSWORD@HOST:PORT/VHOST")]
    Address,
    #[error("the broker cannot be trusted as the settings say")]
    Trust(#[source] std::io::Error),
    #[error("the broker did not answer in time")]
    Timeout,
    #[error("the broker cannot be connected to")]
    Connect(#[source] lapin::Error),
    #[error(transparent)]
    Declare(#[from] DeclareError),
    #[error("operations cannot be consumed")]
    Consume(#[source] lapin::Error),
    #[error("the broker ended the consumer: its queue was deleted or moved")]
    Cancelled,
    #[error("the consumer failed")]
    Consumer(#[source] lapin::Error),
    #[error("settling deliveries failed")]
    Settler(#[source] lapin::Error),
    #[error("publishing dead letters failed")]
    DeadLetter(#[source] lapin::Error),
    #[error("the engine abandoned an operation; it is to be delivered again, with those behind it")]
    Abandoned,
    #[error("a part of the session ended by a panic: a bug")]
    Panic(#[source] JoinError),
}

impl SessionError {
    /// Whether someone must change something before trying again can help.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Address | Self::Trust(_) | Self::Panic(_) => true,
            Self::Declare(error) => error.is_lasting(),
            // It is there and says no: a wrong password or virtual host.
            Self::Connect(error) => error.is_amqp_error(),
            _ => false,
        }
    }

    /// Whether one delivery may have ended it, and may do so again: lapin cannot read it, or it brings an actor to panic.
    fn is_poisoned(&self) -> bool {
        match self {
            Self::Consumer(error) => matches!(error.kind(), ErrorKind::ParsingError(_)),
            Self::Abandoned => true,
            _ => false,
        }
    }
}

impl Supervisor {
    pub(super) fn new(
        settings: &Settings,
        processor: Processor,
        metrics: Arc<Metrics>,
        health: Arc<AtomicBool>,
        stop: watch::Receiver<bool>,
        consuming_ended: watch::Sender<bool>,
    ) -> Self {
        let Settings { broker, batch, dialects, .. } = settings;
        let topology = Topology::new(broker, &dialects.transactional_system);
        let counters = Counters::new(&metrics, &topology.queue);
        let limits = Limits {
            body_bytes_max: broker.body_bytes_max,
            batch_body_bytes_max: batch.body_bytes_max,
            batch_operations_max: batch.operations_max,
        };
        Self { settings: broker.clone(), limits, topology, processor, metrics, counters, health, stop, consuming_ended }
    }

    /// One session after the other, until it is told to stop.
    pub(super) async fn run(self) {
        let mut pause = RECONNECT_PAUSE_MIN;
        let mut pace = Pace::Full;
        let mut stop = self.stop.clone();
        let mut unanswered = None;
        while !*stop.borrow() {
            tokio::select! {
                () = all_answered(unanswered.take()) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            let result = tokio::select! {
                // While it connects, there is nothing to end in good order.
                connected = timeout(CONNECT_TIMEOUT, self.connect(pace)) => connected.unwrap_or(Err(SessionError::Timeout)),
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let result = match result {
                Ok(session) => {
                    let began = Instant::now();
                    unanswered = Some(session.parts.consumer.settled.downgrade());
                    self.set_health(true);
                    tracing::info!(queue = self.topology.queue, ?pace, "consuming operations");
                    let result = session.run(|| self.set_health(false), &self.consuming_ended).await;
                    self.set_health(false);
                    // What is poisonous ends a session at once, but not for ever: the delivery limit takes it away.
                    if began.elapsed() >= STEADY_SPAN || result.as_ref().is_err_and(SessionError::is_poisoned) {
                        pause = RECONNECT_PAUSE_MIN;
                    }
                    result
                }
                Err(error) => Err(error),
            };
            pace = if result.as_ref().is_err_and(SessionError::is_poisoned) { Pace::Careful } else { Pace::Full };
            if let Err(error) = result {
                if error.is_lasting() {
                    pause = self.pause_max();
                    tracing::error!(error = chain(&error), "operations are not consumed until this is mended");
                } else {
                    tracing::warn!(error = chain(&error), "operations are not consumed; trying again");
                }
                let pause_now = jittered(pause);
                pause = (pause * 2).min(self.pause_max());
                // An error means that whoever could say stop is gone; then this task is about to end too.
                timeout(pause_now, stop.wait_for(|stop| *stop)).await.ok();
            }
        }
        self.set_health(false);
        self.consuming_ended.send_replace(true);
    }

    fn pause_max(&self) -> Duration {
        ms(self.settings.reconnect_pause_max_ms).max(RECONNECT_PAUSE_MIN)
    }

    fn set_health(&self, is_consuming: bool) {
        self.health.store(is_consuming, Ordering::Relaxed);
        self.metrics.amqp_connected.set(is_consuming.into());
    }

    async fn connect(&self, pace: Pace) -> Result<Session, SessionError> {
        let mut uri: AMQPUri = self.settings.url.expose().parse().map_err(|_| SessionError::Address)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let trusted = tls::trust(&self.settings.tls_ca_file).map_err(SessionError::Trust)?;
        let connection = tls::connect(uri.clone(), "purser", trusted).await.map_err(SessionError::Connect)?;
        self.topology.declare(&connection).await?;
        let parts = self
            .parts(&connection, DirectReplies::new(uri, self.settings.tls_ca_file.clone()), pace)
            .await
            .map_err(SessionError::Consume)?;
        let channels = [parts.settler.channel.clone(), parts.dead_letters.channel.clone()];
        let deliveries = parts.consumer.deliveries.clone();
        Ok(Session { connection, channels, deliveries, parts })
    }

    /// One channel consumes, replies and acknowledges, in that order; another publishes dead letters and confirms.
    async fn parts(&self, connection: &Connection, direct_replies: DirectReplies, pace: Pace) -> lapin::Result<Parts> {
        let confirming = connection.create_channel().await?;
        confirming.confirm_select(ConfirmSelectOptions::default()).await?;
        let channel = connection.create_channel().await?;
        let (prefetch, until) = match pace {
            Pace::Full => (self.settings.prefetch, None),
            Pace::Careful => (1, Some(Instant::now() + CAREFUL_SPAN)),
        };
        // Not global: that is per consumer, the only kind RabbitMQ 4 has.
        channel.basic_qos(prefetch, BasicQosOptions { global: false }).await?;
        let queue = short(&self.topology.queue)?;
        let options = BasicConsumeOptions::default();
        let deliveries = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;

        // Both are bounded by the prefetch: nothing is in them but deliveries that are not acknowledged.
        let (settled, fates) = mpsc::unbounded_channel();
        let (letters, posted) = mpsc::unbounded_channel();
        let (safe, safe_letters) = mpsc::unbounded_channel();
        let (hold_acks, acks_held) = watch::channel(false);
        let (abandons, is_abandoned) = watch::channel(false);
        let heard_of = Arc::new(AtomicU64::new(0));
        let consumer = Consumer {
            channel: channel.clone(),
            deliveries,
            operations: self.processor.sequence(),
            system_000: self.topology.system_000.clone(),
            limits: self.limits,
            settled,
            heard_of: Arc::clone(&heard_of),
            hold_acks,
            is_abandoned,
            stop: self.stop.clone(),
            until,
        };
        let settler = Settler {
            channel,
            settled: fates,
            heard_of,
            hold_acks: acks_held,
            letters,
            safe_letters,
            direct_replies,
            counters: self.counters.clone(),
            window: AckWindow::new(),
            stragglers_max: usize::from(prefetch / 2),
            letters_pending: 0,
            is_abandoned: abandons,
        };
        let dead_letters = DeadLetters { channel: confirming, topology: self.topology.clone(), letters: posted, safe };
        Ok(Parts { consumer, settler, dead_letters })
    }
}

/// One connection with what runs on it.
struct Session {
    connection: Connection,
    /// Kept until the connection has been closed: a channel that is dropped closes itself, and the two goodbyes would get in each other's way.
    channels: [Channel; 2],
    /// Likewise: a consumer that is dropped cancels itself, and the broker would go on with the next one before it takes back what is left.
    deliveries: lapin::Consumer,
    parts: Parts,
}

struct Parts {
    consumer: Consumer,
    settler: Settler,
    dead_letters: DeadLetters,
}

impl Session {
    /// Runs until it was stopped and everything is settled, or until a part of it fails; then the other parts end too.
    async fn run(self, stopping: impl Fn(), consuming_ended: &watch::Sender<bool>) -> Result<(), SessionError> {
        let Parts { consumer, settler, dead_letters } = self.parts;
        let mut stop = consumer.stop.clone();
        let mut parts = JoinSet::new();
        let consumer = parts.spawn(consumer.run()).id();
        parts.spawn(settler.run());
        parts.spawn(dead_letters.run());
        let mut is_stopping = false;
        let mut has_consumed = false;
        let result = loop {
            let joined = tokio::select! {
                joined = parts.join_next_with_id() => joined,
                Ok(_) = stop.wait_for(|stop| *stop), if !is_stopping => {
                    is_stopping = true;
                    stopping();
                    if has_consumed {
                        consuming_ended.send_replace(true);
                    }
                    continue;
                }
            };
            match joined {
                None => break Ok(()),
                Some(Ok((id, Ok(())))) => {
                    has_consumed |= id == consumer;
                    // After a careful span the consumer ends too, but the next session consumes again, unless a stop comes before.
                    if has_consumed && is_stopping {
                        consuming_ended.send_replace(true);
                    }
                }
                // It ends anyway.
                Some(Ok((_, Err(SessionError::Abandoned)))) if is_stopping => break Ok(()),
                Some(Ok((id, Err(error)))) if id == consumer => break Err(error),
                Some(Ok((_, Err(error)))) => break Err(explained(&mut parts, consumer, error).await),
                Some(Err(error)) => break Err(SessionError::Panic(error)),
            }
        };
        parts.shutdown().await;
        // A connection that is broken has nothing to say any more.
        timeout(GOODBYE_TIMEOUT, self.connection.close(200, "done".into())).await.ok();
        drop((self.deliveries, self.channels));
        result
    }
}

/// Waits until everything that an ended session submitted is answered: the way back from the engine is open as long as something is not.
async fn all_answered(session: Option<mpsc::WeakUnboundedSender<Settled>>) {
    let Some(session) = session else { return };
    let unanswered = session.strong_count();
    if unanswered > 0 {
        tracing::info!(operations = unanswered, "the operations of the lost connection are answered first");
    }
    while session.strong_count() > 0 {
        tokio::time::sleep(ANSWERS_POLL).await;
    }
}

/// When a connection breaks, every part of its session fails; the consumer is the one that learns why.
async fn explained(
    parts: &mut JoinSet<Result<(), SessionError>>,
    consumer: tokio::task::Id,
    error: SessionError,
) -> SessionError {
    let explanation = async {
        while let Some(joined) = parts.join_next_with_id().await {
            if let Ok((id, Err(error))) = joined
                && id == consumer
            {
                return Some(error);
            }
        }
        None
    };
    timeout(EXPLANATION_TIMEOUT, explanation).await.ok().flatten().unwrap_or(error)
}

/// An error with all its sources, for a log line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Some errors repeat their source's words.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}
