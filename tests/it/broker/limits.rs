//! What the broker does by itself with messages that come back again and again. It differs between its versions, so it is held here.

use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};

use super::{BrokerOnly, ten_dollars};
use crate::support::{Amqp, Message, PATIENCE, TestApp, amqp_url, poll_until};

/// More often than RabbitMQ 4 gives a message back by default.
const LOOKS: u32 = 25;

#[tokio::test]
async fn a_message_that_ends_its_consumer_each_time_is_dead_lettered_and_the_next_is_done() {
    const LIMIT: u32 = 3;
    let mut app = TestApp::start_with(|settings| settings.broker.delivery_limit = LIMIT).await;
    let client = app.amqp().await;
    // With the consumer gone, another can play one that ends with its message.
    app.stop().await;
    let poison =
        Message::new(&app.names.operations, "invoice", "poison").with(|properties| properties.with_priority(3));
    let good = Message::new(&app.names.operations, "invoice", ten_dollars().to_string()).key("k1");
    client.publish(poison).await;
    client.publish(good).await;

    let mut deaths = 0;
    while take_and_die(&app.names.queue).await == b"poison" {
        deaths += 1;
        assert!(deaths <= LIMIT + 1, "the limit is kept");
    }
    assert_eq!(deaths, LIMIT + 1, "the first delivery is none that was given back");
    let letter = client.take(&app.names.dead).await;
    assert_eq!(letter.0.data, b"poison");
    assert_eq!(letter.0.properties.priority(), &Some(3));
    assert_eq!(death(&letter.0), Some(("delivery_limit".to_owned(), app.names.queue.clone())));

    // The one behind it came twice, and its key lets it be done.
    let broker = BrokerOnly::start_with(&app.names, &app.database, |settings| settings.broker.delivery_limit = LIMIT);
    poll_until(PATIENCE, "the next one done", || async { app.database.available(1, "USD").await == "10" }).await;
    broker.stop().await;
    assert_eq!(client.message_count(&app.names.dead).await, 0);
}

#[tokio::test]
async fn a_dead_letter_may_be_looked_at_and_put_back_as_often_as_one_likes() {
    let app = TestApp::start().await;
    let client = app.amqp().await;
    client.publish(Message::new(&app.names.operations, "invoice", "not JSON")).await;
    for look in 1..=LOOKS {
        poll_until(PATIENCE, &format!("the letter there for look {look}"), || async {
            let letter = client.channel.basic_get(app.names.dead.as_str().into(), BasicGetOptions::default()).await;
            let Some(letter) = letter.expect("the queue is there") else { return false };
            let put_back = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
            letter.nack(put_back).await.expect("the broker is there")
        })
        .await;
    }
    assert_eq!(client.take(&app.names.dead).await.0.data, b"not JSON");
}

/// Consumes one message with a connection of its own, which it then drops without having answered; gives the message's body.
async fn take_and_die(queue: &str) -> Vec<u8> {
    let consumer = Amqp::connect(&amqp_url()).await.expect("the broker is there");
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    consumer.channel.basic_qos(1, BasicQosOptions::default()).await.expect("the broker is there");
    let deliveries = consumer.channel.basic_consume(queue.into(), "".into(), options, arguments).await;
    let next = tokio::time::timeout(PATIENCE, deliveries.expect("the queue is there").next()).await;
    let body = next.expect("there is a message").expect("the consumer lives").expect("it can be read").data;
    consumer.close().await;
    body
}

/// Why and where a message died, as the broker's own header has it.
fn death(letter: &lapin::message::Delivery) -> Option<(String, String)> {
    let deaths = letter.properties.headers().as_ref()?.inner().get("x-death")?.as_array()?;
    let AMQPValue::FieldTable(death) = deaths.as_slice().first()? else { return None };
    let text = |name: &str| match death.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    };
    Some((text("reason")?, text("queue")?))
}
