//! What HTTP itself refuses, before or instead of an operation's outcome.
//!
//! Purser's own routes say it as problem+json (RFC 9457) with a permanent `code`; a dialect says the same in its own words.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use serde::Serialize;

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
            Self::RateLimited | Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
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
            Self::Stopping | Self::DatabaseAway | Self::IssuerAway => Some(5),
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

/// The body of a problem.
#[derive(Debug, Serialize)]
struct Problem {
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'static str,
}

/// Nothing is served at this path.
pub async fn route_unknown() -> HttpResponse {
    problem(Unserved::RouteUnknown)
}

/// The path is right, the method is not; `allowed` are the methods that are.
pub fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let mut response = problem(Unserved::MethodNotAllowed);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// A refusal as problem+json.
pub fn problem(unserved: Unserved) -> HttpResponse {
    let status = unserved.status();
    let title = status.canonical_reason().unwrap_or("Error");
    let problem = Problem { title, status: status.as_u16(), code: unserved.code(), detail: unserved.reason() };
    let mut response = HttpResponse::build(status).json(problem);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = unserved.retry_after_seconds() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
