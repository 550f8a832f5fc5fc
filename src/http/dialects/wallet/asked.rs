//! What system 002's clients ask, read as its framework (echo) reads it and checked as its validator (go-playground) checks it.

use std::collections::BTreeMap;
use std::num::IntErrorKind;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::Payload;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::No;
use crate::http::extract;
use crate::http::server::Context;
use crate::ledger::{Amount, Rejection};
use crate::wire::go::{Object, Reason, Sort};

/// Most labels that it takes.
const LABELS_MAX: usize = 10;
/// Longest external id and fingerprint, in characters.
const NAME_CHARACTERS_MAX: usize = 50;
/// Longest description, in characters.
const DESCRIPTION_CHARACTERS_MAX: usize = 100;

/// A wallet that is to be.
#[derive(Debug)]
pub struct NewWallet {
    pub labels: BTreeMap<String, String>,
    pub external_id: String,
}

/// A transaction that is to be.
#[derive(Debug)]
pub struct NewTransaction {
    pub direction: Direction,
    pub amount: Amount,
    pub description: String,
    pub labels: BTreeMap<String, String>,
    pub fingerprint: String,
}

/// Where the money goes: the sign of its amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Into the wallet.
    In,
    /// Out of it.
    Out,
}

/// The body as text. One that is empty is `null`, which to Go leaves every field at zero.
pub async fn body(context: &Context, request: &HttpRequest, payload: Payload) -> Result<String, No> {
    let bytes_max = context.state.settings.http.body_bytes_max;
    let body = extract::body(request, payload, bytes_max, context.gate.time_max()).await?;
    if body.is_empty() {
        return Ok("null".to_owned());
    }
    let content_type = extract::content_type(request).unwrap_or_default().trim_start();
    let is_json = |start: &str| start.eq_ignore_ascii_case("application/json");
    if !content_type.get(.."application/json".len()).is_some_and(is_json) {
        return Err(No::bad("code=415, message=Unsupported Media Type"));
    }
    // As Go: bytes that are no text are read as U+FFFD.
    Ok(String::from_utf8_lossy(&body).into_owned())
}

pub fn wallet(text: &str) -> Result<NewWallet, No> {
    let object = Object::parse_first("CreateWalletRequest", text).map_err(unbound)?;
    let labels = object.strings("labels").map_err(unbound)?.unwrap_or_default();
    let external_id = object.string("externalId").map_err(unbound)?.into_owned();

    let mut validation = Validation::of("CreateWalletRequest.WalletModel");
    validation.check("Labels", "max", labels.len() <= LABELS_MAX);
    validation.check_text("ExternalID", &external_id, NAME_CHARACTERS_MAX);
    validation.finish()?;
    if external_id.contains('\0') {
        return Err(No::bad(NO_NUL));
    }
    Ok(NewWallet { labels, external_id })
}

pub fn transaction(text: &str) -> Result<NewTransaction, No> {
    let object = Object::parse_first("CreateTransactionRequest", text).map_err(unbound)?;
    let amount = object.amount("amount", "float64").map_err(unbound)?;
    let amount = signed(amount.as_deref().unwrap_or("0")).map_err(|rejection| match rejection {
        Rejection::AmountInvalid => unbound(object.no_number("amount", "float64")),
        other => other.into(),
    })?;
    let description = object.string("description").map_err(unbound)?.into_owned();
    let labels = object.strings("labels").map_err(unbound)?.unwrap_or_default();
    let fingerprint = object.string("fingerprint").map_err(unbound)?.into_owned();

    let mut validation = Validation::of("CreateTransactionRequest.TransactionModel");
    validation.check("Amount", "required", amount.is_some());
    validation.check_text("Description", &description, DESCRIPTION_CHARACTERS_MAX);
    validation.check("Labels", "max", labels.len() <= LABELS_MAX);
    validation.check_text("Fingerprint", &fingerprint, NAME_CHARACTERS_MAX);
    validation.finish()?;
    let (direction, amount) = amount.expect("it is required");
    if amount.value() < Decimal::ONE {
        return Err(No::bad("amount should not be between -1.0 and 1.0"));
    }
    if [&description, &fingerprint].iter().any(|text| text.contains('\0')) {
        return Err(No::bad(NO_NUL));
    }
    Ok(NewTransaction { direction, amount, description, labels, fingerprint })
}

