//! System 004 over HTTP: POST `/pay/?client=ID`, and the same at `/pay` and `/domain/pay`.
//!
//! A deposit or a withdrawal of one client, in the order of that client's queue; answered with an empty 200 once it is committed. A withdrawal
//! for which there is not enough money is refused with 422 or, with `?wait=30s`, stays in the queue until there is: 202.
//!
//! **An order is carried out once.** An `orderID` that is positive becomes the reference of the transaction, together with the client and the
//! type: the same order sent again is not applied again but answered with what became of it. Not an idempotency key, under which "not enough
//! money" would stand for ever: what was refused may be sent again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::Dialect;
use crate::http::dictionary::{self, Dictionary, Said};
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::Unserved;
use crate::http::extract;
use crate::http::server::Context;
use crate::http::submit;
use crate::ledger::{
    Amount, Answer, CurrencyCode, Details, Labels, Lifetime, Mode, Money, Operation, Outcome, Reference, Refused,
    Rejection, Request, Status, Terms, WalletId,
};
use crate::store::{history, references};
use crate::wire::go::{Object, Query, Reason, duration_seconds};
use crate::wire::{self, Refusal};

/// What the server needs to know of it.
pub const DIALECT: Dialect = Dialect {
    is_enabled: |settings| settings.transaction_system.enabled,
    endpoints: &[
        Endpoint::new("POST", "/pay/", Scope::Write, || web::to(pay)),
        Endpoint::new("POST", "/pay", Scope::Write, || web::to(pay)),
        Endpoint::new("POST", "/domain/pay", Scope::Write, || web::to(pay)).or_at("/domain/pay/"),
    ],
    refuse: |_, _, unserved| No::from(unserved).error_response(),
    start_at_zero: |_| {},
};

/// The label that keeps `clientName`.
const CLIENT_NAME: &str = "client_name";

/// What that system says when it does not do what was asked: plain text and a line end, as Go's `http.Error` writes it.
#[derive(Debug)]
struct Words;

type No = dictionary::No<Words>;

impl Words {
    const QUERY_UNREADABLE: &str = "query string parsing";
    const BODY_UNREADABLE: &str = "reading request body";
    const JSON_UNREADABLE: &str = "unmarshalling JSON error";
    const CLIENT_UNREADABLE: &str = "converting to domain struct";
    const CLIENT_UNKNOWN: &str = "client is not in the db";
    const FUNDS_SHORT: &str = "not enough money";
    /// It may or may not have been applied.
    const FAILED: &str = "check your balance";
    const NAME_INVALID: &str = "clientName must have at most 256 characters, none of them NUL";
    const TYPE_UNKNOWN: &str = r#"typeTXN must be "deposit" or "withdraw""#;
    const ORDER_USED: &str = "orderID was used for another amount";
    const ORDER_ENDED: &str = "the order has just ended without effect, send it again";
}

impl Dictionary for Words {
    fn write(said: &Said) -> HttpResponse {
        let mut response = HttpResponse::build(said.status);
        response.content_type(ContentType::plaintext()).insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
        response.body(format!("{}\n", said.text))
    }

    fn rejected(rejection: Rejection) -> Said {
        match rejection {
            Rejection::InsufficientFunds => Said::new(StatusCode::UNPROCESSABLE_ENTITY, Self::FUNDS_SHORT),
            Rejection::WalletUnknown => Said::new(StatusCode::NOT_FOUND, Self::CLIENT_UNKNOWN),
            // A string that holds no number.
            Rejection::AmountInvalid => Said::bad_request(Self::JSON_UNREADABLE),
            Rejection::AmountNotPositive | Rejection::AmountTooLarge | Rejection::TooManyDecimals => {
                Said::bad_request(rejection.to_string())
            }
            // Another request has the key; what the client holds, or how many of its withdrawals wait, leaves no room for this one.
            Rejection::IdempotencyKeyReused | Rejection::BalanceTooLarge | Rejection::WaitingLineFull => {
                Said::conflict(rejection.to_string())
            }
            // The only label is the client's name.
            Rejection::LabelsInvalid => Said::bad_request(Self::NAME_INVALID),
            // The order was there, and ended before it could be looked at: its number is free again.
            Rejection::ReferenceTaken => Said::conflict(Self::ORDER_ENDED),
            Rejection::CurrencyUnknown => {
                tracing::error!("there is no such currency as dialects.transaction_system.currency names");
                Self::failed()
            }
            other => Self::refused(other.into()),
        }
    }

