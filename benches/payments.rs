//! System 003's own benchmark, `BenchmarkMakePaymentParallel`, over HTTP: 3,000 payments by 8 workers, nanoseconds per payment beside its authors' figure.
//!
//! Theirs called a function of the service; here every payment is a request on a connection that stays open, and its answer.

#![allow(clippy::float_arithmetic, reason = "times, not money")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use purser::app::App;
use purser::settings::{Secret, Settings};
use purser::store::audit::{Audit, questions};
use rand::Rng;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use support::database::Scratch;
use tokio::sync::oneshot;

/// What its README prints: nanoseconds per payment, on its author's notebook.
const AUTHORS_NS: u128 = 413_359;
const PAYMENTS: usize = 3000;
const WORKERS: usize = 8;
/// The median of so many runs counts; one before them is for warming up.
const ROUNDS: usize = 7;
const NOES: [&str; 4] = [
    "Could not make payment to self",
    "Amount should be positive",
    "Buyer account does not have sufficient balance",
    "Payment allowed only when account currencies match",
];

/// Between which accounts payments go.
#[derive(Clone, Debug)]
struct Scene {
    name: &'static str,
    accounts: Vec<i64>,
}

/// One run.
#[derive(Clone, Copy, Debug)]
struct Run {
    time: Duration,
    made: usize,
}

impl Run {
    fn ns_per_payment(&self) -> u128 {
        self.time.as_nanos() / PAYMENTS as u128
    }
}

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` runs benchmarks, too; this one is for `cargo bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    tokio::runtime::Runtime::new()?.block_on(bench())
}

async fn bench() -> anyhow::Result<()> {
    let (scratch, store) = Scratch::open().await?;
    let statement = "INSERT INTO currencies (code, number, scale) VALUES ('RUB', 2, 2)";
    sqlx::query(statement).execute(store.read_pool()).await?;

    let server = Server::start(&scratch).await?;
    println!("{PAYMENTS} payments over HTTP by {WORKERS} workers, median of {ROUNDS} runs (lowest to highest)");
    for scene in [authors_scene(&server).await?, funded_scene(&server).await?] {
        measure(&server, &scene).await?;
    }
    println!("its authors, in process on a notebook: {} ns per payment", grouped(AUTHORS_NS));
    server.stop().await?;

    ensure_books_balance(&scratch).await?;
    store.close().await;
    scratch.drop().await
}

/// As its authors have it: 99 accounts, 500 USD and 600 RUB among them; most payments are refused.
async fn authors_scene(server: &Server) -> anyhow::Result<Scene> {
    let mut accounts = vec![server.account("authors 0", "500", 1).await?, server.account("authors 1", "600", 2).await?];
    for number in 1..98 {
        accounts.push(server.account(&format!("authors zero {number}"), "0", number % 2 + 1).await?);
    }
    Ok(Scene { name: "their accounts, most payments refused", accounts })
}

/// As many accounts in one currency with more than is ever paid: nearly every payment is made.
async fn funded_scene(server: &Server) -> anyhow::Result<Scene> {
    let mut accounts = Vec::new();
    for number in 0..99 {
        accounts.push(server.account(&format!("funded {number}"), "1000000", 1).await?);
    }
    Ok(Scene { name: "funded accounts, nearly every payment made", accounts })
}

async fn measure(server: &Server, scene: &Scene) -> anyhow::Result<()> {
    run(server, scene).await?;
    let mut runs = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        runs.push(run(server, scene).await?);
    }
    runs.sort_unstable_by_key(Run::ns_per_payment);
    let median = runs[ROUNDS / 2];
    println!(
        "{}: {} ns per payment ({} to {}), {:.2} x as fast as its authors' {}; {} of {PAYMENTS} made",
        scene.name,
        grouped(median.ns_per_payment()),
        grouped(runs[0].ns_per_payment()),
        grouped(runs[ROUNDS - 1].ns_per_payment()),
        AUTHORS_NS as f64 / median.ns_per_payment() as f64,
        grouped(AUTHORS_NS),
        median.made,
    );
    Ok(())
}

