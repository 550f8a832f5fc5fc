//! HTTP on the real thing: system 000's three routes with every answer it documents, what comes in wrong, and what those who run Purser read.

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

/// Sends it, and gives the status and the envelope.
async fn envelope(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("the server answers");
    let status = response.status().as_u16();
    let content_type = response.headers()["content-type"].to_str().expect("it is text").to_owned();
    assert_eq!(content_type, "application/json");
    let envelope: Value = response.json().await.expect("the body is JSON");
    assert_eq!(envelope["code"], status, "the envelope's code is the status");
    (status, envelope)
}

/// Asks with a key in the header.
fn with_key(app: &TestApp, path: &str, body: &Value, key: &str) -> RequestBuilder {
    post(app, path, body.to_string()).header("idempotency-key", key)
}

fn money(wallet: i64, ticker: &str, amount: &str) -> Value {
    // As a number in the text: what the clients of system 000 send.
    serde_json::from_str(&format!(r#"{{"wallet_id":{wallet},"ticker":"{ticker}","amount":{amount}}}"#))
        .expect("the test's JSON is well formed")
}

#[actix_rt::test]
async fn the_three_routes_answer_as_system_000_documents() {
    let app = start_with(|_| {}).await;
    let check = async |path: &str, body: Value, expected: Value| {
        let (_, envelope) = envelope(post(&app, path, body.to_string())).await;
        assert_eq!(envelope, expected, "{path} {body}");
    };
    let done = |operation: &str| json!({ "operation": operation, "code": 200 });
    let refused = |operation: &str, reason: &str| json!({ "operation": operation, "code": 400, "reason": reason });
    let balance = |text: &str| json!({ "operation": "balance", "code": 200, "body": text });
    let wallet = |id: i64| json!({ "wallet_id": id });

    check("/balance", wallet(1), balance("{}")).await;
    check("/invoice", money(1, "USD", "5.50"), done("invoice")).await;
    check("/invoice", money(1, "EUR", "1"), done("invoice")).await;
    check("/withdraw", money(1, "USD", "0.50"), done("withdraw")).await;
    check("/balance", wallet(1), balance(r#"{"actual_balance":{"EUR":1,"USD":5}}"#)).await;

    let no_wallet = "the requested wallet with id = 77, doesn't exist";
    let no_ticker = "the requested ticker with name = XYZ, doesn't exist";
    for operation in ["invoice", "withdraw"] {
        let path = format!("/{operation}");
        for amount in ["0", "-1", "-0.01"] {
            check(&path, money(1, "USD", amount), refused(operation, "amount lower then 0")).await;
        }
        check(&path, money(77, "USD", "1"), refused(operation, no_wallet)).await;
        check(&path, money(1, "XYZ", "1"), refused(operation, no_ticker)).await;
        // Checked in this order: amount, wallet, ticker.
        check(&path, money(77, "XYZ", "0"), refused(operation, "amount lower then 0")).await;
        check(&path, money(77, "XYZ", "1"), refused(operation, no_wallet)).await;
    }
    check("/balance", wallet(77), refused("balance", no_wallet)).await;
    let short = |ticker: &str| format!("there are not enough {ticker}'s on the wallet with id = 1 to be debited");
    check("/withdraw", money(1, "USD", "5.01"), refused("withdraw", &short("USD"))).await;
    check("/withdraw", money(1, "RUB", "1"), refused("withdraw", &short("RUB"))).await;
    check("/balance", wallet(1), balance(r#"{"actual_balance":{"EUR":1,"USD":5}}"#)).await;

    let types = "json: cannot unmarshal string into Go struct field InvoiceRequest.wallet_id of type int";
    let body = json!({ "wallet_id": "1", "ticker": "USD", "amount": 1 });
    check("/invoice", body, refused("invoice", types)).await;

    // Each reply was counted under its operation and its code.
    let counted = |operation: &str, status: u16| {
        format!(r#"app_queries_status_counter{{operation="{operation}",status="{status}"}}"#)
    };
    assert_eq!(app.metric(&counted("invoice", 200)).await, 2);
    assert_eq!(app.metric(&counted("invoice", 400)).await, 8);
    assert_eq!(app.metric(&counted("withdraw", 200)).await, 1);
    assert_eq!(app.metric(&counted("withdraw", 400)).await, 9);
    assert_eq!(app.metric(&counted("balance", 200)).await, 3);
    assert_eq!(app.metric(&counted("balance", 400)).await, 1);
    assert_eq!(app.metric(&counted("balance", 500)).await, 0);
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn bad_input_gets_a_clear_answer_and_disturbs_nothing() {
    let app = start_with(|_| {}).await;
    let key_of_10_kb =
        format!(r#"{{"wallet_id":1,"ticker":"USD","amount":1,"idempotency_key":"{}"}}"#, "k".repeat(10_240));
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"not JSON".to_vec(),
        b"{".to_vec(),
        b"[]".to_vec(),
        b"\"text\"".to_vec(),
        b"{}".to_vec(),
        br#"{"wallet_id":1}"#.to_vec(),
        br#"{"wallet_id":1.5,"ticker":"USD","amount":1}"#.to_vec(),
        br#"{"wallet_id":"1","ticker":"USD","amount":1}"#.to_vec(),
        br#"{"wallet_id":99999999999999999999,"ticker":"USD","amount":1}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":1,"amount":1}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":true}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":0}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":-1}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":NaN}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":"NaN"}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":1e400}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":0.001}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":12345678901234567890123456789}"#.to_vec(),
        br#"{"wallet_id":77,"ticker":"USD","amount":1}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"XYZ","amount":1}"#.to_vec(),
        b"{\"wallet_id\":1,\"ticker\":\"US\xff\",\"amount\":1}".to_vec(),
        [vec![b'['; 50_000], vec![b']'; 10_000]].concat(),
        key_of_10_kb.into_bytes(),
    ];
    let count = bodies.len();
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let (status, envelope) = envelope(post(&app, "/invoice", body)).await;
        assert_eq!((status, &envelope["operation"]), (400, &json!("invoice")), "{shown}");
        assert!(envelope["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{shown}: {envelope}");
    }
    let (status, _) = envelope(post(&app, "/invoice", vec![b' '; 10_000_000])).await;
    assert_eq!(status, 413);
    let good = money(1, "USD", "1").to_string();
    let (status, _) = envelope(post_as("text/plain", &app, "/invoice", good)).await;
    assert_eq!(status, 400);

    let counted = app.metric(r#"app_queries_status_counter{operation="invoice",status="400"}"#).await;
    assert_eq!(counted, i64::try_from(count).expect("it is a small number") + 1);
    // Fields that it does not know are tolerated, and the same connection goes on working.
    let unknown_field = r#"{"wallet_id":1,"ticker":"USD","amount":1,"colour":"green"}"#;
    assert_eq!(envelope(post(&app, "/invoice", unknown_field)).await.0, 200);
    assert_eq!(app.database.available(1, "USD").await, "1");
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "1");
}

#[actix_rt::test]
async fn a_key_in_the_header_makes_a_request_safe_to_repeat() {
    let app = start_with(|_| {}).await;
    let five = money(1, "USD", "5");
    for _ in 0..3 {
        let (status, _) = envelope(with_key(&app, "/invoice", &five, "order-1")).await;
        assert_eq!(status, 200);
    }
    assert_eq!(app.database.available(1, "USD").await, "5");

    // The same key for something else is refused.
    let (status, answer) = envelope(with_key(&app, "/invoice", &money(1, "USD", "6"), "order-1")).await;
    assert_eq!((status, &answer["reason"]), (400, &json!("the idempotency key was used for another request")));
    assert_eq!(envelope(with_key(&app, "/withdraw", &five, "order-1")).await.0, 400);

    // A refusal is repeated too, even when there is money by now.
    let ten = money(1, "USD", "10");
    let (_, first) = envelope(with_key(&app, "/withdraw", &ten, "order-2")).await;
    assert_eq!(first["code"], 400);
    assert_eq!(envelope(with_key(&app, "/invoice", &money(1, "USD", "100"), "order-3")).await.0, 200);
    let (_, again) = envelope(with_key(&app, "/withdraw", &ten, "order-2")).await;
    assert_eq!(again, first);
    assert_eq!(app.database.available(1, "USD").await, "105");

    // A key in the body goes before the one in the header.
    let mut body = money(1, "USD", "1");
    body["idempotency_key"] = json!("order-4");
    for header in ["a", "b"] {
        assert_eq!(envelope(with_key(&app, "/invoice", &body, header)).await.0, 200);
    }
    assert_eq!(app.database.available(1, "USD").await, "106");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn a_key_header_that_cannot_be_a_key_is_refused() {
    let app = start_with(|_| {}).await;
    let body = money(1, "USD", "1").to_string();
    let too_long = "k".repeat(256);
    for key in [b"".as_slice(), b"caf\xe9", b"a\tb", too_long.as_bytes()] {
        let value = reqwest::header::HeaderValue::from_bytes(key).expect("HTTP lets it through");
        let (status, answer) = envelope(post(&app, "/invoice", body.clone()).header("idempotency-key", value)).await;
        let reason = answer["reason"].as_str().expect("there is a reason");
        assert!(status == 400 && reason.to_lowercase().contains("idempotency"), "{key:?}: {answer}");
    }
    let twice = post(&app, "/invoice", body).header("idempotency-key", "a").header("idempotency-key", "b");
    assert_eq!(envelope(twice).await.0, 400);
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "0");
}

#[actix_rt::test]
async fn parallel_requests_with_one_key_are_applied_once() {
    let app = start_with(|_| {}).await;
    let body = money(1, "USD", "7");
    let answers = join_all((0..20).map(|_| envelope(with_key(&app, "/invoice", &body, "once")))).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    assert_eq!(app.database.available(1, "USD").await, "7");
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "1");
}

#[actix_rt::test]
async fn parallel_withdraws_never_take_more_than_there_is() {
    let app = start_with(|_| {}).await;
    assert_eq!(envelope(post(&app, "/invoice", money(1, "USD", "10").to_string())).await.0, 200);
    let body = money(1, "USD", "1").to_string();
    let answers = join_all((0..40).map(|_| envelope(post(&app, "/withdraw", body.clone())))).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 10);
    assert_eq!(app.database.available(1, "USD").await, "0");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn too_many_operations_at_once_are_answered_429_and_the_others_are_served() {
    let app = start_with(|settings| settings.http.in_flight_max = 2).await;
    // Someone holds the wallet, so what is asked of it stays in flight.
    let mut db_tx = app.database.pool.begin().await.expect("the database is there");
    sqlx::query("SELECT FROM wallets WHERE id = 1 FOR UPDATE").execute(&mut *db_tx).await.expect("the wallet is there");
    let body = money(1, "USD", "1").to_string();
    let held = [0, 1].map(|_| tokio::spawn(envelope(post(&app, "/invoice", body.clone()))));
    poll_until(PATIENCE, "two operations in flight", || async { app.metric("purser_operations_in_flight").await == 2 })
        .await;

    let response = post(&app, "/invoice", body.clone()).send().await.expect("the server answers");
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].as_bytes()), (429, b"1".as_slice()));
    let answer: Value = response.json().await.expect("the body is JSON");
    assert_eq!((&answer["operation"], &answer["code"]), (&json!("invoice"), &json!(429)));

    db_tx.rollback().await.expect("the database is there");
    for held in held {
        assert_eq!(held.await.expect("the request ends").0, 200);
    }
    assert_eq!(envelope(post(&app, "/invoice", body)).await.0, 200);
    assert_eq!(app.database.available(1, "USD").await, "3");
}

#[actix_rt::test]
async fn an_outage_of_the_database_is_told_and_ends_by_itself() {
    let app = start_with(|settings| {
        settings.database.acquire_timeout_ms = 200;
        settings.http.request_timeout_ms = 500;
    })
    .await;
    let body = money(1, "USD", "1");
    let reason_of = |envelope: &Value| envelope["reason"].as_str().unwrap_or_default().to_owned();
    app.database.alter("ALLOW_CONNECTIONS false").await;
    app.database.terminate_connections().await;
    // Accepted before anybody knew: it waits for the database, but its caller not for ever.
    let (status, answer) = envelope(with_key(&app, "/invoice", &body, "once")).await;
    assert!(status == 503 && reason_of(&answer).contains("may or may not have been applied"), "{answer}");
    // By now it is known.
    poll_until(PATIENCE, "503 at the door", || async {
        let (status, answer) = envelope(post(&app, "/invoice", money(2, "USD", "1").to_string())).await;
        assert_eq!(status, 503, "{answer}");
        reason_of(&answer).contains("nothing was applied")
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
    poll_until(PATIENCE, "the operation's outcome", || async {
        envelope(with_key(&app, "/invoice", &body, "once")).await.0 == 200
    })
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
    assert_eq!(envelope(post(&alone, "/invoice", money(1, "USD", "1").to_string())).await.0, 200);
}

#[actix_rt::test]
async fn the_metrics_of_an_operation_are_there() {
    let app = start_with(|_| {}).await;
    assert_eq!(envelope(post(&app, "/invoice", money(1, "USD", "1").to_string())).await.0, 200);
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
        (r#"purser_http_requests_total{method="POST",route="/invoice",status="200"}"#, 1),
        (r#"purser_http_request_duration_seconds_count{route="/invoice"}"#, 1),
        (r#"app_queries_status_counter{operation="invoice",status="200"}"#, 1),
    ] {
        assert!(page.body.contains(&format!("\n{line} ")), "{line} is not there");
        assert_eq!(metric_in(&page.body, line), value, "{line}");
    }
}
