//! System 000 over HTTP: POST `/invoice`, `/withdraw`, `/balance`.
//!
//! That system speaks AMQP; this serves those who read its document as HTTP. Same request bodies, its reply envelope as the body, the
//! envelope's code as the status. An `Idempotency-Key` header makes a request safe to repeat.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, ContentType, HeaderValue, RETRY_AFTER};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::http::auth::Rule;
use crate::http::error::Unserved;
use crate::http::extract;
use crate::http::server::Context;
use crate::http::submit::{self, Unanswered};
use crate::ledger::Kind;
use crate::telemetry::Metrics;
use crate::wire::{self, Dialect, Message, Reply};

const DIALECT: Dialect = Dialect::TransactionalSystem;
/// What may be asked, and where.
const PATHS: [(&str, Kind); 3] =
    [("/invoice", Kind::Invoice), ("/withdraw", Kind::Withdraw), ("/balance", Kind::Balance)];
/// What each route asks of its caller.
pub const ACCESS: [Rule; 3] =
    [Rule::write("POST", "/invoice"), Rule::write("POST", "/withdraw"), Rule::read("POST", "/balance")];
/// The statuses that 000's own dashboards know.
const STATUSES_FROM_ZERO: [&str; 3] = ["200", "400", "500"];

pub fn configure(routes: &mut web::ServiceConfig) {
    for (path, kind) in PATHS {
        let handler = move |context: Data<Context>, request: HttpRequest, payload: Payload| async move {
            answer(&context, kind, &request, payload).await
        };
        let wrong_method =
            move |context: Data<Context>| async move { refuse(&context, kind, Unserved::MethodNotAllowed) };
        routes.service(web::resource(path).route(web::post().to(handler)).default_service(web::to(wrong_method)));
    }
}

/// Whether `route` is one of this dialect's.
pub fn is_path(route: &str) -> bool {
    PATHS.iter().any(|(path, _)| *path == route)
}

/// What HTTP itself refuses at `route`, in this dialect's words; `None` if it is another's route.
pub fn refuse_at(context: &Context, route: &str, unserved: Unserved) -> Option<HttpResponse> {
    let (_, kind) = PATHS.iter().find(|(path, _)| *path == route)?;
    Some(refuse(context, *kind, unserved))
}

/// Makes this dialect's counters, so that they start at 0.
pub fn start_at_zero(metrics: &Metrics) {
    for (_, kind) in PATHS {
        for status in STATUSES_FROM_ZERO {
            metrics.app_queries_status.with_label_values(&[kind.as_str(), status]);
        }
    }
}

async fn answer(context: &Context, kind: Kind, request: &HttpRequest, payload: Payload) -> HttpResponse {
    match serve(context, kind, request, payload).await {
        Ok(reply) => respond(context, kind, reply),
        Err(Unanswered::Refused(refusal)) => {
            respond(context, kind, wire::reply_refusal(DIALECT, kind.as_str(), &refusal))
        }
        Err(Unanswered::Failed(error)) => respond(context, kind, wire::reply_failure(DIALECT, kind.as_str(), &error)),
        Err(Unanswered::Unserved(unserved)) => refuse(context, kind, unserved),
    }
}

async fn serve(context: &Context, kind: Kind, request: &HttpRequest, payload: Payload) -> Result<Reply, Unanswered> {
    let bytes_max = context.state.settings.http.body_bytes_max;
    let body = extract::body(request, payload, bytes_max, context.gate.time_max()).await?;
    let message = Message {
        dialect: DIALECT,
        operation: kind.as_str(),
        content_type: extract::content_type(request),
        body: &body,
        idempotency_key: extract::idempotency_key(request.headers())?,
    };
    let limits = context.limits();
    let wire::Asked::Operation(operation) = wire::decode(&message, limits)? else {
        unreachable!("this dialect has no batches");
    };
    let asked = operation.request.clone();
    let outcome = submit::submit(context, operation).await?;
    Ok(wire::reply_to(DIALECT, &asked, &outcome))
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
    if unserved == Unserved::MethodNotAllowed {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
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
