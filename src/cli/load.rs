//! The load generator: keeps a window of operations outstanding over AMQP and measures how they come back.
//!
//! Also called in-process by the benchmarks. Cheap per message, so that it measures the server and not itself: one task, no confirms
//! (the reply confirms), reused buffers, replies not acknowledged, publishing and consuming on separate connections.

mod orders;
mod report;
mod slots;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::try_join_all;
use lapin::Confirmation;
use lapin::options::BasicPublishOptions;
use lapin::protocol::BasicProperties;
use lapin::types::ShortString;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::client::{Client, publishing_failed, unroutable};
use super::conversation::PERSISTENT;
use super::failure::Failure;
use crate::settings::Broker;
pub use orders::Mix;
use orders::{Order, Orders};
pub use report::Report;
use report::Tally;
use slots::Slots;

/// Messages handed to the connection at a time. More would make replies that are there already wait to be counted.
const BURST: usize = 32;
/// Replies counted at a time.
const REPLIES_AT_A_TIME: usize = 256;
/// After a stop, how long what is outstanding may still take.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the load goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An exchange, with the operation as the routing key.
    Exchange(String),
    /// Straight to a queue: for a server that echoes and knows no operations.
    Queue(String),
}

/// What load to make.
#[derive(Clone, Debug)]
pub struct Load {
    /// The broker.
    pub broker: Broker,
    /// Where to publish.
    pub target: Target,
    /// Which operations.
    pub mix: Mix,
    /// How many are measured.
    pub operations: u64,
    /// How many come before those, unmeasured.
    pub warmup: u64,
    /// The operations are spread over the wallets 1 to this.
    pub wallets: u32,
    /// Their currency; it must allow two decimals.
    pub currency: String,
    /// How many are outstanding at a time.
    pub window: usize,
    /// The longest to wait for the next reply.
    pub reply_timeout: Duration,
}

/// Follows a load from outside, and stops it.
#[derive(Debug, Default)]
pub struct Watch {
    answered: AtomicU64,
    is_measuring: AtomicBool,
    stop: watch::Sender<bool>,
}

impl Watch {
    /// Measured operations answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Whether the measured part has begun.
    pub fn is_measuring(&self) -> bool {
        self.is_measuring.load(Relaxed)
    }

    /// Asks nothing more. What was measured so far is reported.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    async fn stopped(&self) {
        // It cannot fail: the sender is in `self`.
        let _ = self.stop.subscribe().wait_for(|is_stopped| *is_stopped).await;
    }
}

impl Load {
    /// Makes the load and measures it.
    pub async fn run(&self) -> anyhow::Result<Report> {
        self.run_watched(&Watch::default()).await
    }

    /// The same, with someone watching.
    pub async fn run_watched(&self, watch: &Watch) -> anyhow::Result<Report> {
        let mut client = Client::connect(&self.broker).await?;
        let run = Run::new(self, watch, client.reply_queue.clone());
        let report = run.everything(&mut client).await;
        client.close().await;
        report
    }
}

/// One run of a load.
struct Run<'a> {
    load: &'a Load,
    watch: &'a Watch,
    reply_queue: ShortString,
    orders: Orders<'a>,
    slots: Mutex<Slots>,
    slot_freed: Notify,
}

impl<'a> Run<'a> {
    fn new(load: &'a Load, watch: &'a Watch, reply_queue: ShortString) -> Self {
        Self {
            load,
            watch,
            reply_queue,
            orders: Orders { mix: load.mix, wallets: load.wallets, currency: &load.currency },
            slots: Mutex::new(Slots::new(load.window)),
            slot_freed: Notify::new(),
        }
    }

