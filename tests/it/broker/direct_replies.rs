//! Replies to the broker's own direct reply addresses, and to what only looks like one.

use futures::StreamExt;
use futures::future::join_all;
use lapin::Consumer;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use serde_json::Value;

use super::{consuming, invoice, ten_dollars, verdicts};
use crate::support::{Amqp, Message, PATIENCE, TestApp, assert_books_balance, poll_until};

/// What a client names to be answered directly; the broker puts an address of its own in its place.
const DIRECT: &str = "amq.rabbitmq.reply-to";

/// The broker takes these for its own addresses, cannot read them and ends the connection of whoever publishes to them.
const UNREADABLE: [&str; 3] =
    ["amq.rabbitmq.reply-to.g1h2.x", "amq.rabbitmq.reply-to.AAAA.BBBB", "amq.rabbitmq.reply-to.g2Y.key"];

#[tokio::test]
async fn a_client_may_ask_for_direct_replies() {
    let app = consuming().await;
    let client = app.amqp().await;
    let mut replies = consume_direct(&client).await;
    for number in 1..=50 {
        client.publish(asking(&app, DIRECT).key(&format!("key-{number}"))).await;
    }
    for _ in 1..=50 {
        assert_eq!(code(&mut replies).await, 200);
    }
    let sent = || async { app.metric(r#"purser_amqp_replies_total{result="sent"}"#).await == 50 };
    poll_until(PATIENCE, "the replies counted", sent).await;
    // One who does not wait for it is gone, and the next is served all the same.
    client.publish(asking(&app, DIRECT)).await;
    client.close().await;
    let next = app.amqp().await;
    let mut replies = consume_direct(&next).await;
    next.publish(asking(&app, DIRECT)).await;
    assert_eq!(code(&mut replies).await, 200);
    poll_until(PATIENCE, "all acknowledged", || async { verdicts(&app, "ack").await == 52 }).await;
}

#[tokio::test]
async fn an_address_that_the_broker_cannot_read_costs_nobody_but_its_owner_the_reply() {
    const ROUNDS: usize = 10;
    let app = consuming().await;
    let client = app.amqp().await;
    let mut direct = consume_direct(&client).await;
    let mut replies = Vec::new();
    for round in 0..ROUNDS {
        for queue in UNREADABLE {
            client.publish(asking(&app, queue).key(&format!("{queue}-{round}"))).await;
        }
        // Without a key: if the session ended, these would come again and be parked.
        replies.extend(join_all((0..10).map(|_| client.ask(invoice(&app, ten_dollars().to_string())))).await);
        client.publish(asking(&app, DIRECT)).await;
    }
    for reply in replies {
        let reply =
            tokio::time::timeout(PATIENCE, reply).await.expect("every one is answered").expect("it has a reply");
        assert_eq!(serde_json::from_slice::<Value>(&reply.data).expect("it is JSON")["code"], 200);
    }
    for _ in 0..ROUNDS {
        assert_eq!(code(&mut direct).await, 200);
    }
    // Each was delivered once and acknowledged: what had the bad address is done too.
    let (unreadable, all) = (i64::try_from(UNREADABLE.len() * ROUNDS), i64::try_from((UNREADABLE.len() + 11) * ROUNDS));
    let (unreadable, all) = (unreadable.expect("it is small"), all.expect("it is small"));
    poll_until(PATIENCE, "all acknowledged", || async { verdicts(&app, "ack").await == all }).await;
    let dropped = || async { app.metric(r#"purser_amqp_replies_total{result="returned"}"#).await == unreadable };
    poll_until(PATIENCE, "the dropped replies counted", dropped).await;
    assert_eq!(app.database.available(1, "USD").await, (all * 10).to_string());
    assert_eq!((verdicts(&app, "park").await, verdicts(&app, "requeue").await), (0, 0));
    assert_eq!(client.message_count(&app.names.queue).await, 0);
    assert_eq!(client.message_count(&app.names.dead).await, 0);
    assert_books_balance(&app.database.pool).await;
}

fn asking(app: &TestApp, reply_to: &str) -> Message {
    let message = invoice(app, ten_dollars().to_string());
    message.with(|properties| properties.with_reply_to(reply_to.into()).with_correlation_id("17".into()))
}

/// The replies come on the channel that asks.
async fn consume_direct(client: &Amqp) -> Consumer {
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let replies = client.channel.basic_consume(DIRECT.into(), "".into(), options, FieldTable::default()).await;
    replies.expect("the broker has direct replies")
}

async fn code(replies: &mut Consumer) -> u64 {
    let reply = tokio::time::timeout(PATIENCE, replies.next()).await.expect("there is a reply in time");
    let reply = reply.expect("the consumer lives").expect("it can be read");
    let json: Value = serde_json::from_slice(&reply.data).expect("it is JSON");
    json["code"].as_u64().expect("a reply has a code")
}
