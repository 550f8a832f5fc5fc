//! What Purser needs on the broker. Every declaration may be repeated; nothing is used that RabbitMQ 3.10 lacks or 4 removed.
//!
//! ```text
//!  publishers ──> operations exchange (direct) ──> <prefix>.0 (quorum, single active consumer) ──> Purser
//!                   ^        │ other routing keys: alternate exchange ──> <prefix>.0                  │
//!  000's clients ─> queries (topic)                                                                  v
//!                                      delivery limit ──> dead-letter exchange (fanout) ──> dead-letter queue
//! ```

use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

use crate::settings;

/// Every operation that publishers may name.
const OPERATIONS: [&str; 9] =
    ["invoice", "withdraw", "transfer", "confirm", "cancel", "extend", "reverse", "balance", "batch"];

/// The operations of system 000.
pub(super) const OPERATIONS_000: [&str; 3] = ["invoice", "withdraw", "balance"];

/// RabbitMQ 4 drops a message that was looked at and put back 20 times, unless the queue says otherwise; -1 for never is unknown to 3.10.
const DEAD_LETTER_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// The names of everything that is declared.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    operations: String,
    unknown: String,
    /// The work.
    pub(super) queue: String,
    /// What could not be handled: an exchange and a queue.
    pub(super) dead_letter: String,
    delivery_limit: u32,
    /// System 000's exchange, if its clients are served.
    pub(super) system_000: Option<String>,
}

/// A declaration that the broker refused.
#[derive(Debug, thiserror::Error)]
#[error("{object} could not be declared{}", self.advice())]
pub(super) struct DeclareError {
    object: String,
    #[source]
    source: lapin::Error,
}

impl DeclareError {
    /// Whether trying again soon is pointless: someone must change something first.
    pub(super) fn is_lasting(&self) -> bool {
        self.source.is_amqp_error()
    }

    fn advice(&self) -> &'static str {
        match self.source.kind() {
            ErrorKind::ProtocolError(error) => match error.get_id() {
                403 => ": give broker.url's user the right to configure it",
                406 => {
                    ": it is there with other properties; delete it when it is empty, or set another name for it in [broker]"
                }
                _ => "",
            },
            _ => "",
        }
    }
}

/// A name as AMQP has it. The settings bound its length.
pub(super) fn short(name: &str) -> lapin::Result<ShortString> {
    ShortString::try_new(name).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error).into())
}

impl Topology {
    pub(super) fn new(settings: &settings::Broker, dialect: &settings::TransactionalSystem) -> Self {
        Self {
            operations: settings.operations_exchange.clone(),
            unknown: format!("{}.unknown", settings.operations_exchange),
            queue: format!("{}.0", settings.operations_queue),
            dead_letter: settings.dead_letter.clone(),
            delivery_limit: settings.delivery_limit,
            system_000: dialect.enabled.then(|| dialect.exchange.clone()),
        }
    }

    /// Declares and binds everything. The dead letters come first: the work queue names them.
    pub(super) async fn declare(&self, connection: &Connection) -> Result<(), DeclareError> {
        let channel = connection.create_channel().await.map_err(|source| refused("a channel", "", source))?;
        self.declare_dead_letter(&channel).await?;
        self.declare_operations(&channel).await?;
        if let Some(queries) = &self.system_000 {
            self.declare_system_000(&channel, queries).await?;
        }
        channel.close(200, "done".into()).await.map_err(|source| refused("a channel", "", source))
    }

    /// The dead-letter exchange and its queue.
    pub(super) async fn declare_dead_letter(&self, channel: &Channel) -> Result<(), DeclareError> {
        let name = &self.dead_letter;
        exchange(channel, name, ExchangeKind::Fanout, DURABLE, FieldTable::default()).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), text("quorum"));
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DEAD_LETTER_DELIVERY_LIMIT));
        queue(channel, name, arguments).await?;
        bind_queue(channel, name, name, "").await
    }

    async fn declare_operations(&self, channel: &Channel) -> Result<(), DeclareError> {
        // A routing key that is no operation would vanish; through the alternate exchange its sender gets an answer.
        exchange(channel, &self.unknown, ExchangeKind::Fanout, DURABLE, FieldTable::default()).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("alternate-exchange".into(), text(&self.unknown));
        exchange(channel, &self.operations, ExchangeKind::Direct, DURABLE, arguments).await?;

        let mut arguments = FieldTable::default();
        // Replicated where there are several nodes, and it counts deliveries.
        arguments.insert("x-queue-type".into(), text("quorum"));
        // Two instances at once would mix up the order of a wallet's operations; the second stands by.
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        // A message that kills its consumer each time ends among the dead letters, not in an endless loop.
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(self.delivery_limit.into()));
        arguments.insert("x-dead-letter-exchange".into(), text(&self.dead_letter));
        // Not at-least-once: on RabbitMQ 3.10 a queue with that strategy that is deleted while it starts takes the strategy away from every
        // queue of the node. The broker dead-letters by the limit only; all else Purser puts there itself, confirmed.
        queue(channel, &self.queue, arguments).await?;

        bind_queue(channel, &self.unknown, &self.queue, "").await?;
        for operation in OPERATIONS {
            bind_queue(channel, &self.operations, &self.queue, operation).await?;
        }
        Ok(())
    }

    /// As that system declares it: topic, not durable, so that its own programs may declare it too.
    async fn declare_system_000(&self, channel: &Channel, queries: &str) -> Result<(), DeclareError> {
        exchange(channel, queries, ExchangeKind::Topic, ExchangeDeclareOptions::default(), FieldTable::default())
            .await?;
        for operation in OPERATIONS_000 {
            let bound = async {
                let options = ExchangeBindOptions::default();
                let (to, from) = (short(&self.operations)?, short(queries)?);
                channel.exchange_bind(to, from, operation.into(), options, FieldTable::default()).await
            };
            bound.await.map_err(|source| refused("the bindings of exchange", queries, source))?;
        }
        Ok(())
    }
}

const DURABLE: ExchangeDeclareOptions =
    ExchangeDeclareOptions { durable: true, passive: false, auto_delete: false, internal: false, nowait: false };

async fn exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
    options: ExchangeDeclareOptions,
    arguments: FieldTable,
) -> Result<(), DeclareError> {
    let declared = async { channel.exchange_declare(short(name)?, kind, options, arguments).await };
    declared.await.map_err(|source| refused("exchange", name, source))
}

async fn queue(channel: &Channel, name: &str, arguments: FieldTable) -> Result<(), DeclareError> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let declared = async { channel.queue_declare(short(name)?, options, arguments).await };
    declared.await.map(drop).map_err(|source| refused("queue", name, source))
}

async fn bind_queue(channel: &Channel, from: &str, to: &str, routing_key: &str) -> Result<(), DeclareError> {
    let bound = async {
        let options = QueueBindOptions::default();
        channel.queue_bind(short(to)?, short(from)?, short(routing_key)?, options, FieldTable::default()).await
    };
    bound.await.map_err(|source| refused("the bindings of queue", to, source))
}

fn refused(what: &str, name: &str, source: lapin::Error) -> DeclareError {
    DeclareError { object: format!("{what} {name}").trim_end().to_owned(), source }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Kind;

    #[test]
    fn every_operation_there_is_has_a_binding() {
        // What a wallet may do is said over HTTP only.
        for kind in Kind::ALL {
            assert_eq!(OPERATIONS.contains(&kind.as_str()), kind != Kind::Stand, "{kind}");
        }
        assert!(OPERATIONS_000.iter().all(|operation| OPERATIONS.contains(operation)));
    }
}