async fn run(server: &Server, scene: &Scene) -> anyhow::Result<Run> {
    let left = Arc::new(AtomicUsize::new(PAYMENTS));
    let began = Instant::now();
    let workers = (0..WORKERS).map(|_| {
        let (client, url, accounts) = (server.client.clone(), server.url("/payments"), scene.accounts.clone());
        let left = Arc::clone(&left);
        async move { tokio::spawn(work(client, url, accounts, left)).await? }
    });
    let made = try_join_all(workers).await?.into_iter().sum();
    Ok(Run { time: began.elapsed(), made })
}

/// Takes payments until none is left, one at a time. Returns how many were made.
async fn work(client: Client, url: String, accounts: Vec<i64>, left: Arc<AtomicUsize>) -> anyhow::Result<usize> {
    let mut made = 0;
    let one_less = |left: usize| left.checked_sub(1);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
        let payment = {
            let mut random = rand::rng();
            let mut any = || accounts[random.random_range(0..accounts.len())];
            let (buyer, seller) = (any(), any());
            let (whole, cents) = (random.random_range(0..10), random.random_range(0..100));
            json!({ "BuyerAccountID": buyer, "SellerAccountID": seller, "Amount": format!("{whole}.{cents:02}") })
        };
        let response = client.post(&url).json(&payment).send().await?;
        let status = response.status();
        let answer: Value = response.json().await?;
        let is_refused =
            status == StatusCode::BAD_REQUEST && answer["Error"].as_str().is_some_and(|no| NOES.contains(&no));
        ensure!(status == StatusCode::OK || is_refused, "{payment}: {status} {answer}");
        made += usize::from(status == StatusCode::OK);
    }
    Ok(made)
}

/// Purser in this process, on a thread of its own.
struct Server {
    address: std::net::SocketAddr,
    client: Client,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<anyhow::Result<()>>,
}

impl Server {
    async fn start(scratch: &Scratch) -> anyhow::Result<Self> {
        let mut settings = Settings::load(None)?;
        settings.database.url = Secret::new(scratch.url());
        settings.broker.enabled = false;
        settings.http.listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let (started, start) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(async move {
                let app = App::start(settings).await?;
                started.send(app.http_addr()).ok();
                stopped.await.ok();
                app.stop().await;
                Ok(())
            })
        });
        let address = start.await.context("Purser did not start")?;
        Ok(Self { address, client: Client::new(), stop, thread })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Makes an account and gives its id: that of the last in the list.
    async fn account(&self, name: &str, amount: &str, currency: i64) -> anyhow::Result<i64> {
        let account = json!({ "Name": name, "Amount": amount, "CurrencyID": currency });
        self.client.post(self.url("/accounts")).json(&account).send().await?.error_for_status()?;
        let list: Value = self.client.get(self.url("/accounts")).send().await?.json().await?;
        let last = list["Accounts"].as_array().and_then(|accounts| accounts.last()?["ID"].as_i64());
        last.context("the account is in the list")
    }

    async fn stop(self) -> anyhow::Result<()> {
        drop(self.stop);
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await?;
        joined.map_err(|_| anyhow::anyhow!("Purser panicked"))?
    }
}

async fn ensure_books_balance(scratch: &Scratch) -> anyhow::Result<()> {
    let mut connection = scratch.connect().await?;
    let mut audit = Audit::begin(&mut connection).await?;
    for question in questions::all() {
        let breaches = audit.ask(question).await?;
        ensure!(breaches.is_empty(), "the books are wrong: {breaches:?}");
    }
    audit.end().await?;
    Ok(())
}

/// With a comma between thousands.
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let separated = digits.char_indices().map(|(index, digit)| {
        let is_between = index > 0 && (digits.len() - index).is_multiple_of(3);
        if is_between { format!(",{digit}") } else { digit.to_string() }
    });
    separated.collect()
}
