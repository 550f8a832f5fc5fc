//! What could not be handled: published to the dead letters with the reason, and only then acknowledged.

use std::time::Duration;

use futures::future::try_join_all;
use lapin::message::Delivery;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use prometheus::IntCounter;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::session::SessionError;
use super::topology::{Topology, short};
use super::verdict::Reason;

/// Letters that are published before the first of them is confirmed: a flood of bad messages must not hold up the good ones for long.
const LETTERS_MAX: usize = 256;

/// How long the broker may take to confirm letters. RabbitMQ may forget what is published to a quorum queue that has no leader yet, as after a restart, and
/// never confirms it; their messages would stay unacknowledged for good, and hold up the others. Longer than a busy broker takes.
const CONFIRM_TIME_MAX: Duration = Duration::from_secs(30);

/// How long to wait before letters that the broker did not take are published again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The longest text that goes into a header, in bytes; a reason may quote the message.
const TEXT_BYTES_MAX: usize = 1000;

/// The largest original headers that are repeated, in bytes. All headers of a message go in one frame of 128 KiB at most, and the broker ends
/// the connection over a larger one.
const HEADERS_BYTES_MAX: usize = 64 * 1024;

/// Persistent, as AMQP numbers it.
const PERSISTENT: u8 = 2;

/// A delivery that is to be kept.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) delivery: Box<Delivery>,
    pub(super) reason: Reason,
    /// Counts it once it is safe.
    pub(super) counter: IntCounter,
}

/// Publishes letters on a channel of its own, which confirms.
#[derive(Debug)]
pub(super) struct DeadLetters {
    pub(super) channel: Channel,
    pub(super) topology: Topology,
    pub(super) letters: mpsc::UnboundedReceiver<Letter>,
    /// The delivery tags of letters that are safe.
    pub(super) safe: mpsc::UnboundedSender<u64>,
}

impl DeadLetters {
    /// Works until the settler has no more letters.
    pub(super) async fn run(mut self) -> Result<(), SessionError> {
        let mut batch = Vec::new();
        while self.letters.recv_many(&mut batch, LETTERS_MAX).await > 0 {
            while !self.publish(&batch).await.map_err(SessionError::DeadLetter)? {
                tracing::error!(
                    exchange = self.topology.dead_letter,
                    letters = batch.len(),
                    "the broker does not take dead letters; their messages stay in the work queue, and it is tried again"
                );
                tokio::time::sleep(RETRY_PAUSE).await;
                self.topology.declare_dead_letter(&self.channel).await?;
            }
            for Letter { delivery, reason, counter } in batch.drain(..) {
                tracing::warn!(
                    reason = reason.code,
                    exchange = %delivery.exchange,
                    routing_key = %delivery.routing_key,
                    "a message was dead-lettered"
                );
                counter.inc();
                // A settler that is gone does not acknowledge: the message comes again, and so does its letter.
                self.safe.send(delivery.delivery_tag).ok();
            }
        }
        Ok(())
    }

    /// Whether the broker took all of them into a queue. If it did not, which ones it took is not told apart: twice is better than never.
    async fn publish(&self, letters: &[Letter]) -> lapin::Result<bool> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let mut confirms = Vec::with_capacity(letters.len());
        for Letter { delivery, reason, .. } in letters {
            let exchange = short(&self.topology.dead_letter)?;
            let (key, properties) = (delivery.routing_key.clone(), properties(delivery, reason));
            confirms.push(self.channel.basic_publish(exchange, key, options, &delivery.data, properties).await?);
        }
        match timeout(CONFIRM_TIME_MAX, try_join_all(confirms)).await {
            Ok(confirmations) => Ok(confirmations?.iter().all(|confirmation| *confirmation == Confirmation::Ack(None))),
            Err(_) => Ok(false),
        }
    }
}

/// The original properties, and where it came from and why it is here in headers.
///
/// Three change: it is persistent; it does not expire among the dead letters; and it has no `user_id`, which the broker would take for a
/// claim to be that user. Headers that leave no room for ours are left out.
fn properties(delivery: &Delivery, reason: &Reason) -> BasicProperties {
    let original = &delivery.properties;
    let bytes = original.headers().as_ref().map_or(0, table_bytes);
    let are_too_large = bytes > HEADERS_BYTES_MAX;
    let mut headers = if are_too_large { None } else { original.headers().clone() }.unwrap_or_default();
    let mut note = |name: &'static str, text: &str| {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        headers.insert(name.into(), AMQPValue::LongString(text.into()));
    };
    note("x-purser-reason", reason.code);
    note("x-purser-reason-text", &reason.text);
    note("x-purser-exchange", delivery.exchange.as_str());
    note("x-purser-routing-key", delivery.routing_key.as_str());
    if let Some(expiration) = original.expiration() {
        note("x-purser-expiration", expiration.as_str());
    }
    if let Some(user_id) = original.user_id() {
        note("x-purser-user-id", user_id.as_str());
    }
    if are_too_large {
        note("x-purser-headers", &format!("left out: {bytes} bytes"));
    }
    without_claims(original, headers).with_delivery_mode(PERSISTENT)
}

