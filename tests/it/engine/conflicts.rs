//! Others on the same wallets: deadlocks, locks that are kept, serialization failures, a second instance.

use std::sync::Arc;

use futures::future::join_all;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::{Engine, assert_all, credit};
use crate::support::{PATIENCE, TestDatabase, assert_books_balance, poll_until};

/// Someone else's SQL transaction on the same tables.
struct Other(PgConnection);

impl Other {
    async fn begin(database: &TestDatabase) -> Self {
        let mut connection = database.pool.acquire().await.unwrap().detach();
        connection.execute("BEGIN").await.unwrap();
        Self(connection)
    }

    async fn lock(&mut self, wallet: i64) {
        self.0.execute(AssertSqlSafe(format!("SELECT FROM wallets WHERE id = {wallet} FOR UPDATE"))).await.unwrap();
    }

    async fn end(mut self) {
        self.0.execute("ROLLBACK").await.unwrap();
    }
}

async fn until_someone_waits_for_a_lock(database: &TestDatabase) {
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = '{}' AND application_name = 'purser' AND wait_event_type = 'Lock'",
        database.name
    );
    poll_until(PATIENCE, "a lane waits for a lock", async || database.fetch(&waiting).await != "0").await;
}

#[actix_rt::test]
async fn a_deadlock_with_someone_who_locks_in_another_order_is_tried_again() {
    let engine = Engine::start(9, |_| {}).await;
    assert_all(&[engine.submit("invoice 1 5 USD").await], "Success");
    let mut other = Other::begin(&engine.database).await;
    other.lock(2).await;
    let transfer = engine.submit("transfer 1 2 5 USD");
    until_someone_waits_for_a_lock(&engine.database).await;
    // The lane holds 1 and waits for 2. It has waited longer, so it is the one that the server ends.
    other.lock(1).await;
    poll_until(PATIENCE, "the deadlock is counted", async || engine.retries("40P01") == 1).await;
    other.end().await;
    assert_all(&[transfer.await], "Success");
    assert_eq!(engine.database.available(2, "USD").await, "5");
    assert_books_balance(&engine.database.pool).await;
}

/// Lets the first `count` tries to write an entry of wallet 5 fail as PostgreSQL's serializable isolation would. A sequence counts them: it
/// is not rolled back with them.
async fn fail_serialization(database: &TestDatabase, count: u32) {
    database.execute("CREATE SEQUENCE tries").await;
    database
        .execute(format!(
            "CREATE FUNCTION fail_serialization() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('tries') <= {count} THEN
                     RAISE EXCEPTION 'not serializable' USING ERRCODE = '40001';
                 END IF;
                 RETURN NEW;
             END $$"
        ))
        .await;
    database
        .execute(
            "CREATE TRIGGER fail_serialization BEFORE INSERT ON entries
             FOR EACH ROW WHEN (NEW.wallet_id = 5) EXECUTE FUNCTION fail_serialization()",
        )
        .await;
}

#[actix_rt::test]
async fn a_serialization_failure_is_tried_again_and_each_is_counted() {
    let engine = Engine::start(9, |_| {}).await;
    fail_serialization(&engine.database, 3).await;
    assert_all(&[engine.submit(&credit(5, 1)).await], "Success");
    assert_eq!(engine.database.fetch("SELECT last_value FROM tries").await, "4");
    assert_eq!(engine.retries("40001"), 3);
    assert!(engine.metrics.render().contains("purser_store_retries_total{sqlstate=\"40001\"} 3\n"));
    engine.assert_in_line(1).await;
}

#[actix_rt::test]
async fn serialization_failures_that_do_not_end_are_given_a_rest_and_hold_up_their_own_wallet_only() {
    let retries_max = 2;
    let engine = Engine::start(9, |settings| {
        settings.engine.lanes = 1;
        settings.engine.conflict_retries_max = retries_max;
    })
    .await;
    // As often as its first group alone tries, and once more when it comes back.
    fail_serialization(&engine.database, retries_max + 2).await;
    let failing = engine.submit(&credit(5, 1));
    poll_until(PATIENCE, "its tries are used up", async || engine.retries("40001") > u64::from(retries_max)).await;
    let behind = engine.submit(&credit(5, 2));
    let others: Vec<_> = [1, 2, 3, 4, 6, 7, 8, 9].into_iter().map(|wallet| engine.submit(&credit(wallet, 1))).collect();
    assert_all(&join_all(others).await, "Success");
    poll_until(PATIENCE, "it waits in its line with what is behind it", async || engine.processor.in_flight() == 2)
        .await;
    assert_all(&join_all([failing, behind]).await, "Success");
    assert_eq!(engine.retries("40001"), u64::from(retries_max) + 2);
    engine.assert_in_line(10).await;
}

