//! One operation at a time over each of many HTTP connections, beside row-lock transactions that have no HTTP in front of them.

use crate::baseline::row_lock::{self, Way};
use crate::row_locks;
use crate::server::{Load, Names, Server, verify};
use crate::support::database::{self, Scratch};
use crate::support::{Spread, Stream, WALLETS_MANY};
use crate::table::{Line, Rounds};
use crate::{Options, progress};

/// Connections, each with one operation outstanding.
const CONNECTIONS: u32 = 64;

/// One hot wallet, and many.
pub async fn beside_row_locks(options: &Options) -> anyhow::Result<Vec<Line>> {
    let (scratch, store) = Scratch::open().await?;
    let (baseline, baseline_store) = Scratch::open().await?;
    database::insert_wallets(&store, WALLETS_MANY).await?;
    database::fund(&baseline_store, WALLETS_MANY).await?;
    row_lock::prepare(&baseline).await?;
    store.close().await;
    baseline_store.close().await;

    // No name of these is ever used: without the broker, what is measured is HTTP alone.
    let without_broker = ("PURSER_BROKER__ENABLED", "false".to_owned());
    let server = Server::purser(&scratch, &Names::new("http"), &[without_broker]).await?;
    let mut lines = Vec::new();
    for (spread, must_reach) in [(Spread::OneHot, 5.0), (Spread::Even(WALLETS_MANY), 1.0)] {
        lines.extend(one_spread(options, spread, must_reach, &server, &baseline).await?);
    }
    server.stop().await?;
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
    server: &Server,
    baseline: &Scratch,
) -> anyhow::Result<Vec<Line>> {
    let (operations, one_by_one, trial) = if options.quick { (10_000, 4_000, 1_000) } else { (80_000, 20_000, 8_000) };
    // Withdrawals, as beside it. What gives the wallets their money comes before the measuring.
    let load =
        Load { operations, warmup: operations / 8, wallets: spread.wallets(), window: CONNECTIONS, kind: "withdraw" };
    let bar = progress(&format!("HTTP, {spread}"), row_locks::TRIALS + options.rounds() * (Way::ALL.len() + 1));
    let mut stream = Stream::new(spread);
    let mut sides = row_locks::sides(&mut stream, baseline, trial, &bar).await?;
    let mut served = Rounds::default();
    for _ in 0..options.rounds() {
        served.push(load.run(&server.target()).await?.operations_per_second);
        bar.inc(1);
        for side in &mut sides {
            side.round(&mut stream, one_by_one).await?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let what = format!("HTTP request, commit, answer, {CONNECTIONS} connections, {spread}");
    Ok(sides.iter().map(|side| side.line(what.clone(), &served, must_reach)).collect())
}
