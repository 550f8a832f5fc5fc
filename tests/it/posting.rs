//! The write path on a real PostgreSQL: what is decided is what is stored, once, whoever posts at the same time.

mod references;
mod standings;

use std::collections::BTreeMap;

use purser::ledger::outcome::Replay;
use purser::ledger::{Answer, Operation, Outcome};
use purser::posting::{Attempt, post};
use purser::store::{Store, StoreError};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::{TestDatabase, assert_books_balance, operation};

/// A store of its own, as another instance would have.
fn store(database: &TestDatabase) -> Store {
    Store::new(&database.settings().database).expect("the address is well-formed")
}

fn operations(sentences: &[&str]) -> Vec<Operation> {
    sentences.iter().map(|sentence| operation(sentence)).collect()
}

/// Posts sentences as one batch and gives each outcome in a word or two: `Success`, `insufficient_funds`, `Success again`.
async fn say(store: &Store, sentences: &[&str]) -> Vec<String> {
    let outcomes = post(store, &operations(sentences), Attempt::First).await.expect("the database is there");
    outcomes.iter().map(word).collect()
}

fn word(outcome: &Outcome) -> String {
    let again = if outcome.replay == Replay::Replayed { " again" } else { "" };
    format!("{}{again}", outcome.label())
}

async fn check(store: &Store, said: &[(&str, &str)]) {
    let (sentences, expected): (Vec<&str>, Vec<&str>) = said.iter().copied().unzip();
    assert_eq!(say(store, &sentences).await, expected, "{sentences:?}");
}

