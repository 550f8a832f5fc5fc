//! What HTTP itself refuses, before or instead of an operation's outcome, and how `/v1` says any refusal.
//!
//! Purser's own routes say it as problem+json (RFC 9457) with a permanent `code`; a dialect says the same in its own words. `docs/errors.md`
//! lists every code.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::engine::SubmitError;
use crate::ledger::{Refused, Rejection};
use crate::store::{StoreError, Trouble};
use crate::wire::Refusal;

/// A problem's media type.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request was not served. Nothing was applied, but for [`Unserved::TimedOut`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// Nothing is served at this path.
    RouteUnknown,
    /// The path is right, the method is not.
    MethodNotAllowed,
    /// No good key came with it.
    Unauthenticated,
    /// The key that came does not allow it.
    Forbidden,
    /// More than a second's share of requests came in a second.
    RateLimited,
    /// The request's head is larger than `http.head_bytes_max`.
    HeadTooLarge,
    /// The body is larger than `http.body_bytes_max`.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// The body ended early, or is not well-formed HTTP.
    BodyIncomplete,
    /// As many operations are in flight as may be.
    Overloaded,
    /// As many reports are being made as may be at once.
    ReportsBusy,
    /// Purser is stopping.
    Stopping,
    /// The database is known to be away.
    DatabaseAway,
    /// The identity provider that could say whether the token is good cannot be reached.
    IssuerAway,
    /// Accepted, but without an outcome in time: it may or may not have been applied.
    TimedOut,
}

impl Unserved {
    /// The response's status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::RouteUnknown => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyIncomplete => StatusCode::BAD_REQUEST,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::RateLimited | Self::Overloaded | Self::ReportsBusy => StatusCode::TOO_MANY_REQUESTS,
            Self::Stopping | Self::DatabaseAway | Self::IssuerAway | Self::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For programs, permanent.
    pub const fn code(self) -> &'static str {
        match self {
            Self::RouteUnknown => "route_unknown",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limited",
            Self::HeadTooLarge => "head_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::BodyIncomplete => "body_incomplete",
            Self::Overloaded => "overloaded",
            Self::ReportsBusy => "reports_busy",
            Self::Stopping => "stopping",
            Self::DatabaseAway => "database_away",
            Self::IssuerAway => "issuer_away",
            Self::TimedOut => "timed_out",
        }
    }

    /// For people.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::RouteUnknown => "nothing is served at this path",
            Self::MethodNotAllowed => "this path does not serve that method; the Allow header names what it serves",
            Self::Unauthenticated => {
                "this needs a key that is in use: send it as Authorization: Bearer KEY; none came, or it is unknown, expired or revoked"
            }
            Self::Forbidden => "the key is good, but its scope does not allow this",
            Self::RateLimited => {
                "this caller asks more often than it may; nothing was applied, ask again after what Retry-After says"
            }
            Self::HeadTooLarge => "the address and the headers are larger than this server reads",
            Self::BodyTooLarge => "the body is larger than this server reads",
            Self::BodyTooSlow => "the body did not arrive in time",
            Self::BodyIncomplete => "the body ended early or is not well-formed HTTP",
            Self::Overloaded => "too many operations are in flight; nothing was applied, ask again later",
            Self::ReportsBusy => "as many reports are being made as may be at once; ask again later",
            Self::Stopping => "the server is stopping; nothing was applied, ask again later",
            Self::DatabaseAway => "the database is away; nothing was applied, ask again later",
            Self::IssuerAway => {
                "the identity provider that signs such tokens cannot be reached; nothing was applied, ask again later"
            }
            Self::TimedOut => {
                "there was no outcome in time; the operation may or may not have been applied: ask again with the same idempotency key"
            }
        }
    }

    /// When asking again has a chance, in seconds; `None` where the request itself must change.
    pub const fn retry_after_seconds(self) -> Option<u32> {
        match self {
            Self::RateLimited | Self::Overloaded | Self::TimedOut => Some(1),
            Self::ReportsBusy | Self::Stopping | Self::DatabaseAway | Self::IssuerAway => Some(5),
            Self::RouteUnknown
            | Self::MethodNotAllowed
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::HeadTooLarge
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::BodyIncomplete => None,
        }
    }
}

/// What only `/v1` refuses: its parameters, its bodies, and what administering asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A query parameter that this route does not have.
    ParameterUnknown,
    /// A parameter of the path or the query that cannot be read, or is given twice.
    ParameterInvalid,
    /// The body is JSON, but not what this route takes.
    BodyInvalid,
    /// A cursor that this route did not give out, or gave out for other filters.
    CursorUnknown,
    /// There is no transaction of that id.
    TransactionUnknown,
    /// There is no service of that id.
    ServiceUnknown,
    /// A wallet of that id exists.
    WalletExists,
    /// Another wallet has that external id.
    ExternalIdTaken,
    /// A currency of that code exists.
    CurrencyExists,
    /// Another currency has that number.
    CurrencyNumberTaken,
    /// The currency's scale is being changed by someone else.
    CurrencyBusy,
    /// Amounts or balances use more decimals than the scale that was asked for.
    ScaleInUse,
    /// Another service has that name.
    ServiceNameTaken,
    /// Transactions name the service.
    ServiceInUse,
    /// The database took longer than a read may.
    ReadTimedOut,
    /// A failure that nobody outside can do anything about; the log has it.
    Internal,
}

