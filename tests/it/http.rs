//! HTTP on the real thing: what comes in wrong, what comes twice or at once, and what those who run Purser read.

mod auth;
mod jwt;
mod tls;
mod v1_batches;
mod v1_closed;
mod v1_currencies;
mod v1_document;
mod v1_operations;
mod v1_replays;
mod v1_services;
mod v1_statements;
mod v1_transactions;
mod v1_wallets;

use futures::future::join_all;
use purser::settings::Settings;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::support::app::metric_in;
use crate::support::{PATIENCE, TestApp, assert_books_balance, poll_until};

const TRANSACTIONS: &str = "/v1/transactions";

/// Purser without a broker: most of this has nothing to do with one.
async fn start_with(adjust: impl FnOnce(&mut Settings)) -> TestApp {
    TestApp::start_with(|settings| {
        settings.broker.enabled = false;
        adjust(settings);
    })
    .await
}

/// A request with the usual content type; the body as it stands.
fn post(app: &TestApp, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    post_as("application/json", app, path, body)
}

fn post_as(content_type: &str, app: &TestApp, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let client = Client::builder().timeout(PATIENCE).build().expect("a client is made");
    client.post(app.url(path)).header("content-type", content_type).body(body)
}

/// Sends it, and gives the status and the JSON that came back.
async fn send(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("the server answers");
    let status = response.status().as_u16();
    let content_type = response.headers()["content-type"].to_str().expect("it is text").to_owned();
    assert_eq!(content_type, if status < 400 { "application/json" } else { "application/problem+json" });
    (status, response.json().await.expect("the body is JSON"))
}

/// Asks for a transaction.
fn asked(app: &TestApp, body: &Value) -> RequestBuilder {
    post(app, TRANSACTIONS, body.to_string())
}

/// The same with a key in the header.
fn with_key(app: &TestApp, body: &Value, key: &str) -> RequestBuilder {
    asked(app, body).header("idempotency-key", key)
}

fn usd(kind: &str, wallet: i64, amount: &str) -> Value {
    json!({ "kind": kind, "wallet_id": wallet, "currency": "USD", "amount": amount })
}

