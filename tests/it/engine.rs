//! The engine on a real PostgreSQL: each wallet's operations stay in line and every one is answered, whatever happens below.

mod conflicts;
mod panics;
mod trouble;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use purser::engine::{Processor, SubmitError};
use purser::ledger::{Answer, Outcome};
use purser::settings::Settings;
use purser::store::Store;
use purser::telemetry::Metrics;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::{PATIENCE, TestDatabase, assert_books_balance, operation, poll_until};

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
        self.assert_no_gap().await;
        assert_eq!(self.database.fetch("SELECT count(*) FROM transactions").await, count.to_string());
        assert_eq!(self.database.fetch("SELECT count(*) FROM entries").await, count.to_string());
    }

    /// The same of those that were applied, however many.
    async fn assert_no_gap(&self) {
        let out_of_line = "SELECT count(*) FROM entries WHERE available_delta * 100 <> seq";
        assert_eq!(self.database.fetch(out_of_line).await, "0");
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
        Err(SubmitError::Panicked) => "panicked",
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
