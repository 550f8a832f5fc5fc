//! The engine on a real PostgreSQL: each wallet's operations stay in line and every one is answered, whatever happens below.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use purser::engine::{Processor, SubmitError};
use purser::ledger::{Answer, Outcome};
use purser::settings::{Secret, Settings};
use purser::store::Store;
use purser::telemetry::Metrics;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::support::{LossyProxy, PATIENCE, TestDatabase, assert_books_balance, operation, poll_until};

type Submitted = Result<Outcome, SubmitError>;

/// A processor on a database of its own.
struct Engine {
    processor: Processor,
    metrics: Arc<Metrics>,
    // Last: the database is dropped when nothing uses it any more.
    database: Arc<TestDatabase>,
}

impl Engine {
    async fn start(wallets: i64, adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::start_on(Arc::new(TestDatabase::with_wallets(wallets).await), adjust)
    }

    fn start_on(database: Arc<TestDatabase>, adjust: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = database.settings();
        settings.engine.reconnect_pause_max_ms = 200;
        adjust(&mut settings);
        let store = Store::new(&settings.database).expect("the address is well-formed");
        let metrics = Arc::new(Metrics::new());
        let processor = Processor::start(store, &settings.engine, Arc::clone(&metrics));
        Self { processor, metrics, database }
    }

    fn submit(&self, sentence: &str) -> impl Future<Output = Submitted> + Send + 'static + use<> {
        self.processor.submit(operation(sentence))
    }

    fn retries(&self, sqlstate: &str) -> u64 {
        self.metrics.store_retries.with_label_values(&[sqlstate]).get()
    }

    /// Batches tried again, whatever for.
    fn tries(&self) -> i64 {
        let metrics = self.metrics.render();
        let lines = metrics.lines().filter(|line| line.starts_with("purser_store_retries_total{"));
        lines.map(|line| line.rsplit(' ').next().and_then(|count| count.parse::<i64>().ok()).unwrap_or_default()).sum()
    }

    /// The `n`-th line of each wallet is the `n`-th operation, whose amount is `n` cents; `count` in all, each once.
    async fn assert_in_line(&self, count: usize) {
        let out_of_line = "SELECT count(*) FROM entries WHERE available_delta * 100 <> seq";
        assert_eq!(self.database.fetch(out_of_line).await, "0");
        assert_eq!(self.database.fetch("SELECT count(*) FROM transactions").await, count.to_string());
        assert_eq!(self.database.fetch("SELECT count(*) FROM entries").await, count.to_string());
        assert_books_balance(&self.database.pool).await;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.processor.stop();
    }
}

/// A credit of `cents`, which tell its place in its wallet's line.
fn credit(wallet: i64, cents: usize) -> String {
    format!("invoice {wallet} {}.{:02} USD", cents / 100, cents % 100)
}

fn word(submitted: &Submitted) -> &'static str {
    match submitted {
        Ok(outcome) => outcome.label(),
        Err(SubmitError::ShuttingDown) => "shutting down",
        Err(SubmitError::Abandoned) => "abandoned",
        Err(SubmitError::Store(_)) => "refused by the store",
    }
}

fn assert_all(submitted: &[Submitted], expected: &str) {
    let odd: Vec<_> = submitted.iter().map(word).filter(|word| *word != expected).collect();
    assert!(odd.is_empty(), "{} of {} are not {expected}: {odd:?}", odd.len(), submitted.len());
}

#[actix_rt::test]
async fn each_wallets_operations_stay_in_the_order_of_their_submission() {
    let engine = Engine::start(20, |_| {}).await;
    let mut submissions = Vec::new();
    for cents in 1..=200 {
        for wallet in 1..=20 {
            submissions.push(engine.submit(&credit(wallet, cents)));
        }
    }
    assert_all(&join_all(submissions).await, "Success");
    engine.assert_in_line(4000).await;
}

#[actix_rt::test]
async fn answers_come_in_the_wallets_order() {
    let engine = Engine::start(9, |settings| settings.engine.batch_max = 7).await;
    let answered = Arc::new(Mutex::new(Vec::new()));
    for n in 0..100 {
        let answered = Arc::clone(&answered);
        engine.processor.submit_with(operation("invoice 1 1 USD"), move |_| answered.lock().unwrap().push(n));
    }
    assert_eq!(engine.processor.drain(PATIENCE).await, 0);
    assert_eq!(*answered.lock().unwrap(), (0..100).collect::<Vec<_>>());
}

