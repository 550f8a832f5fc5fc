//! System 001, FlynnTaggart/balance: `/api` and what lies below it, and its Swagger at `/swagger/index.html`.
//!
//! GET and DELETE carry JSON bodies. A user is the wallet of the same id, made by its first credit; a reserve is a withdrawal that waits for a
//! service and an order, a purchase confirms it, an unreserve cancels it. What has no currency there is in `dialects.balance.currency`. A trailing
//! slash makes no difference. What is refused is a `message` with status 400; what HTTP itself refuses keeps its own status.

mod operations;
mod reports;
mod reserves;
mod services;
mod swagger;
mod users;

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::web::{self, Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use rust_decimal::Decimal;
use serde_json::json;

use super::{Dialect, number};
use crate::engine::SubmitError;
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::Unserved;
use crate::http::extract;
use crate::http::server::Context;
use crate::http::submit::{self, Unanswered};
use crate::ledger::{Amount, CurrencyCode, IdempotencyKey, Money, Operation, Outcome, Rejection, Request};
use crate::store::{StoreError, Trouble};
use crate::wire::go::{Object, Reason};
use crate::wire::{self, Refusal};

/// What the server needs to know of it.
pub const DIALECT: Dialect = Dialect {
    is_enabled: |settings| settings.balance.enabled,
    endpoints: &[
        Endpoint::get("/api", || web::to(users::balance)).or_at("/api/"),
        Endpoint::new("POST", "/api", Scope::Write, || web::to(users::credit)).or_at("/api/"),
        Endpoint::new("DELETE", "/api/users", Scope::Admin, || web::to(users::delete)).or_at("/api/users/"),
        Endpoint::get("/api/reserve", || web::to(reserves::find)).or_at("/api/reserve/"),
        Endpoint::new("POST", "/api/reserve", Scope::Write, || web::to(reserves::reserve)).or_at("/api/reserve/"),
        Endpoint::new("DELETE", "/api/reserve", Scope::Write, || web::to(reserves::unreserve)).or_at("/api/reserve/"),
        Endpoint::new("POST", "/api/purchase", Scope::Write, || web::to(reserves::purchase)).or_at("/api/purchase/"),
        Endpoint::get("/api/services", || web::to(services::find)).or_at("/api/services/"),
        // Not for administrators only, unlike `/v1/services`: that system's ordinary clients add the services that they reserve for.
        Endpoint::new("POST", "/api/services", Scope::Write, || web::to(services::add)).or_at("/api/services/"),
        Endpoint::new("DELETE", "/api/services", Scope::Admin, || web::to(services::delete)).or_at("/api/services/"),
        // Its GET writes a file, and its Swagger said POST.
        Endpoint::new("GET", "/api/report", Scope::Write, || web::to(reports::create)).or_at("/api/report/"),
        Endpoint::new("POST", "/api/report", Scope::Write, || web::to(reports::create)).or_at("/api/report/"),
        Endpoint::get("/api/report/{year}/{month}/report.csv", || web::to(reports::download))
            .or_at("/api/report/{year}/{month}/report.csv/"),
        Endpoint::get("/api/operations", || web::to(operations::list)).or_at("/api/operations/"),
        Endpoint::get("/api/history", || web::to(operations::list)).or_at("/api/history/"),
        Endpoint::open("/swagger", || web::to(swagger::redirect)),
        Endpoint::open("/swagger/{file:.*}", || web::to(swagger::serve)),
    ],
    refuse: |_, _, unserved| Refused::Unserved(unserved).error_response(),
    start_at_zero: |_| {},
};

/// The only content type whose body is read.
const JSON: &str = "application/json";
/// What Fiber says of any other.
const NOT_JSON: &str = "Unprocessable Entity";

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
enum Refused {
    /// In words.
    Said(String),
    /// The report has not been made.
    ReportMissing,
    /// HTTP itself refuses it.
    Unserved(Unserved),
    /// The database took longer than a read may.
    TooSlow,
    /// The log says why.
    Failed,
}

impl Refused {
    fn because(text: impl Into<String>) -> Self {
        Self::Said(text.into())
    }

    /// A failure that nobody outside can do anything about.
    fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request to /api could not be served");
        Self::Failed
    }

    fn message(&self) -> &str {
        match self {
            Self::Said(text) => text,
            Self::ReportMissing => "the report has not been made",
            Self::Unserved(unserved) => unserved.reason(),
            Self::TooSlow => "the database took too long; ask for less at once, or again later",
            Self::Failed => "the server failed; its log says why",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl std::error::Error for Refused {}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Said(_) => StatusCode::BAD_REQUEST,
            Self::ReportMissing => StatusCode::NOT_FOUND,
            Self::Unserved(unserved) => unserved.status(),
            Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let message = match self {
            // An error that Go had marshalled: what its clients get instead of a text.
            Self::ReportMissing => json!({}),
            _ => json!(self.message()),
        };
        let mut response = HttpResponse::build(self.status_code()).json(json!({ "message": message }));
        if let Self::Unserved(unserved) = self
            && let Some(seconds) = unserved.retry_after_seconds()
        {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::Said(reason.into())
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self::Said(rejection.to_string())
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Said(refusal.reason)
    }
}

impl From<Unserved> for Refused {
    fn from(unserved: Unserved) -> Self {
        Self::Unserved(unserved)
    }
}

impl From<Unanswered> for Refused {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Unserved(unserved) => unserved.into(),
            Unanswered::Refused(refusal) => refusal.into(),
            // Nobody knows, and the same key tells.
            Unanswered::Failed(SubmitError::Abandoned) => Unserved::TimedOut.into(),
            Unanswered::Failed(SubmitError::ShuttingDown) => Unserved::Stopping.into(),
            // The engine has logged why.
            Unanswered::Failed(SubmitError::Store(_) | SubmitError::Panicked) => Self::Failed,
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error.trouble() {
            Trouble::Away => Unserved::DatabaseAway.into(),
            Trouble::Conflict | Trouble::Locked => Self::TooSlow,
            Trouble::Refused => Self::failed(&error),
        }
    }
}

/// The body's text, as Go reads it: what is no UTF-8 becomes U+FFFD.
async fn body(context: &Context, request: &HttpRequest, payload: Payload) -> Result<String, Refused> {
    check_type(request)?;
    Ok(text(&bytes(context, request, payload).await?))
}

/// The same where a body need not come: one that is empty has no fields, and no type matters.
async fn body_if_any(context: &Context, request: &HttpRequest, payload: Payload) -> Result<String, Refused> {
    let bytes = bytes(context, request, payload).await?;
    if bytes.is_empty() {
        return Ok("{}".to_owned());
    }
    check_type(request)?;
    Ok(text(&bytes))
}

fn check_type(request: &HttpRequest) -> Result<(), Refused> {
    let content_type = extract::content_type(request).unwrap_or_default();
    let is_json = content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(JSON));
    if is_json { Ok(()) } else { Err(Refused::because(NOT_JSON)) }
}

