//! How system 003 reads and writes JSON, and how it says no.
//!
//! A no of its own is `{"Error":"..."}`. What it could not even read was answered by its transport, in plain text with status 500. Its JSON ends
//! with a line end, as Go's encoder writes it.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use serde::Serialize;

use crate::engine::SubmitError;
use crate::http::error::Unserved;
use crate::http::submit::Unanswered;
use crate::ledger::{Amount, Rejection};
use crate::store::{StoreError, Trouble};
use crate::wire::Refusal;
use crate::wire::go::{Object, render};

/// When asking again has a chance where the database was busy, in seconds.
const BUSY_SECONDS: u32 = 1;
/// A statement that waited too long was rolled back, so this is no guess.
const BUSY: &str = "the database took too long; nothing was made, ask again later";

/// Why a request is refused.
#[derive(Debug)]
pub enum No {
    /// In its own words.
    Said(StatusCode, Cow<'static, str>),
    /// It cannot be read; in the words of Go.
    Unreadable(Cow<'static, str>),
    /// HTTP itself refuses it.
    Unserved(Unserved),
    /// Somebody else was in the way in the database: nothing was made.
    Busy,
}

#[derive(Serialize)]
struct Error<'a> {
    #[serde(rename = "Error")]
    error: &'a str,
}

impl No {
    /// What a caller asked that cannot be.
    pub fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Said(StatusCode::BAD_REQUEST, text.into())
    }

    /// What is in the way of what a caller asked.
    pub fn conflict(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Said(StatusCode::CONFLICT, text.into())
    }
}

/// The answer, whichever it is.
pub fn answer(result: Result<HttpResponse, No>) -> HttpResponse {
    match result {
        Ok(response) => response,
        Err(No::Said(status, text)) => json(status, &Error { error: &text }),
        Err(No::Unreadable(text)) => {
            HttpResponse::InternalServerError().content_type(ContentType::plaintext()).body(text.into_owned())
        }
        Err(No::Unserved(unserved)) => refuse(unserved),
        Err(No::Busy) => refuse_for_now(StatusCode::SERVICE_UNAVAILABLE, BUSY, Some(BUSY_SECONDS)),
    }
}

/// What HTTP itself refuses. Its router says nothing of a wrong method, and a line of text of an unknown path; the rest it did not have, so HTTP's
/// statuses stand.
pub fn refuse(unserved: Unserved) -> HttpResponse {
    match unserved {
        Unserved::MethodNotAllowed => HttpResponse::MethodNotAllowed().finish(),
        Unserved::RouteUnknown => HttpResponse::NotFound()
            .content_type(ContentType::plaintext())
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body("404 page not found\n"),
        _ => refuse_for_now(unserved.status(), unserved.reason(), unserved.retry_after_seconds()),
    }
}

fn refuse_for_now(status: StatusCode, text: &str, retry_after_seconds: Option<u32>) -> HttpResponse {
    let mut response = json(status, &Error { error: text });
    if let Some(seconds) = retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// A JSON document as a response.
pub fn json(status: StatusCode, document: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status).content_type(ContentType::json()).body(render(document) + "\n")
}

