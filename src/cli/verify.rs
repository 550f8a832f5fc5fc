//! `purser verify`: audits the books.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::connect::{self, statement_failed};
use super::output;
use crate::settings::Settings;
use crate::store::audit::{Audit, Breach, Size, Total, questions};

/// How often the progress line moves.
const TICK: Duration = Duration::from_millis(100);
/// What the table of totals is checked for.
const ADDS_UP: &str = "for each currency, what came in less what left is what the wallets hold";
/// How to read the table of totals.
const LEGEND: &str = "\
came in - reversed - left + returned = available + held
incoming is announced and waiting is asked for: neither is there yet
";
/// Columns of the table.
const COLUMNS: usize = 9;

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
    let steps = questions::all().count() + 1;
    let bar = ProgressBar::new(steps as u64)
        .with_style(ProgressStyle::with_template("{spinner} {pos} of {len}: {msg} ({elapsed})")?)
        .with_message("counting");
    bar.enable_steady_tick(TICK);
    let size = audit.size().await.map_err(statement_failed)?;
    let mut checked = Vec::new();
    for question in questions::all() {
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
            "{}: {} came in, {} of it was reversed, {} left, {} of it returned, available {}, held {}",
            total.currency,
            total.invoiced,
            total.invoices_reversed,
            total.withdrawn,
            total.withdrawals_reversed,
            total.available,
            total.held
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
    text.push_str(LEGEND);
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

/// The totals as an account: thousands apart, each currency with all of its decimals, right-aligned.
fn table(totals: &[Total]) -> String {
    let heads: [&str; COLUMNS] =
        ["currency", "came in", "reversed", "left", "returned", "available", "held", "incoming", "waiting"];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(totals.iter().map(|total| {
        let money = |text: &String| money(text, total.scale);
        [
            total.currency.clone(),
            money(&total.invoiced),
            money(&total.invoices_reversed),
            money(&total.withdrawn),
            money(&total.withdrawals_reversed),
            money(&total.available),
            money(&total.held),
            money(&total.incoming),
            money(&total.waiting),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
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

/// A number as the database writes it, with its thousands apart and at least so many decimals: `-1234.5` is `-1,234.50`.
fn money(text: &str, scale: i16) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = output::group(whole);
    let scale = usize::try_from(scale).unwrap_or(0);
    if scale == 0 && decimals.is_empty() {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{decimals:0<scale$}")
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
            "invoiced": total.invoiced,
            "invoices_reversed": total.invoices_reversed,
            "withdrawn": total.withdrawn,
            "withdrawals_reversed": total.withdrawals_reversed,
            "available": total.available,
            "held": total.held,
            "incoming": total.incoming,
            "waiting": total.waiting,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_as_in_an_account() {
        for (text, scale, written) in [
            ("0", 2, "0.00"),
            ("0", 0, "0"),
            ("-1234567.5", 2, "-1,234,567.50"),
            ("999.123", 2, "999.123"),
            ("100", 0, "100"),
            ("123456789012345678901234567890.1", 1, "123,456,789,012,345,678,901,234,567,890.1"),
        ] {
            assert_eq!(money(text, scale), written);
        }
    }
}
