//! The words that AMQP and HTTP share: bytes in, [`Operation`] out; [`Outcome`] in, bytes out.
//!
//! Two vocabularies: `native` is Purser's own, `transactional_system` is system 000's. This module holds what is the same for both:
//! which bytes are looked at, and which HTTP status a refusal has. It knows no transport, decides nothing and never fails on its own:
//! whatever comes in becomes an operation or a [`Refusal`].

mod each;
mod envelope;
pub mod go;
pub mod labels;
mod native;
mod request;
mod transactional_system;

use uuid::Uuid;

use crate::engine::SubmitError;
use crate::ledger::{
    Amount, CurrencyCode, IdempotencyKey, Kind, Operation, Outcome, Rejection, Request, TransactionId,
};

use request::{Field, Value};

pub use each::submit_each;

/// Whose words are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Purser's own.
    Native,
    /// System 000's.
    TransactionalSystem,
}

/// What came in, before anything in it is believed.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Whose words.
    pub dialect: Dialect,
    /// The operation's word: the routing key, or the path.
    pub operation: &'a str,
    /// The content type, if the transport carried one.
    pub content_type: Option<&'a str>,
    /// The bytes.
    pub body: &'a [u8],
    /// The key that the transport carried; one in the body goes before it.
    pub idempotency_key: Option<&'a str>,
}

/// Why a message is no operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Permanent snake_case code.
    pub code: &'static str,
    /// The status `/v1` would give.
    pub status: u16,
    /// For people, in the words of the message's dialect.
    pub reason: String,
    /// Which operation of an atomic batch it was, counted from 0.
    pub item: Option<usize>,
}

/// What goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The `code` of the envelope, and HTTP's status.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
}

/// What a message asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One operation.
    Operation(Operation),
    /// Operations that have nothing to do with each other, or why one of them is none; one outcome each.
    Each(Vec<Result<Operation, Refusal>>),
}

/// The outcome of one of [`Asked::Each`].
#[derive(Clone, Debug)]
pub enum Part {
    /// It was no operation.
    Refused(Refusal),
    /// The engine's answer.
    Answered(Kind, Result<Outcome, SubmitError>),
}

/// What bounds a message.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest body that is looked at, in bytes.
    pub body_bytes_max: usize,
    /// The same for a batch.
    pub batch_body_bytes_max: usize,
    /// Most operations in a batch.
    pub batch_operations_max: usize,
}

/// Reads a message.
///
/// Checked in this order: the operation's word, the content type, the size, the JSON, then the fields: wallets, currency and amount,
/// the key. A name that comes twice is refused ([`Dialect::Native`]) or its last value stands, as in Go ([`Dialect::TransactionalSystem`]).
pub fn decode(message: &Message<'_>, limits: Limits) -> Result<Asked, Refusal> {
    let kind = match message.dialect {
        Dialect::Native => native::kind(message.operation)?,
        Dialect::TransactionalSystem => transactional_system::kind(message.operation)?,
    };
    let bytes_max = if kind == Kind::Batch { limits.batch_body_bytes_max } else { limits.body_bytes_max };
    let text = text(message, bytes_max)?;
    let fields = match message.dialect {
        Dialect::Native => native::fields(text)?,
        Dialect::TransactionalSystem => transactional_system::fields(kind, text)?,
    };
    let idempotency_key = match fields.get(Field::IdempotencyKey) {
        Some(value) => {
            let key = value.string().ok_or_else(|| wrong_type(Field::IdempotencyKey, "a string", value))?;
            Some(IdempotencyKey::new(&key)?)
        }
        None => message.idempotency_key.map(IdempotencyKey::new).transpose()?,
    };
    let request = match message.dialect {
        Dialect::Native if kind == Kind::Batch => {
            return native::batch(&fields, idempotency_key, limits.batch_operations_max);
        }
        Dialect::Native => native::request(kind, &fields)?,
        Dialect::TransactionalSystem => transactional_system::request(kind, &fields)?,
    };
    Ok(Asked::Operation(Operation { id: new_id(), idempotency_key, request }))
}

/// A name for a transaction to be. Later ones are greater, so the items of a batch keep their order.
pub fn new_id() -> TransactionId {
    TransactionId(Uuid::now_v7())
}

/// The reply to an operation that was decided.
pub fn reply_to(dialect: Dialect, request: &Request, outcome: &Outcome) -> Reply {
    match dialect {
        Dialect::Native => native::reply_to(outcome),
        Dialect::TransactionalSystem => transactional_system::reply_to(request, outcome),
    }
}

