//! A bare echo consumer: what the broker and its client library cost when nothing is done with a message.
//!
//! Its queue is declared as Purser declares its own and read with the same prefetch. It takes all deliveries that are there, answers them,
//! and acknowledges them at once.

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

/// Echoes whatever comes to the exchange and the queue that the settings name, until the process is ended.
pub async fn run(settings: &Broker) -> anyhow::Result<()> {
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
            // The first poll queues it; that it is written is waited for with the acknowledgement behind it.
            let options = BasicPublishOptions::default();
            channel.basic_publish("".into(), reply_to.clone(), options, REPLY, answer).now_or_never().transpose()?;
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
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
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
