//! Asking `/v1` twice, asking what would happen, and not waiting for the answer.

use futures::future::join_all;
use serde_json::{Value, json};

use super::start_with;
use super::v1_operations::{Reply, ask, ask_text, ask_with_key, made, rows, shown, transaction};
use crate::support::{TestApp, assert_books_balance};

const TRANSACTIONS: &str = "/v1/transactions";

fn invoice(amount: &str) -> Value {
    json!({ "kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": amount })
}

fn withdraw(amount: &str) -> Value {
    json!({ "kind": "withdraw", "wallet_id": 1, "currency": "USD", "amount": amount })
}

/// Asks again with the same key: the same status, body and place as the first time, marked, and nothing is written.
async fn assert_replayed(app: &TestApp, path: &str, body: &Value, key: &str, first: &Reply) {
    let before = rows(app).await;
    let again = ask_with_key(app, path, body, key).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body), "{path} {body}");
    assert_eq!(again.header("location"), first.header("location"), "{path} {body}");
    assert_eq!(again.header("idempotent-replayed"), Some("true"), "{path} {body}");
    assert_eq!(rows(app).await, before, "{path} {body}");
}

#[actix_rt::test]
async fn what_is_asked_again_with_its_key_is_answered_as_the_first_time() {
    let app = start_with(|_| {}).await;
    let first = async |path: &str, body: &Value, key: &str| {
        let reply = ask_with_key(&app, path, body, key).await;
        assert_eq!(reply.header("idempotent-replayed"), None, "{path} {body}");
        assert_replayed(&app, path, body, key, &reply).await;
        reply
    };
    // A refusal that is recorded, although there is money by now.
    let short = first(TRANSACTIONS, &withdraw("5"), "short").await;
    assert_eq!(short.verdict(), (422, "insufficient_funds"));
    let paid = first(TRANSACTIONS, &invoice("100"), "paid").await;
    assert_replayed(&app, TRANSACTIONS, &withdraw("5"), "short", &short).await;
    // A withdraw that waits, although it is paid by now.
    let waits = json!({ "kind": "withdraw", "wallet_id": 2, "currency": "USD", "amount": 3, "wait_for_funds": true, "expires_in": 600 });
    let waiting = first(TRANSACTIONS, &waits, "waits").await;
    made(&app, json!({ "kind": "invoice", "wallet_id": 2, "currency": "USD", "amount": 3 })).await;
    assert_replayed(&app, TRANSACTIONS, &waits, "waits", &waiting).await;

    // Holds, although one is confirmed, one extended and cancelled by now; and what was asked about them.
    let hold = json!({ "kind": "withdraw", "wallet_id": 1, "currency": "USD", "amount": 10, "pending": true, "expires_in": 600 });
    for (key, steps) in [
        (
            "a",
            vec![
                ("confirm", json!({ "amount": 4, "final": false })),
                ("confirm", json!({})),
                ("reverse", json!({ "amount": 1 })),
            ],
        ),
        ("b", vec![("extend", json!({ "expires_in": 1200 })), ("cancel", json!({}))]),
    ] {
        let held = first(TRANSACTIONS, &hold, key).await;
        assert_eq!((held.status, &held.body["status"]), (201, &json!("Created")));
        let mut done = Vec::new();
        for (number, (action, body)) in steps.into_iter().enumerate() {
            let (path, key) = (format!("{TRANSACTIONS}/{}/{action}", held.id()), format!("{key}-{number}"));
            let reply = first(&path, &body, &key).await;
            assert_eq!(reply.status, 201, "{path}: {reply:?}");
            assert_replayed(&app, TRANSACTIONS, &hold, &key[..1], &held).await;
            done.push((path, body, key, reply));
        }
        for (path, body, key, reply) in &done {
            assert_replayed(&app, path, body, key, reply).await;
        }
    }
    // The number may be written in another way: it is the same request.
    assert_replayed(
        &app,
        TRANSACTIONS,
        &json!({ "kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": 1e2 }),
        "paid",
        &paid,
    )
    .await;
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn a_key_names_one_request_of_a_wallet() {
    let app = start_with(|_| {}).await;
    let paid = ask_with_key(&app, TRANSACTIONS, &invoice("5"), "k").await;
    let before = rows(&app).await;
    let hold = json!({ "kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": "5", "pending": true });
    for other in [invoice("6"), withdraw("5"), hold] {
        let reply = ask_with_key(&app, TRANSACTIONS, &other, "k").await;
        assert_eq!(reply.verdict(), (422, "idempotency_key_reused"), "{other}");
        assert_eq!(reply.header("idempotent-replayed"), None, "{other}");
    }
    let reverse = format!("{TRANSACTIONS}/{}/reverse", paid.id());
    assert_eq!(ask_with_key(&app, &reverse, &json!({}), "k").await.verdict(), (422, "idempotency_key_reused"));
    assert_eq!(rows(&app).await, before);

    // The body's goes before the header's; another wallet has keys of its own.
    let mut body = invoice("5");
    body["idempotency_key"] = json!("k");
    for header in ["x", "y"] {
        let reply = ask_with_key(&app, TRANSACTIONS, &body, header).await;
        assert_eq!((&reply.body, reply.header("idempotent-replayed")), (&paid.body, Some("true")), "{header}");
    }
    let other = json!({ "kind": "invoice", "wallet_id": 2, "currency": "USD", "amount": "5" });
    assert_eq!(ask_with_key(&app, TRANSACTIONS, &other, "k").await.status, 201);

    // What can be no key is refused, also where it would not count.
    for (header, body) in [(&*"k".repeat(256), invoice("1")), ("a\tb", invoice("1")), ("", body)] {
        let reply = ask_with_key(&app, TRANSACTIONS, &body, header).await;
        assert_eq!(reply.verdict(), (422, "idempotency_key_invalid"), "{header:?}");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "a")];
    let reply = ask_text(&app, TRANSACTIONS, invoice("1").to_string(), &twice).await;
    assert_eq!(reply.verdict(), (422, "idempotency_key_invalid"));

    // What was refused and not recorded is a new question once it is mended.
    let unknown = json!({ "kind": "invoice", "wallet_id": 1, "currency": "XYZ", "amount": 1 });
    assert_eq!(ask_with_key(&app, TRANSACTIONS, &unknown, "m").await.verdict(), (404, "currency_unknown"));
    assert_eq!(ask_with_key(&app, TRANSACTIONS, &invoice("1"), "m").await.status, 201);
}