impl Fault {
    /// The response's status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::ParameterUnknown | Self::ParameterInvalid | Self::BodyInvalid => StatusCode::BAD_REQUEST,
            Self::CursorUnknown | Self::TransactionUnknown | Self::ServiceUnknown => StatusCode::NOT_FOUND,
            Self::WalletExists
            | Self::ExternalIdTaken
            | Self::CurrencyExists
            | Self::CurrencyNumberTaken
            | Self::CurrencyBusy
            | Self::ScaleInUse
            | Self::ServiceNameTaken
            | Self::ServiceInUse => StatusCode::CONFLICT,
            Self::ReadTimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// For programs, permanent.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ParameterUnknown => "parameter_unknown",
            Self::ParameterInvalid => "parameter_invalid",
            Self::CursorUnknown => "cursor_unknown",
            Self::BodyInvalid => "body_invalid",
            Self::TransactionUnknown => "transaction_unknown",
            Self::ServiceUnknown => "service_unknown",
            Self::WalletExists => "wallet_exists",
            Self::ExternalIdTaken => "external_id_taken",
            Self::CurrencyExists => "currency_exists",
            Self::CurrencyNumberTaken => "currency_number_taken",
            Self::CurrencyBusy => "currency_busy",
            Self::ScaleInUse => "scale_in_use",
            Self::ServiceNameTaken => "service_name_taken",
            Self::ServiceInUse => "service_in_use",
            Self::ReadTimedOut => "read_timed_out",
            Self::Internal => "internal",
        }
    }

    /// With what is to be said about this one case.
    pub fn because(self, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(self.status(), self.code(), detail)
    }
}

/// A refusal as `/v1` gives it. The `Err` of every handler.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    retry_after_seconds: Option<u32>,
    allow: Option<Cow<'static, str>>,
    transaction_id: Option<Uuid>,
    item: Option<usize>,
}

/// A refusal: RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "title": "Not Found", "status": 404, "code": "wallet_unknown", "detail": "the wallet does not exist"
}))]
pub struct ProblemBody<'a> {
    /// What the status is called.
    title: &'static str,
    /// The response's status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// For programs: permanent, see `docs/errors.md`.
    #[schema(pattern = "^[a-z][a-z0-9_]*$")]
    code: &'static str,
    /// For people.
    detail: &'a str,
    /// The transaction of status Error that records the refusal, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    transaction_id: Option<Uuid>,
    /// Which operation of a batch it was, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    item: Option<usize>,
}

impl Problem {
    /// Any refusal.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { status, code, detail, retry_after_seconds: None, allow: None, transaction_id: None, item: None }
    }

    /// A rule's no, with what is known of it.
    pub fn of_refused(refused: &Refused) -> Self {
        let transaction_id = refused.transaction.as_ref().map(|transaction| transaction.id.0);
        Self { transaction_id, item: refused.item, ..refused.rejection.into() }
    }

    /// The same, said of one operation of a batch.
    pub fn at(self, item: usize) -> Self {
        Self { item: Some(item), ..self }
    }

    /// The body.
    pub fn body(&self) -> ProblemBody<'_> {
        ProblemBody {
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            transaction_id: self.transaction_id,
            item: self.item,
        }
    }

    /// The permanent code.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status).json(self.body());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(allow) = self.allow.as_deref().and_then(|methods| HeaderValue::from_str(methods).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}

impl From<Unserved> for Problem {
    fn from(unserved: Unserved) -> Self {
        let retry_after_seconds = unserved.retry_after_seconds();
        Self { retry_after_seconds, ..Self::new(unserved.status(), unserved.code(), unserved.reason()) }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, refusal.code, refusal.reason)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        Refusal::from(rejection).into()
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::ShuttingDown => Unserved::Stopping.into(),
            // As with one that ran out of time: nobody knows, and the same key tells.
            SubmitError::Abandoned => Unserved::TimedOut.into(),
            // The engine has logged why.
            SubmitError::Store(_) | SubmitError::Panicked => {
                Fault::Internal.because("the operation could not be stored; nothing was applied")
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error.trouble() {
            Trouble::Away => Unserved::DatabaseAway.into(),
            Trouble::Conflict | Trouble::Locked => {
                Fault::ReadTimedOut.because("the database took too long; ask for less at once, or again later")
            }
            Trouble::Refused => {
                tracing::error!(error = &error as &dyn std::error::Error, "the database refused a statement of /v1");
                Fault::Internal.because("the server failed; its log says why")
            }
        }
    }
}

/// Nothing is served at this path.
pub async fn route_unknown() -> HttpResponse {
    Problem::from(Unserved::RouteUnknown).error_response()
}

/// The path is right, the method is not; `allowed` are the methods that are.
pub fn method_not_allowed(allowed: impl Into<Cow<'static, str>>) -> HttpResponse {
    Problem { allow: Some(allowed.into()), ..Unserved::MethodNotAllowed.into() }.error_response()
}

/// A refusal as problem+json.
pub fn problem(unserved: Unserved) -> HttpResponse {
    Problem::from(unserved).error_response()
}
