//! The broker: bad input, redeliveries, dead letters, system 000's clients, and an orderly stop.

mod asyncapi;
mod batches;
mod connections;
mod direct_replies;
mod either_way;
mod limits;
mod operations;
mod order;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{FieldTable, ShortString};
use purser::broker::Broker;
use purser::engine::Processor;
use purser::settings::{Secret, Settings};
use purser::store::Store;
use purser::telemetry::Metrics;
use serde_json::{Value, json};

use crate::support::poll_until;
use crate::support::{Amqp, Message, Names, PATIENCE, TestApp, TestDatabase, amqp_url, assert_books_balance};

/// A running Purser that has declared what it needs and consumes.
async fn consuming() -> TestApp {
    let app = TestApp::start().await;
    poll_until(PATIENCE, "consuming", || async { app.metric("purser_amqp_connected").await == 1 }).await;
    app
}

/// What a caller gets for a message: the code and the rejection.
async fn answer(client: &Amqp, message: Message) -> String {
    let reply = client.call(message).await.json();
    format!("{} {}", reply["code"], reply["rejection"].as_str().unwrap_or("-"))
}

fn invoice(app: &TestApp, body: impl Into<Vec<u8>>) -> Message {
    Message::new(&app.names.operations, "invoice", body)
}

fn ten_dollars() -> Value {
    json!({"wallet_id": 1, "currency": "USD", "amount": 10})
}