#[actix_rt::test]
async fn one_of_many_with_the_same_key_is_done() {
    let app = start_with(|_| {}).await;
    let (path, body) = (TRANSACTIONS, invoice("7"));
    let replies = join_all((0..20).map(|_| ask_with_key(&app, path, &body, "once"))).await;
    assert!(replies.iter().all(|reply| reply.status == 201 && reply.body == replies[0].body), "{replies:?}");
    assert_eq!(replies.iter().filter(|reply| reply.header("idempotent-replayed").is_none()).count(), 1);
    assert_eq!(app.database.available(1, "USD").await, "7");
}

#[actix_rt::test]
async fn a_dry_run_says_what_would_happen_and_writes_nothing() {
    let app = start_with(|_| {}).await;
    ask_with_key(&app, TRANSACTIONS, &invoice("10"), "k").await;
    let hold = json!({ "kind": "withdraw", "wallet_id": 1, "currency": "USD", "amount": 4, "pending": true });
    let hold = format!("{TRANSACTIONS}/{}", made(&app, hold).await.id());
    let before = rows(&app).await;
    let dry = async |path: &str, body: Value, headers: &[(&str, &str)]| {
        let reply = ask_text(&app, &format!("{path}?dry_run=true"), body.to_string(), headers).await;
        assert_eq!(reply.header("location"), None, "there is nothing anywhere: {path} {body}");
        assert_eq!(rows(&app).await, before, "{path} {body}");
        reply
    };
    let reply = dry(TRANSACTIONS, withdraw("6"), &[]).await;
    let expected = transaction("withdraw", 1, json!({ "currency": "USD", "amount": "6" }));
    assert_eq!((reply.status, shown(&reply.body, &[])), (200, expected.clone()));
    // Nobody is told that it is done, whatever is wished for.
    let reply = dry(TRANSACTIONS, withdraw("6"), &[("prefer", "respond-async")]).await;
    assert_eq!((reply.status, shown(&reply.body, &[])), (200, expected));
    // The refusal that it would get, which is recorded nowhere: there is no transaction to look up.
    let reply = dry(TRANSACTIONS, withdraw("6.01"), &[("idempotency-key", "dry")]).await;
    assert_eq!(reply.verdict(), (422, "insufficient_funds"));
    assert_eq!(reply.body.get("transaction_id"), None, "{reply:?}");
    assert_eq!(dry(TRANSACTIONS, invoice("0.001"), &[]).await.verdict(), (422, "too_many_decimals"));
    // The key is looked at, and not used up.
    assert_eq!(
        dry(TRANSACTIONS, invoice("11"), &[("idempotency-key", "k")]).await.verdict(),
        (422, "idempotency_key_reused")
    );
    let replay = dry(TRANSACTIONS, invoice("10"), &[("idempotency-key", "k")]).await;
    assert_eq!((replay.status, replay.header("idempotent-replayed")), (200, Some("true")));

    for (action, body, expected) in [
        ("confirm", json!({ "amount": 5 }), (422, "amount_exceeds_unconfirmed")),
        ("confirm", json!({}), (200, "")),
        ("extend", json!({ "expires_in": 60 }), (200, "")),
        ("cancel", json!({}), (200, "")),
        ("reverse", json!({}), (409, "not_reversible")),
    ] {
        assert_eq!(dry(&format!("{hold}/{action}"), body, &[]).await.verdict(), expected, "{action}");
    }
    assert_eq!(app.get(&hold).await.json()["status"], "Created");
    let items = |amount| json!({ "atomic": true, "operations": [invoice("1"), withdraw(amount)] });
    let batch = dry("/v1/batches", items("7"), &[]).await;
    assert_eq!((batch.status, batch.body["transactions"].as_array().map(Vec::len)), (200, Some(2)));
    let batch = dry("/v1/batches", items("7.01"), &[]).await;
    assert_eq!((batch.verdict(), &batch.body["item"]), ((422, "insufficient_funds"), &json!(1)));
    let each = dry("/v1/batches", json!({ "operations": [invoice("1")] }), &[]).await;
    assert_eq!(each.verdict(), (422, "contradiction"));
    let reply = ask(&app, &format!("{TRANSACTIONS}?dry_run=yes"), invoice("1")).await;
    assert_eq!(reply.verdict(), (400, "parameter_invalid"), "who misspells it must not move money");
    assert_eq!(rows(&app).await, before);
    // The same without `dry_run` is done: the key was not used up.
    assert_eq!(ask_with_key(&app, TRANSACTIONS, &withdraw("6"), "dry").await.status, 201);
}

