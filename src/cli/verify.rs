//! `purser verify`: audits the books.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::connect::{self, statement_failed};
use super::output;
use crate::settings::Settings;
use crate::store::audit::{Audit, Breach, QUESTIONS, Size, Total};

/// How often the progress line moves.
const TICK: Duration = Duration::from_millis(100);
/// What the table of totals is checked for.
const ADDS_UP: &str = "for each currency, what came in less what left is what the wallets hold";

/// How to audit.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  purser verify            every invariant, the totals per currency, and where the books are wrong
  purser verify --json     the same for other programs

Everything is recomputed from the entries, from one snapshot: it changes nothing, and
operations may go on meanwhile. The exit code is 1 when anything is wrong; the first 20
places of each kind are listed, all are counted.")]
pub struct Arguments {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What the audit found.
struct Findings {
    size: Size,
    totals: Vec<Total>,
    /// Every invariant that was checked, in order, with its breaches.
    checked: Vec<(&'static str, Vec<Breach>)>,
    elapsed: Duration,
}

impl Findings {
    fn are_clean(&self) -> bool {
        self.checked.iter().all(|(_, breaches)| breaches.is_empty())
    }
}

/// Audits, and prints what was found.
pub async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut connection = connect::database(settings).await?;
    let mut audit = Audit::begin(&mut connection).await.map_err(statement_failed)?;
    let findings = examine(&mut audit).await?;
    audit.end().await.map_err(statement_failed)?;
    let text = if arguments.json { format!("{}\n", as_json(&findings)) } else { as_text(&findings) };
    output::write(text.as_bytes())?;
    Ok(if findings.are_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn examine(audit: &mut Audit<'_>) -> anyhow::Result<Findings> {
    let began = Instant::now();
    let steps = QUESTIONS.len() + 1;
    let bar = ProgressBar::new(steps as u64)
        .with_style(ProgressStyle::with_template("{spinner} {pos} of {len}: {msg} ({elapsed})")?)
        .with_message("counting");
    bar.enable_steady_tick(TICK);
    let size = audit.size().await.map_err(statement_failed)?;
    let mut checked = Vec::new();
    for question in &QUESTIONS {
        bar.set_message(question.invariants.join("; "));
        let mut found: BTreeMap<String, Vec<Breach>> = BTreeMap::new();
        for breach in audit.ask(question).await.map_err(statement_failed)? {
            found.entry(breach.invariant.clone()).or_default().push(breach);
        }
        let breaches = |invariant: &&'static str| (*invariant, found.remove(*invariant).unwrap_or_default());
        checked.extend(question.invariants.iter().map(breaches));
        bar.inc(1);
    }
    bar.set_message(ADDS_UP);
    let totals = audit.totals().await.map_err(statement_failed)?;
    checked.push((ADDS_UP, mismatches(&totals)));
    bar.finish_and_clear();
    Ok(Findings { size, totals, checked, elapsed: began.elapsed() })
}

fn mismatches(totals: &[Total]) -> Vec<Breach> {
    let wrong: Vec<&Total> = totals.iter().filter(|total| !total.adds_up).collect();
    let breach = |total: &&Total| Breach {
        invariant: ADDS_UP.to_owned(),
        detail: format!(
            "{}: {} came in, {} left, available {}, held {}",
            total.currency, total.credits, total.debits, total.available, total.held
        ),
        total: wrong.len() as i64,
    };
    wrong.iter().map(breach).collect()
}

fn as_text(findings: &Findings) -> String {
    let mut text = String::new();
    for (invariant, breaches) in &findings.checked {
        let Some(first) = breaches.first() else {
            text.push_str(&format!("ok      {invariant}\n"));
            continue;
        };
        text.push_str(&format!(
            "WRONG   {invariant}: {}\n",
            output::counted(first.total.unsigned_abs(), "breach", "breaches")
        ));
        for breach in breaches {
            text.push_str(&format!("          {}\n", breach.detail));
        }
        let more = first.total.unsigned_abs().saturating_sub(breaches.len() as u64);
        if more > 0 {
            text.push_str(&format!("          and {} more\n", output::grouped(more)));
        }
    }
    text.push('\n');
    text.push_str(&table(&findings.totals));
    let Size { wallets, balances, transactions, entries } = findings.size;
    text.push_str(&format!(
        "\n{}: {}, {}, {}, {} checked in {}.{:03} s\n",
        if findings.are_clean() { "the books are right" } else { "THE BOOKS ARE WRONG" },
        output::counted(wallets.unsigned_abs(), "wallet", "wallets"),
        output::counted(balances.unsigned_abs(), "balance", "balances"),
        output::counted(transactions.unsigned_abs(), "transaction", "transactions"),
        output::counted(entries.unsigned_abs(), "entry", "entries"),
        findings.elapsed.as_secs(),
        findings.elapsed.subsec_millis(),
    ));
    text
}

/// The totals, right-aligned.
fn table(totals: &[Total]) -> String {
    let mut rows = vec![["currency", "came in", "left", "available", "held", "incoming"].map(str::to_owned)];
    rows.extend(totals.iter().map(|total| {
        let Total { currency, credits, debits, available, held, incoming, adds_up: _ } = total;
        [currency, credits, debits, available, held, incoming].map(String::clone)
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        text.push_str(&format!("{:<width$}", row[0], width = widths[0]));
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        text.push('\n');
    }
    text
}

fn as_json(findings: &Findings) -> Value {
    let Size { wallets, balances, transactions, entries } = findings.size;
    let invariant = |(invariant, breaches): &(&str, Vec<Breach>)| {
        json!({
            "invariant": invariant,
            "breaches": breaches.first().map_or(0, |breach| breach.total),
            "listed": breaches.iter().map(|breach| breach.detail.as_str()).collect::<Vec<_>>(),
        })
    };
    // Amounts as strings: no program reads them as floats by accident.
    let total = |total: &Total| {
        json!({
            "currency": total.currency,
            "credits": total.credits,
            "debits": total.debits,
            "available": total.available,
            "held": total.held,
            "incoming": total.incoming,
            "adds_up": total.adds_up,
        })
    };
    json!({
        "is_right": findings.are_clean(),
        "wallets": wallets,
        "balances": balances,
        "transactions": transactions,
        "entries": entries,
        "elapsed_ms": u64::try_from(findings.elapsed.as_millis()).unwrap_or(u64::MAX),
        "invariants": findings.checked.iter().map(invariant).collect::<Vec<_>>(),
        "totals": findings.totals.iter().map(total).collect::<Vec<_>>(),
    })
}