/// How long headers are on the wire, in bytes, or a little less than what is said.
fn table_bytes(table: &FieldTable) -> usize {
    4 + table.inner().iter().map(|(name, value)| 1 + name.as_str().len() + value_bytes(value)).sum::<usize>()
}

fn value_bytes(value: &AMQPValue) -> usize {
    // A letter for the type, and for what has a length four bytes of it.
    5 + match value {
        AMQPValue::ShortString(text) => text.as_str().len(),
        AMQPValue::LongString(text) => text.as_bytes().len(),
        AMQPValue::ByteArray(bytes) => bytes.len(),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(value_bytes).sum(),
        AMQPValue::FieldTable(table) => table_bytes(table),
        // Numbers.
        _ => 8,
    }
}

/// The properties that are safe to repeat, with other headers.
fn without_claims(original: &BasicProperties, headers: FieldTable) -> BasicProperties {
    type With = fn(BasicProperties, ShortString) -> BasicProperties;
    let texts: [(&Option<ShortString>, With); 7] = [
        (original.content_type(), BasicProperties::with_content_type),
        (original.content_encoding(), BasicProperties::with_content_encoding),
        (original.correlation_id(), BasicProperties::with_correlation_id),
        (original.reply_to(), BasicProperties::with_reply_to),
        (original.message_id(), BasicProperties::with_message_id),
        (original.kind(), BasicProperties::with_type),
        (original.app_id(), BasicProperties::with_app_id),
    ];
    let mut properties = BasicProperties::default().with_headers(headers);
    for (text, with) in texts {
        if let Some(text) = text {
            properties = with(properties, text.clone());
        }
    }
    if let Some(priority) = original.priority() {
        properties = properties.with_priority(*priority);
    }
    match original.timestamp() {
        Some(timestamp) => properties.with_timestamp(*timestamp),
        None => properties,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_keeps_what_came_and_says_why_it_is_there() {
        let original = BasicProperties::default()
            .with_message_id("m".into())
            .with_reply_to("r".into())
            .with_priority(3)
            .with_expiration("1000".into())
            .with_user_id("guest".into());
        let mut delivery = Delivery::mock(1, "operations".into(), "invoice".into(), true, b"{".to_vec());
        delivery.properties = original;
        let reason = Reason { code: "malformed_json", text: "ж".repeat(TEXT_BYTES_MAX) };
        let properties = properties(&delivery, &reason);

        let header = |name: &str| properties.headers().as_ref().unwrap().inner().get(name).unwrap().clone();
        let text = |value: &str| AMQPValue::LongString(value.into());
        assert_eq!(header("x-purser-reason"), text("malformed_json"));
        assert_eq!(header("x-purser-reason-text"), text(&"ж".repeat(TEXT_BYTES_MAX / 2)));
        assert_eq!(header("x-purser-exchange"), text("operations"));
        assert_eq!(header("x-purser-routing-key"), text("invoice"));
        assert_eq!(header("x-purser-expiration"), text("1000"));
        assert_eq!(header("x-purser-user-id"), text("guest"));
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), "m");
        assert_eq!(properties.reply_to().as_ref().unwrap().as_str(), "r");
        assert_eq!((properties.priority(), properties.delivery_mode()), (&Some(3), &Some(PERSISTENT)));
        assert_eq!((properties.expiration(), properties.user_id()), (&None, &None));
    }

    #[test]
    fn headers_too_large_to_be_repeated_are_left_out_and_that_is_said() {
        let check = |bytes: usize, is_kept: bool| {
            let mut inner = FieldTable::default();
            inner.insert("text".into(), AMQPValue::LongString("x".repeat(bytes).into()));
            let mut headers = FieldTable::default();
            headers.insert("inner".into(), AMQPValue::FieldTable(inner));
            let mut delivery = Delivery::mock(1, "operations".into(), "invoice".into(), false, b"{".to_vec());
            delivery.properties = BasicProperties::default().with_headers(headers);
            let properties = properties(&delivery, &Reason { code: "malformed_json", text: String::new() });
            let headers = properties.headers().as_ref().unwrap().inner();
            assert_eq!(headers.contains_key("inner"), is_kept, "{bytes}");
            assert_eq!(headers.contains_key("x-purser-headers"), !is_kept, "{bytes}");
            assert!(headers.contains_key("x-purser-reason"));
        };
        check(HEADERS_BYTES_MAX - 100, true);
        check(HEADERS_BYTES_MAX, false);
    }
}
