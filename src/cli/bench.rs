//! `purser bench`: the load generator with a progress bar.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::Failure;
use super::load::{Load, Mix, Report, Target, Watch};
use super::{INTERRUPTED, output};
use crate::settings::Settings;

/// How often the progress bar is brought up to date.
const REDRAW: Duration = Duration::from_millis(100);

/// What load to make.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  purser seed --wallets 10000 && purser bench --wallets 10000      many wallets
  purser bench --wallets 1                                         one hot wallet
  purser bench --window 1 --operations 2000                        the latency of one at a time
  purser bench --kind mixed --json                                 for other programs

It books real operations on the wallets 1 to W: use it on test data.
The exit code is 1 when a reply is missing.")]
pub struct Arguments {
    /// Operations to measure
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    operations: u64,
    /// Spread them over the wallets 1 to W
    #[arg(long, value_name = "W", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    wallets: u32,
    /// Operations outstanding at a time
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    window: u32,
    /// Which operations
    #[arg(long, value_enum, default_value_t = Mix::Invoice)]
    kind: Mix,
    /// The currency; it must allow two decimals
    #[arg(long, value_name = "CODE", default_value = "USD")]
    currency: String,
    /// Operations before the measured ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    warmup: u64,
    /// Publish to this exchange instead of broker.operations_exchange
    #[arg(long, value_name = "NAME")]
    exchange: Option<String>,
    /// Publish straight to this queue, for a server that only echoes
    #[arg(long, value_name = "NAME", conflicts_with = "exchange")]
    queue: Option<String>,
    /// The longest to wait for the next reply. Seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Makes the load and prints what was measured.
pub async fn run(settings: &Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.kind == Mix::Transfer && arguments.wallets < 2 {
        return Err(Failure::new("a transfer needs two wallets", "add --wallets 2 or more").into());
    }
    let exchange = arguments.exchange.unwrap_or_else(|| settings.broker.operations_exchange.clone());
    let load = Load {
        broker: settings.broker.clone(),
        target: arguments.queue.map_or(Target::Exchange(exchange), Target::Queue),
        mix: arguments.kind,
        operations: arguments.operations,
        warmup: arguments.warmup,
        wallets: arguments.wallets,
        currency: arguments.currency,
        window: usize::try_from(arguments.window)?,
        reply_timeout: Duration::from_secs(arguments.timeout),
    };
    let report = run_with_bar(&load).await?;
    if arguments.json {
        output::line(as_json(&load, &report))?;
    } else {
        output::write(as_text(&report).as_bytes())?;
    }
    verdict(&load, &report)
}

async fn run_with_bar(load: &Load) -> anyhow::Result<Report> {
    let watch = Arc::new(Watch::default());
    let style = ProgressStyle::with_template("{msg} {bar:40} {human_pos} of {human_len}, {per_sec:.0}, {eta} left")?;
    let bar = ProgressBar::new(load.operations).with_style(style).with_message("preparing");
    let follower = tokio::spawn({
        let (watch, bar) = (Arc::clone(&watch), bar.clone());
        async move {
            let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
            let mut is_measuring = false;
            let mut redraw = tokio::time::interval(REDRAW);
            loop {
                tokio::select! {
                    _ = redraw.tick() => {}
                    _ = &mut interrupt => break watch.stop(),
                }
                if watch.is_measuring() && !is_measuring {
                    is_measuring = true;
                    bar.set_message("measuring");
                    bar.reset();
                }
                bar.set_position(watch.answered());
            }
        }
    });
    let report = load.run_watched(&watch).await;
    follower.abort();
    bar.finish_and_clear();
    report
}

fn verdict(load: &Load, report: &Report) -> anyhow::Result<ExitCode> {
    if report.is_interrupted {
        eprintln!(
            "interrupted: measured {} of {}",
            output::grouped(report.answered()),
            output::grouped(load.operations)
        );
        return Ok(ExitCode::from(INTERRUPTED));
    }
    if report.missing > 0 {
        let what = format!("{} without a reply", output::counted(report.missing, "operation", "operations"));
        let hint = format!(
            "nothing came for {} s (--timeout); look at the log of `purser serve`",
            load.reply_timeout.as_secs()
        );
        return Err(Failure::new(what, hint).into());
    }
    Ok(ExitCode::SUCCESS)
}

/// The share of the operations that took no longer.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];

fn as_text(report: &Report) -> String {
    let mut text = format!(
        "operations   {} answered, {} refused, {} missing\n\
         time         {}.{:03} s\n\
         throughput   {} operations/s\n",
        output::grouped(report.answered()),
        output::grouped(report.refused),
        output::grouped(report.missing),
        report.elapsed.as_secs(),
        report.elapsed.subsec_millis(),
        output::grouped(report.operations_per_second()),
    );
    for (name, quantile) in QUANTILES {
        let latency = report.latency_us.value_at_quantile(quantile);
        text.push_str(&format!("latency {name}  {}.{:03} ms\n", latency / 1000, latency % 1000));
    }
    if report.unexpected > 0 {
        text.push_str(&format!("unexpected   {}\n", output::counted(report.unexpected, "reply", "replies")));
    }
    if let Some(refusal) = &report.first_refusal {
        text.push_str(&format!("refusals     the first was: {refusal}\n"));
    }
    text
}

fn as_json(load: &Load, report: &Report) -> serde_json::Value {
    let latencies: serde_json::Map<_, _> = QUANTILES
        .into_iter()
        .map(|(name, quantile)| (name.to_owned(), report.latency_us.value_at_quantile(quantile).into()))
        .collect();
    serde_json::json!({
        "wallets": load.wallets,
        "window": load.window,
        "sent": report.sent,
        "answered": report.answered(),
        "refused": report.refused,
        "missing": report.missing,
        "unexpected": report.unexpected,
        "first_refusal": report.first_refusal,
        "is_interrupted": report.is_interrupted,
        "elapsed_us": u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX),
        "operations_per_second": report.operations_per_second(),
        "latency_us": latencies,
    })
}