async fn bytes(context: &Context, request: &HttpRequest, payload: Payload) -> Result<Bytes, Refused> {
    let bytes_max = context.state.settings.http.body_bytes_max;
    Ok(extract::body(request, payload, bytes_max, context.gate.time_max()).await?)
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The fields of a body. That system reads them into structs without a name.
fn fields(text: &str) -> Result<Object<'_>, Refused> {
    Object::parse("", text).map_err(|reason| match reason.strip_suffix("Go value of type ") {
        Some(beginning) => Refused::because(format!("{beginning}Go value of type struct")),
        None => reason.into(),
    })
}

/// The number of a user, a service or an order; 0 if it is absent.
fn id(asked: &Object<'_>, name: &str) -> Result<i64, Refused> {
    Ok(asked.integer(name, "uint64")?)
}

/// A number that a caller chooses for what is to be made: large ones would leave none for others.
fn check_chosen(context: &Context, id: i64, whose: &str) -> Result<(), Refused> {
    let id_max = context.state.settings.dialects.balance.id_max;
    let is_good = u64::try_from(id).is_ok_and(|id| (1..=id_max).contains(&id));
    if is_good { Ok(()) } else { Err(Refused::because(format!("the {whose}'s id must be from 1 to {id_max}"))) }
}

/// The amount that is asked for; one that is absent is 0, which is none.
fn money(context: &Context, asked: &Object<'_>) -> Result<Money, Refused> {
    let text = asked.amount("amount", "float32")?;
    let amount = text.map_or(Err(Rejection::AmountNotPositive), |text| Amount::parse(&text))?;
    Ok(Money { amount, currency: currency(context)? })
}