/// Reads the first JSON object of a body: what comes after it is not looked at. Bytes that are no text are read as U+FFFD.
pub fn read<T>(
    go_struct: &'static str,
    body: &[u8],
    fields: impl FnOnce(&Object<'_>) -> Result<T, String>,
) -> Result<T, No> {
    let text = String::from_utf8_lossy(body);
    let object = Object::parse_first(go_struct, &text).map_err(String::from).and_then(|object| fields(&object));
    // A type by itself is named with its package.
    object.map_err(|reason| No::Unreadable(reason.replace("Go value of type ", "Go value of type main.").into()))
}

/// An amount as it is asked for; the inner error is a number that can be no amount. Absent, it is zero.
pub fn amount(object: &Object<'_>, name: &str) -> Result<Result<Amount, Unfit>, String> {
    let Some(text) = object.amount(name, "decimal.Decimal")? else { return Ok(Err(Unfit::Zero)) };
    match Amount::parse(&text) {
        Ok(amount) => Ok(Ok(amount)),
        Err(Rejection::AmountInvalid) => {
            Err(format!("Error decoding string '{text}': can't convert {text} to decimal"))
        }
        Err(Rejection::AmountNotPositive) if is_zero(&text) => Ok(Err(Unfit::Zero)),
        Err(Rejection::AmountNotPositive) => Ok(Err(Unfit::Negative)),
        Err(rejection) => Ok(Err(Unfit::Rejected(rejection))),
    }
}

/// A number that can be no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is nothing.
    Zero,
    /// It is below zero.
    Negative,
    /// The ledger has another reason.
    Rejected(Rejection),
}

fn is_zero(number: &str) -> bool {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    !mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

impl From<Unserved> for No {
    fn from(unserved: Unserved) -> Self {
        Self::Unserved(unserved)
    }
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::bad_request(refusal.reason)
    }
}

impl From<Unanswered> for No {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Unserved(unserved) => unserved.into(),
            Unanswered::Refused(refusal) => refusal.into(),
            Unanswered::Failed(SubmitError::ShuttingDown) => Unserved::Stopping.into(),
            // Nobody knows: a 500 would be taken for a no.
            Unanswered::Failed(SubmitError::Abandoned) => Unserved::TimedOut.into(),
            Unanswered::Failed(error @ (SubmitError::Store(_) | SubmitError::Panicked)) => {
                Self::Said(StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into())
            }
        }
    }
}

impl From<StoreError> for No {
    fn from(error: StoreError) -> Self {
        match error.trouble() {
            Trouble::Away => Unserved::DatabaseAway.into(),
            Trouble::Conflict | Trouble::Locked => Self::Busy,
            Trouble::Refused => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the database refused a statement of a dialect"
                );
                Self::Said(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<Result<&str, Unfit>, &str>) {
        let read = read("Request", body.as_bytes(), |object| amount(object, "Amount"));
        match (read, expected) {
            (Ok(read), Ok(expected)) => {
                assert_eq!(read.map(|amount| amount.to_string()), expected.map(str::to_owned), "{body}");
            }
            (Err(No::Unreadable(text)), Err(expected)) => assert_eq!(text, expected, "{body}"),
            (read, expected) => panic!("{body}: {read:?}, must be {expected:?}"),
        }
    }

    #[test]
    fn an_amount_is_a_number_or_a_string() {
        check(r#"{"Amount":"500.10"}"#, Ok(Ok("500.1")));
        check(r#"{"amount":0.00000001} and what comes after it"#, Ok(Ok("0.00000001")));
        for zero in [r#"{}"#, r#"{"Amount":null}"#, r#"{"Amount":0}"#, r#"{"Amount":"-0.00"}"#, r#"{"Amount":0e5}"#] {
            check(zero, Ok(Err(Unfit::Zero)));
        }
        check(r#"{"Amount":"-0.01"}"#, Ok(Err(Unfit::Negative)));
        check(r#"{"Amount":1e40}"#, Ok(Err(Unfit::Rejected(Rejection::AmountTooLarge))));
    }

    #[test]
    fn what_cannot_be_read_is_said_in_the_words_of_go() {
        check("", Err("EOF"));
        check(r#"{"Amount":"#, Err("unexpected EOF"));
        check("[]", Err("json: cannot unmarshal array into Go value of type main.Request"));
        check(r#"{"Amount":"ten"}"#, Err("Error decoding string 'ten': can't convert ten to decimal"));
        let no_number = "json: cannot unmarshal bool into Go struct field Request.Amount of type decimal.Decimal";
        check(r#"{"Amount":true}"#, Err(no_number));
    }
}
