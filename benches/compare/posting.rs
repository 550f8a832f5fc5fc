//! Posting beside row-lock transactions, and small batches beside large ones as the tables grow.

use std::time::Duration;

use indicatif::ProgressBar;
use purser::store::Store;

use crate::baseline::row_lock::{self, Way};
use crate::row_locks::{self, per_second};
use crate::server::verify;
use crate::support::database::{self, Scratch};
use crate::support::lanes::Work;
use crate::support::{Spread, Stream, WALLETS_MANY};
use crate::table::{Line, Rounds, Target};
use crate::{Options, progress};

/// Two at once, on two cores: one reads and decides while the other commits. Beside a broker one is the fastest, see `engine.lanes`.
const LANES: usize = 2;
const BATCHES: [usize; 3] = [500, 1000, 2000];

/// How much is done for one figure.
struct Sizes {
    /// Posted in a round.
    posted: usize,
    /// Applied one by one in a round.
    one_by_one: usize,
    /// Of that, to choose a way and a concurrency.
    trial: usize,
}

impl Sizes {
    fn of(options: &Options) -> Self {
        if options.quick {
            return Self { posted: 50_000, one_by_one: 4_000, trial: 1_000 };
        }
        Self { posted: 200_000, one_by_one: 20_000, trial: 8_000 }
    }
}

/// Rows 1 and 2: posting beside one row-lock transaction per operation.
pub async fn beside_row_locks(options: &Options) -> anyhow::Result<Vec<Line>> {
    let lanes = LANES;
    let (scratch, store) = Scratch::open().await?;
    let (baseline, baseline_store) = Scratch::open().await?;
    database::fund(&store, WALLETS_MANY).await?;
    database::fund(&baseline_store, WALLETS_MANY).await?;
    row_lock::prepare(&baseline).await?;

    let mut lines = Vec::new();
    for (spread, must_reach) in [(Spread::Even(WALLETS_MANY), 8.0), (Spread::OneHot, 25.0)] {
        lines.extend(one_spread(options, spread, must_reach, lanes, &store, &baseline).await?);
    }
    store.close().await;
    baseline_store.close().await;
    for scratch in [scratch, baseline] {
        verify(&scratch)?;
        scratch.drop().await?;
    }
    Ok(lines)
}

async fn one_spread(
    options: &Options,
    spread: Spread,
    must_reach: f64,
    lanes: usize,
    store: &Store,
    baseline: &Scratch,
) -> anyhow::Result<Vec<Line>> {
    let sizes = Sizes::of(options);
    let steps = row_locks::TRIALS + BATCHES.len() + options.rounds() * (Way::ALL.len() + 1);
    let bar = progress(&format!("posting, {spread}"), steps);
    let mut stream = Stream::new(spread);

    let mut sides = row_locks::sides(&mut stream, baseline, sizes.trial, &bar).await?;
    let batch = best_batch(&mut stream, lanes, store, &sizes, &bar).await?;

    let mut posted = Rounds::default();
    for _ in 0..options.rounds() {
        let work = Work::share_out(stream.by_ref().take(sizes.posted), lanes, batch);
        posted.push(per_second(sizes.posted, work.post(store).await?));
        bar.inc(1);
        for side in &mut sides {
            side.round(&mut stream, sizes.one_by_one).await?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();

    let what = format!("posting, {spread}, batches of {batch}");
    Ok(sides.iter().map(|side| side.line(what.clone(), &posted, must_reach)).collect())
}

async fn best_batch(
    stream: &mut Stream,
    lanes: usize,
    store: &Store,
    sizes: &Sizes,
    bar: &ProgressBar,
) -> anyhow::Result<usize> {
    let mut best = (0.0, BATCHES[0]);
    for batch in BATCHES {
        let work = Work::share_out(stream.by_ref().take(sizes.posted), lanes, batch);
        let speed = per_second(sizes.posted, work.post(store).await?);
        bar.suspend(|| eprintln!("  posting, batches of {batch}: {speed:.0} op/s"));
        if speed > best.0 {
            best = (speed, batch);
        }
        bar.inc(1);
    }
    Ok(best.1)
}

/// Row 3: the time per operation in batches of 100 beside batches of 500, from empty tables on, over the same connections and the
/// statements that were prepared while there was nothing in the tables.
pub async fn as_tables_grow(options: &Options) -> anyhow::Result<Vec<Line>> {
    let (levels, measured): (&[usize], usize) =
        if options.quick { (&[0, 100_000], 10_000) } else { (&[0, 100_000, 500_000, 1_000_000, 2_000_000], 20_000) };
    let lanes = LANES;
    let (scratch, store) = Scratch::open().await?;
    database::fund(&store, WALLETS_MANY).await?;

    let mut stream = Stream::new(Spread::Even(WALLETS_MANY));
    let bar = progress("posting as tables grow", levels.len() * options.rounds());
    let mut rows = 0;
    let mut lines = Vec::new();
    for level in levels {
        while rows < *level {
            let operations = (level - rows).min(100_000);
            Work::share_out(stream.by_ref().take(operations), lanes, 1000).post(&store).await?;
            rows += operations;
        }
        let (mut small, mut large) = (Rounds::default(), Rounds::default());
        let begun_at = rows;
        for _ in 0..options.rounds() {
            for (batch, rounds) in [(100, &mut small), (500, &mut large)] {
                let work = Work::share_out(stream.by_ref().take(measured), lanes, batch);
                rounds.push(microseconds_each(measured, work.post(&store).await?));
                rows += measured;
            }
            bar.inc(1);
        }
        lines.push(Line::ratio(
            format!("posting in batches of 100, from {begun_at} transactions on"),
            "batches of 500",
            "us/op",
            &small,
            &large,
            Target::AtMost(2.0),
        ));
    }
    bar.finish_and_clear();
    store.close().await;
    scratch.drop().await?;
    Ok(lines)
}

fn microseconds_each(operations: usize, time: Duration) -> f64 {
    time.as_secs_f64() * 1e6 / operations as f64
}
