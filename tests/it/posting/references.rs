//! References on a real PostgreSQL: taken, passed on and given back in the commit of the transactions that they name.

use purser::ledger::{Operation, Reference};
use purser::posting::{Attempt, post, preview};
use purser::store::{Store, StoreError, Trouble, references};
use sqlx::AssertSqlSafe;

use super::{store, word};
use crate::support::{PATIENCE, Script, TestDatabase, assert_books_balance, poll_until};

const TAKEN: &str = "reference_taken";

/// Posts operations as one batch and gives each outcome in a word.
async fn say(store: &Store, batch: &[Operation]) -> Vec<String> {
    let outcomes = post(store, batch, Attempt::First).await.expect("the database is there");
    outcomes.iter().map(word).collect()
}

/// What every reference names, by the names of a script: `r names h, s names t`.
async fn named(database: &TestDatabase, script: &Script, names: &[&str]) -> String {
    let store = store(database);
    let mut words = Vec::new();
    for reference in ["a", "b", "c", "d", "e"] {
        let id = references::find(store.read_pool(), &Reference::new(reference).unwrap()).await.unwrap();
        let name = names.iter().find(|name| Some(script.id(name).0) == id);
        words.extend(id.map(|_| format!("{reference} names {}", name.expect("it names one of these"))));
    }
    let rows = database.fetch("SELECT count(*) FROM transaction_references").await;
    assert_eq!(rows, words.len().to_string(), "and there are no others");
    words.join(", ")
}

