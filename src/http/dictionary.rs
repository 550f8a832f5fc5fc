//! How a dialect says no: its words as a dictionary, and everything else once for all of them.
//!
//! A handler of a dialect gives `Result<HttpResponse, No<ItsWords>>` and lets `?` do the rest: whatever is refused or fails becomes a [`Said`] in the
//! words of that dialect, and goes out in its form.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, ResponseError};

use super::error::Unserved;
use super::submit::Unanswered;
use crate::engine::SubmitError;
use crate::ledger::Rejection;
use crate::store::{StoreError, Trouble};
use crate::wire::Refusal;
use crate::wire::go::Reason;

/// A dialect's words. What it leaves out is said as Purser says it, with status 400 if the caller can do something about it.
pub trait Dictionary: fmt::Debug + 'static {
    /// A refusal in that system's form. `Retry-After` is set by who asks.
    fn write(said: &Said) -> HttpResponse;

    /// What a rule of the ledger says.
    fn rejected(rejection: Rejection) -> Said {
        Said::bad_request(rejection.to_string())
    }

    /// What makes no operation.
    fn refused(refusal: Refusal) -> Said {
        Said::bad_request(refusal.reason)
    }

    /// What HTTP itself refuses. The older systems have few such statuses, so HTTP's own stand.
    fn unserved(unserved: Unserved) -> Said {
        Said::new(unserved.status(), unserved.reason())
    }

    /// The database took longer than it may: nothing was done.
    fn too_slow() -> Said {
        Said::new(StatusCode::GATEWAY_TIMEOUT, "the database took too long; ask for less at once, or again later")
    }

    /// Nobody outside can do anything about it.
    fn failed() -> Said {
        Said::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why")
    }
}

/// A refusal in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The response's status.
    pub status: StatusCode,
    /// For people; older clients compare it.
    pub text: Cow<'static, str>,
}

impl Said {
    /// With any status.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }

    /// The request cannot be read, or asks for what cannot be.
    pub fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// It contradicts what is known.
    pub fn conflict(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, text)
    }
}

/// Why a request is not answered with what it asked for, in the words of `D`.
#[derive(Debug)]
pub struct No<D> {
    said: Said,
    retry_after_seconds: Option<u32>,
    words: PhantomData<D>,
}

impl<D: Dictionary> No<D> {
    /// See [`Said::new`].
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Said::new(status, text).into()
    }

    /// See [`Said::bad_request`].
    pub fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Said::bad_request(text).into()
    }

    /// See [`Said::conflict`].
    pub fn conflict(text: impl Into<Cow<'static, str>>) -> Self {
        Said::conflict(text).into()
    }

    /// A failure of our own. The log gets the reason, the caller does not.
    pub fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, dialect = std::any::type_name::<D>(), "a request to a dialect could not be served");
        D::failed().into()
    }
}

impl<D> fmt::Display for No<D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.said.text)
    }
}

impl<D: Dictionary> ResponseError for No<D> {
    fn status_code(&self) -> StatusCode {
        self.said.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = D::write(&self.said);
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl<D> From<Said> for No<D> {
    fn from(said: Said) -> Self {
        Self { said, retry_after_seconds: None, words: PhantomData }
    }
}

impl<D: Dictionary> From<Unserved> for No<D> {
    fn from(unserved: Unserved) -> Self {
        Self { retry_after_seconds: unserved.retry_after_seconds(), ..D::unserved(unserved).into() }
    }
}

impl<D: Dictionary> From<Rejection> for No<D> {
    fn from(rejection: Rejection) -> Self {
        D::rejected(rejection).into()
    }
}

impl<D: Dictionary> From<Refusal> for No<D> {
    fn from(refusal: Refusal) -> Self {
        D::refused(refusal).into()
    }
}

impl<D: Dictionary> From<Reason> for No<D> {
    fn from(reason: Reason) -> Self {
        Self::bad_request(String::from(reason))
    }
}

impl<D: Dictionary> From<Unanswered> for No<D> {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Unserved(unserved) => unserved.into(),
            Unanswered::Refused(refusal) => refusal.into(),
            Unanswered::Failed(SubmitError::ShuttingDown) => Unserved::Stopping.into(),
            // Nobody knows, and the same key tells.
            Unanswered::Failed(SubmitError::Abandoned) => Unserved::TimedOut.into(),
            // The engine has logged why.
            Unanswered::Failed(SubmitError::Store(_) | SubmitError::Panicked) => D::failed().into(),
        }
    }
}

impl<D: Dictionary> From<StoreError> for No<D> {
    fn from(error: StoreError) -> Self {
        match error.trouble() {
            Trouble::Away => Unserved::DatabaseAway.into(),
            Trouble::Conflict | Trouble::Locked => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the database took too long for a dialect");
                D::too_slow().into()
            }
            Trouble::Refused => Self::failed(&error),
        }
    }
}
