//! Purser's own words.

use std::fmt::Write;

use super::request::{Field, Fields};
use super::{
    Amount, CurrencyCode, Kind, Outcome, Refusal, Rejection, Reply, Request, envelope, malformed, status_of,
    unknown_operation, wrong_type,
};
use crate::ledger::outcome::Replay;
use crate::ledger::{Answer, CurrencyBalance, Money, Transaction, WalletId};

pub(super) fn kind(word: &str) -> Result<Kind, Refusal> {
    Kind::parse(word).ok_or_else(|| unknown_operation("there is no such operation".to_owned()))
}

pub(super) fn decode(kind: Kind, text: &str) -> Result<(Request, Fields<'_>), Refusal> {
    let fields = Fields::parse(text).map_err(|error| malformed(format!("the body is no JSON object: {error}")))?;
    if let Some(field) = fields.duplicate {
        // Which of two amounts was meant is nothing to guess.
        let reason = format!("{} is given more than once", field.name());
        return Err(Refusal { code: "duplicate_field", status: 400, reason });
    }
    let wallet = wallet(&fields, Field::WalletId)?;
    let request = match kind {
        Kind::Invoice => Request::Invoice { wallet, money: money(&fields)? },
        Kind::Withdraw => Request::Withdraw { wallet, money: money(&fields)? },
        Kind::Transfer => {
            let to_wallet = self::wallet(&fields, Field::ToWalletId)?;
            Request::Transfer { wallet, to_wallet, money: money(&fields)? }
        }
        Kind::Balance => Request::Balance { wallet },
    };
    Ok((request, fields))
}

fn wallet(fields: &Fields<'_>, field: Field) -> Result<WalletId, Refusal> {
    let value = fields.get(field).ok_or_else(|| missing(field))?;
    value.integer().map(WalletId).ok_or_else(|| wrong_type(field, "an integer", value))
}

/// A text that can be no currency's code is an unknown currency, like any other code that is not there.
fn money(fields: &Fields<'_>) -> Result<Money, Refusal> {
    let currency = fields.get(Field::Currency).ok_or_else(|| missing(Field::Currency))?;
    let amount = fields.get(Field::Amount).ok_or_else(|| missing(Field::Amount))?;
    let currency = currency.string().ok_or_else(|| wrong_type(Field::Currency, "a string", currency))?;
    let amount = amount.number_or_string().ok_or_else(|| wrong_type(Field::Amount, "a number or a string", amount))?;
    let amount = Amount::parse(&amount)?;
    let currency = CurrencyCode::new(&currency).ok_or(Rejection::CurrencyUnknown)?;
    Ok(Money { amount, currency })
}

fn missing(field: Field) -> Refusal {
    Refusal { code: "missing_field", status: 400, reason: format!("{} is missing", field.name()) }
}

pub(super) fn reply_to(outcome: &Outcome) -> Reply {
    let operation = outcome.kind.as_str();
    match &outcome.result {
        Ok(Answer::Transaction(transaction)) => envelope::success(operation, &done(transaction, outcome.replay)),
        Ok(Answer::Balances(lines)) => envelope::success(operation, &balances(lines)),
        Err(rejection) => {
            let marks = envelope::Marks { rejection: rejection.code(), replay: outcome.replay };
            envelope::refusal(operation, status_of(*rejection), &rejection.to_string(), Some(marks))
        }
    }
}

pub(super) fn reply_refusal(operation: &str, refusal: &Refusal) -> Reply {
    let marks = envelope::Marks { rejection: refusal.code, replay: Replay::First };
    envelope::refusal(operation, refusal.status, &refusal.reason, Some(marks))
}

fn done(transaction: &Transaction, replay: Replay) -> String {
    let mut body = String::with_capacity(96);
    let status = transaction.status.as_str();
    write!(body, r#"{{"id":"{}","status":"{status}""#, transaction.id).expect("a string takes everything");
    if replay == Replay::Replayed {
        body.push_str(r#","replayed":true"#);
    }
    body.push('}');
    body
}

/// Amounts are strings: a reader whose numbers are floats would round them.
fn balances(lines: &[CurrencyBalance]) -> String {
    let mut body = r#"{"balances":{"#.to_owned();
    for (position, CurrencyBalance { currency, balance }) in lines.iter().enumerate() {
        if position > 0 {
            body.push(',');
        }
        envelope::push_escaped(&mut body, currency.as_str());
        let (available, held, incoming) =
            (balance.available.normalize(), balance.held.normalize(), balance.incoming.normalize());
        write!(body, r#":{{"available":"{available}","held":"{held}","incoming":"{incoming}"}}"#)
            .expect("a string takes everything");
    }
    body.push_str("}}");
    body
}