#[actix_rt::test]
async fn a_balance_sees_everything_that_was_accepted_before_it_and_nothing_after() {
    let engine = Engine::start(9, |_| {}).await;
    let mut submissions = Vec::new();
    for _ in 0..50 {
        submissions.push(engine.submit("invoice 1 1 USD"));
        submissions.push(engine.submit("balance 1"));
    }
    let read =
        join_all(submissions).await.into_iter().filter_map(|submitted| match submitted.unwrap().result.unwrap() {
            Answer::Balances(lines) => Some(lines[0].balance.available.to_string()),
            _ => None,
        });
    assert_eq!(read.collect::<Vec<_>>(), (1..=50).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[actix_rt::test]
async fn actors_that_are_idle_disappear() {
    let engine = Engine::start(200, |settings| settings.engine.actor_idle_timeout_ms = 20).await;
    let submissions: Vec<_> = (1..=200).map(|wallet| engine.submit(&credit(wallet, 1))).collect();
    assert_all(&join_all(submissions).await, "Success");
    poll_until(PATIENCE, "no actor is left", async || engine.processor.actors() == 0).await;
    poll_until(PATIENCE, "the gauge says so", async || engine.metrics.wallet_actors.get() == 0).await;
    assert_all(&[engine.submit(&credit(1, 2)).await], "Success");
    assert_eq!(engine.metrics.actor_panics.with_label_values(&["wallet"]).get(), 0);
    engine.assert_in_line(201).await;
}

#[actix_rt::test]
async fn submissions_around_the_idle_time_are_neither_lost_nor_reordered() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let engine = Engine::start(8, |settings| settings.engine.actor_idle_timeout_ms = 1).await;
    let (per_wallet, threads) = (400, 4);
    // Each thread has two wallets of its own, so that an order is known; the pauses end around the idle time.
    let storm = (0..threads).map(|thread| {
        let processor = engine.processor.clone();
        std::thread::spawn(move || {
            let mut random = StdRng::seed_from_u64(seed + thread);
            let wallets = [1 + 2 * thread as i64, 2 + 2 * thread as i64];
            let mut submissions = Vec::new();
            for cents in 1..=per_wallet {
                for wallet in wallets {
                    submissions.push(processor.submit(operation(&credit(wallet, cents))));
                }
                if random.random_bool(0.3) {
                    std::thread::sleep(Duration::from_micros(random.random_range(0..6_000)));
                }
            }
            submissions
        })
    });
    let storm: Vec<_> = storm.collect();
    // Polled, not joined: the processor must not wait for this thread.
    poll_until(PATIENCE, "the storm is over", async || storm.iter().all(|thread| thread.is_finished())).await;
    let submissions: Vec<_> = storm.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_all(&join_all(submissions).await, "Success");
    engine.assert_in_line(8 * per_wallet).await;
    poll_until(PATIENCE, "no actor is left", async || engine.processor.actors() == 0).await;
}

#[actix_rt::test]
async fn wallets_whose_actors_have_gone_go_on_where_they_were() {
    let engine = Engine::start(9, |settings| settings.engine.actor_idle_timeout_ms = 1).await;
    for cents in 1..=30 {
        let submission = engine.submit(&credit(1, cents));
        assert_all(&[submission.await], "Success");
        poll_until(PATIENCE, "the actor has gone", async || engine.processor.actors() == 0).await;
    }
    engine.assert_in_line(30).await;
}

#[actix_rt::test]
async fn a_drain_answers_everything_that_was_accepted_and_then_nothing_gets_in() {
    let engine = Engine::start(20, |_| {}).await;
    let submissions: Vec<_> = (1..=50)
        .flat_map(|cents| (1..=20).map(move |wallet| credit(wallet, cents)))
        .map(|said| engine.submit(&said))
        .collect();
    assert_eq!(engine.processor.drain(PATIENCE).await, 0);
    assert_eq!(engine.processor.in_flight(), 0);
    assert_all(&[engine.submit(&credit(1, 51)).await], "shutting down");
    assert_all(&join_all(submissions).await, "Success");
    engine.assert_in_line(1000).await;
}

#[actix_rt::test]
async fn a_drain_that_runs_out_of_time_says_how_much_is_left_and_answers_it() {
    let engine = Engine::start(9, |settings| settings.database.acquire_timeout_ms = 100).await;
    engine.database.alter("ALLOW_CONNECTIONS false").await;
    let submissions: Vec<_> = (1..=9).map(|wallet| engine.submit(&credit(wallet, 1))).collect();
    assert_eq!(engine.processor.drain(Duration::from_millis(50)).await, 9);
    assert_all(&join_all(submissions).await, "abandoned");
    poll_until(PATIENCE, "nothing is in flight", async || engine.processor.in_flight() == 0).await;
    engine.database.alter("ALLOW_CONNECTIONS true").await;
    engine.assert_in_line(0).await;
}

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
    assert_eq!(engine.processor.in_flight(), 30, "none of the locked wallet's is given up");
    let later: Vec<_> = (31..=60).map(|cents| engine.submit(&credit(5, cents))).collect();
    other.end().await;
    assert_all(&join_all(locked.into_iter().chain(later)).await, "Success");
    engine.assert_in_line(68).await;
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