/// An integer of 64 bits: a wallet's id, a refno. That there is such a one is asked later.
pub fn integer(text: &str) -> Result<i64, No> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        No::bad(format!("strconv.Atoi: parsing {text:?}: {why}"))
    })
}

/// A UUID in its usual form.
pub fn transaction_id(text: &str) -> Result<Uuid, No> {
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(No::bad(format!("invalid UUID length: {}", text.len())));
    }
    Uuid::try_parse(text).map_err(|_| No::bad("invalid UUID format"))
}

/// What PostgreSQL says of the character that it cannot keep.
pub const NO_NUL: &str = "ERROR: invalid byte sequence for encoding \"UTF8\": 0x00 (SQLSTATE 22021)";

/// Zero is `None`: to Go it is the same as no amount.
fn signed(text: &str) -> Result<Option<(Direction, Amount)>, Rejection> {
    let (direction, magnitude) = match text.strip_prefix('-') {
        Some(rest) if rest.starts_with(['-', '+']) => return Err(Rejection::AmountInvalid),
        Some(rest) => (Direction::Out, rest),
        None => (Direction::In, text),
    };
    match Amount::parse(magnitude) {
        Ok(amount) => Ok(Some((direction, amount))),
        Err(Rejection::AmountNotPositive) => Ok(None),
        Err(other) => Err(other),
    }
}

/// What echo (4.5) says of a body that it cannot bind: an error of its own, with Go's inside it.
fn unbound(reason: Reason) -> No {
    // A type by itself is named with its package.
    let internal = reason.replace("Go value of type ", "Go value of type api.");
    let message = match &reason.sort {
        Sort::Syntax { offset } => format!("Syntax error: offset={offset}, error={internal}"),
        Sort::Type { expected, got, field, offset } => {
            let package = if field.is_empty() { "api." } else { "" };
            format!("Unmarshal type error: expected={package}{expected}, got={got}, field={field}, offset={offset}")
        }
        Sort::Other => internal.clone(),
    };
    No::bad(format!("code={}, message={message}, internal={internal}", StatusCode::BAD_REQUEST.as_u16()))
}

/// Collects what is wrong with the fields of one model, in their order.
struct Validation {
    model: &'static str,
    failures: Vec<String>,
}

impl Validation {
    fn of(model: &'static str) -> Self {
        Self { model, failures: Vec::new() }
    }

    fn check(&mut self, field: &str, tag: &str, holds: bool) {
        if !holds {
            let model = self.model;
            self.failures
                .push(format!("Key: '{model}.{field}' Error:Field validation for '{field}' failed on the '{tag}' tag"));
        }
    }

    fn check_text(&mut self, field: &str, text: &str, characters_max: usize) {
        self.check(field, "required", !text.is_empty());
        self.check(field, "max", text.chars().count() <= characters_max);
    }

    fn finish(self) -> Result<(), No> {
        if self.failures.is_empty() { Ok(()) } else { Err(No::bad(self.failures.join("\n"))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let read = match signed(text) {
            Ok(Some((direction, amount))) => format!("{direction:?} {amount}"),
            Ok(None) => "nothing".to_owned(),
            Err(rejection) => rejection.code().to_owned(),
        };
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn an_amount_has_a_sign() {
        check("10.50", "In 10.5");
        check("+3", "In 3");
        check("-5.0", "Out 5");
        check("-1e2", "Out 100");
        for zero in ["0", "-0", "0.00", "-0e5"] {
            check(zero, "nothing");
        }
        for bad in ["", "-", "--5", "-+5", "+-5", "ten", "NaN"] {
            check(bad, "amount_invalid");
        }
        check("-1e400", "amount_too_large");
    }
}