#[actix_rt::test]
async fn who_does_not_wait_for_the_answer_is_told_where_it_is() {
    let app = start_with(|_| {}).await;
    let check = async |path: &str, body: Value, key: &str, kind: &str, status: &str, replayed: Option<&str>| {
        let headers = [("prefer", "return=minimal, Respond-Async"), ("idempotency-key", key)];
        let reply = ask_text(&app, path, body.to_string(), &headers).await;
        assert_eq!((reply.status, &reply.body), (202, &Value::Null), "{path} {body}");
        assert_eq!(reply.header("preference-applied"), Some("respond-async"), "{path} {body}");
        assert_eq!(reply.header("idempotent-replayed"), replayed, "{path} {body}");
        let location = reply.header("location").expect("it has a place").to_owned();
        let found = app.get(&location).await.json();
        assert_eq!((&found["kind"], &found["status"]), (&json!(kind), &json!(status)), "{path} {body}");
        location
    };
    let hold = json!({ "kind": "withdraw", "wallet_id": 1, "currency": "USD", "amount": 4, "pending": true });
    check(TRANSACTIONS, withdraw("5"), "a", "withdraw", "Error", None).await;
    check(TRANSACTIONS, invoice("9"), "b", "invoice", "Success", None).await;
    check(TRANSACTIONS, withdraw("5"), "a", "withdraw", "Error", Some("true")).await;
    let held = check(TRANSACTIONS, hold, "c", "withdraw", "Created", None).await;
    check(&format!("{held}/confirm"), json!({}), "d", "confirm", "Success", None).await;
    check(&format!("{held}/reverse"), json!({}), "e", "reverse", "Success", None).await;
    let batch = |amount: &str| json!({ "atomic": true, "operations": [withdraw(amount)] });
    check("/v1/batches", batch("1"), "f", "batch", "Success", None).await;
    check("/v1/batches", batch("99"), "g", "batch", "Error", None).await;
    // What is recorded nowhere has no place to be looked up: it is said at once.
    let unknown = json!({ "kind": "invoice", "wallet_id": 77, "currency": "USD", "amount": 1 });
    let reply = ask_text(&app, TRANSACTIONS, unknown.to_string(), &[("prefer", "respond-async")]).await;
    assert_eq!((reply.verdict(), reply.header("location")), ((404, "wallet_unknown"), None));
    assert_books_balance(&app.database.pool).await;
}
