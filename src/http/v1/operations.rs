//! What moves money: new transactions, what is done about them, batches.

use actix_web::http::header::HeaderName;
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::de::DeserializeOwned;

use super::answer::{self, AtomicBatch, BatchAnswer, Manner, OneOutcome, Outcomes};
use super::batch_operation::{BatchOperation, NewBatch};
use super::body::Object;
use super::operation::{Cancellation, Confirmation, Extension, NewTransaction, Reversal, Unfit};
use super::query::{Query, invalid};
use super::transaction::Transaction;
use super::{body, transactions};
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::Problem;
use crate::http::server::Context;
use crate::http::{extract, submit};
use crate::ledger::{Batch, IdempotencyKey, Item, Kind, Operation, Outcome, Rejection, Request, TransactionId};
use crate::store;
use crate::wire::{self, Part, Refusal};

/// What is served here.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint::new("POST", "/v1/transactions/{id}/confirm", Scope::Write, || web::to(confirm)),
    Endpoint::new("POST", "/v1/transactions/{id}/cancel", Scope::Write, || web::to(cancel)),
    Endpoint::new("POST", "/v1/transactions/{id}/extend", Scope::Write, || web::to(extend)),
    Endpoint::new("POST", "/v1/transactions/{id}/reverse", Scope::Write, || web::to(reverse)),
    Endpoint::new("POST", "/v1/batches", Scope::Write, || web::to(batch)),
];

/// RFC 7240.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Move money
///
/// Answers after the commit. With an idempotency key the same request can be sent again: it is answered as the first time, with
/// `Idempotent-Replayed: true`. `?dry_run=true` says what would happen and writes nothing. With `Prefer: respond-async` the answer is 202 and the
/// place of the transaction, once it is durable.
#[utoipa::path(
    post, path = "/v1/transactions", tag = "transactions", operation_id = "createTransaction",
    params(
        ("dry_run" = Option<bool>, Query, description = "Only say what would happen"),
        ("Idempotency-Key" = Option<String>, Header, description = "The caller's own name for it", min_length = 1, max_length = 255),
        ("Prefer" = Option<String>, Header, description = "respond-async"),
    ),
    request_body(content = NewTransaction, examples(
        ("A credit" = (value = json!({"kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": "100.00"}))),
        ("A transfer" = (value = json!({"kind": "transfer", "wallet_id": 1, "to_wallet_id": 2, "currency": "USD", "amount": "1.50"}))),
        ("A hold" = (value = json!({
            "kind": "withdraw", "wallet_id": 1, "currency": "USD", "amount": "12.50", "pending": true, "expires_in": 900, "order_id": "order-1",
        }))),
        ("A debit that waits for funds" = (value = json!({
            "kind": "withdraw", "wallet_id": 3, "currency": "USD", "amount": "5", "wait_for_funds": true, "labels": {"for": "rent"},
        }))),
    )),
    responses(
        (status = 201, description = "What it became", body = Transaction, headers(("Location", description = "Where it is"))),
        (status = 200, description = "What it would become: a dry run", body = Transaction),
        (status = 202, description = "It is durable", headers(("Location", description = "Where it is"))),
    ),
)]
pub async fn create(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    let manner = manner(&request)?;
    let body: NewTransaction = body::json(&context, &request, payload).await?;
    let operation = Operation {
        id: wire::new_id(),
        idempotency_key: key(&request, body.idempotency_key.as_deref())?,
        request: body.request()?,
    };
    carry_out(&context, operation, manner).await
}

/// Finish what is pending
///
/// In full or in part; what is left goes back, or stays pending with `final: false`.
#[utoipa::path(
    post, path = "/v1/transactions/{id}/confirm", tag = "transactions", operation_id = "confirmTransaction",
    params(
        ("id" = Uuid, Path, description = "Its id"),
        ("dry_run" = Option<bool>, Query, description = "Only say what would happen"),
        ("Idempotency-Key" = Option<String>, Header, description = "The caller's own name for it", min_length = 1, max_length = 255),
        ("Prefer" = Option<String>, Header, description = "respond-async"),
    ),
    request_body = Option<Confirmation>,
    responses(
        (status = 201, description = "The confirmation", body = Transaction, headers(("Location", description = "Where it is"))),
        (status = 200, description = "What it would become: a dry run", body = Transaction),
        (status = 202, description = "It is durable", headers(("Location", description = "Where it is"))),
    ),
)]
pub async fn confirm(
    context: Data<Context>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let about = |body: &Confirmation, original: &_| body.request(original);
    carry_out_about(&context, &request, (&id, payload), about, |body| body.idempotency_key.as_deref()).await
}

