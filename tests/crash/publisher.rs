//! A client as it should be: keys, publisher confirms, and after a lost connection it asks everything unanswered again, in order.
//!
//! As long as its connection lives it only waits, however long: what the broker has confirmed must be answered without being asked again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use lapin::message::Delivery;
use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::journal::{Counts, Published};
use crate::support::{Names, poll, unique};

/// Operations that a publisher has open at once.
const WINDOW: usize = 100;
/// The longest that a broker may be away.
const BROKER_DEADLINE: Duration = Duration::from_secs(90);

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

    /// Published and not answered.
    pub fn open(&self) -> u64 {
        let answered = self.answered.load(Ordering::Relaxed);
        self.published.load(Ordering::Relaxed).saturating_sub(answered)
    }

    fn is_over(&self) -> bool {
        let is_enough = self.published.load(Ordering::Relaxed) >= self.operations_min;
        is_enough && self.disturbance_is_over.load(Ordering::Relaxed)
    }
}

/// The only publisher of its wallets, so that their order is known.
pub struct Publisher {
    load: Arc<Load>,
    wallets: Vec<i64>,
    wallets_max: i64,
    random: StdRng,
    /// Everything published, in order.
    journal: Vec<Published>,
    by_key: HashMap<String, usize>,
    /// Places in the journal that have no answer.
    open: BTreeSet<usize>,
    counts: Counts,
}

/// Confirms that are awaited, each with its place in the journal.
type Confirms = FuturesUnordered<std::pin::Pin<Box<dyn Future<Output = (usize, lapin::Result<Confirmation>)> + Send>>>;

/// One connection with its reply queue: both end together.
struct Session {
    // Dropped, it closes.
    _connection: Connection,
    channel: Channel,
    replies: Consumer,
    reply_queue: String,
    confirms: Confirms,
}

impl Publisher {
    pub fn new(load: Arc<Load>, wallets: Vec<i64>, wallets_max: i64, random: StdRng) -> Self {
        Self {
            load,
            wallets,
            wallets_max,
            random,
            journal: Vec::new(),
            by_key: HashMap::new(),
            open: BTreeSet::new(),
            counts: Counts::default(),
        }
    }

    /// Publishes until the load is over and everything is answered.
    pub async fn run(mut self) -> (Vec<Published>, Counts) {
        loop {
            let url = self.load.amqp_url.clone();
            let session = poll(BROKER_DEADLINE, "the broker is back", async || Session::open(&url).await.ok()).await;
            match self.talk(session).await {
                Ok(()) => return (self.journal, self.counts),
                Err(_) => self.counts.reconnects += 1,
            }
        }
    }

    /// Talks over one connection until everything is said, or until the connection is lost.
    async fn talk(&mut self, mut session: Session) -> lapin::Result<()> {
        self.ask_again(&mut session).await?;
        loop {
            while self.open.len() < WINDOW && !self.load.is_over() {
                let place = self.invent();
                self.ask(&mut session, place).await?;
            }
            if self.open.is_empty() {
                return Ok(());
            }
            tokio::select! {
                reply = session.replies.next() => match reply {
                    Some(reply) => self.hear(&reply?),
                    None => return Err(lapin::ErrorKind::InvalidConnectionState(lapin::ConnectionState::Closed).into()),
                },
                Some((place, confirmation)) = session.confirms.next() => match confirmation? {
                    Confirmation::Ack(None) => self.confirm(place),
                    Confirmation::Ack(Some(returned)) => panic!("nobody takes operations: {returned:?}"),
                    // It says that it does not have it: it is to be published again, before anything else.
                    other => return Err(std::io::Error::other(format!("not confirmed: {other:?}")).into()),
                },
            }
        }
    }

    async fn ask_again(&mut self, session: &mut Session) -> lapin::Result<()> {
        let open: Vec<usize> = self.open.iter().copied().collect();
        for place in open {
            self.counts.asked_again += 1;
            self.ask(session, place).await?;
        }
        Ok(())
    }

    async fn ask(&self, session: &mut Session, place: usize) -> lapin::Result<()> {
        let published = &self.journal[place];
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(2)
            .with_message_id(published.key.as_str().into())
            .with_correlation_id(published.key.as_str().into())
            .with_reply_to(session.reply_queue.as_str().into());
        let exchange = self.load.names.operations.as_str();
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let body = published.body();
        let confirm = session
            .channel
            .basic_publish(exchange.into(), published.kind.into(), options, body.as_bytes(), properties)
            .await?;
        session.confirms.push(Box::pin(async move { (place, confirm.await) }));
        Ok(())
    }

    fn confirm(&mut self, place: usize) {
        self.counts.confirmed += 1;
        self.journal[place].is_confirmed = true;
    }

    fn hear(&mut self, reply: &Delivery) {
        let key = reply.properties.correlation_id().as_ref().expect("a reply has the correlation_id").to_string();
        let place = self.by_key[&key];
        let published = &mut self.journal[place];
        let said: Value = serde_json::from_slice(&reply.data).expect("a reply is JSON");
        assert_eq!(said["operation"], published.kind);
        let code = said["code"].as_i64().expect("a reply has a code");
        assert!(matches!(code, 200 | 422), "{published:?}: {said}");
        match published.code.replace(code) {
            None => {
                self.open.remove(&place);
                self.load.answered.fetch_add(1, Ordering::Relaxed);
            }
            Some(before) => {
                assert_eq!(code, before, "{published:?} was answered again, and not alike: {said}");
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
        let place = self.journal.len();
        let key = unique("k");
        let cents = self.random.random_range(1..=10_000);
        let published = Published { kind, wallet, to_wallet, cents, key: key.clone(), is_confirmed: false, code: None };
        self.journal.push(published);
        self.by_key.insert(key, place);
        self.open.insert(place);
        self.counts.operations += 1;
        self.load.published.fetch_add(1, Ordering::Relaxed);
        place
    }
}

impl Session {
    async fn open(url: &str) -> lapin::Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
        let reply_queue = queue.name().to_string();
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let replies =
            channel.basic_consume(reply_queue.as_str().into(), "".into(), options, FieldTable::default()).await?;
        Ok(Self { _connection: connection, channel, replies, reply_queue, confirms: Confirms::new() })
    }
}
