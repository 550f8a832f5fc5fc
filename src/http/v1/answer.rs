//! What `/v1` answers to an operation: the transaction it became, or a problem.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use super::transaction::{Transaction, amount};
use crate::http::error::{Problem, ProblemBody};
use crate::ledger::outcome::Replay;
use crate::ledger::{Answer, Outcome, Refused};

/// Says that the same was answered before.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// RFC 7240: what was wished for and done.
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How the caller wants to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// What it became.
    Full,
    /// Where it can be looked up.
    Location,
    /// What it would become: nothing was written.
    DryRun,
}

/// A batch that stands together.
#[derive(Debug, Serialize, ToSchema)]
pub struct AtomicBatch {
    /// The batch's own.
    transaction: Transaction,
    /// Those of its operations, in their order.
    transactions: Vec<Transaction>,
}

/// The outcomes of operations that stand for themselves.
#[derive(Debug, Serialize, ToSchema)]
pub struct Outcomes<'a> {
    /// One for each operation, in their order.
    pub outcomes: Vec<OneOutcome<'a>>,
}

/// What a batch can be answered with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, clippy::large_enum_variant, reason = "the document's word for either; nothing makes one")]
pub enum BatchAnswer<'a> {
    /// Each stood for itself.
    Each(Outcomes<'a>),
    /// They stand together.
    Together(AtomicBatch),
}

/// The outcome of one of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct OneOutcome<'a> {
    /// The status that it would have by itself.
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    /// What it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    transaction: Option<Transaction>,
    /// What a balance found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    balances: Option<Vec<CurrencyBalance>>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    problem: Option<ProblemBody<'a>>,
    /// Whether the same was answered before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    replayed: bool,
}

/// What a wallet holds in one currency.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrencyBalance {
    /// The currency's code.
    currency: String,
    /// Can be spent now.
    available: String,
    /// Set aside to leave.
    held: String,
    /// Announced.
    incoming: String,
}

/// The answer to one operation.
pub fn of(outcome: Outcome, manner: Manner) -> HttpResponse {
    let replay = outcome.replay;
    let mut response = match (outcome.result, manner) {
        (Err(refused), Manner::Location) if refused.transaction.is_some() => {
            located(refused.transaction.map(|transaction| transaction.id.to_string()).unwrap_or_default())
        }
        // A dry run records nothing: there is no transaction to be looked up, but for one that was there before.
        (Err(refused), Manner::DryRun) if replay == Replay::First => {
            Problem::of_refused(&Refused { transaction: None, ..refused }).error_response()
        }
        (Err(refused), _) => Problem::of_refused(&refused).error_response(),
        (Ok(Answer::Transaction(transaction) | Answer::Batch(transaction, _)), Manner::Location) => {
            located(transaction.id.to_string())
        }
        (Ok(Answer::Transaction(transaction)), manner) => {
            let location = format!("/v1/transactions/{}", transaction.id);
            made(manner, &location, &Transaction::from(transaction))
        }
        (Ok(Answer::Batch(transaction, items)), manner) => {
            let location = format!("/v1/transactions/{}", transaction.id);
            let transactions = items.into_iter().map(Transaction::from).collect();
            made(manner, &location, &AtomicBatch { transaction: transaction.into(), transactions })
        }
        (Ok(Answer::Balances(lines)), _) => HttpResponse::Ok().json(balances(&lines)),
        (Ok(Answer::Standing(_)), _) => HttpResponse::NoContent().finish(),
    };
    if replay == Replay::Replayed {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

impl<'a> OneOutcome<'a> {
    /// What came of an operation that stands for itself.
    pub fn of(outcome: Outcome, problem: &'a mut Option<Problem>) -> Self {
        let replayed = outcome.replay == Replay::Replayed;
        let blank = Self { status: 200, transaction: None, balances: None, problem: None, replayed };
        match outcome.result {
            Ok(Answer::Transaction(transaction) | Answer::Batch(transaction, _)) => {
                Self { status: 201, transaction: Some(transaction.into()), ..blank }
            }
            Ok(Answer::Balances(lines)) => Self { balances: Some(balances(&lines)), ..blank },
            Ok(Answer::Standing(_)) => blank,
            Err(refused) => Self { replayed, ..Self::of_problem(problem.insert(Problem::of_refused(&refused))) },
        }
    }

    /// What kept it from having an outcome.
    pub fn of_problem(problem: &'a Problem) -> Self {
        let body = problem.body();
        let status = problem.status_code().as_u16();
        Self { status, transaction: None, balances: None, problem: Some(body), replayed: false }
    }
}

fn made(manner: Manner, location: &str, body: &impl Serialize) -> HttpResponse {
    match manner {
        // There is nothing at a location.
        Manner::DryRun => HttpResponse::Ok().json(body),
        Manner::Full | Manner::Location => HttpResponse::Created().insert_header((LOCATION, location)).json(body),
    }
}

fn located(id: String) -> HttpResponse {
    HttpResponse::build(StatusCode::ACCEPTED)
        .insert_header((LOCATION, format!("/v1/transactions/{id}")))
        .insert_header((PREFERENCE_APPLIED, "respond-async"))
        .finish()
}

fn balances(lines: &[crate::ledger::CurrencyBalance]) -> Vec<CurrencyBalance> {
    let line = |line: &crate::ledger::CurrencyBalance| CurrencyBalance {
        currency: line.currency.to_string(),
        available: amount(line.balance.available),
        held: amount(line.balance.held),
        incoming: amount(line.balance.incoming),
    };
    lines.iter().map(line).collect()
}