#[tokio::test]
async fn every_outcome_is_stored_as_it_is_told() {
    let database = TestDatabase::create().await;
    let store = store(&database);
    let batch = operations(&[
        "invoice 1 100 USD first",
        "withdraw 1 30.50 USD",
        "transfer 1 2 9.50 USD third",
        "withdraw 1 60.01 USD fourth",
        "withdraw 3 1 USD",
        "invoice 77 1 USD unknown",
        "invoice 1 1 XXX unknown",
        "invoice 1 0.001 USD unknown",
        "transfer 1 1 1 USD",
        "balance 1",
    ]);
    let outcomes = post(&store, &batch, Attempt::First).await.unwrap();
    let words: Vec<String> = outcomes.iter().map(word).collect();
    assert_eq!(
        words,
        [
            "Success",
            "Success",
            "Success",
            "insufficient_funds",
            "insufficient_funds",
            "wallet_unknown",
            "currency_unknown",
            "too_many_decimals",
            "same_wallet",
            "Success",
        ]
    );
    let stored = "SELECT string_agg(concat_ws(' ', kind, wallet_id, to_wallet_id, trim_scale(amount), currency, status,
        rejection, idempotency_key), ', ' ORDER BY id) FROM transactions";
    assert_eq!(
        database.fetch(stored).await,
        "invoice 1 100 USD Success first, withdraw 1 30.5 USD Success, transfer 1 2 9.5 USD Success third, \
         withdraw 1 60.01 USD Error insufficient_funds fourth, withdraw 3 1 USD Error insufficient_funds"
    );
    for (operation, outcome) in batch.iter().zip(&outcomes) {
        if let Ok(Answer::Transaction(transaction)) = &outcome.result {
            assert_eq!(transaction.id, operation.id);
            let id = format!("SELECT count(*) FROM transactions WHERE id = '{}' AND status = 'Success'", operation.id);
            assert_eq!(database.fetch(id).await, "1");
        }
    }
    let Ok(Answer::Balances(lines)) = &outcomes[9].result else { panic!("a balance gives balances") };
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].balance.available.to_string(), "60", "it sees what stands before it in the batch");
    assert_eq!(database.available(1, "USD").await, "60");
    assert_eq!(database.available(2, "USD").await, "9.5");
    assert_eq!(database.fetch("SELECT count(*) FROM entries").await, "4");
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn a_key_is_answered_again_across_batches_and_instances() {
    let database = TestDatabase::create().await;
    let store_a = store(&database);
    let first = operation("invoice 1 5 USD k");
    let outcome = post(&store_a, std::slice::from_ref(&first), Attempt::First).await.unwrap().remove(0);

    let store_b = store(&database);
    let again = post(&store_b, &operations(&["invoice 1 5.00 USD k"]), Attempt::First).await.unwrap().remove(0);
    assert_eq!(again.replay, Replay::Replayed);
    assert_eq!(again.result, outcome.result, "the whole transaction is given again");
    assert_eq!(database.available(1, "USD").await, "5");

    check(&store_b, &[("withdraw 1 6 USD e", "insufficient_funds")]).await;
    check(&store_a, &[("invoice 1 95 USD", "Success")]).await;
    check(&store_b, &[("withdraw 1 6 USD e", "insufficient_funds again")]).await;
    assert_eq!(database.fetch("SELECT count(*) FROM transactions").await, "3");
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn a_key_that_named_another_request_is_refused() {
    let database = TestDatabase::create().await;
    let store = store(&database);
    check(&store, &[("invoice 1 5 USD k", "Success")]).await;
    check(
        &store,
        &[
            ("invoice 1 6 USD k", "idempotency_key_reused"),
            ("invoice 1 5 EUR k", "idempotency_key_reused"),
            ("withdraw 1 5 USD k", "idempotency_key_reused"),
            ("transfer 1 2 5 USD k", "idempotency_key_reused"),
            ("invoice 2 5 USD k", "Success"),
            ("balance 1 k", "Success"),
            ("invoice 1 5 USD k", "Success again"),
        ],
    )
    .await;
    assert_eq!(database.available(1, "USD").await, "5");
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn a_key_twice_in_one_batch_is_done_once() {
    let database = TestDatabase::create().await;
    let store = store(&database);
    let said = [
        ("invoice 1 5 USD k", "Success"),
        ("invoice 1 5 USD k", "Success again"),
        ("invoice 1 6 USD k", "idempotency_key_reused"),
        ("invoice 1 5 USD", "Success"),
        ("withdraw 1 11 USD w", "insufficient_funds"),
        ("invoice 1 5 USD", "Success"),
        ("withdraw 1 11 USD w", "insufficient_funds again"),
    ];
    check(&store, &said).await;
    assert_eq!(database.available(1, "USD").await, "15");
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn amounts_are_stored_exactly() {
    let database = TestDatabase::create().await;
    database.execute("INSERT INTO currencies VALUES ('WEI', 100, 18), ('JPY', 101, 0)").await;
    let store = store(&database);
    let (most, finest) = ("9999999999.999999999999999999", "0.000000000000000001");
    check(&store, &[(&format!("invoice 1 {most} WEI"), "Success")]).await;
    assert_eq!(database.available(1, "WEI").await, most);
    check(&store, &[(&format!("withdraw 1 {finest} WEI"), "Success")]).await;
    assert_eq!(database.available(1, "WEI").await, "9999999999.999999999999999998");
    check(&store, &[("withdraw 1 9999999999.999999999999999998 WEI", "Success")]).await;
    assert_eq!(database.available(1, "WEI").await, "0");
    let most = "9999999999999999999999999999";
    check(&store, &[(&format!("invoice 1 {most} JPY"), "Success")]).await;
    check(&store, &[("invoice 1 1 JPY", "balance_too_large")]).await;
    assert_eq!(database.available(1, "JPY").await, most);
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn closed_wallets_and_new_currencies_are_seen() {
    let database = TestDatabase::create().await;
    let store = store(&database);
    check(
        &store,
        &[("invoice 1 5 USD", "Success"), ("withdraw 1 5 USD", "Success"), ("invoice 1 5 CHF", "currency_unknown")],
    )
    .await;
    database.execute("UPDATE wallets SET closed_at = now() WHERE id = 1").await;
    database.execute("INSERT INTO currencies VALUES ('CHF', 756, 2)").await;
    check(&store, &[("withdraw 1 5 USD", "wallet_closed"), ("balance 1", "Success")]).await;
    // A copy of the currencies is kept for a fraction of a second.
    crate::support::poll_until(crate::support::PATIENCE, "the new currency is known", async || {
        say(&store, &["withdraw 2 5 CHF"]).await == ["insufficient_funds"]
    })
    .await;
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn a_thousand_operations_over_three_hundred_wallets_are_one_batch() {
    let database = TestDatabase::with_wallets(300).await;
    let store = store(&database);
    let credit: Vec<Operation> = (1..=300).map(|wallet| operation(&format!("invoice {wallet} 100 USD c"))).collect();
    let batch: Vec<Operation> = (0..700)
        .map(|n| operation(&format!("transfer {} {} 1.25 USD t{n}", 1 + n % 300, 1 + (n * 7 + 1) % 300)))
        .filter(|operation| Some(operation.request.wallet()) != operation.request.to_wallet())
        .collect();
    let batch = [credit, batch].concat();
    let outcomes = post(&store, &batch, Attempt::First).await.unwrap();
    assert!(outcomes.iter().all(|outcome| word(outcome) == "Success"));
    assert_eq!(database.fetch("SELECT trim_scale(sum(available)) FROM balances").await, "30000");
    assert_eq!(database.fetch("SELECT count(*) FROM transactions").await, batch.len().to_string());

    let again = post(&store, &batch, Attempt::Again).await.unwrap();
    assert_eq!(again, outcomes);
    assert_eq!(database.fetch("SELECT count(*) FROM transactions").await, batch.len().to_string());
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn a_batch_whose_commit_was_not_heard_of_is_found_and_not_done_twice() {
    let database = TestDatabase::create().await;
    let store = store(&database);
    // Without keys: only the ids can tell.
    let batch = operations(&["invoice 1 5 USD", "withdraw 1 7 USD", "transfer 1 2 2 USD", "invoice 99 1 USD"]);
    let outcomes = post(&store, &batch, Attempt::First).await.unwrap();
    check(&store, &[("invoice 1 100 USD", "Success")]).await;

    assert_eq!(post(&store, &batch, Attempt::Again).await.unwrap(), outcomes);
    assert_eq!(database.available(1, "USD").await, "103");

    let never_kept = operations(&["withdraw 1 3 USD"]);
    assert_eq!(word(&post(&store, &never_kept, Attempt::Again).await.unwrap()[0]), "Success");
    assert_eq!(database.available(1, "USD").await, "100");
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn a_batch_that_fails_leaves_nothing() {
    let database = TestDatabase::create().await;
    let store = store(&database);
    check(&store, &[("invoice 1 5 USD", "Success")]).await;
    database
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
        )
        .await;
    database
        .execute(
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (NEW.wallet_id = 2) EXECUTE FUNCTION refuse()",
        )
        .await;
    // Deferred: it fails as late as anything can, in the commit.
    let batch = operations(&["invoice 1 1 USD k", "transfer 1 2 1 USD"]);
    let error = post(&store, &batch, Attempt::First).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    assert_eq!(database.fetch("SELECT count(*) FROM transactions").await, "1");
    assert_eq!(database.available(1, "USD").await, "5");
    check(&store, &[("invoice 1 1 USD k", "Success")]).await;
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn a_lost_connection_is_trouble_that_passes() {
    let database = TestDatabase::create().await;
    let store = store(&database);
    check(&store, &[("invoice 1 5 USD", "Success")]).await;
    database.terminate_connections().await;
    // The broken connection may be noticed when it is used, or before.
    crate::support::poll_until(crate::support::PATIENCE, "the store connects again", async || {
        match post(&store, &operations(&["invoice 1 5 USD after"]), Attempt::Again).await {
            Ok(_) => true,
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                false
            }
        }
    })
    .await;
    assert_eq!(database.available(1, "USD").await, "10");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_that_post_to_the_same_wallets_neither_deadlock_nor_lose_money() {
    let database = TestDatabase::with_wallets(6).await;
    let credits: Vec<String> = (1..=6).map(|wallet| format!("invoice {wallet} 100 USD")).collect();
    let credits: Vec<&str> = credits.iter().map(String::as_str).collect();
    say(&store(&database), &credits).await;

    let post_many = |seed: u64| {
        let store = store(&database);
        async move {
            let mut random = StdRng::seed_from_u64(seed);
            for _ in 0..60 {
                // Each batch names its wallets in an order of its own.
                let batch: Vec<Operation> = (0..8)
                    .map(|_| {
                        let from = random.random_range(1..=6);
                        let to = (from + random.random_range(0..5)) % 6 + 1;
                        let cents = random.random_range(1..=9_999);
                        operation(&format!("transfer {from} {to} {}.{:02} USD", cents / 100, cents % 100))
                    })
                    .collect();
                post(&store, &batch, Attempt::First).await?;
            }
            Ok::<(), StoreError>(())
        }
    };
    let posters: Vec<_> = (0..4).map(|seed| tokio::spawn(post_many(seed))).collect();
    for poster in posters {
        poster.await.unwrap().expect("nobody deadlocks");
    }
    assert_eq!(database.fetch("SELECT count(*) FROM transactions").await, (6 + 4 * 60 * 8).to_string());
    assert_eq!(database.fetch("SELECT trim_scale(sum(available)) FROM balances").await, "600");
    assert_books_balance(&database.pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_at_once_on_two_instances_is_done_once() {
    let database = TestDatabase::create().await;
    let stores = [store(&database), store(&database)];
    for round in 0..40 {
        let said = format!("invoice {} 1 USD round{round}", 1 + round % 9);
        let tries = stores.clone().map(|store| {
            let batch = operations(&[&said]);
            tokio::spawn(async move { word(&post(&store, &batch, Attempt::First).await.expect("it waits")[0]) })
        });
        let mut words = Vec::new();
        for told in tries {
            words.push(told.await.unwrap());
        }
        words.sort();
        assert_eq!(words, ["Success", "Success again"], "{said}");
    }
    assert_eq!(database.fetch("SELECT trim_scale(sum(available)) FROM balances").await, "40");
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn a_random_workload_ends_as_a_sum_on_paper_says() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let database = TestDatabase::create().await;
    let stores = [store(&database), store(&database)];
    let mut cents: BTreeMap<i64, i64> = BTreeMap::new();
    for round in 0..60 {
        let mut sentences = Vec::new();
        let mut expected = Vec::new();
        for n in 0..random.random_range(1..=40) {
            let (from, amount) = (random.random_range(1..=9_i64), random.random_range(1..=500_i64));
            let to = from % 9 + 1;
            let money = format!("{}.{:02} USD r{round}n{n}", amount / 100, amount % 100);
            let covered = cents.get(&from).copied().unwrap_or(0) >= amount;
            let (sentence, moves) = match random.random_range(0..3) {
                0 => (format!("invoice {from} {money}"), vec![(from, amount)]),
                1 => (format!("withdraw {from} {money}"), vec![(from, -amount)]),
                _ => (format!("transfer {from} {to} {money}"), vec![(from, -amount), (to, amount)]),
            };
            let allowed = covered || moves[0].1 > 0;
            for (wallet, change) in moves.into_iter().filter(|_| allowed) {
                *cents.entry(wallet).or_default() += change;
            }
            sentences.push(sentence);
            expected.push(if allowed { "Success" } else { "insufficient_funds" });
        }
        let sentences: Vec<&str> = sentences.iter().map(String::as_str).collect();
        assert_eq!(say(&stores[round % 2], &sentences).await, expected, "{sentences:?}");
        let again: Vec<String> = expected.iter().map(|word| format!("{word} again")).collect();
        assert_eq!(say(&stores[(round + 1) % 2], &sentences).await, again);
    }
    for (wallet, cents) in cents {
        let stored = format!("SELECT (sum(available) * 100)::bigint FROM balances WHERE wallet_id = {wallet}");
        assert_eq!(database.fetch(stored).await, cents.to_string(), "wallet {wallet}");
    }
    assert_books_balance(&database.pool).await;
}
