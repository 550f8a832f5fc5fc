//! Connections to the broker that are lost or stand still.

use std::time::{Duration, Instant};

use purser::settings::Secret;
use serde_json::Value;

use super::{BrokerOnly, ten_dollars};
use crate::support::{Amqp, Message, Names, PATIENCE, Proxy, TestDatabase, amqp_url, assert_books_balance, poll_until};

#[tokio::test]
async fn a_connection_that_is_cut_comes_back_and_keyed_messages_are_applied_once() {
    let database = TestDatabase::with_wallets(20).await;
    let names = Names::new();
    let proxy = Proxy::start(&amqp_url()).await;
    let url = proxy.url.clone();
    let broker = BrokerOnly::start_with(&names, &database, |settings| settings.broker.url = Secret::new(url));
    poll_until(PATIENCE, "consuming", || async { broker.metrics.amqp_connected.get() == 1 }).await;
    let client = Amqp::connect(&amqp_url()).await.unwrap();
    let mut replies = Vec::new();
    for number in 0..3000 {
        let body = format!(r#"{{"wallet_id":{},"currency":"USD","amount":1}}"#, number % 20 + 1);
        let message = Message::new(&names.operations, "invoice", body).key(&format!("key-{number}"));
        replies.push(client.ask(message).await);
        if number % 1000 == 500 {
            proxy.cut();
        }
    }
    for reply in replies {
        let reply = tokio::time::timeout(PATIENCE, reply).await.expect("every message is answered").unwrap();
        let reply: Value = serde_json::from_slice(&reply.data).unwrap();
        assert_eq!(reply["code"], 200);
    }
    assert_eq!(database.fetch("SELECT sum(available) FROM balances").await, "3000");
    assert_eq!(database.fetch("SELECT count(*) FROM transactions").await, "3000");
    broker.stop().await;
    assert_books_balance(&database.pool).await;
    names.delete(&amqp_url()).await.ok();
}

#[tokio::test]
async fn connections_that_are_lost_while_the_database_is_away_do_not_pile_up_the_same_messages() {
    const PREFETCH: u16 = 10;
    let prefetch = i64::from(PREFETCH);
    let database = TestDatabase::create().await;
    let names = Names::new();
    let proxy = Proxy::start(&amqp_url()).await;
    let url = proxy.url.clone();
    let broker = BrokerOnly::start_with(&names, &database, |settings| {
        settings.broker.url = Secret::new(url);
        settings.broker.prefetch = PREFETCH;
        settings.database.acquire_timeout_ms = 100;
    });
    poll_until(PATIENCE, "consuming", || async { broker.metrics.amqp_connected.get() == 1 }).await;
    database.alter("ALLOW_CONNECTIONS false").await;
    database.terminate_connections().await;

    let client = Amqp::connect(&amqp_url()).await.unwrap();
    let mut replies = Vec::new();
    for number in 0..3 * prefetch {
        let message =
            Message::new(&names.operations, "invoice", ten_dollars().to_string()).key(&format!("key-{number}"));
        replies.push(client.ask(message).await);
    }
    let in_flight = || broker.metrics.operations_in_flight.get();
    poll_until(PATIENCE, "the prefetch submitted", || async { in_flight() == prefetch }).await;
    proxy.cut();
    poll_until(PATIENCE, "the loss noticed", || async { broker.metrics.amqp_connected.get() == 0 }).await;
    // Ten times the first pause of a reconnect, in which it must not submit the same again.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        assert_eq!(in_flight(), prefetch);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    database.alter("ALLOW_CONNECTIONS true").await;
    for reply in replies {
        tokio::time::timeout(PATIENCE, reply).await.expect("every message is answered").unwrap();
    }
    assert_eq!(database.available(1, "USD").await, "300");
    assert_eq!(client.message_count(&names.dead).await, 0);
    broker.stop().await;
    assert_books_balance(&database.pool).await;
    names.delete(&amqp_url()).await.ok();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_broker_that_takes_nothing() {
    let database = TestDatabase::create().await;
    let names = Names::new();
    let proxy = Proxy::start(&amqp_url()).await;
    let url = proxy.url.clone();
    let broker = BrokerOnly::start_with(&names, &database, |settings| settings.broker.url = Secret::new(url));
    poll_until(PATIENCE, "consuming", || async { broker.metrics.amqp_connected.get() == 1 }).await;
    proxy.stall();
    // Two seconds until the cancel is given up and one for the goodbye; a heartbeat would end the connection after forty.
    tokio::time::timeout(Duration::from_secs(15), broker.stop()).await.expect("it stops all the same");
    proxy.cut();
    names.delete(&amqp_url()).await.ok();
}

#[tokio::test]
async fn a_connection_whose_other_end_is_silently_gone_is_given_up_and_everything_is_applied_once() {
    let database = TestDatabase::with_wallets(20).await;
    let names = Names::new();
    let proxy = Proxy::start(&amqp_url()).await;
    // Seconds.
    let url = format!("{}?heartbeat=1", proxy.url);
    let broker = BrokerOnly::start_with(&names, &database, |settings| settings.broker.url = Secret::new(url));
    poll_until(PATIENCE, "consuming", || async { broker.metrics.amqp_connected.get() == 1 }).await;
    let client = Amqp::connect(&amqp_url()).await.unwrap();
    let mut replies = Vec::new();
    for number in 0..1000 {
        let body = format!(r#"{{"wallet_id":{},"currency":"USD","amount":1}}"#, number % 20 + 1);
        let message = Message::new(&names.operations, "invoice", body).key(&format!("key-{number}"));
        replies.push(client.ask(message).await);
        if number == 500 {
            assert_eq!(proxy.connections(), 1);
            proxy.silence();
        }
    }
    for reply in replies {
        let reply = tokio::time::timeout(PATIENCE, reply).await.expect("every message is answered").unwrap();
        let reply: Value = serde_json::from_slice(&reply.data).unwrap();
        assert_eq!(reply["code"], 200);
    }
    assert_eq!(proxy.connections(), 2, "the silent one was given up");
    assert_eq!(database.fetch("SELECT sum(available) FROM balances").await, "1000");
    assert_eq!(database.fetch("SELECT count(*) FROM transactions").await, "1000");
    broker.stop().await;
    assert_books_balance(&database.pool).await;
    names.delete(&amqp_url()).await.ok();
}
