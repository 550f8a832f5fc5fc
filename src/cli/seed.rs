//! `purser seed`: test data as the helpers of system 000 had it.

use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::Failure;
use super::{connect, output};
use crate::ledger::{Currency, CurrencyCode};
use crate::settings::Settings;
use crate::store::seed;

/// Code, number and decimal places. The numbers leave room for those that other systems have for theirs.
const CURRENCIES: [(&str, i16, u32); 4] = [("USD", 1, 2), ("RUB", 2, 2), ("EUR", 5, 2), ("USDT", 6, 6)];
/// Wallets added by one statement.
const CHUNK: i64 = 50_000;

/// How much test data.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  purser seed                      currencies USD, RUB, EUR, USDT and wallets 1-9
  purser seed --wallets 10000      the same with wallets 1-10000, for `purser bench`

Adds what is missing and changes nothing that exists, so it can be run again at any time.")]
pub struct Arguments {
    /// Add the wallets 1 to N
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(i64).range(1..=100_000_000))]
    wallets: i64,
}

/// Adds what is missing and says what it added.
pub async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut connection = connect::database(settings).await?;
    let currencies = currencies()?;
    let added =
        seed::insert_missing_currencies(&mut connection, &currencies).await.map_err(connect::statement_failed)?;
    let missing =
        seed::list_missing_currencies(&mut connection, &currencies).await.map_err(connect::statement_failed)?;
    if !missing.is_empty() {
        return Err(Failure::new(
            format!("these currencies could not be added: {}", missing.join(", ")),
            "another currency has the same number; see the table currencies",
        )
        .into());
    }
    output::line(match added.is_empty() {
        true => "currencies: nothing to add".to_owned(),
        false => format!("currencies: added {}", added.join(", ")),
    })?;

    let bar = ProgressBar::new(arguments.wallets.unsigned_abs())
        .with_style(ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} wallets {elapsed}")?);
    let mut wallets_added = 0;
    let mut first = 1;
    while first <= arguments.wallets {
        let last = (first + CHUNK - 1).min(arguments.wallets);
        wallets_added +=
            seed::insert_missing_wallets(&mut connection, first..=last).await.map_err(connect::statement_failed)?;
        bar.set_position(last.unsigned_abs());
        first = last + 1;
    }
    bar.finish_and_clear();
    seed::move_wallet_sequence(&mut connection).await.map_err(connect::statement_failed)?;
    output::line(match wallets_added {
        0 => format!("wallets 1-{}: nothing to add", arguments.wallets),
        added => format!("wallets 1-{}: added {}", arguments.wallets, output::grouped(added)),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn currencies() -> anyhow::Result<Vec<Currency>> {
    let currency = |(code, number, scale)| {
        let code = CurrencyCode::new(code).ok_or_else(|| anyhow::anyhow!("{code} is no currency code"))?;
        Ok(Currency { code, number, scale })
    };
    CURRENCIES.into_iter().map(currency).collect()
}