/// End what is pending or waits
///
/// Its money goes back.
#[utoipa::path(
    post, path = "/v1/transactions/{id}/cancel", tag = "transactions", operation_id = "cancelTransaction",
    params(
        ("id" = Uuid, Path, description = "Its id"),
        ("dry_run" = Option<bool>, Query, description = "Only say what would happen"),
        ("Idempotency-Key" = Option<String>, Header, description = "The caller's own name for it", min_length = 1, max_length = 255),
        ("Prefer" = Option<String>, Header, description = "respond-async"),
    ),
    request_body = Option<Cancellation>,
    responses(
        (status = 201, description = "The cancellation", body = Transaction, headers(("Location", description = "Where it is"))),
        (status = 200, description = "What it would become: a dry run", body = Transaction),
        (status = 202, description = "It is durable", headers(("Location", description = "Where it is"))),
    ),
)]
pub async fn cancel(
    context: Data<Context>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let about = |body: &Cancellation, original: &_| Ok(body.request(original));
    carry_out_about(&context, &request, (&id, payload), about, |body| body.idempotency_key.as_deref()).await
}

/// Give what is pending or waits another time to live
#[utoipa::path(
    post, path = "/v1/transactions/{id}/extend", tag = "transactions", operation_id = "extendTransaction",
    params(
        ("id" = Uuid, Path, description = "Its id"),
        ("dry_run" = Option<bool>, Query, description = "Only say what would happen"),
        ("Idempotency-Key" = Option<String>, Header, description = "The caller's own name for it", min_length = 1, max_length = 255),
        ("Prefer" = Option<String>, Header, description = "respond-async"),
    ),
    request_body = Extension,
    responses(
        (status = 201, description = "The extension", body = Transaction, headers(("Location", description = "Where it is"))),
        (status = 200, description = "What it would become: a dry run", body = Transaction),
        (status = 202, description = "It is durable", headers(("Location", description = "Where it is"))),
    ),
)]
pub async fn extend(
    context: Data<Context>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let about = |body: &Extension, original: &_| body.request(original);
    carry_out_about(&context, &request, (&id, payload), about, |body| body.idempotency_key.as_deref()).await
}

/// Undo a transaction of status Success by a new one
///
/// In full or in parts, never more than it in all.
#[utoipa::path(
    post, path = "/v1/transactions/{id}/reverse", tag = "transactions", operation_id = "reverseTransaction",
    params(
        ("id" = Uuid, Path, description = "Its id"),
        ("dry_run" = Option<bool>, Query, description = "Only say what would happen"),
        ("Idempotency-Key" = Option<String>, Header, description = "The caller's own name for it", min_length = 1, max_length = 255),
        ("Prefer" = Option<String>, Header, description = "respond-async"),
    ),
    request_body = Option<Reversal>,
    responses(
        (status = 201, description = "The reversal", body = Transaction, headers(("Location", description = "Where it is"))),
        (status = 200, description = "What it would become: a dry run", body = Transaction),
        (status = 202, description = "It is durable", headers(("Location", description = "Where it is"))),
    ),
)]
pub async fn reverse(
    context: Data<Context>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let about = |body: &Reversal, original: &_| body.request(original);
    carry_out_about(&context, &request, (&id, payload), about, |body| body.idempotency_key.as_deref()).await
}

/// Many operations at once
///
/// With `atomic: true` all of them happen or none, and the answer is 201 or a problem that names the operation at fault. Otherwise each stands for
/// itself, and the answer is 200 with one outcome each.
#[utoipa::path(
    post, path = "/v1/batches", tag = "transactions", operation_id = "createBatch",
    params(
        ("dry_run" = Option<bool>, Query, description = "Only say what would happen; for an atomic batch"),
        ("Idempotency-Key" = Option<String>, Header, description = "The caller's own name for it", min_length = 1, max_length = 255),
        ("Prefer" = Option<String>, Header, description = "respond-async; for an atomic batch"),
    ),
    request_body(content = NewBatch, examples(
        ("A split: all or none" = (value = json!({"atomic": true, "operations": [
            {"kind": "transfer", "wallet_id": 1, "to_wallet_id": 2, "currency": "USD", "amount": "9.50"},
            {"kind": "transfer", "wallet_id": 1, "to_wallet_id": 3, "currency": "USD", "amount": "0.50"},
        ]}))),
        ("Each for itself" = (value = json!({"operations": [
            {"kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": "25", "idempotency_key": "pay-in-1"},
            {"kind": "balance", "wallet_id": 1},
        ]}))),
    )),
    responses(
        (status = 201, description = "What an atomic batch became", body = AtomicBatch, headers(("Location", description = "Where it is"))),
        (status = 200, description = "The outcome of each; of a dry run what an atomic batch would become", body = BatchAnswer),
        (status = 202, description = "It is durable", headers(("Location", description = "Where it is"))),
    ),
)]
pub async fn batch(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    let manner = manner(&request)?;
    let bytes_max = context.state.settings.batch.body_bytes_max;
    let body: NewBatch = body::json_within(&context, &request, payload, bytes_max).await?;
    if body.operations.is_empty() {
        return Err(Rejection::BatchEmpty.into());
    }
    let operations_max = context.state.settings.batch.operations_max;
    if body.operations.len() > operations_max {
        let reason = format!("a batch may have at most {operations_max} operations");
        return Err(Refusal { reason, ..Rejection::BatchTooLarge.into() }.into());
    }
    let key = key(&request, body.idempotency_key.as_deref())?;
    if body.atomic {
        let request = Request::Batch(Batch::new(items(&body)?)?);
        let operation = Operation { id: wire::new_id(), idempotency_key: key, request };
        return carry_out(&context, operation, manner).await;
    }
    if manner != Manner::Full {
        return Err(Unfit::Fields("dry_run and respond-async are for atomic batches").into());
    }
    let keys = key.map(|key| key.of_operations(body.operations.len())).transpose()?;
    let operations = body.operations.iter().enumerate().map(|(position, Object(one))| {
        let idempotency_key = match &one.idempotency_key {
            Some(own) => Some(IdempotencyKey::new(own)?),
            None => keys.as_ref().map(|key_of| key_of(position)),
        };
        let request = one.request().map_err(refusal)?;
        Ok::<_, Refusal>(Operation { id: wire::new_id(), idempotency_key, request })
    });
    let parts = submit::submit_each(&context, operations.collect()).await?;
    let mut problems: Vec<Option<Problem>> = parts.iter().map(|_| None).collect();
    let outcomes = parts.into_iter().zip(&mut problems).map(|(part, problem)| match part {
        Part::Answered(_, Ok(outcome)) => OneOutcome::of(outcome, problem),
        Part::Answered(_, Err(error)) => OneOutcome::of_problem(problem.insert(error.into())),
        Part::Refused(refusal) => OneOutcome::of_problem(problem.insert(refusal.into())),
    });
    Ok(HttpResponse::Ok().json(Outcomes { outcomes: outcomes.collect() }))
}

