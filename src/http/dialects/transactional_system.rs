//! System 000 over HTTP: POST `/invoice`, `/withdraw`, `/balance`.
//!
//! That system speaks AMQP; this serves those who read its document as HTTP. Same request bodies, its reply envelope as the body, the
//! envelope's code as the status. An `Idempotency-Key` header makes a request safe to repeat.

use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, RETRY_AFTER};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::Dialect;
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::Unserved;
use crate::http::extract;
use crate::http::server::Context;
use crate::http::submit::{self, Unanswered};
use crate::ledger::Kind;
use crate::settings::Settings;
use crate::telemetry::Metrics;
use crate::wire::{self, Limits, Message, Reply};

/// What the server needs to know of it.
pub const DIALECT: Dialect = Dialect {
    is_enabled: |settings| settings.transactional_system.enabled,
    endpoints: &[
        Endpoint::new("POST", "/invoice", Scope::Write, || web::to(invoice)),
        Endpoint::new("POST", "/withdraw", Scope::Write, || web::to(withdraw)),
        Endpoint::new("POST", "/balance", Scope::Read, || web::to(balance)),
    ],
    refuse: |context, path, unserved| refuse(context, kind_at(path), unserved),
    start_at_zero,
};
const WORDS: wire::Dialect = wire::Dialect::TransactionalSystem;
/// What may be asked. Its path is its word.
const KINDS: [Kind; 3] = [Kind::Invoice, Kind::Withdraw, Kind::Balance];
/// The statuses that 000's own dashboards know.
const STATUSES_FROM_ZERO: [&str; 3] = ["200", "400", "500"];

async fn invoice(context: Data<Context>, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer(&context, Kind::Invoice, &request, payload).await
}

async fn withdraw(context: Data<Context>, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer(&context, Kind::Withdraw, &request, payload).await
}

async fn balance(context: Data<Context>, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer(&context, Kind::Balance, &request, payload).await
}

fn kind_at(path: &str) -> Kind {
    KINDS.into_iter().find(|kind| path == format!("/{kind}")).expect("the server asks at this dialect's paths only")
}

fn start_at_zero(metrics: &Metrics) {
    for kind in KINDS {
        for status in STATUSES_FROM_ZERO {
            metrics.app_queries_status.with_label_values(&[kind.as_str(), status]);
        }
    }
}

async fn answer(context: &Context, kind: Kind, request: &HttpRequest, payload: Payload) -> HttpResponse {
    match serve(context, kind, request, payload).await {
        Ok(reply) => respond(context, kind, reply),
        Err(Unanswered::Refused(refusal)) => {
            respond(context, kind, wire::reply_refusal(WORDS, kind.as_str(), &refusal))
        }
        Err(Unanswered::Failed(error)) => respond(context, kind, wire::reply_failure(WORDS, kind.as_str(), &error)),
        Err(Unanswered::Unserved(unserved)) => refuse(context, kind, unserved),
    }
}

async fn serve(context: &Context, kind: Kind, request: &HttpRequest, payload: Payload) -> Result<Reply, Unanswered> {
    let Settings { http, batch, .. } = &*context.state.settings;
    let body = extract::body(request, payload, http.body_bytes_max, context.gate.time_max()).await?;
    let message = Message {
        dialect: WORDS,
        operation: kind.as_str(),
        content_type: extract::content_type(request),
        body: &body,
        idempotency_key: extract::idempotency_key_text(request.headers())?,
    };
    let limits = Limits {
        body_bytes_max: http.body_bytes_max,
        batch_body_bytes_max: batch.body_bytes_max,
        batch_operations_max: batch.operations_max,
    };
    let wire::Asked::Operation(operation) = wire::decode(&message, limits)? else {
        unreachable!("this dialect has no batches");
    };
    let asked = operation.request.clone();
    let outcome = submit::submit(context, operation).await?;
    Ok(wire::reply_to(WORDS, &asked, &outcome))
}

/// What HTTP itself refuses, in 000's envelope. That system has no such statuses, so HTTP's own stand.
fn refuse(context: &Context, kind: Kind, unserved: Unserved) -> HttpResponse {
    let status = unserved.status().as_u16();
    let envelope = Envelope { operation: kind.as_str(), code: status, reason: unserved.reason() };
    let body = serde_json::to_vec(&envelope).expect("words and a number are JSON");
    let mut response = respond(context, kind, Reply { status, body });
    if let Some(seconds) = unserved.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

#[derive(Serialize)]
struct Envelope {
    operation: &'static str,
    code: u16,
    reason: &'static str,
}

/// Gives a reply out, and counts it as 000 counts its own.
fn respond(context: &Context, kind: Kind, reply: Reply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).expect("wire replies with an HTTP status");
    context.state.metrics.app_queries_status.with_label_values(&[kind.as_str(), status.as_str()]).inc();
    HttpResponse::build(status).content_type(ContentType::json()).body(reply.body)
}
