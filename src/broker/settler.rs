//! Fates in, replies and acks out: for all that is there at once, first every reply, then one ack for all deliveries they belong to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicPublishOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel};
use prometheus::IntCounter;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::ack_window::AckWindow;
use super::dead_letter::Letter;
use super::direct_replies::DirectReplies;
use super::message;
use super::session::SessionError;
use super::topology::OPERATIONS_000;
use super::verdict::{self, Asker, Fate, Verdict};
use crate::telemetry::Metrics;
use crate::wire::{Dialect, Reply};

/// Fates that are dealt with at once.
const FLUSH_MAX: usize = 1024;

/// How often it looks at what nobody tells it of: returned replies.
const TICK: Duration = Duration::from_millis(250);

/// A delivery whose fate is known.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) delivery: Box<Delivery>,
    pub(super) dialect: Dialect,
    pub(super) fate: Fate,
}

/// Settles the deliveries of one session.
pub(super) struct Settler {
    pub(super) channel: Channel,
    pub(super) settled: mpsc::UnboundedReceiver<Settled>,
    pub(super) heard_of: Arc<AtomicU64>,
    pub(super) hold_acks: watch::Receiver<bool>,
    pub(super) letters: mpsc::UnboundedSender<Letter>,
    pub(super) safe_letters: mpsc::UnboundedReceiver<u64>,
    pub(super) direct_replies: DirectReplies,
    pub(super) counters: Counters,
    pub(super) window: AckWindow,
    /// Finished deliveries behind an unfinished one that are acknowledged one by one, so that one slow wallet does not use up the prefetch.
    pub(super) stragglers_max: usize,
    pub(super) letters_pending: usize,
    /// Tells the consumer, and says at the end, that a delivery was left to the broker.
    pub(super) is_abandoned: watch::Sender<bool>,
}

/// A reply on its way.
pub(super) struct Publication {
    pub(super) queue: ShortString,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

impl Settler {
    /// Works until the consumer has ended and everything it submitted is answered.
    pub(super) async fn run(mut self) -> Result<(), SessionError> {
        let mut batch = Vec::with_capacity(FLUSH_MAX);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut everything_came = false;
        while !everything_came || self.letters_pending > 0 {
            tokio::select! {
                count = self.settled.recv_many(&mut batch, FLUSH_MAX), if !everything_came => everything_came = count == 0,
                Some(tag) = self.safe_letters.recv() => self.letter_is_safe(tag),
                Ok(()) = self.hold_acks.changed() => {}
                _ = ticks.tick() => {}
            }
            self.flush(&mut batch).await.map_err(SessionError::Settler)?;
        }
        self.acknowledge().await.map_err(SessionError::Settler)?;
        self.acknowledge_stragglers().await.map_err(SessionError::Settler)?;
        self.direct_replies.close().await;
        if *self.is_abandoned.borrow() { Err(SessionError::Abandoned) } else { Ok(()) }
    }

    async fn flush(&mut self, batch: &mut Vec<Settled>) -> lapin::Result<()> {
        let heard_of = batch.len() as u64;
        let publications: Vec<_> = batch.drain(..).filter_map(|settled| self.decide(settled)).collect();
        let (direct, publications) = publications.into_iter().partition(DirectReplies::is_direct);
        // The replies go first: an ack without its reply would be a caller who waits for ever.
        self.publish(publications).await?;
        self.publish_direct(direct).await?;
        if !*self.hold_acks.borrow_and_update() {
            self.acknowledge().await?;
        }
        self.heard_of.fetch_add(heard_of, Ordering::Release);
        // This channel does not confirm, so there is nothing to wait for: it hands out the replies that came back.
        let returned = self.channel.wait_for_confirms().await?.len();
        if returned > 0 {
            tracing::warn!(replies = returned, "replies came back: their queues are gone");
            self.counters.returned.inc_by(returned as u64);
        }
        Ok(())
    }

    fn decide(&mut self, Settled { delivery, dialect, fate }: Settled) -> Option<Publication> {
        let tag = delivery.delivery_tag;
        let queue = message::reply_to(&delivery.properties).cloned();
        let asker = if queue.is_some() { Asker::Waits } else { Asker::None };
        let routing_key = delivery.routing_key.as_str();
        let (verdict, reply) = verdict::of(&fate, dialect, routing_key, asker);
        if let (Dialect::TransactionalSystem, Some(reply)) = (dialect, &reply) {
            self.counters.count_000(routing_key, reply.status);
        }
        let publication = queue.zip(reply).map(|(queue, reply)| publication(queue, &delivery, reply));
        match verdict {
            Verdict::Ack => {
                self.counters.ack.inc();
                self.window.finish(tag);
            }
            Verdict::Refuse => {
                self.counters.refuse.inc();
                self.window.finish(tag);
            }
            Verdict::DeadLetter(reason) => {
                let counter = self.counters.dead_letter.clone();
                self.send_letter(Letter { delivery, reason, counter });
            }
            Verdict::Park(reason) => {
                let counter = self.counters.park.clone();
                self.send_letter(Letter { delivery, reason, counter });
            }
            Verdict::Leave => {
                self.counters.requeue.inc();
                self.is_abandoned.send_replace(true);
            }
        }
        publication
    }

