//! Replies to the broker's own direct reply addresses, on a connection of their own.
//!
//! A caller may ask for the reply at any name. RabbitMQ, 3.10 and 4.0 at least, ends the connection of whoever publishes to a name that begins like
//! one of its direct reply addresses and does not go on like one. On the session's connection that would give every delivery back, this one too,
//! again and again until the delivery limit. Here such a name costs its own reply only.
//!
//! They are confirmed, so that no delivery is acknowledged before its reply is with the broker.

use std::time::Duration;

use futures::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection};
use tokio::time::timeout;

use super::settler::Publication;
use super::tls;

/// What the names of direct reply addresses begin with.
const PREFIX: &str = "amq.rabbitmq.reply-to.";

/// How long connecting may take. The session is connected, so the broker is there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes direct replies. Connects when the first of them is to be sent.
pub(super) struct DirectReplies {
    address: AMQPUri,
    tls_ca_file: String,
    open: Option<Open>,
}

struct Open {
    connection: Connection,
    channel: Channel,
}

impl DirectReplies {
    pub(super) fn new(address: AMQPUri, tls_ca_file: String) -> Self {
        Self { address, tls_ca_file, open: None }
    }

    /// Whether a reply must go this way.
    pub(super) fn is_direct(reply: &Publication) -> bool {
        reply.queue.as_str().starts_with(PREFIX)
    }

    /// Publishes `replies` and gives how many of them the broker could not read the address of. When it returns, the broker has dealt with all.
    ///
    /// # Errors
    /// The broker is away, and with it the session.
    pub(super) async fn publish(&mut self, replies: Vec<Publication>) -> lapin::Result<usize> {
        let mut unreadable = 0;
        // One of those that are left is at fault: each by itself shows whether it is the one.
        for reply in self.attempt(replies).await? {
            for Publication { queue, .. } in self.attempt(vec![reply]).await? {
                tracing::warn!(reply_to = %queue, "a reply is dropped: the broker cannot read its address");
                unreadable += 1;
            }
        }
        Ok(unreadable)
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        if let Some(Open { connection, channel }) = self.open {
            // A connection that is broken has nothing to say any more.
            connection.close(200, "done".into()).await.ok();
            drop(channel);
        }
    }

    /// Gives those that were not confirmed, because the broker ended the connection over one of them.
    async fn attempt(&mut self, replies: Vec<Publication>) -> lapin::Result<Vec<Publication>> {
        if replies.is_empty() {
            return Ok(replies);
        }
        let channel = self.channel().await?;
        // Not mandatory: the broker would return every one of them, delivered or not. Whoever is gone gets none, and nobody is told.
        let options = BasicPublishOptions::default();
        let confirmations = join_all(replies.iter().map(async |Publication { queue, properties, body }| {
            channel.basic_publish("".into(), queue.clone(), options, body, properties.clone()).await?.await
        }));
        let (mut unconfirmed, mut errors) = (Vec::new(), Vec::new());
        for (confirmation, reply) in confirmations.await.into_iter().zip(replies) {
            if let Err(error) = confirmation {
                unconfirmed.push(reply);
                errors.push(error);
            }
        }
        if !errors.is_empty() {
            self.open = None;
            // Lost, not ended by the broker: then nothing is known about any of them.
            if !errors.iter().any(lapin::Error::is_amqp_error) {
                return Err(errors.swap_remove(0));
            }
        }
        Ok(unconfirmed)
    }

    async fn channel(&mut self) -> lapin::Result<Channel> {
        if let Some(open) = &self.open
            && open.channel.status().connected()
        {
            return Ok(open.channel.clone());
        }
        let connect = async {
            let trusted = tls::trust(&self.tls_ca_file)?;
            let connection = tls::connect(self.address.clone(), "purser direct replies", trusted).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            lapin::Result::Ok(Open { connection, channel })
        };
        let open = timeout(CONNECT_TIMEOUT, connect).await.map_err(std::io::Error::from)??;
        Ok(self.open.insert(open).channel.clone())
    }
}
