//! `purser import`: the users of an older system bring their wallets and balances.

mod books;
mod file;
mod line;
mod records;
mod refused;
mod run;
mod texts;
mod wallets;

use std::path::PathBuf;
use std::process::ExitCode;

use super::INTERRUPTED;
use super::failure::Failure;
use crate::ledger::CurrencyCode;
use crate::settings::Settings;
use books::ImportName;
use records::Format;

/// What to import.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A line is a wallet and what it held in one currency; a wallet with several
currencies has several lines. CSV has these columns, in any order, under a header
of their names; JSON lines have them as fields:

  wallet_id    its number: it keeps the one that it has in the old system
  external_id  what another system calls it, 1 to 255 characters. Without a
               wallet_id, Purser gives it the next number
  name         for people
  labels       a JSON object of strings
  currency     such as USD, or --currency for all lines. It must be there:
               `purser seed`, or POST /v1/currencies
  amount       exact, in major units. Left out or 0: nothing is booked

One of wallet_id and external_id is needed, in all lines of a file the same.

Lines end with LF or CRLF, and a record is one line: a text with a line end in it is
refused, and so is each line up to where its quote is closed, because what stands
there may be other wallets or a part of that text. Quotes stand around whole fields,
and a quote within a text is written twice. A label \"currency\" must name the
currency that the amount is in. A file without any line is an error.

It can be run again at any time, after Ctrl-C or a crash too: what is there stays
as it is, what is missing is added, nothing is booked twice; --refused then needs
another file, or the first one moved away. Each amount becomes
an invoice with the key import:NAME:CURRENCY. A line that says another amount than
an earlier one did is refused. Refused lines are printed with their numbers and
reasons, the others are imported, and the exit code is 1.

Import before others make wallets: a wallet that is there is the one that is meant.

Examples:
  purser import wallets.csv --dry-run
  purser import wallets.csv --refused wrong.csv
  purser import wrong.csv                    when the lines in it are corrected
  zcat wallets.jsonl.gz | purser import - --format jsonl

From the database of each of the five older systems; OLD is its address. What is
reserved, frozen or queued there is not in these queries: let it be finished first.
After `set -o pipefail`, a psql that fails halfway is seen by the exit code.

  000, whose amounts are floats: rounded here, 0.10000000149 is 0.1
    purser seed --like transactional-system
    psql OLD -c \"COPY (
      SELECT wallet_id, name AS currency,
        round(amount::numeric, CASE name WHEN 'USDT' THEN 6 ELSE 2 END) AS amount
      FROM wallets LEFT JOIN balances USING (wallet_id) LEFT JOIN tickers USING (ticker_id)
      ORDER BY wallet_id
    ) TO STDOUT WITH (FORMAT csv, HEADER)\" | purser import - --format csv --name 000

  001, whose balances are whole cents
    purser seed --like balance
    psql OLD -c \"COPY (
      SELECT id AS wallet_id, balance / 100.0 AS amount FROM users ORDER BY id
    ) TO STDOUT WITH (FORMAT csv, HEADER)\" | purser import - --format csv --name 001 --currency RUB

  002, with external ids and labels
    purser seed --like wallet
    psql OLD -c \"COPY (
      SELECT id AS wallet_id, externalid AS external_id, labels, amount
      FROM wallets LEFT JOIN wallet_balances ON wid = id ORDER BY id
    ) TO STDOUT WITH (FORMAT csv, HEADER)\" | purser import - --format csv --name 002 --currency EUR

  003, whose accounts are known by their names and have one currency each
    purser seed --like wallet-test
    psql OLD -c \"COPY (
      SELECT a.id AS wallet_id, a.name AS external_id, c.name AS currency, amount,
        json_build_object('currency', c.name) AS labels
      FROM accounts a JOIN currencies c ON c.id = currency_id ORDER BY a.id
    ) TO STDOUT WITH (FORMAT csv, HEADER)\" | purser import - --format csv --name 003

  004, whose clients were inserted by hand
    purser seed --like transaction-system
    psql OLD -c \"COPY (
      SELECT id AS wallet_id, name, balance::numeric AS amount FROM account ORDER BY id
    ) TO STDOUT WITH (FORMAT csv, HEADER)\" | purser import - --format csv --name 004 --currency USD

`purser verify` then shows the totals per currency, to be compared with the old ones.")]
pub struct Arguments {
    /// The file; - reads stdin
    file: PathBuf,
    /// How it is written; without this, what it is called says so: .csv, .jsonl, .ndjson
    #[arg(long)]
    format: Option<Format>,
    /// The import's name. Two imports that both give the same wallet money in the same currency need two names
    #[arg(long, default_value = "opening", value_parser = ImportName::new)]
    name: ImportName,
    /// The currency of the lines that name none
    #[arg(long, value_name = "CODE", value_parser = currency)]
    currency: Option<CurrencyCode>,
    /// Write the refused lines to this file, each with its reason above it, to be corrected and imported. It is made when there is one, and must not be there yet, or be empty
    #[arg(long, value_name = "FILE")]
    refused: Option<PathBuf>,
    /// Change nothing: say what would be added and refused. What two lines of the file say against each other is found by the import itself
    #[arg(long)]
    dry_run: bool,
}

fn currency(code: &str) -> Result<CurrencyCode, String> {
    CurrencyCode::new(code).ok_or_else(|| "a currency's code has 1 to 16 printable characters".to_owned())
}

/// Imports, and says what came of it.
pub fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let format = format(arguments)?;
    // The engine's actors need this runtime.
    let (tally, result) = actix_rt::System::new().block_on(run::import(settings, arguments, format))?;
    tally.print(arguments.dry_run)?;
    result?;
    Ok(match tally {
        tally if tally.is_interrupted => ExitCode::from(INTERRUPTED),
        tally if tally.refused > 0 => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

fn format(arguments: &Arguments) -> anyhow::Result<Format> {
    let by_name = || match arguments.file.extension()?.to_str()? {
        "csv" => Some(Format::Csv),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        _ => None,
    };
    arguments.format.or_else(by_name).ok_or_else(|| {
        let what = format!("{}: the name does not say how it is written", arguments.file.display());
        Failure::new(what, "say it with --format csv or --format jsonl").into()
    })
}
