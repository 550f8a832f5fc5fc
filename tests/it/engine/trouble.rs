//! A database that refuses, goes away, or does not say whether it has committed.

use std::sync::Arc;

use futures::future::join_all;
use purser::settings::Secret;

use super::{Engine, assert_all, credit, word};
use crate::support::{LossyProxy, PATIENCE, Proxy, TestDatabase, poll_until};

#[actix_rt::test]
async fn an_operation_that_the_database_refuses_fails_alone() {
    let engine = Engine::start(20, |settings| settings.engine.lanes = 1).await;
    let database = &engine.database;
    database
        .execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$")
        .await;
    database
        .execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON entries
             FOR EACH ROW WHEN (NEW.wallet_id = 13) EXECUTE FUNCTION refuse()",
        )
        .await;
    let submissions: Vec<_> = (1..=10)
        .flat_map(|cents| (1..=20).map(move |wallet| credit(wallet, cents)))
        .chain(["transfer 1 13 0.01 USD".to_owned()])
        .map(|said| (said.contains(" 13 "), engine.submit(&said)))
        .collect();
    let (touches, submissions): (Vec<bool>, Vec<_>) = submissions.into_iter().unzip();
    for (is_refused, submitted) in touches.into_iter().zip(join_all(submissions).await) {
        assert_eq!(word(&submitted), if is_refused { "refused by the store" } else { "Success" });
        assert!(!matches!(submitted, Err(error) if error.is_transient()));
    }
    engine.assert_in_line(190).await;

    database.execute("DROP TRIGGER refuse ON entries").await;
    assert_all(&[engine.submit(&credit(13, 1)).await], "Success");
    engine.assert_in_line(191).await;
}

/// Submits credits without keys, in order, until `end`; gives how many there were for each wallet. All must succeed.
async fn load(engine: &Engine, wallets: i64, end: impl AsyncFn()) -> usize {
    let is_over = std::cell::Cell::new(false);
    let submit = async {
        let mut cents = 0;
        let mut submitted = Vec::new();
        while !is_over.get() {
            cents += 1;
            let round: Vec<_> = (1..=wallets).map(|wallet| engine.submit(&credit(wallet, cents))).collect();
            submitted.extend(join_all(round).await);
        }
        assert_all(&submitted, "Success");
        cents
    };
    let disturb = async {
        end().await;
        is_over.set(true);
    };
    futures::join!(submit, disturb).0
}

#[actix_rt::test]
async fn connections_that_are_cut_again_and_again_lose_nothing_and_repeat_nothing() {
    let engine = Engine::start(10, |_| {}).await;
    let count = || engine.metrics.operations.with_label_values(&["invoice", "Success"]).get();
    let rounds = load(&engine, 10, async || {
        for _ in 0..25 {
            let before = count();
            poll_until(PATIENCE, "operations are answered", async || count() > before + 20).await;
            engine.database.terminate_connections().await;
        }
    })
    .await;
    assert!(engine.retries("57P01") + engine.retries("connection") > 0, "no cut was noticed");
    engine.assert_in_line(10 * rounds).await;
}

#[actix_rt::test]
async fn commits_whose_answers_are_lost_are_found_and_not_done_twice() {
    let database = Arc::new(TestDatabase::with_wallets(10).await);
    let (proxy, url) = LossyProxy::start(&database.url, 3).await;
    let engine = Engine::start_on(database, |settings| settings.database.url = Secret::new(url));
    let rounds = load(&engine, 10, async || {
        poll_until(PATIENCE, "answers are lost", async || proxy.lost() >= 10).await;
    })
    .await;
    assert!(engine.retries("connection") >= 10);
    engine.assert_in_line(10 * rounds).await;
}

/// Makes the database unusable under load with one statement and usable again with another.
async fn check_outage(away: &str, back: &str) {
    let engine = Engine::start(10, |settings| settings.database.acquire_timeout_ms = 200).await;
    let count = || engine.metrics.operations.with_label_values(&["invoice", "Success"]).get();
    let rounds = load(&engine, 10, async || {
        for _ in 0..2 {
            let before = count();
            poll_until(PATIENCE, "operations are answered", async || count() > before).await;
            engine.database.alter(away).await;
            engine.database.terminate_connections().await;
            poll_until(PATIENCE, "the outage is noticed", async || !engine.processor.database_is_up()).await;
            let tries = engine.tries();
            poll_until(PATIENCE, "it is tried again in vain", async || engine.tries() > tries + 2).await;
            engine.database.alter(back).await;
            poll_until(PATIENCE, "the database is found again", async || engine.processor.database_is_up()).await;
        }
    })
    .await;
    engine.assert_in_line(10 * rounds).await;
}

#[actix_rt::test]
async fn a_database_that_lets_nobody_in_for_a_while_loses_nothing() {
    check_outage("ALLOW_CONNECTIONS false", "ALLOW_CONNECTIONS true").await;
}

#[actix_rt::test]
async fn a_database_without_room_for_connections_loses_nothing() {
    check_outage("CONNECTION LIMIT 0", "CONNECTION LIMIT -1").await;
}

#[actix_rt::test]
async fn a_connection_whose_other_end_is_silently_gone_is_given_up_and_everything_is_applied_once() {
    let database = Arc::new(TestDatabase::with_wallets(10).await);
    let proxy = Proxy::start(&database.url).await;
    let url = proxy.url.clone();
    let engine = Engine::start_on(database, |settings| {
        settings.database.url = Secret::new(url);
        // Together they are the time that a silent connection has. The server ends its half, and its locks, by the second.
        settings.database.acquire_timeout_ms = 1000;
        settings.database.statement_timeout_ms = 500;
        settings.engine.lanes = 1;
    });
    let count = || engine.metrics.operations.with_label_values(&["invoice", "Success"]).get();
    let rounds = load(&engine, 10, async || {
        for silences in 1..=3 {
            let before = count();
            poll_until(PATIENCE, "operations are answered", async || count() > before + 20).await;
            let connections = proxy.connections();
            proxy.silence();
            poll_until(PATIENCE, "the silence is noticed", async || engine.retries("connection") >= silences).await;
            poll_until(PATIENCE, "another connection is made", async || proxy.connections() > connections).await;
        }
    })
    .await;
    engine.assert_in_line(10 * rounds).await;
}
