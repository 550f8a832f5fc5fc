//! The whole way beside a bare echo: RabbitMQ, wallet actors, PostgreSQL and back, each program in a process of its own.

use crate::baseline::echo::Manner;
use crate::server::{Load, Names, Server, broker, verify};
use crate::support::WALLETS_MANY;
use crate::support::database::{self, Scratch};
use crate::table::{Line, Rounds, Target};
use crate::{Options, progress};

/// Operations outstanding at a time.
const WINDOW: u32 = 2000;

/// Rows 4 to 6.
pub async fn beside_an_echo(options: &Options) -> anyhow::Result<Vec<Line>> {
    let (scratch, store) = Scratch::open().await?;
    database::insert_wallets(&store, WALLETS_MANY).await?;
    store.close().await;
    let (purser_names, echo_names, bulk_names) = (Names::new("purser"), Names::new("echo"), Names::new("bulk"));
    let figures = measure(options, &scratch, &purser_names, &echo_names, &bulk_names).await;
    // The broker is left as it was found, whatever happened.
    let broker = broker()?;
    purser_names.delete(&broker).await?;
    echo_names.delete(&broker).await?;
    bulk_names.delete(&broker).await?;
    let figures = figures?;
    verify(&scratch)?;
    scratch.drop().await?;

    let [echo_many, bulk_many, purser_many, purser_hot, echo_one, purser_one] = &figures;
    let way = "AMQP request, commit, reply";
    Ok(vec![
        Line::ratio(
            format!("{way}, {WALLETS_MANY} wallets"),
            format!("plain echo, window {WINDOW} as well"),
            "op/s",
            purser_many,
            echo_many,
            Target::AtLeast(0.7),
        ),
        Line::ratio(
            format!("{way}, {WALLETS_MANY} wallets"),
            "an echo that acknowledges before its replies are written",
            "op/s",
            purser_many,
            bulk_many,
            Target::AtLeast(0.7),
        ),
        Line::ratio(
            format!("{way}, one hot wallet"),
            format!("the same over {WALLETS_MANY} wallets"),
            "op/s",
            purser_hot,
            purser_many,
            Target::AtLeast(0.9),
        ),
        Line::difference(
            format!("{way}, one operation at a time, p50"),
            "plain echo's p50",
            "ms",
            purser_one,
            echo_one,
            Target::AtMost(2.0),
        ),
    ])
}

/// Starts the servers and takes the figures: both echoes over many wallets, Purser over many, Purser on one, the echo and Purser one operation
/// at a time.
async fn measure(
    options: &Options,
    scratch: &Scratch,
    purser_names: &Names,
    echo_names: &Names,
    bulk_names: &Names,
) -> anyhow::Result<[Rounds; 6]> {
    let purser = Server::purser(scratch, purser_names, &[]).await?;
    let echo = Server::echo(echo_names, Manner::Plain)?;
    let bulk = Server::echo(bulk_names, Manner::Bulk)?;
    let (operations, one_at_a_time) = if options.quick { (10_000, 300) } else { (80_000, 3_000) };
    let full = Load { operations, warmup: operations / 8, wallets: WALLETS_MANY, window: WINDOW, kind: "invoice" };
    let one = Load {
        operations: one_at_a_time,
        warmup: one_at_a_time / 10,
        wallets: WALLETS_MANY,
        window: 1,
        kind: "invoice",
    };
    let steps = [
        (full, echo_names),
        (full, bulk_names),
        (full, purser_names),
        (Load { wallets: 1, ..full }, purser_names),
        (one, echo_names),
        (one, purser_names),
    ];
    let mut figures: [Rounds; 6] = Default::default();
    let bar = progress("AMQP", steps.len() * options.rounds());
    for _ in 0..options.rounds() {
        for ((load, names), rounds) in steps.iter().zip(&mut figures) {
            let measured = load.run(&names.target()).await?;
            rounds.push(match load.window {
                1 => measured.latency_us.p50 as f64 / 1000.0,
                _ => measured.operations_per_second,
            });
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    for server in [purser, echo, bulk] {
        server.stop().await?;
    }
    Ok(figures)
}
