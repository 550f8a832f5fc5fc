//! Opening balances go into the books as invoices, through the engine like all money, many in flight at a time.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use super::file::Source;
use super::line::Opening;
use crate::cli::connect::statement_failed;
use crate::cli::failure::Failure;
use crate::engine::{Processor, SubmitError};
use crate::ledger::outcome::Replay;
use crate::ledger::{
    self, Answer, Currencies, IdempotencyKey, Money, Operation, Outcome, Rejection, Request, Terms, WalletId,
};
use crate::settings::Settings;
use crate::store::imports::Recorded;
use crate::store::{AddressError, Store};
use crate::telemetry::Metrics;
use crate::wire;

/// How long a wallet's actor stays: a file names each wallet once or twice, and at tens of thousands of lines a second the actors of a minute, which is
/// what serving keeps, would be millions. Milliseconds.
const ACTOR_IDLE_TIMEOUT_MS: u64 = 1_000;
/// The longest to wait for the next commit. The engine itself would wait for the database for as long as it takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long what is in flight may take at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The books, and what is on its way into them.
pub struct Books {
    store: Store,
    processor: Processor,
    import: ImportName,
    pending: FuturesUnordered<BoxFuture<'static, Submitted>>,
    /// Of the lines whose opening balances are on their way.
    bytes_in_flight: usize,
}

/// A line, what it brings, and what the engine said.
type Submitted = (Source, Money, Result<Outcome, SubmitError>);

/// What became of an opening balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Booked {
    /// It was booked now.
    Now,
    /// An earlier run of the same import booked it.
    Earlier,
    /// It was not, and why, for people.
    Refused(String),
}

/// What an import is called. The keys of its invoices begin with it: under the same name nothing is booked twice.
#[derive(Clone, Debug)]
pub struct ImportName(String);

impl ImportName {
    /// Refuses what would not stand unchanged and unmistakably in a key.
    pub fn new(name: &str) -> Result<Self, String> {
        let is_fit = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
        if !(1..=64).contains(&name.len()) || !name.chars().all(is_fit) {
            return Err("1 to 64 letters, digits, dots, dashes and underscores".to_owned());
        }
        Ok(Self(name.to_owned()))
    }

    /// The key of a wallet's opening balance in a currency.
    pub fn key(&self, opening: Opening) -> Option<String> {
        let currency = match opening {
            Opening::Unsaid => return None,
            Opening::Zero(currency) | Opening::Money(Money { currency, .. }) => currency,
        };
        Some(format!("import:{}:{currency}", self.0))
    }
}

impl Books {
    /// Starts the engine, without any door. Needs a running actix `System`.
    pub fn open(settings: &Settings, import: ImportName) -> Result<Self, AddressError> {
        let store = Store::new(&settings.database)?;
        let mut engine = settings.engine.clone();
        engine.actor_idle_timeout_ms = engine.actor_idle_timeout_ms.min(ACTOR_IDLE_TIMEOUT_MS);
        let processor = Processor::start(store.clone(), &engine, Arc::new(Metrics::new()));
        Ok(Self { store, processor, import, pending: FuturesUnordered::new(), bytes_in_flight: 0 })
    }

    /// Sends an opening balance on its way; its line comes back with what became of it.
    pub fn submit(&mut self, wallet: i64, money: Money, source: Source) {
        let outcome = self.processor.submit(self.operation(wallet, money));
        self.bytes_in_flight += bytes(&source);
        self.pending.push(Box::pin(async move { (source, money, outcome.await) }));
    }

    /// Says what it would become, and books nothing.
    pub async fn preview(&self, wallet: i64, money: Money) -> anyhow::Result<Booked> {
        let outcome = self.processor.preview(&self.operation(wallet, money)).await;
        let outcome = outcome.map_err(statement_failed)?;
        Ok(booked(money, &outcome.result, outcome.replay))
    }

    /// How many are on their way.
    pub fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// How long their lines are together. Bytes.
    pub fn bytes_in_flight(&self) -> usize {
        self.bytes_in_flight
    }

    /// The next one that is decided. An error means that what is on its way may or may not have been booked.
    pub async fn next(&mut self) -> anyhow::Result<Option<(Source, Booked)>> {
        let hint = "run the same again: what is there already is not booked twice";
        let next = tokio::time::timeout(PATIENCE, self.pending.next()).await;
        let next = next.map_err(|_| {
            let what = format!("the database committed nothing for {} s", PATIENCE.as_secs());
            Failure::new(what, hint)
        })?;
        let Some((source, money, result)) = next else { return Ok(None) };
        self.bytes_in_flight -= bytes(&source);
        match result {
            Ok(outcome) => Ok(Some((source, booked(money, &outcome.result, outcome.replay)))),
            Err(error @ SubmitError::Store(_)) => Ok(Some((source, Booked::Refused(error.to_string())))),
            Err(error) => Err(Failure::new("the import stops", hint).because(error).into()),
        }
    }

    /// Ends the engine.
    pub async fn close(self) {
        self.processor.drain(DRAIN_TIMEOUT).await;
        self.processor.stop();
        self.store.close().await;
    }

    fn operation(&self, wallet: i64, money: Money) -> Operation {
        let key = self.import.key(Opening::Money(money)).expect("money has a currency");
        let key = IdempotencyKey::new(&key).expect("the parts of the key are short and have no control characters");
        let request = Request::Invoice { wallet: WalletId(wallet), money, terms: Terms::default() };
        Operation { id: wire::new_id(), idempotency_key: Some(key), request }
    }
}

fn bytes(source: &Source) -> usize {
    source.text.as_ref().map_or(0, String::len)
}

/// For a dry run: what the engine would say of a wallet that is not there yet.
pub fn of_new_wallet(money: Money, currencies: &Currencies) -> Booked {
    match currencies.find(money.currency) {
        None => refused(money, Rejection::CurrencyUnknown),
        Some(currency) if money.amount.scale() > currency.scale => refused(money, Rejection::TooManyDecimals),
        Some(_) => Booked::Now,
    }
}

fn booked(money: Money, result: &Result<Answer, ledger::Refused>, replay: Replay) -> Booked {
    match (result, replay) {
        (Ok(_), Replay::First) => Booked::Now,
        (Ok(_), Replay::Replayed) => Booked::Earlier,
        (Err(why), _) => refused(money, why.rejection),
    }
}

fn refused(money: Money, rejection: Rejection) -> Booked {
    let Money { amount, currency } = money;
    Booked::Refused(match rejection {
        Rejection::IdempotencyKeyReused => contradiction(currency.as_str()),
        Rejection::CurrencyUnknown => {
            format!("there is no currency {currency}: `purser seed` and POST /v1/currencies add some")
        }
        Rejection::TooManyDecimals => {
            format!(
                "{amount} {currency} has more decimals than the currency allows; they can be made more, PATCH /v1/currencies/{currency}"
            )
        }
        rejection => format!("{amount} {currency}: {rejection}"),
    })
}

/// What is said to an opening balance of nothing, of which the books have no trace, where there is one of something.
pub fn booked_zero(recorded: &Recorded) -> Booked {
    Booked::Refused(contradiction(recorded.currency.as_deref().unwrap_or_default()))
}

fn contradiction(currency: &str) -> String {
    format!(
        "this import has given the wallet another opening balance in {currency} already: correct it by an invoice or a \
         withdrawal, or import under another --name to add to it"
    )
}
