//! Purser beside the usual ways, in one run: what is demanded, what was measured, and whether it is met. `docs/benchmarks.md` explains it.

#![allow(clippy::float_arithmetic, reason = "times, not money")]

mod amqp;
#[path = "../baseline/mod.rs"]
mod baseline;
mod document;
mod http;
mod idle;
mod machine;
mod posting;
mod row_locks;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::process::ExitCode;

use baseline::echo::Manner;
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

/// Measures Purser beside the usual ways and prints the figures side by side. The exit code is 1 when one does not reach what it must.
#[derive(Debug, Parser)]
struct Options {
    /// Measure this part only
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Rounds of each measure; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Small and rough: to see whether everything works
    #[arg(long)]
    quick: bool,
    /// Put the table into docs/benchmarks.md
    #[arg(long, conflicts_with_all = ["only", "quick"])]
    write: bool,
    /// Cargo says so to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Posting beside row-lock transactions, and as tables grow
    Posting,
    /// The whole way beside a bare echo
    Amqp,
    /// Single operations over HTTP beside row-lock transactions without HTTP
    Http,
    /// Memory of idle wallet actors
    Idle,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    fn rounds(&self) -> usize {
        self.rounds.into()
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    // The echo has a process of its own, as Purser has: this program, started once more.
    if let Some(manner) = std::env::args().nth(1).as_deref().and_then(Manner::parse) {
        baseline::echo::run(&server::broker()?, manner).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::parse();
    let machine = machine::describe().await?;
    eprintln!("{machine}\n");

    let mut lines = Vec::new();
    if options.wants(Part::Posting) {
        lines.extend(posting::beside_row_locks(&options).await?);
        lines.extend(posting::as_tables_grow(&options).await?);
    }
    if options.wants(Part::Amqp) {
        lines.extend(amqp::beside_an_echo(&options).await?);
    }
    if options.wants(Part::Http) {
        lines.extend(http::beside_row_locks(&options).await?);
    }
    if options.wants(Part::Idle) {
        lines.extend(idle::memory(&options).await?);
    }

    let report = format!("{machine} Medians of {} rounds.\n\n{}", options.rounds, table::render(&lines));
    println!("{report}");
    if options.write {
        document::replace_table(&report)?;
    }
    Ok(if lines.iter().all(table::Line::is_fine) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A bar that says what is measured now.
fn progress(what: &str, steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:28} {bar:40} {pos}/{len} {elapsed}").expect("the template is right");
    ProgressBar::new(steps as u64).with_style(style).with_message(what.to_owned())
}