#[actix_rt::test]
async fn a_wallet_that_someone_holds_for_a_while_is_waited_for() {
    let engine = Engine::start(9, |settings| settings.database.lock_timeout_ms = 50).await;
    let mut other = Other::begin(&engine.database).await;
    other.lock(1).await;
    let submission = engine.submit(&credit(1, 1));
    poll_until(PATIENCE, "it is tried again", async || engine.retries("55P03") >= 2).await;
    other.end().await;
    assert_all(&[submission.await], "Success");
    engine.assert_in_line(1).await;
}

#[actix_rt::test]
async fn a_wallet_that_someone_keeps_locked_waits_in_its_order_and_does_not_hold_up_the_others() {
    let engine = Engine::start(9, |settings| {
        settings.engine.lanes = 1;
        settings.database.lock_timeout_ms = 20;
    })
    .await;
    let mut other = Other::begin(&engine.database).await;
    other.lock(5).await;
    let locked: Vec<_> = (1..=30).map(|cents| engine.submit(&credit(5, cents))).collect();
    let free: Vec<_> = (1..=9).filter(|wallet| *wallet != 5).map(|wallet| engine.submit(&credit(wallet, 1))).collect();
    assert_all(&join_all(free).await, "Success");
    poll_until(PATIENCE, "none of the locked wallet's is given up", async || engine.processor.in_flight() == 30).await;
    let later: Vec<_> = (31..=60).map(|cents| engine.submit(&credit(5, cents))).collect();
    other.end().await;
    assert_all(&join_all(locked.into_iter().chain(later)).await, "Success");
    engine.assert_in_line(68).await;
}

#[actix_rt::test]
async fn a_reference_that_someone_else_was_taking_is_looked_up_again() {
    let engine = Engine::start(9, |_| {}).await;
    for (end, expected) in [("COMMIT", "reference_taken"), ("ROLLBACK", "Success")] {
        let mut other = Other::begin(&engine.database).await;
        let take = format!("INSERT INTO transaction_references VALUES ('{end}', gen_random_uuid())");
        other.0.execute(AssertSqlSafe(take)).await.unwrap();
        let second = engine.submit(&format!("invoice 1 5 USD reference {end}"));
        until_someone_waits_for_a_lock(&engine.database).await;
        other.0.execute(end).await.unwrap();
        assert_all(&[second.await], expected);
    }
    assert_eq!(engine.retries("23505"), 1, "the one that found it taken");
    engine.database.execute("DELETE FROM transaction_references WHERE reference = 'COMMIT'").await;
    assert_books_balance(&engine.database.pool).await;
}

#[actix_rt::test]
async fn a_reference_that_someone_keeps_holds_up_who_wants_it_and_nobody_else() {
    let engine = Engine::start(9, |settings| {
        settings.engine.lanes = 1;
        settings.database.lock_timeout_ms = 20;
    })
    .await;
    let mut other = Other::begin(&engine.database).await;
    other.0.execute("INSERT INTO transaction_references VALUES ('r', gen_random_uuid())").await.unwrap();
    let kept = engine.submit("invoice 5 0.01 USD reference r");
    let behind = engine.submit(&credit(5, 2));
    let free: Vec<_> = [1, 2, 3, 4, 6, 7, 8, 9].into_iter().map(|wallet| engine.submit(&credit(wallet, 1))).collect();
    assert_all(&join_all(free).await, "Success");
    assert_eq!(engine.processor.in_flight(), 2, "the others went on without them");
    other.end().await;
    assert_all(&join_all([kept, behind]).await, "Success");
    engine.assert_in_line(10).await;
}

#[actix_rt::test]
async fn two_instances_share_wallets_without_losing_or_repeating_anything() {
    let database = Arc::new(TestDatabase::with_wallets(6).await);
    let engines = [Engine::start_on(Arc::clone(&database), |_| {}), Engine::start_on(Arc::clone(&database), |_| {})];
    let credits: Vec<_> = (1..=6).map(|wallet| engines[0].submit(&format!("invoice {wallet} 100 USD"))).collect();
    assert_all(&join_all(credits).await, "Success");
    let mut submissions = Vec::new();
    for n in 0..300 {
        let (from, to) = (1 + n % 6, 1 + (n + 1 + n / 6 % 5) % 6);
        if from == to {
            continue;
        }
        // Both get every transfer, under the same key; the second to come answers with what the first did.
        for engine in &engines {
            submissions.push(engine.submit(&format!("transfer {from} {to} {}.5 USD n{n}", 1 + n % 40)));
        }
    }
    let count = submissions.len() / 2;
    let answers = join_all(submissions).await;
    for pair in answers.chunks(2) {
        let [a, b] = pair else { panic!("they are pairs") };
        let (a, b) = (a.as_ref().unwrap(), b.as_ref().unwrap());
        assert_eq!(a.result, b.result);
        assert_ne!(a.replay, b.replay, "one did it, one found it done");
    }
    assert_eq!(database.fetch("SELECT trim_scale(sum(available)) FROM balances").await, "600");
    assert_eq!(database.fetch("SELECT count(*) FROM transactions").await, (6 + count).to_string());
    assert_books_balance(&database.pool).await;
}
