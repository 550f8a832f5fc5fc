//! What system 002's clients are given: its objects with their fields in its order, and its refusals.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::value::RawValue;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::{FINGERPRINT, number};
use crate::engine::SubmitError;
use crate::http::error::Unserved;
use crate::http::submit::Unanswered;
use crate::ledger::{self, Reference, Rejection, Transaction};
use crate::store::directory::WalletRow;
use crate::store::lines::LineRow;
use crate::store::{StoreError, Trouble};
use crate::wire::{Refusal, go};

/// A wallet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wallet {
    id: i64,
    labels: Option<Labels>,
    external_id: String,
    created: String,
}

/// A wallet's transaction: a line of its history.
#[derive(Debug, Serialize)]
pub struct Line {
    id: String,
    refno: i64,
    amount: Box<RawValue>,
    description: String,
    labels: Option<Labels>,
    fingerprint: String,
    created: String,
    oldbalance: Box<RawValue>,
    newbalance: Box<RawValue>,
}

/// The same where it could be any wallet's.
#[derive(Debug, Serialize)]
pub struct LineOfWallet {
    #[serde(flatten)]
    line: Line,
    wid: i64,
}

type Labels = BTreeMap<String, String>;

impl From<WalletRow> for Wallet {
    fn from(row: WalletRow) -> Self {
        Self {
            id: row.id,
            labels: labels(Some(&row.labels)),
            // Empty where the wallet was made by someone who gave it none.
            external_id: row.external_id.unwrap_or_default(),
            created: moment(row.created_at),
        }
    }
}

impl Line {
    /// Of a transaction that was written now.
    pub fn of(transaction: &Transaction, line: &ledger::Line) -> Self {
        let more = transaction.more();
        let details = more.details.as_deref();
        let labels = details.map(|details| details.labels().iter()).into_iter().flatten();
        let labels: Labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self {
            id: transaction.id.to_string(),
            refno: line.seq,
            amount: number(line.delta, 1),
            description: details.and_then(|details| details.description()).unwrap_or_default().to_owned(),
            labels: (!labels.is_empty()).then_some(labels),
            fingerprint: fingerprint(more.reference.as_ref().map(Reference::as_str)),
            created: moment(transaction.created_at.0),
            oldbalance: number(line.available - line.delta, 1),
            newbalance: number(line.available, 1),
        }
    }
}

impl From<LineRow> for Line {
    fn from(row: LineRow) -> Self {
        Self {
            id: row.transaction_id.to_string(),
            refno: row.seq,
            amount: number(row.available_delta, 1),
            description: row.description.unwrap_or_default(),
            labels: labels(row.labels.as_deref()),
            fingerprint: fingerprint(row.reference.as_deref()),
            created: moment(row.created_at),
            oldbalance: number(row.available - row.available_delta, 1),
            newbalance: number(row.available, 1),
        }
    }
}

impl From<LineRow> for LineOfWallet {
    fn from(row: LineRow) -> Self {
        Self { wid: row.wallet_id, line: Line::from(row) }
    }
}

/// A name that was given elsewhere is no fingerprint.
fn fingerprint(reference: Option<&str>) -> String {
    reference.and_then(|reference| reference.strip_prefix(FINGERPRINT)).unwrap_or_default().to_owned()
}

/// Labels as they are kept; `None` where there are none.
fn labels(json: Option<&str>) -> Option<Labels> {
    let labels: Labels = serde_json::from_str(json?).ok()?;
    (!labels.is_empty()).then_some(labels)
}

/// As Go writes a time in UTC that was cut off to milliseconds.
fn moment(moment: OffsetDateTime) -> String {
    let utc = moment.checked_to_offset(UtcOffset::UTC).unwrap_or(moment);
    let utc = utc.replace_millisecond(utc.millisecond()).unwrap_or(utc);
    // Only a year beyond 9999 has no such text; the database was never given one.
    utc.format(&Rfc3339).unwrap_or_default()
}

/// What was asked for.
pub fn done(document: &impl Serialize) -> HttpResponse {
    json(StatusCode::OK, document)
}

/// A JSON document as its framework writes one: with its own content type, and a line end.
fn json(status: StatusCode, document: &impl Serialize) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, "application/json; charset=UTF-8"));
    response.body(go::render(document) + "\n")
}

/// A refusal, in the words of that system.
#[derive(Debug)]
pub enum No {
    /// With its status and text.
    Said(StatusCode, Cow<'static, str>),
    /// HTTP itself refuses it.
    Unserved(Unserved),
    /// A rule's no.
    Rejected(Rejection),
}

impl No {
    /// Another wallet has that external id.
    pub const WALLET_EXISTS: Self = Self::Said(StatusCode::CONFLICT, Cow::Borrowed("wallet already exists"));
    /// There is no such wallet.
    pub const WALLET_UNKNOWN: Self = Self::Said(StatusCode::NOT_FOUND, Cow::Borrowed("wallet not found"));
    /// There is no such transaction.
    pub const TRANSACTION_UNKNOWN: Self = Self::Said(StatusCode::NOT_FOUND, Cow::Borrowed("transaction not found"));

