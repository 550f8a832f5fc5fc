//! A client as it should be: keys, publisher confirms, and after a lost connection it publishes again what was not confirmed, in order.
//!
//! What was confirmed is never published again before the books have been looked at: a confirmed message that got lost would be mended by it,
//! and nobody would know. As long as the connection lives every reply must come, however long it takes. A share of the operations has no key;
//! they are published once and never again, as nobody could tell whether that is a repetition.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Confirmation};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::journal::{Counts, Identity, Published, Reply};
use crate::progress;
use crate::support::{Line, Names, poll, unique};

/// Operations with a key that a publisher has open at once.
const WINDOW: usize = 100;
/// Of a hundred operations so many have no key.
const KEYLESS_PERCENT: u32 = 15;
/// The largest amount. Far more than a wallet gets operations without a key, whose amounts differ.
const CENTS_MAX: i64 = 10_000;
/// How long a confirm is waited for. RabbitMQ 3.10 may forget what is published to a quorum queue that has no leader yet, and never confirms it.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(20);
/// How long a connection may take to be opened. A broker that is starting may take one and never say a word, to Purser as well.
const LINE_PATIENCE: Duration = Duration::from_secs(15);
/// The longest that a broker may be away. More than `scripts/services.sh` waits for one to start, which can say why it does not.
const BROKER_DEADLINE: Duration = Duration::from_secs(180);

/// What the publishers of a round share.
pub struct Load {
    amqp_url: String,
    names: Names,
    operations_min: u64,
    pub published: AtomicU64,
    pub answered: AtomicU64,
    /// Nothing is killed any more: who has published enough may stop.
    pub disturbance_is_over: AtomicBool,
}

impl Load {
    pub fn new(amqp_url: String, names: Names, operations_min: u64) -> Self {
        let (published, answered) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { amqp_url, names, operations_min, published, answered, disturbance_is_over: AtomicBool::new(false) }
    }

    fn is_over(&self) -> bool {
        let is_enough = self.published.load(Ordering::Relaxed) >= self.operations_min;
        is_enough && self.disturbance_is_over.load(Ordering::Relaxed)
    }
}

/// The only publisher of its wallets, so that their order is known.
pub struct Publisher {
    /// Everything published, in order.
    pub journal: Vec<Published>,
    pub counts: Counts,
    load: Arc<Load>,
    wallets: Vec<i64>,
    wallets_max: i64,
    random: StdRng,
    /// Where in the journal a name stands.
    places: HashMap<String, usize>,
    /// Operations with a key that are to be published before anything else, by their places in the journal.
    due: BTreeSet<usize>,
    /// Operations with a key whose replies this connection must bring.
    open: BTreeSet<usize>,
    /// By wallet, the amounts of operations without a key.
    amounts: HashSet<(i64, i64)>,
}

/// Confirms that are awaited, each with its place in the journal.
type Confirms = FuturesUnordered<std::pin::Pin<Box<dyn Future<Output = (usize, lapin::Result<Confirmation>)> + Send>>>;

impl Publisher {
    pub fn new(load: Arc<Load>, wallets: Vec<i64>, wallets_max: i64, random: StdRng) -> Self {
        Self {
            journal: Vec::new(),
            counts: Counts::default(),
            load,
            wallets,
            wallets_max,
            random,
            places: HashMap::new(),
            due: BTreeSet::new(),
            open: BTreeSet::new(),
            amounts: HashSet::new(),
        }
    }

    /// Publishes until the load is over, everything with a key is confirmed, and answered unless its connection was lost.
    pub async fn run(mut self) -> Self {
        loop {
            let mut line = self.connect().await;
            let mut confirms = Confirms::new();
            if self.talk(&mut line, &mut confirms).await.is_ok() {
                return self;
            }
            self.lose_connection(confirms);
        }
    }

    /// Asks everything whose reply was lost again. All of it must have been answered before: the answer is a replay.
    pub async fn ask_again(mut self) -> Self {
        let is_unanswered = |place: &usize| self.journal[*place].is_keyed() && self.journal[*place].reply.is_none();
        let unanswered: Vec<usize> = (0..self.journal.len()).filter(is_unanswered).collect();
        self.counts.asked_again = unanswered.len() as u64;
        self.due.extend(&unanswered);
        let mut line = self.connect().await;
        self.talk(&mut line, &mut Confirms::new()).await.expect("nothing is killed any more");
        for published in unanswered.into_iter().map(|place| &self.journal[place]) {
            assert!(published.reply.is_some_and(|reply| reply.is_replay), "it was done before: {published:?}");
        }
        self
    }

    async fn connect(&self) -> Line {
        let open = async || {
            let opened = tokio::time::timeout(LINE_PATIENCE, Line::open(&self.load.amqp_url)).await;
            opened.inspect_err(|_| progress("a connection was begun and never answered; trying again")).ok()?.ok()
        };
        poll(BROKER_DEADLINE, "the broker is back", open).await
    }

