//! What system 004 says when it does not do what was asked: plain text and a line end, as Go's `http.Error` writes it.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};

use crate::engine::SubmitError;
use crate::http::error::Unserved;
use crate::http::submit::Unanswered;
use crate::ledger::Rejection;
use crate::store::StoreError;
use crate::wire::Refusal;

pub(super) const JSON_UNREADABLE: &str = "unmarshalling JSON error";
const BODY_UNREADABLE: &str = "reading request body";
const CLIENT_UNKNOWN: &str = "client is not in the db";
const FUNDS_SHORT: &str = "not enough money";
/// It may or may not have been applied.
const FAILED: &str = "check your balance";

/// A status and a text.
#[derive(Debug)]
pub(super) struct ErrorText {
    status: StatusCode,
    text: Cow<'static, str>,
    retry_after_seconds: Option<u32>,
}

impl ErrorText {
    /// The request cannot be read, or asks for what cannot be.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// It contradicts what is known.
    pub fn conflict(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, text)
    }

    fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into(), retry_after_seconds: None }
    }

    fn failed() -> Self {
        Self::new(StatusCode::BAD_GATEWAY, FAILED)
    }

    /// As it goes out.
    pub fn respond(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.content_type(ContentType::plaintext()).insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header((RETRY_AFTER, seconds));
        }
        response.body(format!("{}\n", self.text))
    }
}

impl From<Unserved> for ErrorText {
    fn from(unserved: Unserved) -> Self {
        let said = match unserved {
            Unserved::BodyIncomplete | Unserved::BodyTooSlow => Self::bad(BODY_UNREADABLE),
            Unserved::DatabaseAway | Unserved::TimedOut => Self::failed(),
            // That system has nothing of the kind: HTTP's own.
            other => Self::new(other.status(), other.reason()),
        };
        Self { retry_after_seconds: unserved.retry_after_seconds(), ..said }
    }
}

impl From<Unanswered> for ErrorText {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Unserved(unserved) => unserved.into(),
            Unanswered::Refused(refusal) => refusal.into(),
            Unanswered::Failed(SubmitError::Abandoned) => Unserved::TimedOut.into(),
            // The engine has logged why.
            Unanswered::Failed(_) => Self::failed(),
        }
    }
}

impl From<Refusal> for ErrorText {
    fn from(refusal: Refusal) -> Self {
        // 422 has one meaning here, and "not enough money" is a rejection that never becomes a `Refusal`.
        let status = StatusCode::from_u16(refusal.status).ok().filter(|said| *said != StatusCode::UNPROCESSABLE_ENTITY);
        Self::new(status.unwrap_or(StatusCode::BAD_REQUEST), refusal.reason)
    }
}

impl From<Rejection> for ErrorText {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::InsufficientFunds => Self::new(StatusCode::UNPROCESSABLE_ENTITY, FUNDS_SHORT),
            Rejection::WalletUnknown => Self::new(StatusCode::NOT_FOUND, CLIENT_UNKNOWN),
            // A string that holds no number.
            Rejection::AmountInvalid => Self::bad(JSON_UNREADABLE),
            Rejection::AmountNotPositive | Rejection::AmountTooLarge | Rejection::TooManyDecimals => {
                Self::bad(rejection.to_string())
            }
            // Another request has the key; what the client holds, or how many of its withdrawals wait, leaves no room for this one.
            Rejection::IdempotencyKeyReused | Rejection::BalanceTooLarge | Rejection::WaitingLineFull => {
                Self::conflict(rejection.to_string())
            }
            // The only label is the client's name.
            Rejection::LabelsInvalid => Self::bad("clientName must have at most 256 characters, none of them NUL"),
            // The order was there, and ended before it could be looked at: its number is free again.
            Rejection::ReferenceTaken => Self::conflict("the order has just ended without effect, send it again"),
            Rejection::CurrencyUnknown => {
                tracing::error!("there is no such currency as dialects.transaction_system.currency names");
                Self::failed()
            }
            other => Refusal::from(other).into(),
        }
    }
}

impl From<StoreError> for ErrorText {
    fn from(error: StoreError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "what became of an order could not be read");
        Self::failed()
    }
}