    fn refused(refusal: Refusal) -> Said {
        // 422 has one meaning here, and "not enough money" is a rejection that never becomes a `Refusal`.
        let status = StatusCode::from_u16(refusal.status).ok().filter(|said| *said != StatusCode::UNPROCESSABLE_ENTITY);
        Said::new(status.unwrap_or(StatusCode::BAD_REQUEST), refusal.reason)
    }

    fn unserved(unserved: Unserved) -> Said {
        match unserved {
            Unserved::BodyIncomplete | Unserved::BodyTooSlow => Said::bad_request(Self::BODY_UNREADABLE),
            Unserved::DatabaseAway | Unserved::TimedOut => Self::failed(),
            // That system has nothing of the kind: HTTP's own.
            other => Said::new(other.status(), other.reason()),
        }
    }

    fn too_slow() -> Said {
        Self::failed()
    }

    fn failed() -> Said {
        Said::new(StatusCode::BAD_GATEWAY, Self::FAILED)
    }
}

/// Reads in the order in which that system does: query, body, JSON, client; then what it never looked at.
async fn pay(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, No> {
    let query = Query::parse(request.query_string()).ok_or(No::bad_request(Words::QUERY_UNREADABLE))?;
    let bytes_max = context.state.settings.http.body_bytes_max;
    let body = extract::body(&request, payload, bytes_max, context.gate.time_max()).await?;
    // What is no UTF-8 in a string is replaced, as Go does it.
    let text = String::from_utf8_lossy(&body);
    let payment = Payment::read(&text).map_err(|_| No::bad_request(Words::JSON_UNREADABLE))?;
    let client = query.first("client").and_then(|client| client.parse().ok()).map(WalletId);
    let client = client.ok_or(No::bad_request(Words::CLIENT_UNREADABLE))?;

    let idempotency_key = extract::idempotency_key(request.headers())?;
    let settings = &context.state.settings.dialects.transaction_system;
    let currency = CurrencyCode::new(&settings.currency).ok_or(Rejection::CurrencyUnknown)?;
    let wait = wait(&query, settings.wait_seconds_max)?;
    let asked = payment.request(client, currency, wait)?;
    let operation = Operation { id: wire::new_id(), idempotency_key, request: asked.clone() };
    let done = match done(submit::submit(&context, operation).await?) {
        Ok(done) => done,
        Err(refused) => find_earlier(&context, &asked, &refused).await?.ok_or(refused.rejection)?,
    };
    Ok(match done {
        Done::Applied => HttpResponse::Ok().finish(),
        Done::Waits => HttpResponse::Accepted().finish(),
    })
}

/// What became of a payment that was not refused.
#[derive(Clone, Copy, Debug)]
enum Done {
    /// The balance has changed.
    Applied,
    /// It stands in the client's queue until there is enough money.
    Waits,
}

impl Done {
    /// `None` if it ended without effect.
    fn of(status: Status) -> Option<Self> {
        match status {
            Status::Success => Some(Self::Applied),
            Status::Created => Some(Self::Waits),
            Status::Error => None,
        }
    }
}

fn done(outcome: Outcome) -> Result<Done, Refused> {
    let Answer::Transaction(transaction) = outcome.result? else {
        unreachable!("a deposit or a withdrawal becomes a transaction");
    };
    Ok(Done::of(transaction.status).expect("what ended with Error is a refusal"))
}

/// How long a withdrawal may wait for funds, if it may.
fn wait(query: &Query, seconds_max: u64) -> Result<Option<Lifetime>, No> {
    let Some(text) = query.first("wait") else { return Ok(None) };
    let seconds = duration_seconds(text).filter(|seconds| *seconds <= seconds_max);
    let lifetime = seconds.and_then(|seconds| Lifetime::from_seconds(i64::try_from(seconds).ok()?).ok());
    let text = format!("wait must be a duration such as 30s, 5m or 1h30m, from 1s to {seconds_max}s");
    lifetime.map(Some).ok_or(No::bad_request(text))
}

/// What the body says.
struct Payment<'a> {
    client_name: Cow<'a, str>,
    order: i64,
    word: Cow<'a, str>,
    amount: Result<Amount, Rejection>,
}