/// The reply to operations that have nothing to do with each other: the outcome of each, in their order.
pub fn reply_to_each(parts: &[Part]) -> Reply {
    native::reply_to_each(parts)
}

/// The reply to a message that is no operation. `operation` is the word it came with.
pub fn reply_refusal(dialect: Dialect, operation: &str, refusal: &Refusal) -> Reply {
    match dialect {
        Dialect::Native => native::reply_refusal(operation, refusal),
        Dialect::TransactionalSystem => {
            envelope::refusal(operation, transactional_system::REFUSED, &refusal.reason, None)
        }
    }
}

/// The reply to an operation that could not be decided: 503 where asking again can help, else 500; always 500 for system 000.
pub fn reply_failure(dialect: Dialect, operation: &str, error: &SubmitError) -> Reply {
    let status = match dialect {
        Dialect::Native if error.is_transient() => 503,
        Dialect::Native | Dialect::TransactionalSystem => 500,
    };
    // The text of the error alone: its source, which may name tables and addresses, stays inside.
    envelope::refusal(operation, status, &error.to_string(), None)
}

/// The status `/v1` gives a rejection: 404 for what is not there, 409 where a state forbids it, 422 where a rule says no.
pub const fn status_of(rejection: Rejection) -> u16 {
    match rejection {
        Rejection::WalletUnknown
        | Rejection::TransactionUnknown
        | Rejection::CurrencyUnknown
        | Rejection::ServiceUnknown => 404,
        Rejection::WalletClosed
        | Rejection::WalletBlocked
        | Rejection::WalletNotEmpty
        | Rejection::TransactionFinal
        | Rejection::TransactionWaiting
        | Rejection::NotExpired
        | Rejection::ReversalOfReversal
        | Rejection::NotReversible
        | Rejection::ReferenceTaken
        | Rejection::Cancelled
        | Rejection::Expired => 409,
        Rejection::IdempotencyKeyInvalid
        | Rejection::AmountInvalid
        | Rejection::AmountNotPositive
        | Rejection::AmountTooLarge
        | Rejection::ExpiresInInvalid
        | Rejection::LabelsInvalid
        | Rejection::DescriptionInvalid
        | Rejection::OrderIdInvalid
        | Rejection::ReferenceInvalid
        | Rejection::BatchEmpty
        | Rejection::BatchTooLarge
        | Rejection::ItemNotAllowed
        | Rejection::IdempotencyKeyReused
        | Rejection::SameWallet
        | Rejection::WaitForFundsInvalid
        | Rejection::TooManyDecimals
        | Rejection::AmountExceedsUnconfirmed
        | Rejection::AmountExceedsOriginal
        | Rejection::InsufficientFunds
        | Rejection::WaitingLineFull
        | Rejection::BalanceTooLarge => 422,
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self { code: rejection.code(), status: status_of(rejection), reason: rejection.to_string(), item: None }
    }
}

/// The body as text, or why it is not looked at.
fn text<'a>(message: &Message<'a>, body_bytes_max: usize) -> Result<&'a str, Refusal> {
    if message.content_type.is_some_and(|content_type| !is_json(content_type)) {
        let reason = "the content type must be application/json".to_owned();
        return Err(Refusal { code: "unsupported_content_type", status: 415, reason, item: None });
    }
    if message.body.len() > body_bytes_max {
        let reason = format!("the body must have at most {body_bytes_max} bytes");
        return Err(Refusal { code: "body_too_large", status: 413, reason, item: None });
    }
    std::str::from_utf8(message.body).map_err(|_| malformed("the body must be UTF-8".to_owned()))
}

/// Parameters, such as a character set, are not looked at: the body is checked to be UTF-8 anyway.
fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn malformed(reason: String) -> Refusal {
    Refusal { code: "malformed_json", status: 400, reason, item: None }
}

fn unknown_operation(reason: String) -> Refusal {
    // As a path that is not there.
    Refusal { code: "unknown_operation", status: 404, reason, item: None }
}

fn wrong_type(field: Field, expected: &str, value: Value<'_>) -> Refusal {
    let reason = match (expected, value.kind()) {
        ("an integer", "number") => format!("{} must be an integer of at most 64 bits", field.name()),
        (expected, got) => format!("{} must be {expected}, not {got}", field.name()),
    };
    Refusal { code: "wrong_type", status: 400, reason, item: None }
}

#[cfg(test)]
mod tests;
