//! The load generator: keeps operations outstanding, over AMQP or HTTP, and measures how they come back.
//!
//! Cheap per operation, so that it measures the server and not itself. The ways over AMQP and HTTP are in files of their own.

mod amqp;
mod http;
mod orders;
mod report;
mod slots;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;

use super::failure::Failure;
use crate::settings::{Broker, Secret};
pub use orders::Mix;
use orders::Order;
pub use report::Report;

/// After a stop, how long what is outstanding may still take.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the load goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// Over AMQP.
    Broker {
        /// Which broker.
        broker: Broker,
        /// Where to publish there.
        route: Route,
    },
    /// Over HTTP, to `/v1`: one operation outstanding on each of as many connections as the window has places.
    Http {
        /// Where HTTP is served, without TLS.
        address: SocketAddr,
        /// For a server that asks for one.
        api_key: Option<Secret>,
    },
}

/// Where to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// An exchange, with the operation as the routing key.
    Exchange(String),
    /// Straight to a queue: for a server that echoes and knows no operations.
    Queue(String),
}

/// What load to make.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where it goes.
    pub target: Target,
    /// Which operations.
    pub mix: Mix,
    /// How many are measured.
    pub operations: u64,
    /// How many come before those, unmeasured.
    pub warmup: u64,
    /// The operations are spread over the wallets 1 to this.
    pub wallets: u32,
    /// Their currency; it must allow two decimals.
    pub currency: String,
    /// How many are outstanding at a time.
    pub window: usize,
    /// The longest to wait for the next reply; over HTTP for each.
    pub reply_timeout: Duration,
}

/// Follows a load from outside, and stops it.
#[derive(Debug, Default)]
pub struct Watch {
    answered: AtomicU64,
    is_measuring: AtomicBool,
    stop: watch::Sender<bool>,
}

impl Watch {
    /// Measured operations answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Whether the measured part has begun.
    pub fn is_measuring(&self) -> bool {
        self.is_measuring.load(Relaxed)
    }

    /// Asks nothing more. What was measured so far is reported.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    async fn stopped(&self) {
        // It cannot fail: the sender is in `self`.
        let _ = self.stop.subscribe().wait_for(|is_stopped| *is_stopped).await;
    }
}

impl Load {
    /// Makes the load and measures it, with someone watching.
    ///
    /// # Errors
    /// When the server cannot be reached or is lost, the wallets cannot be used, or what comes before the measuring is not answered.
    pub async fn run_watched(&self, watch: &Watch) -> anyhow::Result<Report> {
        match &self.target {
            Target::Broker { broker, route } => amqp::run(self, broker, route, watch).await,
            Target::Http { address, api_key } => http::run(self, *address, api_key.as_ref(), watch).await,
        }
    }

    /// Everything that is asked, in its stages; returns what was measured.
    async fn carry_out(&self, way: &mut impl Way, watch: &Watch) -> anyhow::Result<Report> {
        way.probe().await?;
        if self.mix.needs_funds() && way.keeps_books() {
            let units = (self.operations + self.warmup).saturating_mul(orders::UNITS_PER_OPERATION);
            let fund = |wallet| Order::Fund { wallet, units };
            let funded = complete(way.ask(u64::from(self.wallets), fund, false).await?)?;
            if let Some(reason) = funded.first_refusal {
                return Err(refused(self.wallets, &reason).into());
            }
        }
        complete(way.ask(self.warmup, Order::Measured, false).await?)?;
        watch.is_measuring.store(true, Relaxed);
        // The warm-up's orders are not repeated: other wallets, other kinds.
        way.ask(self.operations, |number| Order::Measured(self.warmup + number), true).await
    }
}

/// How orders get to the server and its answers back.
trait Way {
    /// Whether it applies what is asked: a server that only echoes needs no funds.
    fn keeps_books(&self) -> bool;

    /// Sees that somebody answers and that the wallets are there, and changes nothing.
    async fn probe(&mut self) -> anyhow::Result<()>;

    /// Asks the orders `0..count`, and waits until all are answered or no answer comes any more.
    async fn ask(&mut self, count: u64, order: impl Fn(u64) -> Order, is_measured: bool) -> anyhow::Result<Report>;
}

/// What comes before the measuring must be answered in full; without the server there is nothing to measure.
fn complete(report: Report) -> anyhow::Result<Report> {
    if report.missing > 0 && !report.is_interrupted {
        let what = format!("{} operations before the measured ones have no reply", report.missing);
        return Err(Failure::new(what, "look at the log of `purser serve`").into());
    }
    Ok(report)
}

fn refused(wallets: u32, reason: &str) -> Failure {
    let hint = format!("are there that many wallets? `purser seed --wallets {wallets}` adds what is missing");
    Failure::new(format!("the wallets 1-{wallets} cannot be used: {reason}"), hint)
}

fn nobody_answered(waited: Duration) -> Failure {
    let what = format!("nobody answered within {} s", waited.as_secs());
    Failure::new(what, "is `purser serve` running, and is the database there?")
}