fn items(body: &NewBatch) -> Result<Vec<Item>, Problem> {
    let item = |(position, Object(one)): (usize, &Object<BatchOperation>)| {
        if one.idempotency_key.is_some() {
            let reason = "in an atomic batch the batch has the idempotency key, not its operations".to_owned();
            return Err(Problem::from(Refusal { reason, ..Rejection::IdempotencyKeyInvalid.into() }).at(position));
        }
        if one.kind() == Kind::Balance {
            return Err(Problem::from(Rejection::ItemNotAllowed).at(position));
        }
        Ok(Item { id: wire::new_id(), request: one.request().map_err(|unfit| Problem::from(unfit).at(position))? })
    };
    body.operations.iter().enumerate().map(item).collect()
}

async fn carry_out(context: &Context, operation: Operation, manner: Manner) -> Result<HttpResponse, Problem> {
    let outcome: Outcome = match manner {
        Manner::DryRun => submit::preview(context, &operation).await?,
        Manner::Full | Manner::Location => submit::submit(context, operation).await?,
    };
    Ok(answer::of(outcome, manner))
}

/// What is asked about an earlier transaction. Which wallet's line it takes never changes, so it can be looked up before.
async fn carry_out_about<B: DeserializeOwned>(
    context: &Context,
    request: &HttpRequest,
    (id, payload): (&str, Payload),
    about: impl FnOnce(&B, &crate::ledger::Transaction) -> Result<Request, Unfit>,
    key_of: impl FnOnce(&B) -> Option<&str>,
) -> Result<HttpResponse, Problem> {
    let manner = manner(request)?;
    let id = transactions::uuid(id).ok_or_else(|| invalid("the id in the path must be a UUID"))?;
    let body: B = body::json_or_nothing(context, request, payload).await?;
    let idempotency_key = key(request, key_of(&body))?;
    let original = store::transactions::find(context.state.store.read_pool(), TransactionId(id)).await?;
    let original = original.ok_or(Rejection::TransactionUnknown)?;
    let operation = Operation { id: wire::new_id(), idempotency_key, request: about(&body, &original)? };
    carry_out(context, operation, manner).await
}

/// How the caller wants to hear of it. Refuses parameters that are not known.
fn manner(request: &HttpRequest) -> Result<Manner, Problem> {
    let mut query = Query::of(request)?;
    let is_dry = query.word("dry_run", &[("true", true), ("false", false)])?.unwrap_or(false);
    query.finish()?;
    let preferences = request.headers().get_all(PREFER).filter_map(|value| value.to_str().ok());
    let is_async = preferences
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"));
    Ok(match (is_dry, is_async) {
        (true, _) => Manner::DryRun,
        (false, true) => Manner::Location,
        (false, false) => Manner::Full,
    })
}

/// The caller's own name for it: the body's, else the header's.
fn key(request: &HttpRequest, of_body: Option<&str>) -> Result<Option<IdempotencyKey>, Problem> {
    // A header that can be no key is refused although the body goes before it: its caller thinks that it says something.
    let of_header = extract::idempotency_key(request.headers())?;
    Ok(of_body.map(IdempotencyKey::new).transpose()?.or(of_header))
}

fn refusal(unfit: Unfit) -> Refusal {
    match unfit {
        Unfit::Rejected(rejection) => rejection.into(),
        Unfit::Fields(reason) => Refusal { code: "contradiction", status: 422, reason: reason.to_owned(), item: None },
    }
}

impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        refusal(unfit).into()
    }
}