    async fn everything(&self, client: &mut Client) -> anyhow::Result<Report> {
        self.check_route(client).await?;
        // Where money leaves, enough must be there first; a server that only echoes needs none.
        if self.load.mix.needs_funds() && matches!(self.load.target, Target::Exchange(_)) {
            let units = (self.load.operations + self.load.warmup).saturating_mul(orders::UNITS_PER_OPERATION);
            let funded =
                self.phase(client, u64::from(self.load.wallets), |wallet| Order::Fund { wallet, units }, false).await?;
            if let Some(reason) = complete(funded)?.first_refusal {
                return Err(refused(self.load.wallets, &reason).into());
            }
        }
        complete(self.phase(client, self.load.warmup, Order::Measured, false).await?)?;
        self.watch.is_measuring.store(true, Relaxed);
        // The warm-up's orders are not repeated: other wallets, other kinds.
        let first = self.load.warmup;
        self.phase(client, self.load.operations, |number| Order::Measured(first + number), true).await
    }

    /// Publishes one mandatory, confirmed message and waits for its reply: a load that nobody takes would otherwise end in a long silence.
    async fn check_route(&self, client: &mut Client) -> anyhow::Result<()> {
        let mut body = String::new();
        let operation = self.orders.write(Order::Probe, &mut body);
        let (exchange, routing_key) = self.route(operation)?;
        let key = routing_key.as_str().to_owned();
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = self.properties("probe")?.with_reply_to(self.reply_queue.clone());
        let confirmed = async {
            client.confirmed.basic_publish(exchange, routing_key, mandatory, body.as_bytes(), properties).await?.await
        };
        match confirmed.await.map_err(|error| publishing_failed(self.exchange(), error))? {
            Confirmation::Ack(None) => {}
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                return Err(unroutable(self.exchange(), &key).into());
            }
            Confirmation::Nack(None) | Confirmation::NotRequested => {
                return Err(Failure::new("the broker did not take a message", "").into());
            }
        }
        let reply = tokio::select! {
            reply = tokio::time::timeout(self.load.reply_timeout, client.replies.next()) => reply,
            () = self.watch.stopped() => return Ok(()),
        };
        match reply {
            Err(_) => {
                let waited = self.load.reply_timeout.as_secs();
                Err(Failure::new(
                    format!("nobody answered within {waited} s"),
                    "is `purser serve` running, and is the database there?",
                )
                .into())
            }
            Ok(None) => Err(Failure::new("the broker took the reply queue away", "").into()),
            Ok(Some(Err(error))) => Err(publishing_failed(self.exchange(), error).into()),
            Ok(Some(Ok(delivery))) => {
                let mut tally = Tally::new()?;
                tally.count(&delivery.data, Some(Duration::ZERO));
                tally.first_refusal.map_or(Ok(()), |reason| Err(refused(self.load.wallets, &reason).into()))
            }
        }
    }

    /// Publishes `count` orders and waits for their replies.
    async fn phase(
        &self,
        client: &mut Client,
        count: u64,
        order: impl Fn(u64) -> Order,
        is_measured: bool,
    ) -> anyhow::Result<Report> {
        let tally = Mutex::new(Tally::new()?);
        let sent = AtomicU64::new(0);
        let is_all_sent = AtomicBool::new(false);
        let all_sent = Notify::new();
        let Client { unconfirmed, replies, .. } = client;
        let began = Instant::now();

        let publish = async {
            let mut bodies = vec![String::new(); BURST];
            while sent.load(Relaxed) < count && !self.watch.is_stopped() {
                let left = usize::try_from(count - sent.load(Relaxed)).unwrap_or(BURST).min(BURST);
                let taken = self.take_slots(left).await;
                let mut published = Vec::with_capacity(taken.len());
                for (slot, body) in taken.into_iter().zip(&mut bodies) {
                    body.clear();
                    let operation = self.orders.write(order(sent.fetch_add(1, Relaxed)), body);
                    let (exchange, routing_key) = self.route(operation)?;
                    let properties = self.properties(&slot.to_string())?.with_reply_to(self.reply_queue.clone());
                    let options = BasicPublishOptions::default();
                    published.push(unconfirmed.basic_publish(
                        exchange,
                        routing_key,
                        options,
                        body.as_bytes(),
                        properties,
                    ));
                }
                try_join_all(published).await.map_err(|error| publishing_failed(self.exchange(), error))?;
            }
            is_all_sent.store(true, Relaxed);
            all_sent.notify_one();
            anyhow::Ok(())
        };

        let receive = async {
            let mut replies = replies.ready_chunks(REPLIES_AT_A_TIME);
            loop {
                if is_all_sent.load(Relaxed) && self.lock_slots().outstanding() == 0 {
                    return anyhow::Ok(());
                }
                let patience = if self.watch.is_stopped() { STOP_TIMEOUT } else { self.load.reply_timeout };
                let chunk = tokio::select! {
                    chunk = tokio::time::timeout(patience, replies.next()) => chunk,
                    // These two: the conditions above are to be looked at again.
                    () = all_sent.notified() => continue,
                    () = self.watch.stopped(), if !self.watch.is_stopped() => continue,
                };
                let Ok(chunk) = chunk else { return anyhow::Ok(()) };
                let chunk = chunk.ok_or_else(|| Failure::new("the broker took the reply queue away", ""))?;
                let now = Instant::now();
                let mut tally = tally.lock().expect("nothing panics while it holds this lock");
                for delivery in chunk {
                    let delivery = delivery.map_err(|error| publishing_failed(self.exchange(), error))?;
                    let slot = delivery.properties.correlation_id().as_ref().and_then(|id| id.as_str().parse().ok());
                    let started = slot.and_then(|slot| self.lock_slots().free(slot));
                    tally.count(&delivery.data, started.map(|started| now.saturating_duration_since(started)));
                }
                if is_measured {
                    self.watch.answered.store(tally.answered(), Relaxed);
                }
                drop(tally);
                self.slot_freed.notify_one();
            }
        };

        // The receiver ends first when nothing comes any more: then the publisher may wait for a slot for ever.
        {
            let mut publish = std::pin::pin!(publish);
            let mut receive = std::pin::pin!(receive);
            tokio::select! {
                published = &mut publish => {
                    published?;
                    receive.await?;
                }
                received = &mut receive => received?,
            }
        }
        let missing = self.lock_slots().clear();
        let is_interrupted = self.watch.is_stopped();
        let tally = tally.into_inner().expect("nothing panics while it holds this lock");
        Ok(tally.report(sent.load(Relaxed), missing, is_interrupted, began))
    }

    /// At least one slot, at most `wanted`; none when the load was stopped.
    async fn take_slots(&self, wanted: usize) -> Vec<slots::SlotId> {
        loop {
            let taken = self.lock_slots().take(wanted, Instant::now());
            if !taken.is_empty() || self.watch.is_stopped() {
                return taken;
            }
            tokio::select! {
                () = self.slot_freed.notified() => {}
                () = self.watch.stopped() => {}
            }
        }
    }

    fn lock_slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().expect("nothing panics while it holds this lock")
    }

    fn exchange(&self) -> &str {
        match &self.load.target {
            Target::Exchange(exchange) => exchange,
            Target::Queue(_) => "",
        }
    }

    fn route(&self, operation: &'static str) -> anyhow::Result<(ShortString, ShortString)> {
        let (exchange, routing_key) = match &self.load.target {
            Target::Exchange(exchange) => (exchange.as_str(), operation),
            Target::Queue(queue) => ("", queue.as_str()),
        };
        Ok((ShortString::try_new(exchange)?, ShortString::try_new(routing_key)?))
    }

    fn properties(&self, correlation_id: &str) -> anyhow::Result<BasicProperties> {
        let mut buffer = Uuid::encode_buffer();
        let key: &str = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
        Ok(BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(PERSISTENT)
            .with_message_id(key.into())
            .with_correlation_id(ShortString::try_new(correlation_id)?))
    }
}

/// What comes before the measuring must be answered in full; without the server there is nothing to measure.
fn complete(report: Report) -> anyhow::Result<Report> {
    if report.missing > 0 && !report.is_interrupted {
        let what = format!("{} operations before the measured ones have no reply", report.missing);
        return Err(Failure::new(what, "look at the log of `purser serve`").into());
    }
    Ok(report)
}

fn refused(wallets: u32, reason: &str) -> Failure {
    let hint = format!("are there that many wallets? `purser seed --wallets {wallets}` adds what is missing");
    Failure::new(format!("the wallets 1-{wallets} cannot be used: {reason}"), hint)
}
