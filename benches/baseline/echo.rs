//! A bare echo consumer: what the broker and its client library cost when nothing is done with a message.
//!
//! Its queue is declared as Purser declares its own and read with the same prefetch. It takes all deliveries that are there, answers them,
//! and acknowledges them at once. In two ways: as one writes it, and as fast as its client library can.

use anyhow::{Context, ensure};
use futures::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use purser::settings::Broker;

/// Deliveries dealt with at a time, as many as Purser's settler takes.
const CHUNK: usize = 1024;
const REPLY: &[u8] = br#"{"operation":"withdraw","code":200}"#;

/// How replies are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Each is waited for until it is written, as the library's examples do it; then all are acknowledged.
    Plain,
    /// All are queued at once and not waited for. The library writes an acknowledgement before the replies it stands for, so an echo that
    /// ends in between leaves callers without an answer: the ceiling, not a way to serve.
    Bulk,
}

impl Manner {
    /// What the program is started with.
    pub const fn argument(self) -> &'static str {
        match self {
            Self::Plain => "echo",
            Self::Bulk => "echo-in-bulk",
        }
    }

    /// The manner of that argument.
    pub fn parse(argument: &str) -> Option<Self> {
        [Self::Plain, Self::Bulk].into_iter().find(|manner| manner.argument() == argument)
    }
}

/// Echoes whatever comes to the exchange and the queue that the settings name, until the process is ended.
pub async fn run(settings: &Broker, manner: Manner) -> anyhow::Result<()> {
    let connection = Connection::connect(settings.url.expose(), ConnectionProperties::default())
        .await
        .context("the echo cannot reach the broker")?;
    let channel = connection.create_channel().await?;
    let queue = declare(&channel, settings).await?;
    channel.basic_qos(settings.prefetch, BasicQosOptions::default()).await?;
    let deliveries = channel
        .basic_consume(queue.as_str().into(), "echo".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    println!("{READY}");

    let mut chunks = deliveries.ready_chunks(CHUNK);
    while let Some(chunk) = chunks.next().await {
        let mut last = None;
        for delivery in chunk {
            let delivery = delivery?;
            last = Some(delivery.delivery_tag);
            let properties = delivery.properties;
            let (Some(reply_to), Some(id)) = (properties.reply_to(), properties.correlation_id()) else { continue };
            let answer =
                BasicProperties::default().with_content_type("application/json".into()).with_correlation_id(id.clone());
            let options = BasicPublishOptions::default();
            let published = channel.basic_publish("".into(), reply_to.clone(), options, REPLY, answer);
            match manner {
                Manner::Plain => drop(published.await?),
                // The first poll queues it.
                Manner::Bulk => drop(published.now_or_never().transpose()?),
            }
        }
        if let Some(tag) = last {
            channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
        }
    }
    ensure!(connection.status().connected(), "the echo lost its broker");
    Ok(())
}

/// What the echo prints when it consumes.
pub const READY: &str = "consuming";

/// The same arguments as in Purser's topology.
async fn declare(channel: &Channel, settings: &Broker) -> anyhow::Result<String> {
    let queue = format!("{}.0", settings.operations_queue);
    let text = |value: &str| AMQPValue::LongString(value.into());
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    for (name, kind) in
        [(&settings.dead_letter, ExchangeKind::Fanout), (&settings.operations_exchange, ExchangeKind::Direct)]
    {
        channel.exchange_declare(name.as_str().into(), kind, durable, FieldTable::default()).await?;
    }
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(settings.delivery_limit.into()));
    arguments.insert("x-dead-letter-exchange".into(), text(&settings.dead_letter));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), options, arguments).await?;
    for operation in ["invoice", "withdraw", "balance"] {
        channel
            .queue_bind(
                queue.as_str().into(),
                settings.operations_exchange.as_str().into(),
                operation.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
    }
    Ok(queue)
}
