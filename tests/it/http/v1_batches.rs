//! `/v1/batches`: operations that come together, each for itself or all or none, up to a limit, within what may be in flight.

use std::fmt::Write;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::start_with;
use super::v1_operations::{Reply, ask, ask_text, ask_with_key, made, rows, shown, transaction};
use crate::support::{PATIENCE, assert_books_balance, poll_until};

const BATCHES: &str = "/v1/batches";

fn each(operations: Value) -> Value {
    json!({ "operations": operations })
}

fn together(operations: Value) -> Value {
    json!({ "operations": operations, "atomic": true })
}

fn invoice(wallet: i64, amount: &str) -> Value {
    json!({ "kind": "invoice", "wallet_id": wallet, "currency": "USD", "amount": amount })
}

fn withdraw(wallet: i64, amount: &str) -> Value {
    json!({ "kind": "withdraw", "wallet_id": wallet, "currency": "USD", "amount": amount })
}

#[actix_rt::test]
async fn operations_that_stand_for_themselves_have_an_outcome_each() {
    let app = start_with(|_| {}).await;
    let held =
        made(&app, json!({ "kind": "invoice", "wallet_id": 2, "currency": "USD", "amount": "5", "pending": true }))
            .await
            .id();
    let body = each(json!([
        invoice(1, "10"),
        withdraw(1, "10.01"),
        { "kind": "transfer", "wallet_id": 1, "to_wallet_id": 2, "currency": "USD", "amount": "2.5" },
        invoice(77, "1"),
        { "kind": "withdraw", "wallet_id": 1, "currency": "USD", "amount": "NaN" },
        { "kind": "confirm", "wallet_id": 2, "transaction_id": held, "amount": 4, "final": true },
        { "kind": "confirm", "wallet_id": 2 },
        { "kind": "cancel", "wallet_id": 2, "transaction_id": held, "pending": true },
        { "kind": "balance", "wallet_id": 1 },
    ]));
    let reply = ask_with_key(&app, BATCHES, &body, "b").await;
    let problem = |status: u16, title: &str, code: &str, detail: &str| json!({ "status": status, "problem": { "title": title, "status": status, "code": code, "detail": detail } });
    let done = |transaction: Value| json!({ "status": 201, "transaction": transaction });
    let mut short = problem(422, "Unprocessable Entity", "insufficient_funds", "the available balance is too low");
    short["problem"]["transaction_id"] = json!("new");
    let usd = |amount: &str, position: usize| json!({ "currency": "USD", "amount": amount, "idempotency_key": format!("b/{position}") });
    let mut moved = usd("2.5", 2);
    moved["to_wallet_id"] = json!(2);
    let mut confirmed = usd("4", 5);
    confirmed["original_id"] = json!("held");
    confirmed["original_status"] = json!("Success");
    let unprocessable = |code: &str, detail: &str| problem(422, "Unprocessable Entity", code, detail);
    let expected = json!({ "outcomes": [
        done(transaction("invoice", 1, usd("10", 0))),
        short,
        done(transaction("transfer", 1, moved)),
        problem(404, "Not Found", "wallet_unknown", "the wallet does not exist"),
        unprocessable("amount_invalid", "the amount must be a decimal number"),
        done(transaction("confirm", 2, confirmed)),
        unprocessable("contradiction", "transaction_id is missing"),
        unprocessable("contradiction", "pending is for an invoice, withdraw or transfer"),
        { "status": 200, "balances": [{ "currency": "USD", "available": "7.5", "held": "0", "incoming": "0" }] },
    ] });
    assert_eq!((reply.status, shown(&reply.body, &[(&held, "held")])), (200, expected));

    // Again: those that were recorded are replayed, the others are asked anew; nothing is written.
    let before = rows(&app).await;
    let again = ask_with_key(&app, BATCHES, &body, "b").await;
    let replayed: Vec<bool> =
        again.body["outcomes"].as_array().expect("a list").iter().map(|one| one["replayed"] == true).collect();
    assert_eq!(replayed, [true, true, true, false, false, true, false, false, false]);
    for position in [0, 1, 2, 5] {
        let (first, again) = (&reply.body["outcomes"][position], &again.body["outcomes"][position]);
        assert_eq!((&first["status"], &first["transaction"]), (&again["status"], &again["transaction"]));
    }
    assert_eq!(rows(&app).await, before);
    // An operation's own key goes before the one made of the batch's.
    let mut own = invoice(1, "1");
    own["idempotency_key"] = json!("own");
    let reply = ask_with_key(&app, BATCHES, &each(json!([own])), "c").await;
    assert_eq!(reply.body["outcomes"][0]["transaction"]["idempotency_key"], "own");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn an_atomic_batch_happens_altogether_or_not_at_all() {
    let app = start_with(|_| {}).await;
    made(&app, invoice(1, "10")).await;
    let split = |last: &str| {
        together(json!([
            { "kind": "transfer", "wallet_id": 1, "to_wallet_id": 2, "currency": "USD", "amount": "9.5" },
            { "kind": "transfer", "wallet_id": 1, "to_wallet_id": 3, "currency": "USD", "amount": last },
        ]))
    };
    let before = app.database.fetch("SELECT count(*) FROM entries").await;
    let refused = ask_with_key(&app, BATCHES, &split("0.51"), "no").await;
    let expected = json!({
        "title": "Unprocessable Entity", "status": 422, "code": "insufficient_funds", "detail": "the available balance is too low",
        "transaction_id": "new", "item": 1,
    });
    assert_eq!((refused.status, shown(&refused.body, &[])), (422, expected));
    let id = refused.body["transaction_id"].as_str().expect("it is recorded");
    let recorded = app.get(&format!("/v1/transactions/{id}")).await.json();
    let more =
        json!({ "status": "Error", "rejection": "insufficient_funds", "failed_item": 1, "idempotency_key": "no" });
    assert_eq!(shown(&recorded, &[]), transaction("batch", 1, more));
    assert_eq!(app.database.fetch("SELECT count(*) FROM entries").await, before, "nothing else of it is");

    let done = ask_with_key(&app, BATCHES, &split("0.5"), "yes").await;
    let batch = done.body["transaction"]["id"].as_str().expect("it has an id").to_owned();
    assert_eq!(done.header("location"), Some(&*format!("/v1/transactions/{batch}")));
    let part = |to: i64, amount: &str| {
        transaction(
            "transfer",
            1,
            json!({ "to_wallet_id": to, "currency": "USD", "amount": amount, "batch_id": "batch" }),
        )
    };
    let mut whole = transaction("batch", 1, json!({ "idempotency_key": "yes" }));
    whole["id"] = json!("batch");
    let expected = json!({ "transaction": whole, "transactions": [part(2, "9.5"), part(3, "0.5")] });
    assert_eq!((done.status, shown(&done.body, &[(&batch, "batch")])), (201, expected));
    assert_eq!(app.get(&format!("/v1/transactions/{batch}")).await.json(), done.body["transaction"]);

    let now = rows(&app).await;
    made(&app, invoice(1, "100")).await;
    for (key, last, first) in [("no", "0.51", &refused), ("yes", "0.5", &done)] {
        let again = ask_with_key(&app, BATCHES, &split(last), key).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{key}");
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{key}");
    }
    assert_eq!(ask_with_key(&app, BATCHES, &split("0.4"), "yes").await.verdict(), (422, "idempotency_key_reused"));
    assert_ne!(rows(&app).await, now, "the invoice is there");
    let transactions = app.database.fetch("SELECT count(*) FROM transactions").await;
    assert_eq!(transactions, "6", "two invoices, the batch with two transfers, the refused batch");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn the_operation_at_fault_is_named() {
    let app = start_with(|_| {}).await;
    made(&app, invoice(1, "10")).await;
    let moved = async || app.database.fetch("SELECT concat_ws(' ', count(*), sum(available_delta)) FROM entries").await;
    let before = moved().await;
    let check = async |second: Value, status: u16, code: &str, is_recorded: bool| {
        let reply = ask(&app, BATCHES, together(json!([invoice(1, "1"), second]))).await;
        assert_eq!((reply.verdict(), &reply.body["item"]), ((status, code), &json!(1)), "{second}");
        assert_eq!(reply.body.get("transaction_id").is_some(), is_recorded, "{second}");
    };
    // What is no operation never comes to the wallet; what a rule refuses is recorded.
    let keyed = json!({ "kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": 1, "idempotency_key": "x" });
    check(keyed, 422, "idempotency_key_invalid", false).await;
    check(json!({ "kind": "balance", "wallet_id": 1 }), 422, "item_not_allowed", false).await;
    check(withdraw(1, "0"), 422, "amount_not_positive", false).await;
    check(
        json!({ "kind": "extend", "wallet_id": 1, "transaction_id": uuid::Uuid::now_v7() }),
        422,
        "contradiction",
        false,
    )
    .await;
    check(
        json!({ "kind": "reverse", "wallet_id": 1, "transaction_id": uuid::Uuid::now_v7() }),
        404,
        "transaction_unknown",
        true,
    )
    .await;
    check(withdraw(1, "0.001"), 422, "too_many_decimals", true).await;
    check(withdraw(77, "1"), 404, "wallet_unknown", true).await;
    assert_eq!(moved().await, before);
    let before = rows(&app).await;

    let whole = async |body: Value, status: u16, code: &str| {
        let reply = ask(&app, BATCHES, body.clone()).await;
        assert_eq!((reply.verdict(), reply.body.get("item")), ((status, code), None), "{body}");
    };
    for atomic in [false, true] {
        whole(json!({ "operations": [], "atomic": atomic }), 422, "batch_empty").await;
        whole(json!({ "operations": [1], "atomic": atomic }), 400, "body_invalid").await;
        whole(json!({ "operations": [{ "kind": "batch", "wallet_id": 1 }], "atomic": atomic }), 400, "body_invalid")
            .await;
        let mut misspelt = invoice(1, "1");
        misspelt["pendign"] = json!(true);
        whole(json!({ "operations": [invoice(1, "1"), misspelt], "atomic": atomic }), 400, "body_invalid").await;
        whole(json!({ "operations": [invoice(1, "1")], "atomic": atomic, "Atomic": true }), 400, "body_invalid").await;
    }
    assert_eq!(rows(&app).await, before);
}

/// So many invoices of 0.01, over the wallets 1 to 9.
fn invoices(count: usize, atomic: bool) -> String {
    let mut body = format!(r#"{{"atomic":{atomic},"operations":["#);
    for number in 0..count {
        let (comma, wallet) = (if number == 0 { "" } else { "," }, 1 + number % 9);
        write!(body, r#"{comma}{{"kind":"invoice","wallet_id":{wallet},"currency":"USD","amount":"0.01"}}"#)
            .expect("a string takes everything");
    }
    body + "]}"
}

#[actix_rt::test]
async fn a_batch_has_ten_thousand_operations_at_most() {
    let app = start_with(|_| {}).await;
    let ask = async |body: String| -> Reply { ask_text(&app, BATCHES, body, &[]).await };
    // More than may be in flight over HTTP at once (`http.in_flight_max`): it is let in alone.
    let done = ask(invoices(10_000, false)).await;
    let outcomes = done.body["outcomes"].as_array().expect("one each");
    assert_eq!((done.status, outcomes.len()), (200, 10_000));
    assert!(outcomes.iter().all(|one| one["status"] == 201));
    let done = ask(invoices(10_000, true)).await;
    assert_eq!((done.status, done.body["transactions"].as_array().map(Vec::len)), (201, Some(10_000)));
    let before = rows(&app).await;
    for atomic in [false, true] {
        assert_eq!(ask(invoices(10_001, atomic)).await.verdict(), (422, "batch_too_large"));
    }
    let large = invoices(1, false).replace(']', &format!("]{}", " ".repeat(4 * 1024 * 1024)));
    assert_eq!(ask(large).await.verdict(), (413, "body_too_large"));
    assert_eq!(rows(&app).await, before);
    let total = app.database.fetch("SELECT sum(available) FROM balances").await;
    assert_eq!(total, "200.00");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn what_is_more_than_may_be_in_flight_is_turned_away_and_a_batch_is_no_more_than_a_part_of_it() {
    let app = start_with(|settings| settings.http.in_flight_max = 1).await;
    // Someone holds the wallet, so what is asked of it stays in flight.
    let mut db_tx = app.database.pool.begin().await.expect("the database is there");
    sqlx::query("SELECT FROM wallets WHERE id = 1 FOR UPDATE").execute(&mut *db_tx).await.expect("the wallet is there");
    let held = async { ask(&app, "/v1/transactions", invoice(1, "1")).await.status };
    let others = async {
        poll_until(PATIENCE, "an operation in flight", || async {
            app.metric("purser_operations_in_flight").await == 1
        })
        .await;
        let turned_away = async |path: &str, body: Value| {
            let reply = ask(&app, path, body).await;
            assert_eq!((reply.verdict(), reply.header("retry-after")), ((429, "overloaded"), Some("1")), "{path}");
        };
        turned_away("/v1/transactions", invoice(2, "1")).await;
        turned_away(BATCHES, each(json!([invoice(2, "1"), invoice(2, "1"), invoice(2, "1")]))).await;
        turned_away(BATCHES, together(json!([invoice(2, "1"), invoice(2, "1")]))).await;
        db_tx.rollback().await.expect("the database is there");
    };
    let (status, ()) = tokio::join!(held, others);
    assert_eq!(status, 201);
    poll_until(PATIENCE, "nothing in flight", || async { app.metric("purser_operations_in_flight").await == 0 }).await;
    for (body, status) in [
        (each(json!([invoice(2, "1"), invoice(2, "1"), invoice(2, "1")])), 200),
        (together(json!([invoice(2, "1"), invoice(2, "1"), invoice(2, "1")])), 201),
    ] {
        assert_eq!(ask(&app, BATCHES, body).await.status, status);
    }
    assert_eq!(
        (app.database.available(1, "USD").await, app.database.available(2, "USD").await),
        ("1".into(), "6".into())
    );
}

#[actix_rt::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let app = start_with(|settings| settings.http.request_timeout_ms = 200).await;
    let mut connection = tokio::net::TcpStream::connect(app.address).await.expect("the server listens");
    let head = "POST /v1/transactions HTTP/1.1\r\nHost: purser\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    connection.write_all(head.as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("body_too_slow") {
        let read = tokio::time::timeout(PATIENCE, connection.read_buf(&mut answer)).await.expect("the server answers");
        assert!(read.expect("the server writes") > 0, "{}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "0");
    made(&app, invoice(1, "1")).await;
}