/// The currency of all amounts here.
fn currency(context: &Context) -> Result<CurrencyCode, Refused> {
    let code = &context.state.settings.dialects.balance.currency;
    Ok(CurrencyCode::new(code).ok_or(Rejection::CurrencyUnknown)?)
}

/// What the caller calls its request, if it does.
fn key(request: &HttpRequest) -> Result<Option<IdempotencyKey>, Refused> {
    Ok(extract::idempotency_key(request.headers())?)
}

async fn submit(context: &Context, request: Request, key: Option<IdempotencyKey>) -> Result<Outcome, Refused> {
    let operation = Operation { id: wire::new_id(), idempotency_key: key, request };
    Ok(submit::submit(context, operation).await?)
}

/// What every change is answered with.
fn ok() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("OK")
}

/// As `%.2f`, but for the decimals that a currency has beyond that: they are not rounded away.
fn fixed(value: Decimal) -> String {
    let value = value.normalize();
    let point = if value.scale() == 0 { "." } else { "" };
    format!("{value}{point}{}", "0".repeat(2_usize.saturating_sub(value.scale() as usize)))
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody;

    use super::*;

    fn check(refused: impl Into<Refused>, status: u16, retry_after: Option<&str>, body: &str) {
        let response = refused.into().error_response();
        assert_eq!(response.status().as_u16(), status, "{body}");
        let header = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
        assert_eq!(header, retry_after, "{body}");
        assert_eq!(response.into_body().try_into_bytes().unwrap(), body);
    }

    #[test]
    fn a_refusal_is_a_message_and_what_http_refuses_keeps_its_status() {
        check(Rejection::WalletBlocked, 400, None, r#"{"message":"the wallet is blocked: no money leaves it"}"#);
        check(Refused::because("\"quoted\""), 400, None, r#"{"message":"\"quoted\""}"#);
        check(Refused::ReportMissing, 404, None, r#"{"message":{}}"#);
        check(Refused::Failed, 500, None, r#"{"message":"the server failed; its log says why"}"#);
        for unserved in [Unserved::Unauthenticated, Unserved::Overloaded, Unserved::Stopping, Unserved::DatabaseAway] {
            let body = json!({ "message": unserved.reason() }).to_string();
            let retry_after = unserved.retry_after_seconds().map(|seconds| seconds.to_string());
            check(unserved, unserved.status().as_u16(), retry_after.as_deref(), &body);
        }
        let unknown = Unanswered::Failed(SubmitError::Abandoned);
        check(unknown, 503, Some("1"), &json!({ "message": Unserved::TimedOut.reason() }).to_string());
    }

    #[test]
    fn amounts_in_texts_have_two_decimals_at_least_and_are_not_rounded() {
        for (value, text) in [
            ("30.5", "30.50"),
            ("0", "0.00"),
            ("-1", "-1.00"),
            ("0.005", "0.005"),
            ("7.100", "7.10"),
            ("9000000000000000000000000000", "9000000000000000000000000000.00"),
        ] {
            assert_eq!(fixed(Decimal::from_str_exact(value).unwrap()), text);
        }
    }
}
