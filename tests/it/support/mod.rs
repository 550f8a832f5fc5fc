//! What the tests share: a fresh database and fresh broker names for each, the app in-process or as a process, and patience.
//!
//! Nothing here knows what is being tested.

pub mod amqp;
pub mod app;
pub mod audit;
pub mod database;
pub mod golden;
pub mod operations;
pub mod proxy;
pub mod requests;
pub mod round_robin;
pub mod server;
pub mod tls;

use std::time::{Duration, Instant};

pub use amqp::{Amqp, Line, Message, Names};
pub use app::TestApp;
pub use audit::{assert_books_balance, breaches};
pub use database::TestDatabase;
pub use operations::{Script, operation};
pub use proxy::{LossyProxy, Proxy};
pub use round_robin::RoundRobin;
pub use server::Server;

/// Long enough for a slow machine that does other things too; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where the PostgreSQL for tests is.
pub fn database_url() -> String {
    environment("DATABASE_URL")
}

/// Where the RabbitMQ for tests is.
pub fn amqp_url() -> String {
    environment("AMQP_URL")
}

fn environment(name: &str) -> String {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!("{name} is not set: run `make test`, which starts PostgreSQL and RabbitMQ and sets it"),
    }
}

/// Asks `question` again and again until it answers `Some`, and gives that; panics with `what` when `deadline` has passed.
pub async fn poll<T, F>(deadline: Duration, what: &str, mut question: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(began.elapsed() < deadline, "waited {deadline:?} in vain: {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// [`poll`] for questions that are answered with yes or no.
pub async fn poll_until<F>(deadline: Duration, what: &str, mut question: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    poll(deadline, what, || {
        let answer = question();
        async { answer.await.then_some(()) }
    })
    .await;
}

/// A name that no other test has, of at most 32 lower-case characters.
pub fn unique(prefix: &str) -> String {
    let random = uuid::Uuid::now_v7().simple().to_string();
    // The last digits are random, the first are the time and nearly the same for all tests of a run.
    format!("{prefix}_{}", &random[random.len() - 14..])
}

/// Runs something asynchronous to its end where nothing may be awaited, such as in a `Drop`.
fn block_on_aside<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> T {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(task)
    })
    .join()
    .expect("the clean-up does not panic")
}
