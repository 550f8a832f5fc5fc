//! A client of the broker, and names that no other test uses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer};
use purser::settings::Settings;
use serde_json::Value;
use tokio::sync::oneshot;

use super::{PATIENCE, amqp_url, block_on_aside, poll, unique};

/// Names of exchanges and queues that no other test has. What was declared under them is deleted at the end.
#[derive(Clone, Debug)]
pub struct Names {
    /// The operations exchange.
    pub operations: String,
    /// The work queue, `<prefix>.0`.
    pub queue: String,
    /// The dead-letter exchange and queue.
    pub dead: String,
    /// The exchange of system 000.
    pub queries: String,
}

impl Names {
    /// New ones.
    pub fn new() -> Self {
        let prefix = unique("test");
        Self {
            operations: format!("{prefix}.operations"),
            queue: format!("{prefix}.operations.0"),
            dead: format!("{prefix}.dead"),
            queries: format!("{prefix}.queries"),
        }
    }

    /// Makes `settings` use them.
    pub fn set(&self, settings: &mut Settings) {
        settings.broker.operations_exchange.clone_from(&self.operations);
        settings.broker.operations_queue.clone_from(&self.operations);
        settings.broker.dead_letter.clone_from(&self.dead);
        settings.dialects.transactional_system.exchange.clone_from(&self.queries);
    }

    /// The same as environment settings of the binary.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("PURSER_BROKER__OPERATIONS_EXCHANGE", self.operations.clone()),
            ("PURSER_BROKER__OPERATIONS_QUEUE", self.operations.clone()),
            ("PURSER_BROKER__DEAD_LETTER", self.dead.clone()),
            ("PURSER_DIALECTS__TRANSACTIONAL_SYSTEM__EXCHANGE", self.queries.clone()),
        ]
    }

    /// Deletes what was declared under them on that broker.
    pub async fn delete(&self, url: &str) -> lapin::Result<()> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        for queue in [&self.queue, &self.dead] {
            channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
        }
        let unknown = format!("{}.unknown", self.operations);
        for exchange in [&self.operations, &unknown, &self.dead, &self.queries] {
            channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await?;
        }
        connection.close(200, "done".into()).await
    }
}

/// [`Names`] of the tests' broker that are deleted when this goes out of scope.
#[derive(Debug)]
pub struct OwnedNames(pub Names);

impl Drop for OwnedNames {
    fn drop(&mut self) {
        let names = self.0.clone();
        // A broker that a test has taken away has nothing left to delete.
        block_on_aside(async move { names.delete(&amqp_url()).await.ok() });
    }
}

/// What is to be published.
#[derive(Clone, Debug)]
pub struct Message {
    /// To which exchange.
    pub exchange: String,
    /// With which routing key.
    pub routing_key: String,
    /// The bytes.
    pub body: Vec<u8>,
    /// The rest. `call` adds `reply_to` and, if there is none, a `correlation_id`.
    pub properties: BasicProperties,
}

impl Message {
    /// Persistent JSON.
    pub fn new(exchange: &str, routing_key: &str, body: impl Into<Vec<u8>>) -> Self {
        let properties = BasicProperties::default().with_content_type("application/json".into()).with_delivery_mode(2);
        Self { exchange: exchange.to_owned(), routing_key: routing_key.to_owned(), body: body.into(), properties }
    }

    /// With this idempotency key as its `message_id`.
    pub fn key(mut self, key: &str) -> Self {
        self.properties = self.properties.with_message_id(key.into());
        self
    }

    /// With other properties than the usual.
    pub fn with(mut self, change: impl FnOnce(BasicProperties) -> BasicProperties) -> Self {
        self.properties = change(self.properties);
        self
    }
}

/// A reply, or any other message that was read.
#[derive(Debug)]
pub struct Received(pub Delivery);

impl Received {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.0.data);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// The text of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        match self.0.properties.headers().as_ref()?.inner().get(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            AMQPValue::ShortString(text) => Some(text.to_string()),
            other => Some(format!("{other:?}")),
        }
    }
}

/// A connection with a channel that confirms, and what comes into a reply queue. They end together.
#[derive(Debug)]
pub struct Line {
    /// Publishes.
    pub channel: Channel,
    /// Its exclusive queue.
    pub reply_queue: String,
    /// What comes into it.
    pub replies: Consumer,
    /// Dropped, it closes.
    pub connection: Connection,
}

