//! System 000's words: its check order, its texts, its envelope. See `contracts.md`, system 000.
//!
//! It is written in Go, so a missing field is the zero value, and a type error is Go's sentence. Every refusal has code 400, also one that
//! the old system never had; those have Purser's reason. Unlike it, an amount may be a string and a key may be given.
//!
//! A ticker that can be no currency's code is refused here, before anyone can ask whether the wallet exists: the same answer that an
//! existing wallet gives.

use std::fmt::Write;

use super::request::{Field, Fields, Value};
use super::{
    Amount, CurrencyCode, Kind, Outcome, Refusal, Rejection, Reply, Request, envelope, go, malformed, unknown_operation,
};
use crate::ledger::{Answer, CurrencyBalance, Money, Terms, WalletId};

/// The code of every refusal.
pub(super) const REFUSED: u16 = 400;

/// Go's names for what is read.
#[derive(Clone, Copy)]
struct GoStruct(&'static str);

pub(super) fn kind(word: &str) -> Result<Kind, Refusal> {
    match Kind::parse(word) {
        Some(kind @ (Kind::Invoice | Kind::Withdraw | Kind::Balance)) => Ok(kind),
        _ => Err(unknown_operation(format!("no such operation: {word}"))),
    }
}

pub(super) fn request(kind: Kind, fields: &Fields<'_>) -> Result<Request, Refusal> {
    let go_struct = GoStruct::of(kind);
    let wallet = go_struct.wallet_id(fields)?;
    Ok(match kind {
        Kind::Invoice => Request::Invoice { wallet, money: go_struct.money(fields)?, terms: Terms::default() },
        Kind::Withdraw => Request::Withdraw { wallet, money: go_struct.money(fields)?, terms: Terms::default() },
        _ => Request::Balance { wallet },
    })
}

pub(super) fn fields(kind: Kind, text: &str) -> Result<Fields<'_>, Refusal> {
    let go_struct = GoStruct::of(kind);
    match Fields::parse(text) {
        Ok(fields) => Ok(fields),
        // To Go, `null` leaves everything as it is: at zero.
        Err(_) if text.trim_ascii() == "null" => Ok(Fields::default()),
        Err(error) => Err(malformed(go::parse_error(go_struct.0, text, &error))),
    }
}

impl GoStruct {
    fn of(kind: Kind) -> Self {
        Self(match kind {
            Kind::Invoice => "InvoiceRequest",
            Kind::Withdraw => "WithdrawRequest",
            _ => "GetBalanceRequest",
        })
    }

    fn wallet_id(self, fields: &Fields<'_>) -> Result<WalletId, Refusal> {
        let Some(value) = fields.get(Field::WalletId) else {
            return Ok(WalletId(0));
        };
        value.integer().map(WalletId).ok_or_else(|| self.type_error(value, "wallet_id", "int"))
    }

    fn money(self, fields: &Fields<'_>) -> Result<Money, Refusal> {
        let ticker = match fields.get(Field::Currency) {
            Some(value) => value.string().ok_or_else(|| self.type_error(value, "ticker", "string"))?,
            None => "".into(),
        };
        let amount = match fields.get(Field::Amount) {
            Some(value) => {
                let text = value.number_or_string().ok_or_else(|| self.type_error(value, "amount", "float32"))?;
                Amount::parse(&text)
            }
            None => Err(Rejection::AmountNotPositive),
        };
        let amount = amount.map_err(|rejection| Refusal { reason: amount_reason(rejection), ..rejection.into() })?;
        let currency = CurrencyCode::new(&ticker)
            .ok_or_else(|| Refusal { reason: no_such_ticker(&ticker), ..Rejection::CurrencyUnknown.into() })?;
        Ok(Money { amount, currency })
    }

    fn type_error(self, value: Value<'_>, name: &str, go_type: &str) -> Refusal {
        let reason = go::type_error(self.0, name, value, go_type);
        Refusal { code: "wrong_type", status: 400, reason, item: None }
    }
}

pub(super) fn reply_to(request: &Request, outcome: &Outcome) -> Reply {
    let operation = outcome.kind.as_str();
    match &outcome.result {
        Ok(Answer::Balances(lines)) => envelope::success(operation, &balances(lines)),
        Ok(_) => envelope::success_without_body(operation),
        Err(refused) => envelope::refusal(operation, REFUSED, &reason(refused.rejection, request), None),
    }
}

fn reason(rejection: Rejection, request: &Request) -> String {
    let wallet = request.wallet();
    match (rejection, request.money()) {
        (Rejection::WalletUnknown, _) => format!("the requested wallet with id = {wallet}, doesn't exist"),
        (Rejection::CurrencyUnknown, Some(money)) => no_such_ticker(money.currency.as_str()),
        (Rejection::InsufficientFunds, Some(money)) => {
            format!("there are not enough {}'s on the wallet with id = {wallet} to be debited", money.currency)
        }
        _ => amount_reason(rejection),
    }
}

fn amount_reason(rejection: Rejection) -> String {
    match rejection {
        Rejection::AmountNotPositive => "amount lower then 0".to_owned(),
        other => other.to_string(),
    }
}

fn no_such_ticker(ticker: &str) -> String {
    format!("the requested ticker with name = {ticker}, doesn't exist")
}

/// `actual_balance` has every currency the wallet ever held, `frozen_balance` what waits; an empty one is left out.
fn balances(lines: &[CurrencyBalance]) -> String {
    let mut body = "{".to_owned();
    let actual = lines.iter().map(|line| (line, line.balance.available));
    push_amounts(&mut body, "actual_balance", actual);
    let frozen = lines.iter().map(|line| (line, line.balance.held + line.balance.incoming));
    push_amounts(&mut body, "frozen_balance", frozen.filter(|(_, amount)| !amount.is_zero()));
    body.push('}');
    body
}

/// A JSON number holds every digit of a decimal. The lines come sorted by code, as Go sorts a map.
fn push_amounts<'a>(
    body: &mut String,
    name: &str,
    amounts: impl Iterator<Item = (&'a CurrencyBalance, rust_decimal::Decimal)>,
) {
    let mut opened = false;
    for (line, amount) in amounts {
        if opened {
            body.push(',');
        } else {
            let separator = if body.len() > 1 { "," } else { "" };
            write!(body, r#"{separator}"{name}":{{"#).expect("a string takes everything");
            opened = true;
        }
        envelope::push_escaped(body, line.currency.as_str());
        write!(body, ":{}", amount.normalize()).expect("a string takes everything");
    }
    if opened {
        body.push('}');
    }
}
