//! `purser seed`: test data as the older systems had theirs.

use std::process::ExitCode;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::PgConnection;

use super::connect::statement_failed;
use super::failure::Failure;
use super::{connect, output};
use crate::ledger::{Currency, CurrencyCode};
use crate::settings::Settings;
use crate::store::{currencies, seed};

/// Wallets added by one statement.
const CHUNK: i64 = 50_000;

/// How much test data.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  purser seed                      currencies USD, RUB, EUR, USDT and wallets 1-9
  purser seed --wallets 10000      the same with wallets 1-10000, for `purser bench`
  purser seed --like wallet-test   currencies USD, RUB, BTC, ETC under the numbers 1-4

Adds what is missing and changes nothing that exists, so it can be run again at any time,
and for one system after another. Where a currency is there with another number or with
fewer decimals than that system uses, it says so.")]
pub struct Arguments {
    /// As which of the older systems
    #[arg(long, value_enum, value_name = "SYSTEM", default_value_t = Like::TransactionalSystem)]
    like: Like,
    /// Add the wallets 1 to N, instead of as many as that system's data
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=100_000_000))]
    wallets: Option<i64>,
}

/// Code, number and decimal places.
type Wanted = (&'static str, i16, u32);

/// An older system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Like {
    /// 000: currencies USD, RUB, EUR with 2 decimals, USDT with 6; wallets 1-9
    TransactionalSystem,
    /// 001: currency RUB with 2 decimals; its users come with their first credit, its services by POST /api/services
    Balance,
    /// 002: currency EUR with 2 decimals; its wallets come by POST /wallets
    Wallet,
    /// 003: currencies USD, RUB, BTC, ETC under the numbers 1-4, with 15 decimals as its numeric(30,15) has; its accounts come by POST /accounts
    WalletTest,
    /// 004: currency USD with 2 decimals; wallets 1-9, which it has no route to make
    TransactionSystem,
}

impl Like {
    /// The numbers leave room for those that 003 has for its own.
    const fn currencies(self) -> &'static [Wanted] {
        match self {
            Self::TransactionalSystem => &[("USD", 1, 2), ("RUB", 2, 2), ("EUR", 5, 2), ("USDT", 6, 6)],
            Self::Balance => &[("RUB", 2, 2)],
            Self::Wallet => &[("EUR", 5, 2)],
            Self::WalletTest => &[("USD", 1, 15), ("RUB", 2, 15), ("BTC", 3, 15), ("ETC", 4, 15)],
            Self::TransactionSystem => &[("USD", 1, 2)],
        }
    }

    /// How many wallets it has.
    const fn wallets(self) -> i64 {
        match self {
            Self::TransactionalSystem | Self::TransactionSystem => 9,
            Self::Balance | Self::Wallet | Self::WalletTest => 0,
        }
    }
}

/// Adds what is missing and says what it added.
pub async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut connection = connect::database(settings).await?;
    let currencies = currencies(arguments.like)?;
    let added = seed::insert_missing_currencies(&mut connection, &currencies).await.map_err(statement_failed)?;
    let missing = seed::list_missing_currencies(&mut connection, &currencies).await.map_err(statement_failed)?;
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
    for difference in differences(&mut connection, &currencies).await? {
        output::line(difference)?;
    }
    match arguments.wallets.unwrap_or(arguments.like.wallets()) {
        0 => {}
        wallets => add_wallets(&mut connection, wallets).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn add_wallets(connection: &mut PgConnection, wallets: i64) -> anyhow::Result<()> {
    let bar = ProgressBar::new(wallets.unsigned_abs())
        .with_style(ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} wallets {elapsed}")?);
    let mut wallets_added = 0;
    let mut first = 1;
    while first <= wallets {
        let last = (first + CHUNK - 1).min(wallets);
        wallets_added += seed::insert_missing_wallets(connection, first..=last).await.map_err(statement_failed)?;
        bar.set_position(last.unsigned_abs());
        first = last + 1;
    }
    bar.finish_and_clear();
    seed::move_wallet_sequence(connection).await.map_err(statement_failed)?;
    output::line(match wallets_added {
        0 => format!("wallets 1-{wallets}: nothing to add"),
        added => format!("wallets 1-{wallets}: added {}", output::grouped(added)),
    })?;
    Ok(())
}

/// What that system would miss in the currencies that are there.
async fn differences(connection: &mut PgConnection, wanted: &[Currency]) -> anyhow::Result<Vec<String>> {
    let there = currencies::list(connection).await.map_err(statement_failed)?;
    let mut differences = Vec::new();
    for wanted in wanted {
        let Some(found) = there.find(wanted.code) else { continue };
        let code = wanted.code;
        if found.number != wanted.number {
            differences.push(format!("note: {code} has the number {}, there it is {}", found.number, wanted.number));
        }
        if found.scale < wanted.scale {
            differences.push(format!(
                "note: {code} has {} decimals, there it has {}; PATCH /v1/currencies/{code} with {{\"scale\":{}}} gives it more",
                found.scale, wanted.scale, wanted.scale
            ));
        }
    }
    Ok(differences)
}

fn currencies(like: Like) -> anyhow::Result<Vec<Currency>> {
    let currency = |&(code, number, scale): &Wanted| {
        let code = CurrencyCode::new(code).ok_or_else(|| anyhow::anyhow!("{code} is no currency code"))?;
        Ok(Currency { code, number, scale })
    };
    like.currencies().iter().map(currency).collect()
}