async fn verdicts(app: &TestApp, verdict: &str) -> i64 {
    let line = format!(r#"purser_amqp_deliveries_total{{queue="{}",verdict="{verdict}"}}"#, app.names.queue);
    app.metric(&line).await
}

#[tokio::test]
async fn every_bad_message_gets_a_clear_answer_and_the_good_ones_are_not_disturbed() {
    let app = consuming().await;
    let client = app.amqp().await;
    let bodies: &[(&str, &[u8])] = &[
        ("400 malformed_json", b"not JSON"),
        ("400 malformed_json", b""),
        ("400 malformed_json", b"\xff\xfe\xfd"),
        ("400 wrong_type", br#"{"wallet_id":"1","currency":"USD","amount":1}"#),
        ("400 missing_field", br#"{"wallet_id":1,"currency":"USD"}"#),
        ("200 -", br#"{"wallet_id":1,"currency":"USD","amount":1,"nobody":"knows me"}"#),
        ("422 amount_not_positive", br#"{"wallet_id":1,"currency":"USD","amount":0}"#),
        ("422 amount_not_positive", br#"{"wallet_id":1,"currency":"USD","amount":-1}"#),
        ("422 amount_invalid", br#"{"wallet_id":1,"currency":"USD","amount":"NaN"}"#),
        ("422 amount_too_large", br#"{"wallet_id":1,"currency":"USD","amount":1e400}"#),
        ("422 too_many_decimals", br#"{"wallet_id":1,"currency":"USD","amount":0.001}"#),
        ("422 amount_too_large", br#"{"wallet_id":1,"currency":"USD","amount":12345678901234567890123456789}"#),
        ("404 wallet_unknown", br#"{"wallet_id":77,"currency":"USD","amount":1}"#),
        ("404 currency_unknown", br#"{"wallet_id":1,"currency":"XXX","amount":1}"#),
    ];
    for (expected, body) in bodies {
        let got = answer(&client, invoice(&app, *body)).await;
        assert_eq!(got, *expected, "{}", String::from_utf8_lossy(body));
    }
    let good = ten_dollars().to_string();
    let large = invoice(&app, vec![b' '; 10_000_000]);
    assert_eq!(answer(&client, large).await, "413 body_too_large");
    let text = invoice(&app, good.clone()).with(|properties| properties.with_content_type("text/plain".into()));
    assert_eq!(answer(&client, text).await, "415 unsupported_content_type");
    let nested = format!(r#"{{"wallet_id":{}1{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(answer(&client, invoice(&app, nested)).await, "400 wrong_type");
    let mut body = ten_dollars();
    body["idempotency_key"] = "k".repeat(10_240).into();
    assert_eq!(answer(&client, invoice(&app, body.to_string())).await, "422 idempotency_key_invalid");
    // What is well known, but not like this.
    for (word, expected) in [("confirm", "422 contradiction"), ("batch", "400 missing_field")] {
        let unfit = Message::new(&app.names.operations, word, good.clone());
        assert_eq!(answer(&client, unfit).await, expected, "{word}");
    }
    // What a wallet may do is not asked for over AMQP.
    for word in ["deposit", "Invoice", "stand", ""] {
        let unknown = Message::new(&app.names.operations, word, good.clone());
        assert_eq!(answer(&client, unknown).await, "404 unknown_operation", "{word}");
    }
    assert_eq!(answer(&client, invoice(&app, good.clone()).key("k1")).await, "200 -");
    let mut other = ten_dollars();
    other["amount"] = 11.into();
    assert_eq!(answer(&client, invoice(&app, other.to_string()).key("k1")).await, "422 idempotency_key_reused");

    assert_eq!(app.database.available(1, "USD").await, "11");
    let replies = bodies.len() + 12;
    let sent = || async { app.metric(r#"purser_amqp_replies_total{result="sent"}"#).await == replies as i64 };
    poll_until(PATIENCE, "every reply counted", sent).await;
    // Two were done; what is no operation, and refusals that are on record nowhere, are told apart from them.
    assert_eq!((verdicts(&app, "ack").await, verdicts(&app, "refuse").await), (2, replies as i64 - 2));
    assert_eq!((verdicts(&app, "dead_letter").await, verdicts(&app, "park").await), (0, 0));
    assert_eq!(client.message_count(&app.names.dead).await, 0);
    assert_books_balance(&app.database.pool).await;
}

#[tokio::test]
async fn what_nobody_waits_for_and_cannot_be_done_is_kept_with_its_reason() {
    let app = consuming().await;
    let client = app.amqp().await;
    let unknown_wallet = r#"{"wallet_id":77,"currency":"USD","amount":1}"#;
    for (routing_key, body, reason) in [
        ("invoice", "not JSON", "malformed_json"),
        ("deposit", "{}", "unknown_operation"),
        ("invoice", unknown_wallet, "wallet_unknown"),
    ] {
        let message = Message::new(&app.names.operations, routing_key, body)
            .with(|properties| properties.with_app_id("me".into()).with_expiration("60000".into()));
        client.publish(message).await;
        let letter = client.take(&app.names.dead).await;
        assert_eq!(letter.header("x-purser-reason").as_deref(), Some(reason));
        assert_eq!(letter.header("x-purser-exchange").as_deref(), Some(app.names.operations.as_str()));
        assert_eq!(letter.header("x-purser-routing-key").as_deref(), Some(routing_key));
        assert_eq!(letter.0.data, body.as_bytes());
        assert_eq!(letter.0.properties.app_id(), &Some("me".into()));
        assert_eq!(letter.0.properties.expiration(), &None);
    }
    // A refusal that is on record needs no letter.
    client.publish(Message::new(&app.names.operations, "withdraw", ten_dollars().to_string())).await;
    poll_until(PATIENCE, "the withdraw acknowledged", || async { verdicts(&app, "ack").await == 1 }).await;
    assert_eq!(verdicts(&app, "dead_letter").await, 3);
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "1");
    assert_eq!(client.message_count(&app.names.dead).await, 0);
}

/// Publishes while nobody consumes, takes the messages and goes away: now they are redeliveries.
async fn redeliver(client: &Amqp, queue: &str, messages: Vec<Message>) {
    let count = messages.len();
    for message in messages {
        client.publish(message).await;
    }
    let other = Amqp::connect(&amqp_url()).await.expect("the broker is there");
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let deliveries = other.channel.basic_consume(queue.into(), "".into(), options, arguments).await;
    let taken: Vec<_> = deliveries.expect("the queue is there").take(count).collect().await;
    assert!(taken.iter().all(Result::is_ok));
    other.close().await;
}

#[tokio::test]
async fn a_redelivery_with_a_key_is_applied_once_and_one_without_is_parked() {
    let mut app = consuming().await;
    let client = app.amqp().await;
    let good = ten_dollars().to_string();
    assert_eq!(answer(&client, invoice(&app, good.clone()).key("k1")).await, "200 -");

    // With the consumer gone, everything can be made a redelivery.
    app.stop().await;
    let look = Message::new(&app.names.operations, "balance", r#"{"wallet_id":1}"#);
    let asks = |message: Message| {
        message.with(|properties| {
            properties.with_reply_to(client.reply_queue.as_str().into()).with_correlation_id("17".into())
        })
    };
    let messages = vec![
        asks(invoice(&app, good.clone()).key("k1")),
        asks(invoice(&app, good.clone()).key("k2")),
        asks(invoice(&app, good.clone())),
        asks(look),
    ];
    redeliver(&client, &app.names.queue, messages).await;

    let again = BrokerOnly::start(&app.names, &app.database);
    let letter = client.take(&app.names.dead).await;
    assert_eq!(letter.header("x-purser-reason").as_deref(), Some("ambiguous_redelivery"));
    assert_eq!(letter.0.data, good.as_bytes());
    assert_eq!(letter.0.properties.reply_to().as_ref().map(ShortString::as_str), Some(client.reply_queue.as_str()));
    poll_until(PATIENCE, "both keys applied once", || async { app.database.available(1, "USD").await == "20" }).await;
    let settled = |verdict| again.metrics.amqp_deliveries.with_label_values(&[app.names.queue.as_str(), verdict]).get();
    poll_until(PATIENCE, "all settled", || async { (settled("ack"), settled("park")) == (3, 1) }).await;
    again.stop().await;
    assert_books_balance(&app.database.pool).await;
}

/// The broker with an engine, and nothing else.
struct BrokerOnly {
    metrics: Arc<Metrics>,
    processor: Processor,
    /// How long the drain may take.
    stop: tokio::sync::oneshot::Sender<Duration>,
    /// Gives how many operations it left.
    thread: std::thread::JoinHandle<usize>,
}

impl BrokerOnly {
    fn start(names: &Names, database: &TestDatabase) -> Self {
        Self::start_with(names, database, |_| {})
    }

    fn start_with(names: &Names, database: &TestDatabase, adjust: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = database.settings();
        settings.broker.url = Secret::new(amqp_url());
        names.set(&mut settings);
        adjust(&mut settings);
        let metrics = Arc::new(Metrics::new());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (started, start) = std::sync::mpsc::channel();
        let shared = Arc::clone(&metrics);
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(async move {
                let store = Store::new(&settings.database).expect("the address is right");
                let processor = Processor::start(store, &settings.engine, Arc::clone(&shared));
                started.send(processor.clone()).ok();
                let broker = Broker::start(&settings, processor.clone(), shared);
                let drain_timeout = stopped.await.unwrap_or(PATIENCE);
                broker.stop_consuming().await;
                let left = processor.drain(drain_timeout).await;
                broker.close().await;
                processor.stop();
                left
            })
        });
        let processor = start.recv().expect("it starts");
        Self { metrics, processor, stop, thread }
    }

    async fn stop(self) {
        assert_eq!(self.stop_within(PATIENCE).await, 0);
    }

    /// Stops, and leaves what is not done by then; gives how many operations.
    async fn stop_within(self, drain_timeout: Duration) -> usize {
        self.stop.send(drain_timeout).ok();
        let thread = self.thread;
        tokio::task::spawn_blocking(move || thread.join()).await.expect("not cancelled").expect("it does not panic")
    }

    fn settled(&self, names: &Names, verdict: &str) -> u64 {
        self.metrics.amqp_deliveries.with_label_values(&[names.queue.as_str(), verdict]).get()
    }
}

#[tokio::test]
async fn a_vanished_reply_queue_is_counted_and_changes_nothing_else() {
    let app = consuming().await;
    let client = app.amqp().await;
    // Also names that look like the broker's own direct replies.
    for queue in
        ["nobody.is.here", "amq.rabbitmq.reply-to.nonsense", "amq.rabbitmq.reply-to.g1h2.x", "amq.rabbitmq.reply-to"]
    {
        let message = invoice(&app, ten_dollars().to_string());
        let message = message.with(|properties| properties.with_reply_to(queue.into()));
        // The broker itself refuses some of them.
        if client.try_publish(message).await.is_err() {
            continue;
        }
        let replied = app.call(&app.amqp().await, "balance", &json!({"wallet_id": 1})).await;
        assert_eq!(replied["code"], 200, "{queue}");
    }
    let returned = || async { app.metric(r#"purser_amqp_replies_total{result="returned"}"#).await >= 1 };
    poll_until(PATIENCE, "the returned reply counted", returned).await;
    assert_eq!(app.metric("purser_amqp_connected").await, 1);
    assert_eq!(verdicts(&app, "requeue").await, 0);
}

#[tokio::test]
async fn clients_of_system_000_get_its_answers_word_for_word() {
    let app = consuming().await;
    let client = app.amqp().await;
    let check = async |operation: &str, body: &str, expected: &str| {
        let reply = client.call(Message::new(&app.names.queries, operation, body)).await;
        assert_eq!(String::from_utf8_lossy(&reply.0.data), expected, "{operation} {body}");
        assert_eq!(reply.0.properties.content_type(), &Some("application/json".into()));
    };
    for _ in 0..5 {
        let body = r#"{"wallet_id":1,"ticker":"USD","amount":1}"#;
        check("invoice", body, r#"{"operation":"invoice","code":200}"#).await;
    }
    check(
        "withdraw",
        r#"{"wallet_id":1,"ticker":"USD","amount":50}"#,
        r#"{"operation":"withdraw","code":400,"reason":"there are not enough USD's on the wallet with id = 1 to be debited"}"#,
    )
    .await;
    check(
        "balance",
        r#"{"wallet_id":1}"#,
        r#"{"operation":"balance","code":200,"body":"{\"actual_balance\":{\"USD\":5}}"}"#,
    )
    .await;
    check("balance", r#"{"wallet_id":2}"#, r#"{"operation":"balance","code":200,"body":"{}"}"#).await;
    check(
        "balance",
        r#"{"wallet_id":99}"#,
        r#"{"operation":"balance","code":400,"reason":"the requested wallet with id = 99, doesn't exist"}"#,
    )
    .await;
    check(
        "invoice",
        r#"{"wallet_id":1,"ticker":"XXX","amount":1}"#,
        r#"{"operation":"invoice","code":400,"reason":"the requested ticker with name = XXX, doesn't exist"}"#,
    )
    .await;
    check(
        "invoice",
        r#"{"wallet_id":"1"}"#,
        r#"{"operation":"invoice","code":400,"reason":"json: cannot unmarshal string into Go struct field InvoiceRequest.wallet_id of type int"}"#,
    )
    .await;
    for (line, count) in [
        (r#"app_queries_status_counter{operation="invoice",status="200"}"#, 5),
        (r#"app_queries_status_counter{operation="invoice",status="400"}"#, 2),
        (r#"app_queries_status_counter{operation="withdraw",status="400"}"#, 1),
        (r#"app_queries_status_counter{operation="balance",status="200"}"#, 2),
    ] {
        assert_eq!(app.metric(line).await, count, "{line}");
    }
    // Nor does that system's own declaration of its exchange fail.
    let channel = &client.channel;
    let (options, arguments) = (ExchangeDeclareOptions::default(), FieldTable::default());
    channel
        .exchange_declare(app.names.queries.as_str().into(), lapin::ExchangeKind::Topic, options, arguments)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_queue_with_other_properties_is_waited_out_and_a_deleted_one_made_again() {
    let database = TestDatabase::create().await;
    let names = Names::new();
    let client = Amqp::connect(&amqp_url()).await.unwrap();
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    client.channel.queue_declare(names.queue.as_str().into(), options, FieldTable::default()).await.unwrap();
    let broker = BrokerOnly::start_with(&names, &database, |settings| settings.broker.reconnect_pause_max_ms = 200);
    client.channel.queue_delete(names.queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    poll_until(PATIENCE, "consuming", || async { broker.metrics.amqp_connected.get() == 1 }).await;

    // A consumer whose queue is deleted comes back with a new one.
    client.channel.queue_delete(names.queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    let message = || Message::new(&names.operations, "balance", r#"{"wallet_id":1}"#);
    let is_there = || async { matches!(client.try_publish(message()).await, Ok(lapin::Confirmation::Ack(None))) };
    poll_until(PATIENCE, "the queue bound again", is_there).await;
    assert_eq!(client.call(message()).await.json()["code"], 200);
    broker.stop().await;
    names.delete(&amqp_url()).await.ok();
}

#[tokio::test]
async fn a_stop_under_load_hands_over_without_a_redelivery_that_nobody_can_judge() {
    let database = TestDatabase::with_wallets(50).await;
    let names = Names::new();
    let adjust = |settings: &mut Settings| settings.broker.prefetch = 100;
    let first = BrokerOnly::start_with(&names, &database, adjust);
    poll_until(PATIENCE, "consuming", || async { first.metrics.amqp_connected.get() == 1 }).await;
    let second = BrokerOnly::start_with(&names, &database, adjust);
    poll_until(PATIENCE, "standing by", || async { second.metrics.amqp_connected.get() == 1 }).await;
    let client = Amqp::connect(&amqp_url()).await.unwrap();
    let mut replies = Vec::new();
    let mut first = Some(first);
    let mut stopping = None;
    // Without keys: any of them that came twice would be parked.
    for number in 0..3000 {
        let body = format!(r#"{{"wallet_id":{},"currency":"USD","amount":1}}"#, number % 50 + 1);
        replies.push(client.ask(Message::new(&names.operations, "invoice", body)).await);
        if number == 1500 {
            let first = first.take().unwrap();
            stopping = Some(tokio::spawn(first.stop()));
        }
    }
    stopping.unwrap().await.unwrap();
    for reply in replies {
        tokio::time::timeout(PATIENCE, reply).await.expect("every message is answered").unwrap();
    }
    assert_eq!(client.message_count(&names.dead).await, 0);
    assert_eq!(database.fetch("SELECT sum(available) FROM balances").await, "3000");
    assert!(second.metrics.amqp_deliveries.with_label_values(&[names.queue.as_str(), "ack"]).get() > 0);
    second.stop().await;
    assert_books_balance(&database.pool).await;
    names.delete(&amqp_url()).await.ok();
}
