//! What idle wallet actors cost: memory while they live, and that they go.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::server::{Load, Names, Server, broker, verify};
use crate::support::database::{self, Scratch};
use crate::table::{Line, Target};
use crate::{Options, progress};

const ACTORS: &str = "purser_wallet_actors ";
/// Most bytes that an idle actor may hold.
const ACTOR_BYTES_MAX: f64 = 2048.0;
const MEBIBYTE: f64 = 1024.0 * 1024.0;
/// Touching all wallets takes a part of this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);

/// Resident memory with no actor, with many, and when they have gone.
pub async fn memory(options: &Options) -> anyhow::Result<Vec<Line>> {
    let (actors_wanted, idle_timeout) =
        if options.quick { (20_000, Duration::from_secs(20)) } else { (200_000, IDLE_TIMEOUT) };
    // Wallets are drawn at random: of half as many again, so many different ones come soon.
    let wallets = actors_wanted * 3 / 2;
    let (scratch, store) = Scratch::open().await?;
    database::insert_wallets(&store, wallets).await?;
    store.close().await;
    let names = Names::new("idle");
    let memory = measure(&scratch, &names, wallets, actors_wanted, idle_timeout).await;
    names.delete(&broker()?).await?;
    let Memory { begun, before, few, with_actors, actors, after } = memory?;
    verify(&scratch)?;
    scratch.drop().await?;

    let mebibytes = |what: String, bytes: u64| Line::figure(what, bytes as f64 / MEBIBYTE, "MiB", Target::Informative);
    let each = with_actors.saturating_sub(before) as f64 / (actors - few) as f64;
    Ok(vec![
        mebibytes("resident memory, just started".to_owned(), begun),
        mebibytes(format!("the same after as much load on {few} wallets"), before),
        mebibytes(format!("the same with {actors} live actors"), with_actors),
        mebibytes("the same when the registry is empty again".to_owned(), after),
        Line::figure("memory of an idle actor", each, "bytes", Target::AtMost(ACTOR_BYTES_MAX)),
    ])
}

/// Bytes and actors, one after the other.
struct Memory {
    begun: u64,
    before: u64,
    few: u64,
    with_actors: u64,
    actors: u64,
    after: u64,
}

async fn measure(
    scratch: &Scratch,
    names: &Names,
    wallets: i64,
    actors_wanted: i64,
    idle_timeout: Duration,
) -> anyhow::Result<Memory> {
    let idle = ("PURSER_ENGINE__ACTOR_IDLE_TIMEOUT_MS", idle_timeout.as_millis().to_string());
    let server = Server::purser(scratch, names, &[idle]).await?;
    let bar = progress("idle actors", 3);

    // The same load on few wallets first: buffers grow to what they need, and stay.
    let load = Load { operations: u64::try_from(wallets)?, warmup: 0, wallets: 9, window: 2000, kind: "invoice" };
    let begun = server.resident_bytes()?;
    load.run(&names.target()).await?;
    let before = server.resident_bytes()?;
    let few = server.metric(ACTORS).await?;
    bar.inc(1);

    // Enough, by the law of the draw, to meet two thirds of them and some more.
    Load { operations: load.operations * 5 / 4, wallets, ..load }.run(&names.target()).await?;
    let actors = server.metric(ACTORS).await?;
    ensure!(
        actors >= u64::try_from(actors_wanted)?,
        "only {actors} wallets have an actor; the first were idle again before the last was touched"
    );
    let with_actors = server.resident_bytes()?;
    bar.inc(1);

    let deadline = Instant::now() + idle_timeout * 3;
    while server.metric(ACTORS).await? > 0 {
        ensure!(Instant::now() < deadline, "actors are still there long after the idle time");
        tokio::time::sleep(POLL).await;
    }
    let after = server.resident_bytes()?;
    bar.finish_and_clear();

    server.stop().await?;
    Ok(Memory { begun, before, few, with_actors, actors, after })
}
