//! System 000's words: its check order, its texts, its envelope. See `contracts.md`, system 000.
//!
//! It is written in Go, so a missing field is the zero value, and a type error is Go's sentence. Every refusal has code 400, also one that
//! the old system never had; those have Purser's reason. Unlike it, an amount may be a string and a key may be given.
//!
//! A ticker that can be no currency's code is refused here, before anyone can ask whether the wallet exists: the same answer that an
//! existing wallet gives.

use std::fmt::Write;

use rust_decimal::Decimal;

use super::request::{Field, Fields, Value};
use super::{
    Amount, CurrencyCode, Kind, Outcome, Refusal, Rejection, Reply, Request, envelope, go, malformed, unknown_operation,
};
use crate::ledger::{Answer, CurrencyBalance, Money, Terms, WalletId, money};

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
        Err(error) => Err(malformed(go::parse_error(go_struct.0, text, &error).into())),
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
    let actual = lines.iter().map(|line| (line.currency, line.balance.available.normalize().to_string()));
    push_amounts(&mut body, "actual_balance", actual);
    let waits = |line: &&CurrencyBalance| !(line.balance.held.is_zero() && line.balance.incoming.is_zero());
    let frozen = lines.iter().filter(waits).map(|line| (line.currency, sum(line.balance.held, line.balance.incoming)));
    push_amounts(&mut body, "frozen_balance", frozen);
    body.push('}');
    body
}

/// A JSON number holds every digit. The lines come sorted by code, as Go sorts a map.
fn push_amounts(body: &mut String, name: &str, amounts: impl Iterator<Item = (CurrencyCode, String)>) {
    let mut opened = false;
    for (currency, amount) in amounts {
        if opened {
            body.push(',');
        } else {
            let separator = if body.len() > 1 { "," } else { "" };
            write!(body, r#"{separator}"{name}":{{"#).expect("a string takes everything");
            opened = true;
        }
        envelope::push_escaped(body, currency.as_str());
        write!(body, ":{amount}").expect("a string takes everything");
    }
    if opened {
        body.push('}');
    }
}

/// The sum of two amounts that are not negative, exact however long it is: each is kept with [`money::DIGITS_MAX`] digits, their sum, which is
/// kept nowhere, may have twice as many.
fn sum(left: Decimal, right: Decimal) -> String {
    if let Some(sum) = money::add(left, right) {
        return sum.normalize().to_string();
    }
    let scale = left.scale().max(right.scale());
    let unit = 10_u128.pow(scale);
    // Whole and fraction apart, each has room.
    let parts = |amount: Decimal| {
        let (mantissa, own_unit) = (amount.mantissa().unsigned_abs(), 10_u128.pow(amount.scale()));
        (mantissa / own_unit, mantissa % own_unit * 10_u128.pow(scale - amount.scale()))
    };
    let ((left_whole, left_fraction), (right_whole, right_fraction)) = (parts(left), parts(right));
    let fraction = left_fraction + right_fraction;
    let whole = left_whole + right_whole + fraction / unit;
    let text = format!("{whole}.{:0>width$}", fraction % unit, width = scale as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Balance;

    #[test]
    fn what_is_frozen_is_added_exactly_however_long_it_gets() {
        let check = |held: &str, incoming: &str, expected: &str| {
            let decimal = |text| Decimal::from_str_exact(text).expect("it is a decimal");
            let (held, incoming) = (decimal(held), decimal(incoming));
            assert_eq!(sum(held, incoming), expected, "{held} + {incoming}");
            assert_eq!(sum(incoming, held), expected, "{incoming} + {held}");
            let balance = Balance { available: Decimal::ZERO, held, incoming };
            let line = CurrencyBalance { currency: CurrencyCode::new("USD").expect("it is a code"), balance };
            let body = format!(r#"{{"actual_balance":{{"USD":0}},"frozen_balance":{{"USD":{expected}}}}}"#);
            assert_eq!(balances(&[line]), body);
        };
        check("1.50", "0.5", "2");
        check("0.1", "0.02", "0.12");
        check("9999999999999999999999999999", "1", "10000000000000000000000000000");
        check("9999999999999999999999999999", "0.01", "9999999999999999999999999999.01");
        check("9999999999999999999999999999", "9999999999999999999999999999", "19999999999999999999999999998");
        check(
            "9999999999999999999999999999",
            "0.999999999999999999",
            "9999999999999999999999999999.999999999999999999",
        );
        check("9999999999.999999999999999999", "9999999999.999999999999999999", "19999999999.999999999999999998");
        check("9999999999999999999999999.5", "0.500000000000000000", "10000000000000000000000000");
        check("99999999999999999999999999.05", "0.055", "99999999999999999999999999.105");
        check(
            "0.9999999999999999999999999999",
            "9999999999999999999999999999",
            "9999999999999999999999999999.9999999999999999999999999999",
        );
    }
}
