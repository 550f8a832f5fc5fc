//! A connection pair to the broker for asking: one to publish on, one where the replies arrive.
//!
//! Two connections, because a broker that is short of memory stops reading from those that publish: replies must go on.

use std::time::Duration;

use lapin::options::{BasicConsumeOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, Consumer, ErrorKind};
use serde::Deserialize;

use super::connect;
use super::failure::Failure;
use crate::broker::{self, trust};
use crate::settings::Broker;

/// How long the broker may take to let a client in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks over the broker.
pub struct Client {
    /// Where messages are published; with publisher confirms on.
    pub confirmed: Channel,
    /// Where messages are published that nobody confirms: a reply is confirmation enough.
    pub unconfirmed: Channel,
    /// The replies. They are not acknowledged.
    pub replies: Consumer,
    /// The name of the queue that replies go to. It ends with the connection.
    pub reply_queue: ShortString,
    publishing: Connection,
    consuming: Connection,
}

/// What is read of a reply. Other fields are left alone.
#[derive(Debug, Deserialize)]
pub struct Reply {
    /// 200, or why not.
    pub code: u16,
    /// Why not, for people.
    pub reason: Option<String>,
    /// JSON in a string.
    pub body: Option<String>,
}

impl Reply {
    /// Whether what was asked was done.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

impl Client {
    /// Connects, and declares a reply queue of its own.
    pub async fn connect(settings: &Broker) -> anyhow::Result<Self> {
        let address = &settings.url;
        let uri = connect::broker_address(address)?;
        let trusted = trust(&settings.tls_ca_file)?;
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, Self::open(uri, trusted)).await;
        let (why, hint): (Box<dyn std::error::Error + Send + Sync>, _) = match connected {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(error)) if error.is_amqp_hard_error() => {
                (error.into(), "the user, the password or the virtual host in AMQP_URL (broker.url) is not right")
            }
            Ok(Err(error)) => (error.into(), START_IT),
            Err(_) => ("it did not answer in time".into(), START_IT),
        };
        Err(Failure::new(format!("Unable to connect to RabbitMQ: {address}"), hint).because(why).into())
    }

    async fn open(uri: AMQPUri, trusted: OwnedTLSConfig) -> lapin::Result<Self> {
        let publishing = broker::connect(uri.clone(), "purser client", trusted.clone()).await?;
        let consuming = broker::connect(uri, "purser client", trusted).await?;
        let confirmed = publishing.create_channel().await?;
        confirmed.confirm_select(ConfirmSelectOptions::default()).await?;
        let unconfirmed = publishing.create_channel().await?;
        let channel = consuming.create_channel().await?;
        let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), own, FieldTable::default()).await?;
        let reply_queue = queue.name().clone();
        let unacknowledged = BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() };
        let replies =
            channel.basic_consume(reply_queue.clone(), "".into(), unacknowledged, FieldTable::default()).await?;
        Ok(Self { confirmed, unconfirmed, replies, reply_queue, publishing, consuming })
    }

    /// Takes leave. That it fails does not matter: the broker notices a connection that ends.
    pub async fn close(self) {
        for connection in [self.publishing, self.consuming] {
            if let Err(error) = connection.close(200, "done".into()).await {
                tracing::debug!(%error, "a connection did not close in good order");
            }
        }
    }
}

const START_IT: &str = "start RabbitMQ with `make services` and then run `. .local/env`; or set AMQP_URL (broker.url)";

/// What to say when publishing fails.
pub fn publishing_failed(exchange: &str, error: lapin::Error) -> Failure {
    if is_unknown_exchange(&error) {
        let hint = "`purser serve` declares it when it connects to the broker: is it running, with the same settings?";
        return Failure::new(format!("the broker has no exchange \"{exchange}\""), hint);
    }
    Failure::new("the connection to the broker was lost", "what has no reply may or may not have been applied")
        .because(error)
}

/// The broker closes a channel that publishes to an exchange it does not have, with AMQP's code 404.
pub fn is_unknown_exchange(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if error.get_id() == 404)
}

/// What to say when a message came back because no queue takes it.
pub fn unroutable(exchange: &str, routing_key: &str) -> Failure {
    if exchange.is_empty() {
        return Failure::new(format!("the broker has no queue \"{routing_key}\""), "");
    }
    Failure::new(
        format!("no queue behind the exchange \"{exchange}\" takes \"{routing_key}\""),
        "is that an operation that Purser knows, and is `purser serve` running?",
    )
}
