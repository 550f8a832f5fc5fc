//! How system 003 reads and writes JSON, and how it says no.
//!
//! A no of its own is `{"Error":"..."}`. What it could not even read was answered by its transport, in plain text with status 500. Its JSON ends
//! with a line end, as Go's encoder writes it.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, RETRY_AFTER};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::engine::SubmitError;
use crate::http::error::Unserved;
use crate::http::submit::Unanswered;
use crate::ledger::{Amount, Rejection};
use crate::store::{StoreError, Trouble};
use crate::wire::Refusal;
use crate::wire::go::Object;

/// Go's name for the time that was up.
const TIME_IS_UP: &str = "context deadline exceeded";

/// Why a request is refused.
#[derive(Debug)]
pub enum No {
    /// In its own words.
    Said(StatusCode, Cow<'static, str>),
    /// It cannot be read; in the words of Go.
    Unreadable(Cow<'static, str>),
    /// HTTP itself refuses it.
    Unserved(Unserved),
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
    }
}

/// What HTTP itself refuses. Its router says nothing of a wrong method; the rest it did not have, so HTTP's statuses stand.
pub fn refuse(unserved: Unserved) -> HttpResponse {
    if unserved == Unserved::MethodNotAllowed {
        return HttpResponse::MethodNotAllowed().finish();
    }
    let mut response = json(unserved.status(), &Error { error: unserved.reason() });
    if let Some(seconds) = unserved.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// A JSON document as a response.
pub fn json(status: StatusCode, document: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status).content_type(ContentType::json()).body(render(document) + "\n")
}

/// A value as Go's encoder writes it, which keeps markup out of what a browser might take for a page.
pub fn render(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("words and numbers are JSON");
    let is_plain = |character: char| !matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    if text.chars().all(is_plain) {
        return text;
    }
    // They stand in strings only.
    text.chars().fold(String::with_capacity(text.len() + 16), |mut escaped, character| {
        if is_plain(character) {
            escaped.push(character);
        } else {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        }
        escaped
    })
}

/// Reads the first JSON object of a body: what comes after it is not looked at. Bytes that are no text are read as U+FFFD.
pub fn read<T>(
    go_struct: &'static str,
    body: &[u8],
    fields: impl FnOnce(&Object<'_>) -> Result<T, String>,
) -> Result<T, No> {
    let text = String::from_utf8_lossy(body);
    if text.trim_ascii().is_empty() {
        return Err(No::Unreadable("EOF".into()));
    }
    let first = serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>().next();
    let first = first.and_then(Result::ok).map_or(&*text, RawValue::get);
    let object = Object::parse(go_struct, first).and_then(|object| fields(&object));
    object.map_err(|reason| match reason.as_str() {
        // What its decoder of streams says in its place.
        "unexpected end of JSON input" => No::Unreadable("unexpected EOF".into()),
        // A type by itself is named with its package.
        _ => No::Unreadable(reason.replace("Go value of type ", "Go value of type main.").into()),
    })
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
            Trouble::Conflict | Trouble::Locked => Self::Said(StatusCode::INTERNAL_SERVER_ERROR, TIME_IS_UP.into()),
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

    #[test]
    fn json_is_written_as_go_writes_it() {
        assert_eq!(render(&"a<b> & \u{2028}\"c\""), r#""a\u003cb\u003e \u0026 \u2028\"c\"""#);
        assert_eq!(render(&Error { error: "plain" }), r#"{"Error":"plain"}"#);
    }

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