#[actix_rt::test]
async fn bad_input_gets_a_clear_answer_and_disturbs_nothing() {
    let app = start_with(|_| {}).await;
    let with = |field: &str, value: &str| {
        let fields = [("kind", r#""invoice""#), ("wallet_id", "1"), ("currency", r#""USD""#), ("amount", "1")];
        let others = fields.into_iter().filter(|(name, _)| *name != field);
        let fields: Vec<String> =
            others.chain([(field, value)]).map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
        format!("{{{}}}", fields.join(",")).into_bytes()
    };
    for (body, expected) in [
        (b"".to_vec(), (400, "malformed_json")),
        (b"not JSON".to_vec(), (400, "malformed_json")),
        (b"{".to_vec(), (400, "malformed_json")),
        (b"[]".to_vec(), (400, "body_invalid")),
        (b"\"text\"".to_vec(), (400, "body_invalid")),
        (b"{}".to_vec(), (400, "body_invalid")),
        (with("wallet_id", "1.5"), (400, "body_invalid")),
        (with("wallet_id", r#""1""#), (400, "body_invalid")),
        (with("wallet_id", "99999999999999999999"), (400, "body_invalid")),
        (with("currency", "1"), (400, "body_invalid")),
        (with("colour", r#""green""#), (400, "body_invalid")),
        (with("amount", "NaN"), (400, "malformed_json")),
        (with("amount", "true"), (422, "amount_invalid")),
        (with("amount", r#""NaN""#), (422, "amount_invalid")),
        (with("amount", "0"), (422, "amount_not_positive")),
        (with("amount", "-1"), (422, "amount_not_positive")),
        (with("amount", "1e400"), (422, "amount_too_large")),
        (with("amount", "12345678901234567890123456789"), (422, "amount_too_large")),
        (with("amount", "0.001"), (422, "too_many_decimals")),
        (with("wallet_id", "77"), (404, "wallet_unknown")),
        (with("currency", r#""XYZ""#), (404, "currency_unknown")),
        (with("idempotency_key", &format!(r#""{}""#, "k".repeat(10_240))), (422, "idempotency_key_invalid")),
        ([b"{\"kind\":\"".as_slice(), b"\xff", b"\"}"].concat(), (400, "malformed_json")),
        ([vec![b'['; 50_000], vec![b']'; 10_000]].concat(), (400, "body_invalid")),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let (status, problem) = send(post(&app, TRANSACTIONS, body)).await;
        assert_eq!((status, problem["code"].as_str()), (expected.0, Some(expected.1)), "{shown}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{shown}: {problem}");
    }
    assert_eq!(send(post(&app, TRANSACTIONS, vec![b' '; 10_000_000])).await.0, 413);
    let good = usd("invoice", 1, "1");
    assert_eq!(send(post_as("text/plain", &app, TRANSACTIONS, good.to_string())).await.0, 415);
    // The good one is served as ever.
    assert_eq!(send(asked(&app, &good)).await.0, 201);
    assert_eq!(app.database.available(1, "USD").await, "1");
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "1");
}

#[actix_rt::test]
async fn a_key_in_the_header_makes_a_request_safe_to_repeat() {
    let app = start_with(|_| {}).await;
    let five = usd("invoice", 1, "5");
    for _ in 0..3 {
        assert_eq!(send(with_key(&app, &five, "order-1")).await.0, 201);
    }
    assert_eq!(app.database.available(1, "USD").await, "5");

    // The same key for something else is refused.
    for other in [usd("invoice", 1, "6"), usd("withdraw", 1, "5")] {
        let (status, problem) = send(with_key(&app, &other, "order-1")).await;
        assert_eq!((status, &problem["code"]), (422, &json!("idempotency_key_reused")), "{other}");
    }

    // A refusal is repeated too, even when there is money by now.
    let ten = usd("withdraw", 1, "10");
    let (status, first) = send(with_key(&app, &ten, "order-2")).await;
    assert_eq!((status, &first["code"]), (422, &json!("insufficient_funds")));
    assert_eq!(send(with_key(&app, &usd("invoice", 1, "100"), "order-3")).await.0, 201);
    assert_eq!(send(with_key(&app, &ten, "order-2")).await, (422, first));
    assert_eq!(app.database.available(1, "USD").await, "105");

    // A key in the body goes before the one in the header.
    let mut body = usd("invoice", 1, "1");
    body["idempotency_key"] = json!("order-4");
    for header in ["a", "b"] {
        assert_eq!(send(with_key(&app, &body, header)).await.0, 201);
    }
    assert_eq!(app.database.available(1, "USD").await, "106");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn a_key_header_that_cannot_be_a_key_is_refused() {
    let app = start_with(|_| {}).await;
    let body = usd("invoice", 1, "1");
    let too_long = "k".repeat(256);
    for key in [b"".as_slice(), b"caf\xe9", b"a\tb", too_long.as_bytes()] {
        let value = reqwest::header::HeaderValue::from_bytes(key).expect("HTTP lets it through");
        let (status, problem) = send(asked(&app, &body).header("idempotency-key", value)).await;
        assert_eq!((status, &problem["code"]), (422, &json!("idempotency_key_invalid")), "{key:?}");
    }
    let twice = asked(&app, &body).header("idempotency-key", "a").header("idempotency-key", "b");
    assert_eq!(send(twice).await.1["code"], "idempotency_key_invalid");
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "0");
}

#[actix_rt::test]
async fn parallel_requests_with_one_key_are_applied_once() {
    let app = start_with(|_| {}).await;
    let body = usd("invoice", 1, "7");
    let answers = join_all((0..20).map(|_| send(with_key(&app, &body, "once")))).await;
    assert!(answers.iter().all(|(status, _)| *status == 201), "{answers:?}");
    assert_eq!(app.database.available(1, "USD").await, "7");
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "1");
}

#[actix_rt::test]
async fn parallel_withdraws_never_take_more_than_there_is() {
    let app = start_with(|_| {}).await;
    assert_eq!(send(asked(&app, &usd("invoice", 1, "10"))).await.0, 201);
    let body = usd("withdraw", 1, "1");
    let answers = join_all((0..40).map(|_| send(asked(&app, &body)))).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 10);
    assert_eq!(app.database.available(1, "USD").await, "0");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn too_many_operations_at_once_are_answered_429_and_the_others_are_served() {
    let app = start_with(|settings| settings.http.in_flight_max = 2).await;
    // Someone holds the wallet, so what is asked of it stays in flight.
    let mut db_tx = app.database.pool.begin().await.expect("the database is there");
    sqlx::query("SELECT FROM wallets WHERE id = 1 FOR UPDATE").execute(&mut *db_tx).await.expect("the wallet is there");
    let body = usd("invoice", 1, "1");
    let held = [0, 1].map(|_| tokio::spawn(send(asked(&app, &body))));
    poll_until(PATIENCE, "two operations in flight", || async { app.metric("purser_operations_in_flight").await == 2 })
        .await;

    let response = asked(&app, &body).send().await.expect("the server answers");
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].as_bytes()), (429, b"1".as_slice()));
    let problem: Value = response.json().await.expect("the body is JSON");
    assert_eq!(problem["code"], "overloaded");

    db_tx.rollback().await.expect("the database is there");
    for held in held {
        assert_eq!(held.await.expect("the request ends").0, 201);
    }
    assert_eq!(send(asked(&app, &body)).await.0, 201);
    assert_eq!(app.database.available(1, "USD").await, "3");
}

#[actix_rt::test]
async fn an_outage_of_the_database_is_told_and_ends_by_itself() {
    let app = start_with(|settings| {
        settings.database.acquire_timeout_ms = 200;
        settings.http.request_timeout_ms = 500;
    })
    .await;
    let body = usd("invoice", 1, "1");
    app.database.alter("ALLOW_CONNECTIONS false").await;
    app.database.terminate_connections().await;
    // Accepted before anybody knew: it waits for the database, but its caller not for ever.
    let (status, problem) = send(with_key(&app, &body, "once")).await;
    assert_eq!((status, &problem["code"]), (503, &json!("timed_out")));
    // By now it is known.
    poll_until(PATIENCE, "503 at the door", || async {
        let (status, problem) = send(asked(&app, &usd("invoice", 2, "1"))).await;
        assert_eq!(status, 503, "{problem}");
        problem["code"] == "database_away"
    })
    .await;
    poll_until(PATIENCE, "not ready", || async {
        let answer = app.get("/readyz").await;
        answer.status == 503 && answer.json()["dependencies"]["database"] == "down"
    })
    .await;
    assert_eq!(app.get("/healthz").await.status, 200, "the process itself is well");

    app.database.alter("ALLOW_CONNECTIONS true").await;
    poll_until(PATIENCE, "ready again", || async { app.get("/readyz").await.status == 200 }).await;
    // What was accepted is carried out by itself; asking again with the same key tells how it went, and does nothing twice.
    poll_until(PATIENCE, "the operation's outcome", || async { send(with_key(&app, &body, "once")).await.0 == 201 })
        .await;
    assert_eq!(app.database.available(1, "USD").await, "1");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn readiness_waits_for_the_broker_and_can_do_without_one() {
    let app = TestApp::start().await;
    poll_until(PATIENCE, "readiness", || async { app.get("/readyz").await.status == 200 }).await;
    let up = json!({ "ready": true, "dependencies": { "database": "up", "broker": "up" } });
    assert_eq!(app.get("/readyz").await.json(), up);

    let alone = start_with(|_| {}).await;
    let off = json!({ "ready": true, "dependencies": { "database": "up", "broker": "off" } });
    assert_eq!(alone.get("/readyz").await.json(), off);
    assert_eq!(send(asked(&alone, &usd("invoice", 1, "1"))).await.0, 201);
}

#[actix_rt::test]
async fn the_metrics_of_an_operation_are_there() {
    let app = start_with(|_| {}).await;
    assert_eq!(send(asked(&app, &usd("invoice", 1, "1"))).await.0, 201);
    // It is answered a moment before it is counted out.
    let is_out = async || app.metric("purser_operations_in_flight").await == 0;
    poll_until(PATIENCE, "the operation is no more in flight", is_out).await;
    let page = app.get("/metrics").await;
    assert_eq!((page.status, page.content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    for (line, value) in [
        (r#"purser_operations_total{operation="invoice",outcome="Success"}"#, 1),
        (r#"purser_operation_duration_seconds_count{operation="invoice"}"#, 1),
        ("purser_queue_wait_seconds_count", 1),
        ("purser_batch_operations_count", 1),
        ("purser_commit_duration_seconds_count", 1),
        ("purser_wallet_actors", 1),
        ("purser_operations_in_flight", 0),
        (r#"purser_http_requests_total{method="POST",route="/v1/transactions",status="201"}"#, 1),
        (r#"purser_http_request_duration_seconds_count{route="/v1/transactions"}"#, 1),
    ] {
        assert!(page.body.contains(&format!("\n{line} ")), "{line} is not there");
        assert_eq!(metric_in(&page.body, line), value, "{line}");
    }
}