    fn send_letter(&mut self, letter: Letter) {
        self.letters_pending += 1;
        // If nobody takes it, the session is at its end, and the delivery comes again.
        self.letters.send(letter).ok();
    }

    fn letter_is_safe(&mut self, tag: u64) {
        let mut next = Some(tag);
        while let Some(tag) = next {
            self.letters_pending -= 1;
            self.window.finish(tag);
            next = self.safe_letters.try_recv().ok();
        }
    }

    /// Queues all replies and waits until the last is written, which means that all are. lapin writes acks before messages, so an ack may be
    /// queued only then. Waiting for each reply by itself would cost a turn of lapin's thread each.
    async fn publish(&self, mut publications: Vec<Publication>) -> lapin::Result<()> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let publish = async |publication: Publication| {
            let Publication { queue, properties, body } = publication;
            self.channel.basic_publish("".into(), queue, options, &body, properties).await.map(drop)
        };
        let sent = publications.len() as u64;
        let Some(last) = publications.pop() else {
            return Ok(());
        };
        for publication in publications {
            // The first poll queues it; only its being written is not waited for.
            publish(publication).now_or_never().transpose()?;
        }
        publish(last).await?;
        self.counters.sent.inc_by(sent);
        Ok(())
    }

    /// Waits until the broker has them, on a connection that may fail.
    async fn publish_direct(&mut self, publications: Vec<Publication>) -> lapin::Result<()> {
        let sent = publications.len() as u64;
        let unreadable = self.direct_replies.publish(publications).await?;
        self.counters.sent.inc_by(sent);
        self.counters.returned.inc_by(unreadable as u64);
        Ok(())
    }

    async fn acknowledge(&mut self) -> lapin::Result<()> {
        if let Some(up_to) = self.window.take_prefix() {
            self.channel.basic_ack(up_to, BasicAckOptions { multiple: true }).await?;
        }
        if self.window.finished() > self.stragglers_max {
            self.acknowledge_stragglers().await?;
        }
        Ok(())
    }

    async fn acknowledge_stragglers(&mut self) -> lapin::Result<()> {
        for tag in self.window.take_stragglers() {
            self.channel.basic_ack(tag, BasicAckOptions::default()).await?;
        }
        Ok(())
    }
}

fn publication(queue: ShortString, delivery: &Delivery, reply: Reply) -> Publication {
    let properties = BasicProperties::default().with_content_type("application/json".into());
    let properties = match delivery.properties.correlation_id() {
        Some(id) => properties.with_correlation_id(id.clone()),
        None => properties,
    };
    Publication { queue, properties, body: reply.body }
}

/// The counters of one queue, found once, so that a delivery costs an increment. All of them exist from the start, at 0.
#[derive(Clone)]
pub(super) struct Counters {
    ack: IntCounter,
    refuse: IntCounter,
    requeue: IntCounter,
    dead_letter: IntCounter,
    park: IntCounter,
    sent: IntCounter,
    returned: IntCounter,
    system_000: [[IntCounter; 3]; 3],
}

/// The codes of system 000's replies.
const CODES_000: [u16; 3] = [200, 400, 500];

impl Counters {
    pub(super) fn new(metrics: &Metrics, queue: &str) -> Self {
        let delivery = |verdict| metrics.amqp_deliveries.with_label_values(&[queue, verdict]);
        let reply = |result| metrics.amqp_replies.with_label_values(&[result]);
        let query = |operation, code: u16| {
            metrics.app_queries_status.with_label_values(&[operation, code.to_string().as_str()])
        };
        Self {
            ack: delivery("ack"),
            refuse: delivery("refuse"),
            requeue: delivery("requeue"),
            dead_letter: delivery("dead_letter"),
            park: delivery("park"),
            sent: reply("sent"),
            returned: reply("returned"),
            system_000: OPERATIONS_000.map(|operation| CODES_000.map(|code| query(operation, code))),
        }
    }

    /// Other operations are not counted, as that system did not.
    fn count_000(&self, operation: &str, code: u16) {
        let operation = OPERATIONS_000.iter().position(|known| *known == operation);
        let code = CODES_000.iter().position(|known| *known == code);
        if let (Some(operation), Some(code)) = (operation, code) {
            self.system_000[operation][code].inc();
        }
    }
}
