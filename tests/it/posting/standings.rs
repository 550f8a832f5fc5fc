//! Wallets that are blocked, opened and closed: recorded, so that none of it is done twice.

use purser::posting::{Attempt, post};
use purser::settings::Secret;
use purser::store::Store;

use super::{check, operations, store, word};
use crate::support::{LossyProxy, TestDatabase, assert_books_balance};

/// A wallet's standing, the withdrawals that wait in it, and what it has.
const WALLET_1: &str = "SELECT concat_ws(' ', CASE WHEN closed_at IS NOT NULL THEN 'closed' WHEN blocked_at IS NOT NULL THEN 'blocked' ELSE 'open' END,
     waiting, trim_scale(available))
 FROM wallets JOIN balances ON wallet_id = wallets.id WHERE wallets.id = 1";
const RECORDED: &str = "SELECT string_agg(wallet_id || ' ' || standing, ', ' ORDER BY number) FROM standings";

#[tokio::test]
async fn a_standing_whose_commit_was_not_heard_of_is_found_and_not_given_twice() {
    let database = TestDatabase::create().await;
    let (store, other) = (store(&database), store(&database));
    check(&store, &[("withdraw 1 5 USD waits", "Created"), ("block 1", "Success")]).await;

    // Opening it again would pay the withdrawal, with money that came after it was blocked.
    let batch = operations(&["open 1", "block 1", "invoice 1 5 USD"]);
    let outcomes = post(&store, &batch, Attempt::First).await.unwrap();
    assert_eq!(database.fetch(WALLET_1).await, "blocked 1 5");
    assert_eq!(post(&store, &batch, Attempt::Again).await.unwrap(), outcomes);
    assert_eq!(database.fetch(WALLET_1).await, "blocked 1 5");
    assert_eq!(database.fetch("SELECT count(*) FROM entries").await, "1");
    assert_eq!(database.fetch(RECORDED).await, "1 blocked, 1 open, 1 blocked");

    // Another instance went on meanwhile.
    let open = operations(&["open 1"]);
    let outcomes = post(&store, &open, Attempt::First).await.unwrap();
    assert_eq!(database.fetch(WALLET_1).await, "open 0 0");
    check(&other, &[("block 1", "Success"), ("withdraw 1 5 USD", "wallet_blocked"), ("invoice 1 5 USD", "Success")])
        .await;
    assert_eq!(post(&store, &open, Attempt::Again).await.unwrap(), outcomes);
    assert_eq!(database.fetch(WALLET_1).await, "blocked 0 5");

    let block = operations(&["block 2", "open 3"]);
    let outcomes = post(&store, &block, Attempt::First).await.unwrap();
    check(&other, &[("open 2", "Success"), ("close 2", "Success"), ("close 3", "Success")]).await;
    assert_eq!(
        post(&store, &block, Attempt::Again).await.unwrap(),
        outcomes,
        "it was so, though it could not be done now"
    );

    // What was not committed is done, what was refused is asked anew.
    let never_kept = operations(&["block 4", "open 2", "balance 4"]);
    let words: Vec<String> = post(&store, &never_kept, Attempt::Again).await.unwrap().iter().map(word).collect();
    assert_eq!(words, ["Success", "wallet_closed", "Success"]);
    assert_eq!(
        database.fetch("SELECT count(*) FROM wallets WHERE blocked_at IS NOT NULL AND closed_at IS NULL").await,
        "2"
    );
    let expected =
        "1 blocked, 1 open, 1 blocked, 1 open, 1 blocked, 2 blocked, 3 open, 2 open, 2 closed, 3 closed, 4 blocked";
    assert_eq!(database.fetch(RECORDED).await, expected);
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn standings_are_given_once_though_the_answers_of_commits_are_lost() {
    let database = TestDatabase::create().await;
    let (proxy, url) = LossyProxy::start(&database.url, 2).await;
    let mut settings = database.settings();
    settings.database.url = Secret::new(url);
    let store = Store::new(&settings.database).expect("the address is well-formed");
    check(&super::store(&database), &[("withdraw 1 5 USD waits", "Created"), ("block 1", "Success")]).await;

    // Whenever it is opened there is too little. There is enough when it is blocked for the last time.
    for _ in 0..5 {
        let batch = operations(&["open 1", "block 1", "invoice 1 1 USD"]);
        let mut attempt = Attempt::First;
        let outcomes = loop {
            match post(&store, &batch, attempt).await {
                Ok(outcomes) => break outcomes,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
            attempt = Attempt::Again;
        };
        assert!(outcomes.iter().all(|outcome| word(outcome) == "Success"), "{outcomes:?}");
    }
    assert!(proxy.lost() >= 4, "the answer of every second commit is lost");
    assert_eq!(database.fetch(WALLET_1).await, "blocked 1 5");
    assert_eq!(database.fetch("SELECT count(*) FROM standings").await, "11");
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn a_recorded_standing_is_never_changed() {
    let database = TestDatabase::create().await;
    check(&store(&database), &[("block 1", "Success"), ("block 1", "Success"), ("close 77", "wallet_unknown")]).await;
    assert_eq!(database.fetch(RECORDED).await, "1 blocked, 1 blocked");
    for statement in ["UPDATE standings SET standing = 'open'", "DELETE FROM standings"] {
        let error = sqlx::query(statement).execute(&database.pool).await.expect_err("a trigger refuses it");
        assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("23001"), "{statement}");
    }
}
