//! Money in whole minor units, and outcomes in words: what the model is made of.

use purser::ledger::{Amount, Answer, Balance, Outcome, Rejection, Transaction};
use rust_decimal::Decimal;

use crate::history::CURRENCIES;

pub const DIGITS_28: i128 = 10_i128.pow(28);

/// What is held at a place, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub available: i128,
    pub held: i128,
    pub incoming: i128,
}

/// What an outcome says, in words; a refusal, its code.
pub type Said = Result<String, String>;

/// What an outcome says, in the model's words.
pub fn said(outcome: &Outcome) -> Said {
    match &outcome.result {
        Ok(Answer::Transaction(transaction)) => Ok(of_transaction(transaction)),
        Ok(Answer::Batch(_, items)) => Ok(items.iter().map(of_transaction).collect::<Vec<_>>().join("; ")),
        Ok(Answer::Balances(lines)) => {
            let parts = lines.iter().filter_map(|held| {
                let (code, scale) = known(held.currency.as_str())?;
                let parts = parts(held.balance, scale);
                (parts != Parts::default()).then(|| line(code, parts))
            });
            Ok(parts.collect())
        }
        Ok(Answer::Standing(standing)) => Ok(standing.as_str().to_owned()),
        Err(refused) => {
            let item = refused.item.map(|item| format!(" at {item}")).unwrap_or_default();
            Err(format!("{}{item}", refused.rejection.code()))
        }
    }
}

fn of_transaction(transaction: &Transaction) -> String {
    let status = transaction.status.as_str();
    match transaction.more().original {
        Some(original) => format!("{status} of {}", original.status.as_str()),
        None => status.to_owned(),
    }
}

/// What is held in a currency, in words.
pub fn line(code: &str, Parts { available, held, incoming }: Parts) -> String {
    format!("{code} {available} {held} {incoming};")
}

/// A currency of these tests with its scale.
pub fn known(code: &str) -> Option<(&'static str, u32)> {
    CURRENCIES.into_iter().find(|known| known.0 == code)
}

/// A balance in minor units.
pub fn parts(balance: Balance, scale: u32) -> Parts {
    Parts {
        available: units(balance.available, scale),
        held: units(balance.held, scale),
        incoming: units(balance.incoming, scale),
    }
}

/// A decimal in minor units; it must be exact.
pub fn units(value: Decimal, scale: u32) -> i128 {
    let value = value.normalize();
    assert!(value.scale() <= scale, "{value} has more than {scale} decimals");
    value.mantissa() * 10_i128.pow(scale - value.scale())
}

/// So much of what is left.
pub fn part(amount: Option<Amount>, left: i128, scale: u32, exceeds: Rejection) -> Result<i128, Rejection> {
    let asked = match amount {
        Some(amount) => minor(&amount.to_string(), scale).ok_or(Rejection::TooManyDecimals)?,
        None => left,
    };
    if asked == 0 || asked > left { Err(exceeds) } else { Ok(asked) }
}

/// `1.5` with 2 decimals is 150; `None` if it has more decimals.
pub fn minor(amount: &str, scale: u32) -> Option<i128> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let missing = (scale as usize).checked_sub(fraction.len())?;
    format!("{whole}{fraction}{}", "0".repeat(missing)).parse().ok()
}

/// Whether a number needs at most 28 digits: zeros after the point cost none.
pub fn fits(mut units: i128, mut scale: u32) -> bool {
    while scale > 0 && units % 10 == 0 {
        units /= 10;
        scale -= 1;
    }
    units < DIGITS_28
}
