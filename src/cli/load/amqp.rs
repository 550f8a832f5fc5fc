//! Over AMQP: a window of operations outstanding.
//!
//! One task, no confirms (the reply confirms), reused buffers, replies not acknowledged, publishing and consuming on separate connections.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::try_join_all;
use lapin::Confirmation;
use lapin::options::BasicPublishOptions;
use lapin::protocol::BasicProperties;
use lapin::types::ShortString;
use tokio::sync::Notify;
use uuid::Uuid;

use super::orders::{Order, Orders};
use super::report::{Report, Tally};
use super::slots::{self, Slots};
use super::{Load, Route, STOP_TIMEOUT, Watch, Way, nobody_answered, refused};
use crate::cli::client::{Client, publishing_failed, unroutable};
use crate::cli::conversation::PERSISTENT;
use crate::cli::failure::Failure;
use crate::settings::Broker;

/// Messages handed to the connection at a time. More would make replies that are there already wait to be counted.
const BURST: usize = 32;
/// Replies counted at a time.
const REPLIES_AT_A_TIME: usize = 256;

/// Makes the load.
pub async fn run(load: &Load, broker: &Broker, route: &Route, watch: &Watch) -> anyhow::Result<Report> {
    let client = Client::connect(broker).await?;
    let run = Run {
        load,
        route,
        watch,
        reply_queue: client.reply_queue.clone(),
        orders: Orders::of(load),
        slots: Mutex::new(Slots::new(load.window)),
        slot_freed: Notify::new(),
    };
    let mut way = OverAmqp { run, client };
    let report = load.carry_out(&mut way, watch).await;
    way.client.close().await;
    report
}

struct OverAmqp<'a> {
    run: Run<'a>,
    client: Client,
}

impl Way for OverAmqp<'_> {
    fn keeps_books(&self) -> bool {
        matches!(self.run.route, Route::Exchange(_))
    }

    async fn probe(&mut self) -> anyhow::Result<()> {
        self.run.check_route(&mut self.client).await
    }

    async fn ask(&mut self, count: u64, order: impl Fn(u64) -> Order, is_measured: bool) -> anyhow::Result<Report> {
        self.run.phase(&mut self.client, count, order, is_measured).await
    }
}

/// One run of a load.
struct Run<'a> {
    load: &'a Load,
    route: &'a Route,
    watch: &'a Watch,
    reply_queue: ShortString,
    orders: Orders<'a>,
    slots: Mutex<Slots>,
    slot_freed: Notify,
}

impl Run<'_> {
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
            Err(_) => Err(nobody_answered(self.load.reply_timeout).into()),
            Ok(None) => Err(Failure::new("the broker took the reply queue away", "").into()),
            Ok(Some(Err(error))) => Err(publishing_failed(self.exchange(), error).into()),
            Ok(Some(Ok(delivery))) => {
                let mut tally = Tally::new()?;
                tally.count_reply(&delivery.data, Some(Duration::ZERO));
                tally.first_refusal().map_or(Ok(()), |reason| Err(refused(self.load.wallets, reason).into()))
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
                    tally.count_reply(&delivery.data, started.map(|started| now.saturating_duration_since(started)));
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
        match self.route {
            Route::Exchange(exchange) => exchange,
            Route::Queue(_) => "",
        }
    }

    fn route(&self, operation: &'static str) -> anyhow::Result<(ShortString, ShortString)> {
        let (exchange, routing_key) = match self.route {
            Route::Exchange(exchange) => (exchange.as_str(), operation),
            Route::Queue(queue) => ("", queue.as_str()),
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