    /// The request cannot be read, or is not what is taken.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Said(StatusCode::BAD_REQUEST, text.into())
    }

    /// What a void is refused for, where that is said otherwise.
    pub fn of_void(self) -> Self {
        match self {
            Self::Rejected(Rejection::AmountExceedsOriginal) => {
                Self::Said(StatusCode::CONFLICT, "transaction is void already".into())
            }
            Self::Rejected(Rejection::ReversalOfReversal) => {
                Self::Said(StatusCode::CONFLICT, "a void cannot be void".into())
            }
            Self::Rejected(Rejection::NotReversible) => {
                Self::Said(StatusCode::CONFLICT, "only a finished transaction can be void".into())
            }
            other => other,
        }
    }

    /// What was asked is done, but its line could not be read.
    pub fn done_but_unread(error: &StoreError) -> Self {
        tracing::warn!(error = error as &dyn std::error::Error, "a line of a wallet's history could not be read");
        let text = "the transaction is done, but its balances cannot be read now; look for it by its fingerprint";
        Self::Said(StatusCode::SERVICE_UNAVAILABLE, text.into())
    }

    /// What was asked is done, but left no line: a bug.
    pub fn line_missing() -> Self {
        tracing::error!("a transaction that moved money left no line in its wallet's history");
        Self::internal()
    }

    fn internal() -> Self {
        Self::Said(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error".into())
    }

    fn status_and_text(&self) -> (StatusCode, Cow<'static, str>) {
        match self {
            Self::Said(status, text) => (*status, text.clone()),
            Self::Unserved(unserved) => (unserved.status(), unserved_text(*unserved).into()),
            Self::Rejected(rejection) => rejected(*rejection),
        }
    }
}

/// Its framework's own two; the others it does not have.
const fn unserved_text(unserved: Unserved) -> &'static str {
    match unserved {
        Unserved::RouteUnknown => "Not Found",
        Unserved::MethodNotAllowed => "Method Not Allowed",
        other => other.reason(),
    }
}

/// What that system has no word for is 400 with ours, as it did with what its database said. Never 409 or 422: its clients take the one for a
/// retry, and the other for a lack of funds.
fn rejected(rejection: Rejection) -> (StatusCode, Cow<'static, str>) {
    let (status, text) = match rejection {
        Rejection::WalletUnknown => (StatusCode::NOT_FOUND, "wallet not found"),
        Rejection::TransactionUnknown => (StatusCode::NOT_FOUND, "transaction not found"),
        Rejection::InsufficientFunds => (StatusCode::UNPROCESSABLE_ENTITY, "wallet balance is not enough"),
        Rejection::ReferenceTaken => (StatusCode::CONFLICT, "a transaction already exists with same fingerprint"),
        // How many is checked before.
        Rejection::LabelsInvalid => (
            StatusCode::BAD_REQUEST,
            "a label has a name of 1 to 64 characters and a value of at most 256, without NUL",
        ),
        Rejection::AmountTooLarge | Rejection::BalanceTooLarge => {
            (StatusCode::BAD_REQUEST, "ERROR: numeric field overflow (SQLSTATE 22003)")
        }
        other => return (StatusCode::BAD_REQUEST, other.to_string().into()),
    };
    (status, text.into())
}

impl fmt::Display for No {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.status_and_text().1)
    }
}

impl ResponseError for No {
    fn status_code(&self) -> StatusCode {
        self.status_and_text().0
    }

    fn error_response(&self) -> HttpResponse {
        #[derive(Serialize)]
        struct Message<'a> {
            message: &'a str,
        }
        let (status, text) = self.status_and_text();
        let mut response = json(status, &Message { message: &text });
        if let Self::Unserved(unserved) = self
            && let Some(seconds) = unserved.retry_after_seconds()
        {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Rejection> for No {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<Unserved> for No {
    fn from(unserved: Unserved) -> Self {
        Self::Unserved(unserved)
    }
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::bad(refusal.reason)
    }
}

impl From<Unanswered> for No {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Unserved(unserved) => unserved.into(),
            Unanswered::Refused(refusal) => refusal.into(),
            Unanswered::Failed(error) => error.into(),
        }
    }
}

impl From<SubmitError> for No {
    fn from(error: SubmitError) -> Self {
        let status =
            if error.is_transient() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR };
        // The text of the error alone: its source, which may name tables and addresses, stays inside.
        Self::Said(status, error.to_string().into())
    }
}

impl From<StoreError> for No {
    fn from(error: StoreError) -> Self {
        match error.trouble() {
            Trouble::Away => Unserved::DatabaseAway.into(),
            Trouble::Conflict | Trouble::Locked => {
                let text = "the database took too long; ask for less at once, or again later";
                Self::Said(StatusCode::GATEWAY_TIMEOUT, text.into())
            }
            Trouble::Refused => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the database refused a statement of /wallets"
                );
                Self::internal()
            }
        }
    }
}