impl Line {
    /// Connects and declares the reply queue.
    pub async fn open(url: &str) -> lapin::Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
        let reply_queue = queue.name().to_string();
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let replies =
            channel.basic_consume(reply_queue.as_str().into(), "".into(), options, FieldTable::default()).await?;
        Ok(Self { channel, reply_queue, replies, connection })
    }
}

type Pending = Arc<Mutex<HashMap<String, oneshot::Sender<Delivery>>>>;

/// A [`Line`] that knows who waits for which reply.
#[derive(Debug)]
pub struct Amqp {
    /// For what this client does not do itself.
    pub channel: Channel,
    /// Its exclusive queue.
    pub reply_queue: String,
    connection: Connection,
    pending: Pending,
}

impl Amqp {
    /// Connects and declares the reply queue.
    pub async fn connect(url: &str) -> lapin::Result<Self> {
        let Line { channel, reply_queue, mut replies, connection } = Line::open(url).await?;
        let pending = Pending::default();
        let waiting = Arc::clone(&pending);
        tokio::spawn(async move {
            while let Some(Ok(reply)) = replies.next().await {
                let id = reply.properties.correlation_id().as_ref().map(ToString::to_string).unwrap_or_default();
                if let Some(waiter) = waiting.lock().expect("no waiter panics").remove(&id) {
                    waiter.send(reply).ok();
                }
            }
        });
        Ok(Self { channel, reply_queue, connection, pending })
    }

    /// Publishes and demands that the broker took it into a queue.
    pub async fn publish(&self, message: Message) {
        let confirmation = self.try_publish(message).await.expect("the broker is there");
        assert_eq!(confirmation, Confirmation::Ack(None), "the broker took the message into a queue");
    }

    /// Publishes and says what the broker did with it.
    pub async fn try_publish(&self, message: Message) -> lapin::Result<Confirmation> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let Message { exchange, routing_key, body, properties } = message;
        self.channel.basic_publish(exchange.into(), routing_key.into(), options, &body, properties).await?.await
    }

    /// Publishes and waits for the reply.
    pub async fn call(&self, message: Message) -> Received {
        let what = format!("the reply to {} {}", message.routing_key, String::from_utf8_lossy(&message.body));
        let reply = self.ask(message).await;
        match tokio::time::timeout(PATIENCE, reply).await {
            Ok(Ok(reply)) => Received(reply),
            _ => panic!("waited {PATIENCE:?} in vain: {what}"),
        }
    }

    /// Publishes, and gives the reply when it is waited for: for asking much at once.
    pub async fn ask(&self, message: Message) -> oneshot::Receiver<Delivery> {
        let id = message.properties.correlation_id().as_ref().map(ToString::to_string);
        // A UUID would be taken for an idempotency key.
        let id = id.unwrap_or_else(|| unique("call"));
        let (waiter, reply) = oneshot::channel();
        self.pending.lock().expect("no waiter panics").insert(id.clone(), waiter);
        let reply_to = self.reply_queue.clone();
        self.publish(
            message.with(|properties| properties.with_correlation_id(id.into()).with_reply_to(reply_to.into())),
        )
        .await;
        reply
    }

    /// Takes the next message out of a queue; waits for it.
    pub async fn take(&self, queue: &str) -> Received {
        poll(PATIENCE, &format!("a message in {queue}"), || self.try_take(queue)).await
    }

    /// Takes the next message out of a queue, if there is one.
    pub async fn try_take(&self, queue: &str) -> Option<Received> {
        let options = BasicGetOptions { no_ack: true };
        let message = self.channel.basic_get(queue.into(), options).await.expect("the queue is there")?;
        Some(Received(message.delivery))
    }

    /// Messages in a queue that nobody has taken.
    pub async fn message_count(&self, queue: &str) -> u32 {
        self.counts(queue).await.0
    }

    /// Messages in a queue that nobody has taken, and consumers that it has. Where there are no consumers, it is all messages.
    pub async fn counts(&self, queue: &str) -> (u32, u32) {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        let queue = queue.expect("the queue is there");
        (queue.message_count(), queue.consumer_count())
    }

    /// Ends the connection, and with it the reply queue.
    pub async fn close(self) {
        self.connection.close(200, "done".into()).await.ok();
    }
}