impl<'a> Payment<'a> {
    fn read(text: &'a str) -> Result<Self, Reason> {
        let object = Object::parse("Payment", text)?;
        let amount = object.amount("amount", "float64")?;
        Ok(Self {
            client_name: object.string("clientName")?,
            order: object.integer("orderID", "int")?,
            word: object.string("typeTXN")?,
            amount: amount.map_or(Err(Rejection::AmountNotPositive), |amount| Amount::parse(&amount)),
        })
    }

    fn request(&self, wallet: WalletId, currency: CurrencyCode, wait: Option<Lifetime>) -> Result<Request, No> {
        let word = &*self.word;
        // That system credited what it did not know.
        if !["deposit", "withdraw"].contains(&word) {
            return Err(No::bad_request(Words::TYPE_UNKNOWN));
        }
        let money = Money { amount: self.amount?, currency };
        // 0 is what Go reads where nothing is: no order's number.
        let is_named = self.order > 0;
        let reference = is_named.then(|| Reference::new(&format!("pay:{wallet}:{word}:{}", self.order))).transpose()?;
        let details = self.details()?;
        let terms = |mode| Terms { mode, details, reference };
        Ok(match word {
            // Nothing to wait for.
            "deposit" => Request::Invoice { wallet, money, terms: terms(Mode::Now) },
            _ => {
                let mode = wait.map_or(Mode::Now, |lifetime| Mode::WhenFunded { expires_in: Some(lifetime) });
                Request::Withdraw { wallet, money, terms: terms(mode) }
            }
        })
    }

    /// That system carried both and kept neither.
    fn details(&self) -> Result<Option<Arc<Details>>, Rejection> {
        let named = (!self.client_name.is_empty()).then(|| (CLIENT_NAME.to_owned(), self.client_name.to_string()));
        let labels = Labels::new(BTreeMap::from_iter(named))?;
        let order = (self.order != 0).then(|| self.order.to_string());
        let details = Details::new(labels, None, None, order)?;
        Ok((!details.is_empty()).then(|| Arc::new(details)))
    }
}

/// What became of the same order when it was sent before. Whatever the refusal is: an order that was paid with the last money is short of
/// money when it comes again.
async fn find_earlier(context: &Context, asked: &Request, refused: &Refused) -> Result<Option<Done>, No> {
    let Some(reference) = asked.reference().filter(|_| refused.rejection != Rejection::IdempotencyKeyReused) else {
        return Ok(None);
    };
    let pool = context.state.store.read_pool();
    let Some(id) = references::find(pool, reference).await? else { return Ok(None) };
    let Some(earlier) = history::find(pool, id).await? else { return Ok(None) };
    // One that came after the refusal makes it no less true.
    if refused.transaction.as_ref().is_some_and(|refusal| earlier.created_at > refusal.created_at.0) {
        return Ok(None);
    }
    let money = asked.money().expect("a deposit or a withdrawal names money");
    let is_same = earlier.wallet_id == asked.wallet().0
        && earlier.kind == asked.kind().as_str()
        && earlier.currency.as_deref() == Some(money.currency.as_str())
        && earlier.amount == Some(money.amount.value());
    if !is_same {
        return Err(No::conflict(Words::ORDER_USED));
    }
    Ok(Status::parse(&earlier.status).and_then(Done::of))
}
