//! Every wallet's messages are applied in the order of their publication, whatever dies or stops in between.

use std::time::Duration;

use lapin::message::Delivery;
use purser::app::App;
#[cfg(debug_assertions)]
use purser::ledger::WalletId;
use purser::settings::{Secret, Settings};
use serde_json::Value;
use tokio::sync::oneshot;

use super::BrokerOnly;
use crate::support::{
    Amqp, Message, Names, PATIENCE, TestDatabase, amqp_url, assert_books_balance, operation, poll_until,
};

const WALLETS: usize = 10;

/// A published credit and its answer to come.
type Asked = oneshot::Receiver<Delivery>;

/// Publishes credits to each wallet in turn; the `n`-th of a wallet is `n` cents. Each has a key.
async fn publish(client: &Amqp, names: &Names, cents: std::ops::RangeInclusive<usize>) -> Vec<Asked> {
    let mut asked = Vec::new();
    for cents in cents {
        for wallet in 1..=WALLETS {
            let amount = format!("{}.{:02}", cents / 100, cents % 100);
            let body = format!(r#"{{"wallet_id":{wallet},"currency":"USD","amount":{amount}}}"#);
            let message = Message::new(&names.operations, "invoice", body).key(&format!("{wallet}-{cents}"));
            asked.push(client.ask(message).await);
        }
    }
    asked
}

/// Every credit is answered with success, and each wallet's are applied once and in their order.
async fn assert_all_in_order(asked: Vec<Asked>, database: &TestDatabase) {
    let count = asked.len().to_string();
    for reply in asked {
        let reply = tokio::time::timeout(PATIENCE * 2, reply).await.expect("every message is answered").unwrap();
        let reply: Value = serde_json::from_slice(&reply.data).unwrap();
        assert_eq!(reply["code"], 200, "{reply}");
    }
    assert_eq!(database.fetch("SELECT count(*) FROM entries WHERE available_delta * 100 <> seq").await, "0");
    assert_eq!(database.fetch("SELECT count(*) FROM entries").await, count);
    assert_eq!(database.fetch("SELECT count(*) FROM transactions").await, count);
    assert_books_balance(&database.pool).await;
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn when_a_wallets_actor_panics_none_of_its_messages_overtakes_another() {
    let database = TestDatabase::with_wallets(10).await;
    let names = Names::new();
    let broker = BrokerOnly::start_with(&names, &database, |settings| {
        settings.database.lock_timeout_ms = 20;
        settings.broker.prefetch = 100;
    });
    poll_until(PATIENCE, "consuming", || async { broker.metrics.amqp_connected.get() == 1 }).await;
    let client = Amqp::connect(&amqp_url()).await.unwrap();
    // Their lines grow, so that each actor has something to lose.
    let mut locked = database.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM wallets WHERE id <= 3 FOR UPDATE").execute(&mut *locked).await.unwrap();
    let publishing = publish(&client, &names, 1..=100);
    let panicking = async {
        poll_until(PATIENCE, "lines have grown", async || broker.processor.in_flight() > 50).await;
        (1..=3).for_each(|wallet| broker.processor.panic_in_actor(WalletId(wallet)));
        let panics = || broker.metrics.actor_panics.with_label_values(&["wallet"]).get();
        poll_until(PATIENCE, "three actors panicked", async || panics() == 3).await;
        locked.rollback().await.unwrap();
    };
    let (asked, ()) = tokio::join!(publishing, panicking);
    assert_all_in_order(asked, &database).await;
    assert!(broker.settled(&names, "requeue") > 0, "some were abandoned");
    assert_eq!((broker.settled(&names, "park"), client.message_count(&names.dead).await), (0, 0));
    broker.stop().await;
    names.delete(&amqp_url()).await.ok();
}

#[tokio::test]
async fn what_a_stop_leaves_behind_is_done_by_the_next_instance_in_its_order() {
    let database = TestDatabase::with_wallets(10).await;
    let names = Names::new();
    let adjust = |settings: &mut Settings| {
        settings.database.acquire_timeout_ms = 100;
        // Less than is published: the next instance must not get what is still in the queue before what the first one holds.
        settings.broker.prefetch = 100;
    };
    let first = BrokerOnly::start_with(&names, &database, adjust);
    poll_until(PATIENCE, "consuming", || async { first.metrics.amqp_connected.get() == 1 }).await;
    let second = BrokerOnly::start_with(&names, &database, adjust);
    poll_until(PATIENCE, "standing by", || async { second.metrics.amqp_connected.get() == 1 }).await;
    let client = Amqp::connect(&amqp_url()).await.unwrap();
    let mut asked = publish(&client, &names, 1..=10).await;
    poll_until(PATIENCE, "some are done", || async { first.settled(&names, "ack") > 0 }).await;

    database.alter("ALLOW_CONNECTIONS false").await;
    database.terminate_connections().await;
    asked.extend(publish(&client, &names, 11..=30).await);
    poll_until(PATIENCE, "some wait", || async { first.processor.in_flight() > WALLETS }).await;
    assert!(first.stop_within(Duration::from_millis(100)).await > 0, "it runs out of time");
    poll_until(PATIENCE, "the next has them", || async { second.processor.in_flight() > WALLETS }).await;
    database.alter("ALLOW_CONNECTIONS true").await;

    assert_all_in_order(asked, &database).await;
    assert_eq!(client.message_count(&names.dead).await, 0);
    second.stop().await;
    names.delete(&amqp_url()).await.ok();
}

#[tokio::test]
async fn a_lane_that_panics_ends_the_process_with_an_error_and_the_next_one_goes_on_in_order() {
    let database = TestDatabase::with_wallets(10).await;
    let names = Names::new();
    let mut settings = database.settings();
    settings.broker.url = Secret::new(amqp_url());
    settings.http.listen = ([127, 0, 0, 1], 0).into();
    names.set(&mut settings);
    let (started, start) = oneshot::channel();
    let process = std::thread::spawn(move || {
        actix::System::new().block_on(async move {
            let app = App::start(settings).await?;
            started.send((app.processor().clone(), app.http_addr())).ok();
            // No signal comes.
            app.run_until(std::future::pending).await
        })
    });
    let (processor, address) = start.await.expect("it starts");
    let is_ready =
        async || reqwest::get(format!("http://{address}/readyz")).await.is_ok_and(|ready| ready.status() == 200);
    poll_until(PATIENCE, "readiness", is_ready).await;
    let client = Amqp::connect(&amqp_url()).await.unwrap();
    let publishing = publish(&client, &names, 1..=50);
    let dying = async {
        poll_until(PATIENCE, "some are done", async || database.available(1, "USD").await != "0").await;
        processor.submit_with(operation("balance 1"), |_| panic!("a bug, on purpose"));
        tokio::task::spawn_blocking(move || process.join()).await.expect("not cancelled").expect("it does not panic")
    };
    let (asked, ended) = tokio::join!(publishing, dying);
    let error = ended.expect_err("a supervisor is to start it again").to_string();
    assert!(error.contains("lost a lane"), "{error}");

    let next = BrokerOnly::start(&names, &database);
    assert_all_in_order(asked, &database).await;
    assert_eq!(client.message_count(&names.dead).await, 0);
    next.stop().await;
    names.delete(&amqp_url()).await.ok();
}