    /// Talks over one connection until everything is said, confirmed and answered, or until the connection is lost.
    async fn talk(&mut self, line: &mut Line, confirms: &mut Confirms) -> lapin::Result<()> {
        for place in self.due.clone() {
            self.publish(line, confirms, place).await?;
        }
        let mut last_confirm = Instant::now();
        loop {
            while self.open.len() < WINDOW && !self.load.is_over() {
                let place = self.invent();
                self.publish(line, confirms, place).await?;
            }
            if self.open.is_empty() && confirms.is_empty() {
                return Ok(());
            }
            if confirms.is_empty() {
                last_confirm = Instant::now();
            }
            tokio::select! {
                reply = line.replies.next() => match reply {
                    Some(reply) => self.hear(&reply?),
                    None => return Err(lapin::ErrorKind::InvalidConnectionState(lapin::ConnectionState::Closed).into()),
                },
                Some((place, confirmation)) = confirms.next() => {
                    self.confirm(place, confirmation?)?;
                    last_confirm = Instant::now();
                }
                () = tokio::time::sleep_until(last_confirm + CONFIRM_PATIENCE), if !confirms.is_empty() => {
                    self.counts.given_up += 1;
                    return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
                }
            }
        }
    }

    /// What the connection still owed: confirms that have come are confirms; the other operations are to be published again, but not those
    /// without a key. Replies are lost.
    fn lose_connection(&mut self, mut confirms: Confirms) {
        while let Some(Some((place, confirmation))) = confirms.next().now_or_never() {
            // What it says besides a confirm is that there is none.
            confirmation.and_then(|confirmation| self.confirm(place, confirmation)).ok();
        }
        self.open.clear();
        self.counts.connections_lost += 1;
        self.counts.published_again += self.due.len() as u64;
    }

    async fn publish(&mut self, line: &Line, confirms: &mut Confirms, place: usize) -> lapin::Result<()> {
        let published = &self.journal[place];
        let mut properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(2)
            .with_correlation_id(published.name.as_str().into())
            .with_reply_to(line.reply_queue.as_str().into());
        if published.is_keyed() {
            properties = properties.with_message_id(published.name.as_str().into());
            self.due.insert(place);
            self.open.insert(place);
        }
        let exchange = self.load.names.operations.as_str();
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let body = published.body();
        let confirm = line
            .channel
            .basic_publish(exchange.into(), published.kind.into(), options, body.as_bytes(), properties)
            .await?;
        confirms.push(Box::pin(async move { (place, confirm.await) }));
        Ok(())
    }

    fn confirm(&mut self, place: usize, confirmation: Confirmation) -> lapin::Result<()> {
        match confirmation {
            Confirmation::Ack(None) => {
                self.journal[place].is_confirmed = true;
                self.due.remove(&place);
                Ok(())
            }
            Confirmation::Ack(Some(returned)) => panic!("nobody takes operations: {returned:?}"),
            // It says that it does not have it: it is to be published again, before anything else.
            other => Err(std::io::Error::other(format!("not confirmed: {other:?}")).into()),
        }
    }

    fn hear(&mut self, delivery: &Delivery) {
        let name = delivery.properties.correlation_id().as_ref().expect("a reply has the correlation_id").to_string();
        let place = self.places[&name];
        let published = &mut self.journal[place];
        let reply = Reply::read(delivery, published);
        self.open.remove(&place);
        match published.reply {
            None => {
                published.reply = Some(reply);
                self.load.answered.fetch_add(1, Ordering::Relaxed);
            }
            Some(before) => {
                assert!(published.is_keyed(), "without a key it is not done twice: {published:?}: {reply:?}");
                assert!(reply.is_like(&before), "{published:?} was answered again, and not alike: {reply:?}");
                self.counts.answered_again += 1;
            }
        }
    }

    /// Writes the next operation into the journal. More is asked for than comes in, so that money is short now and then.
    fn invent(&mut self) -> usize {
        let wallet = self.wallets[self.random.random_range(0..self.wallets.len())];
        let other = wallet % self.wallets_max + 1;
        let (kind, to_wallet) = match self.random.random_range(0..10) {
            0..3 => ("invoice", None),
            3..7 => ("withdraw", None),
            _ => ("transfer", Some(other)),
        };
        let mut cents = self.random.random_range(1..=CENTS_MAX);
        let identity =
            if self.random.random_range(0..100) < KEYLESS_PERCENT { Identity::Amount } else { Identity::Key };
        if identity == Identity::Amount {
            while !self.amounts.insert((wallet, cents)) {
                cents = cents % CENTS_MAX + 1;
            }
        }
        let name = unique("o");
        let place = self.journal.len();
        self.places.insert(name.clone(), place);
        self.journal.push(Published {
            name,
            identity,
            kind,
            wallet,
            to_wallet,
            cents,
            is_confirmed: false,
            reply: None,
        });
        self.load.published.fetch_add(1, Ordering::Relaxed);
        place
    }
}