#[tokio::test]
async fn a_reference_is_stored_while_its_transaction_is_not_error() {
    let database = TestDatabase::create().await;
    let (store, mut script) = (store(&database), Script::default());
    let first = script.say_all(&[
        "invoice 1 100 USD reference a as t",
        "withdraw 1 30 USD pending for 600 reference b as h",
        "withdraw 2 5 USD waits reference c as w",
        "transfer 1 3 5 USD reference d as m",
        "withdraw 2 5 USD reference e as refused",
        "invoice 4 5 USD reference a as late",
        "batch: invoice 4 5 USD; invoice 4 5 USD reference b",
    ]);
    let told = ["Success", "Created", "Created", "Success", "insufficient_funds", TAKEN, TAKEN];
    assert_eq!(say(&store, &first).await, told);
    let names = ["t", "h", "w", "m", "refused", "late"];
    assert_eq!(named(&database, &script, &names).await, "a names t, b names h, c names w, d names m");
    let stored = "SELECT string_agg(concat_ws(' ', reference, status, rejection), ', ' ORDER BY id) FROM transactions
        WHERE reference IS NOT NULL";
    assert_eq!(
        database.fetch(stored).await,
        "a Success, b Created, c Created, d Success, e Error insufficient_funds, a Error reference_taken"
    );
    assert_books_balance(&database.pool).await;

    // What ends with Error gives it free, to others of the same batch, too; what is paid or confirmed keeps it.
    let second = script.say_all(&[
        "invoice 5 1 USD reference b",
        "cancel 1 @h",
        "invoice 5 1 USD reference b as next",
        "invoice 6 1 USD reference b",
        "invoice 2 5 USD",
        "invoice 6 1 USD reference c",
    ]);
    assert_eq!(say(&store, &second).await, [TAKEN, "Success", "Success", TAKEN, "Success", TAKEN]);
    let names = ["t", "h", "w", "m", "next"];
    assert_eq!(named(&database, &script, &names).await, "a names t, b names next, c names w, d names m");
    assert_books_balance(&database.pool).await;

    let hold = script.say("withdraw 1 1 USD pending reference e as held");
    assert_eq!(say(&store, &[hold]).await, ["Created"]);
    let third = script.say_all(&["batch: extend 1 @held 60; cancel 1 @held", "confirm 1 @held"]);
    assert_eq!(say(&store, &third).await, ["Success", "transaction_final"]);
    assert_eq!(named(&database, &script, &names).await, "a names t, b names next, c names w, d names m");
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn references_are_compared_byte_by_byte_and_may_be_long() {
    let database = TestDatabase::create().await;
    let (store, mut script) = (store(&database), Script::default());
    let long = "я".repeat(255);
    for reference in ["a", "A", "á", "a\u{301}", "a'b\\c\"d", &long] {
        let sentence = format!("invoice 1 1 USD reference {reference}");
        assert_eq!(
            say(&store, &[script.say(&sentence), script.say(&sentence)]).await,
            ["Success", TAKEN],
            "{reference}"
        );
    }
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn a_batch_whose_commit_was_not_heard_of_finds_its_own_references() {
    let database = TestDatabase::create().await;
    let (store, mut script) = (store(&database), Script::default());
    assert_eq!(say(&store, &[script.say("invoice 1 9 USD pending reference b as h")]).await, ["Created"]);
    let batch = script.say_all(&[
        "invoice 1 5 USD reference a as t",
        "invoice 2 5 USD reference a",
        "cancel 1 @h",
        "batch: invoice 2 5 USD reference b as u; invoice 3 5 USD reference c as v",
    ]);
    let outcomes = post(&store, &batch, Attempt::First).await.unwrap();
    assert_eq!(outcomes.iter().map(word).collect::<Vec<_>>(), ["Success", TAKEN, "Success", "Success"]);
    assert_eq!(post(&store, &batch, Attempt::Again).await.unwrap(), outcomes);
    assert_eq!(named(&database, &script, &["t", "u", "v"]).await, "a names t, b names u, c names v");
    assert_books_balance(&database.pool).await;
}

#[tokio::test]
async fn a_preview_knows_what_is_taken_and_takes_nothing() {
    let database = TestDatabase::create().await;
    let (store, mut script) = (store(&database), Script::default());
    let operation = script.say("invoice 1 5 USD reference a as t");
    assert_eq!(word(&preview(&store, &operation).await.unwrap()), "Success");
    assert_eq!(say(&store, &[operation]).await, ["Success"]);
    let second = script.say("invoice 2 5 USD reference a");
    assert_eq!(word(&preview(&store, &second).await.unwrap()), TAKEN);
    assert_eq!(named(&database, &script, &["t"]).await, "a names t");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_meets_another_in_a_reference_writes_nothing_and_finds_it_taken() {
    let database = TestDatabase::create().await;
    let (store, mut script) = (store(&database), Script::default());
    let mut other = database.pool.begin().await.unwrap();
    sqlx::query("INSERT INTO transaction_references VALUES ('r', gen_random_uuid())")
        .execute(&mut *other)
        .await
        .unwrap();
    let batch = script.say_all(&["invoice 1 1 USD", "invoice 1 5 USD reference r", "invoice 2 5 USD reference q"]);
    let post_once = || {
        let (store, batch) = (store.clone(), batch.clone());
        async move { post(&store, &batch, Attempt::First).await }
    };
    let posting = tokio::spawn(post_once());
    until_a_batch_waits(&database).await;
    other.commit().await.unwrap();
    let error = posting.await.unwrap().expect_err("the other was first");
    assert_eq!((error.trouble(), error.constraint()), (Trouble::Conflict, Some("transaction_references_pkey")));
    assert_eq!(database.fetch("SELECT count(*) FROM transactions").await, "0");

    let told: Vec<String> = post_once().await.unwrap().iter().map(word).collect();
    assert_eq!(told, ["Success", TAKEN, "Success"]);
    database.execute("DELETE FROM transaction_references WHERE reference = 'r'").await;
    assert_books_balance(&database.pool).await;
}

/// So that nobody waits in a circle: references are taken one by one in one order, and given back after that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_are_taken_in_the_order_of_their_bytes_before_any_is_given_back() {
    let database = TestDatabase::create().await;
    let (store, mut script) = (store(&database), Script::default());
    assert_eq!(say(&store, &script.say_all(&["invoice 1 1 USD pending reference a as h"])).await, ["Created"]);
    let (mut other, mut looker) = (database.pool.begin().await.unwrap(), database.pool.acquire().await.unwrap());
    sqlx::query("INSERT INTO transaction_references VALUES ('m', gen_random_uuid())")
        .execute(&mut *other)
        .await
        .unwrap();
    let batch = script.say_all(&[
        "cancel 1 @h",
        "invoice 3 1 USD reference z",
        "invoice 2 1 USD reference m",
        "invoice 4 1 USD reference Z",
        "invoice 5 1 USD reference b",
    ]);
    let posting = {
        let store = store.clone();
        tokio::spawn(async move { say(&store, &batch).await })
    };
    until_a_batch_waits(&database).await;
    // What nobody is taking or giving back can be had at once.
    let mut is_free = async |statement: &str| {
        let statement = format!("BEGIN; SET LOCAL lock_timeout = '20ms'; {statement}; ROLLBACK");
        let asked = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *looker).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut *looker).await.unwrap();
        let is_kept = |error: sqlx::Error| StoreError::from(error).trouble() == Trouble::Locked;
        asked.map_or_else(|error| !is_kept(error), |_| true)
    };
    for (reference, expected) in [("Z", false), ("b", false), ("m", false), ("z", true)] {
        let insert = format!("INSERT INTO transaction_references VALUES ('{reference}', gen_random_uuid())");
        assert_eq!(is_free(&insert).await, expected, "{reference}");
    }
    assert!(
        is_free("SELECT FROM transaction_references WHERE reference = 'a' FOR UPDATE").await,
        "it is given back last"
    );
    other.rollback().await.unwrap();
    assert_eq!(posting.await.unwrap(), ["Success"; 5]);
    let kept = "SELECT string_agg(reference, ' ' ORDER BY reference) FROM transaction_references";
    assert_eq!(database.fetch(kept).await, "Z b m z");
    assert_books_balance(&database.pool).await;
}

async fn until_a_batch_waits(database: &TestDatabase) {
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = '{}' AND application_name = 'purser' AND wait_event_type = 'Lock'",
        database.name
    );
    poll_until(PATIENCE, "a batch waits for another", async || database.fetch(&waiting).await == "1").await;
}
