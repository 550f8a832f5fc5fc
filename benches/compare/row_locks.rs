//! The row-lock transactions as they stand beside Purser: each way at the concurrency that suits it best.

use std::time::Duration;

use anyhow::Context;
use indicatif::ProgressBar;

use crate::baseline::row_lock::{Connections, Way};
use crate::support::Stream;
use crate::support::database::Scratch;
use crate::table::{Line, Rounds, Target};

const CONCURRENCIES: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// Steps on the bar while the concurrencies are tried.
pub const TRIALS: usize = Way::ALL.len() * CONCURRENCIES.len();

/// A way with the connections that suit it best, and what it reached.
pub struct Side {
    way: Way,
    concurrency: usize,
    connections: Connections,
    rounds: Rounds,
}

/// Every way, after trying each concurrency with so many operations.
pub async fn sides(
    stream: &mut Stream,
    baseline: &Scratch,
    trial: usize,
    bar: &ProgressBar,
) -> anyhow::Result<Vec<Side>> {
    let mut sides = Vec::new();
    for way in Way::ALL {
        sides.push(best_concurrency(way, stream, baseline, trial, bar).await?);
    }
    Ok(sides)
}

async fn best_concurrency(
    way: Way,
    stream: &mut Stream,
    baseline: &Scratch,
    trial: usize,
    bar: &ProgressBar,
) -> anyhow::Result<Side> {
    let mut best: Option<(f64, Side)> = None;
    for concurrency in CONCURRENCIES {
        let mut connections = Connections::open(baseline, concurrency).await?;
        let operations = stream.by_ref().take(trial).collect();
        let speed = per_second(trial, connections.apply(way, operations).await?);
        bar.suspend(|| eprintln!("  {}, {concurrency} at once: {speed:.0} op/s", way.title()));
        if best.as_ref().is_none_or(|(fastest, _)| speed > *fastest) {
            best = Some((speed, Side { way, concurrency, connections, rounds: Rounds::default() }));
        }
        bar.inc(1);
    }
    best.map(|(_, side)| side).context("there are concurrencies")
}

impl Side {
    /// Applies so many operations one by one.
    pub async fn round(&mut self, stream: &mut Stream, operations: usize) -> anyhow::Result<()> {
        let applied = self.connections.apply(self.way, stream.by_ref().take(operations).collect()).await?;
        self.rounds.push(per_second(operations, applied));
        Ok(())
    }

    /// Purser's rounds beside it.
    pub fn line(&self, what: String, measured: &Rounds, must_reach: f64) -> Line {
        let against = format!("{}, {} at once", self.way.title(), self.concurrency);
        Line::ratio(what, against, "op/s", measured, &self.rounds, Target::AtLeast(must_reach))
    }
}

/// Operations a second.
pub fn per_second(operations: usize, time: Duration) -> f64 {
    operations as f64 / time.as_secs_f64()
}
