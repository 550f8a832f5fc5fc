//! What moves money over `/v1`: every kind, what is asked about it later, and what is refused.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{post, start_with};
use crate::support::{TestApp, assert_books_balance};

/// An answer with its headers.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("the header is text"))
    }

    /// The id of the transaction that it shows.
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("{self:?} shows no transaction")).to_owned()
    }

    /// The status and, of a refusal, its code.
    pub fn verdict(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }
}

/// Sends a body as it stands.
pub async fn ask_text(app: &TestApp, path: &str, body: impl Into<String>, headers: &[(&str, &str)]) -> Reply {
    let mut request = post(app, path, body.into());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("the server answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("the body is text");
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("the body is JSON") };
    if status >= 400 {
        assert_eq!(headers["content-type"], "application/problem+json", "{body}");
    }
    Reply { status, headers, body }
}

/// Sends JSON.
pub async fn ask(app: &TestApp, path: &str, body: Value) -> Reply {
    ask_text(app, path, body.to_string(), &[]).await
}

/// Sends JSON with an `Idempotency-Key`.
pub async fn ask_with_key(app: &TestApp, path: &str, body: &Value, key: &str) -> Reply {
    ask_text(app, path, body.to_string(), &[("idempotency-key", key)]).await
}

/// Asks for a transaction, which must be given.
pub async fn made(app: &TestApp, body: Value) -> Reply {
    let reply = ask(app, "/v1/transactions", body.clone()).await;
    assert_eq!(reply.status, 201, "{body}: {reply:?}");
    reply
}

/// With ids and times, which differ from run to run, replaced by names; an id that `names` does not have is `new`.
pub fn shown(value: &Value, names: &[(&str, &str)]) -> Value {
    match value {
        Value::String(text) if uuid::Uuid::try_parse(text).is_ok() => {
            let known = names.iter().find(|(id, _)| id == text);
            known.map_or("new", |(_, name)| name).into()
        }
        Value::String(text) if text.ends_with('Z') && text.starts_with("20") => "some time".into(),
        Value::Array(items) => items.iter().map(|item| shown(item, names)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), shown(value, names)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// A transaction as it is shown when nothing else applies, with `more` on top.
pub fn transaction(kind: &str, wallet: i64, more: Value) -> Value {
    let mut shown = json!({
        "id": "new", "kind": kind, "status": "Success", "wallet_id": wallet, "waiting": false, "created_at": "some time"
    });
    for (name, value) in more.as_object().expect("an object") {
        shown[name] = value.clone();
    }
    shown
}

/// How many rows there are in everything that an operation writes.
pub async fn rows(app: &TestApp) -> String {
    app.database
        .fetch(
            "SELECT concat_ws(' ', (SELECT count(*) FROM transactions), (SELECT count(*) FROM entries), (SELECT count(*) FROM balances),
                 (SELECT sum(available + held + incoming) FROM balances))",
        )
        .await
}

#[actix_rt::test]
async fn every_kind_becomes_a_transaction_that_is_found_where_the_answer_says() {
    let app = start_with(|_| {}).await;
    let service = app.send("POST", "/v1/services", &json!({ "name": "courier" })).await.json()["id"].clone();
    let check = async |body: Value, expected: Value| {
        let reply = made(&app, body.clone()).await;
        assert_eq!(shown(&reply.body, &[]), expected, "{body}");
        assert_eq!(reply.header("location"), Some(&*format!("/v1/transactions/{}", reply.id())), "{body}");
        assert_eq!(reply.header("idempotent-replayed"), None, "{body}");
        assert_eq!(app.get(reply.header("location").expect("it is there")).await.json(), reply.body, "{body}");
    };
    check(
        json!({ "kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": "100.00" }),
        transaction("invoice", 1, json!({ "currency": "USD", "amount": "100" })),
    )
    .await;
    check(
        json!({ "kind": "withdraw", "wallet_id": 1, "currency": "USD", "amount": 2.50, "labels": { "a": "b" }, "description": "lunch",
            "service_id": service, "order_id": "o-1", "idempotency_key": "k-1" }),
        transaction(
            "withdraw",
            1,
            json!({ "currency": "USD", "amount": "2.5", "labels": { "a": "b" }, "description": "lunch", "service_id": service,
                "order_id": "o-1", "idempotency_key": "k-1" }),
        ),
    )
    .await;
    check(
        json!({ "kind": "transfer", "wallet_id": 1, "to_wallet_id": 2, "currency": "USD", "amount": "7.5", "pending": false }),
        transaction("transfer", 1, json!({ "to_wallet_id": 2, "currency": "USD", "amount": "7.5" })),
    )
    .await;
    let waits = json!({ "status": "Created", "currency": "USD", "amount": "10", "confirmed": "0" });
    let mut expires = waits.clone();
    expires["expires_at"] = json!("some time");
    let mut between = waits.clone();
    between["to_wallet_id"] = json!(2);
    check(
        json!({ "kind": "withdraw", "wallet_id": 1, "currency": "USD", "amount": 10, "pending": true, "expires_in": 3600 }),
        transaction("withdraw", 1, expires.clone()),
    )
    .await;
    check(
        json!({ "kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": 10, "pending": true }),
        transaction("invoice", 1, waits),
    )
    .await;
    check(
        json!({ "kind": "transfer", "wallet_id": 1, "to_wallet_id": 2, "currency": "USD", "amount": 10, "pending": true }),
        transaction("transfer", 1, between),
    )
    .await;
    check(
        json!({ "kind": "withdraw", "wallet_id": 3, "currency": "USD", "amount": 5, "wait_for_funds": true, "expires_in": 3600 }),
        transaction(
            "withdraw",
            3,
            json!({ "status": "Created", "currency": "USD", "amount": "5", "waiting": true, "expires_at": "some time" }),
        ),
    )
    .await;
    let balances = app.get("/v1/wallets/1/balances").await.json();
    assert_eq!(balances["balances"][0]["available"], "70", "{balances}");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn a_withdraw_that_waits_is_paid_when_funds_come() {
    let app = start_with(|_| {}).await;
    let body = json!({ "kind": "withdraw", "wallet_id": 1, "currency": "USD", "amount": "5", "wait_for_funds": true });
    let waiting = made(&app, body).await;
    let path = waiting.header("location").expect("it has a place").to_owned();
    assert_eq!((&waiting.body["status"], &waiting.body["waiting"]), (&json!("Created"), &json!(true)));
    assert_eq!(ask(&app, &format!("{path}/confirm"), json!({})).await.verdict(), (409, "transaction_waiting"));
    made(&app, json!({ "kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": "8" })).await;
    let paid = app.get(&path).await.json();
    assert_eq!((&paid["status"], &paid["waiting"]), (&json!("Success"), &json!(false)), "{paid}");
    assert_eq!(app.database.available(1, "USD").await, "3");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn what_waits_is_confirmed_extended_and_cancelled_and_what_is_done_is_reversed() {
    let app = start_with(|_| {}).await;
    let hold = async |amount: &str| {
        let body = json!({ "kind": "withdraw", "wallet_id": 1, "currency": "USD", "amount": amount, "pending": true });
        made(&app, body).await.id()
    };
    let check = async |id: &str, action: &str, body: Value, expected: Value| {
        let reply = ask(&app, &format!("/v1/transactions/{id}/{action}"), body.clone()).await;
        assert_eq!((reply.status, shown(&reply.body, &[(id, "original")])), (201, expected), "{action} {body}");
        let location = reply.header("location").expect("it has a place");
        assert_eq!(app.get(location).await.json(), reply.body, "{action} {body}");
        reply.id()
    };
    let refused = async |id: &str, action: &str, body: Value, status: u16, code: &str| {
        let before = rows(&app).await;
        let reply = ask(&app, &format!("/v1/transactions/{id}/{action}"), body.clone()).await;
        assert_eq!(reply.verdict(), (status, code), "{action} {body}");
        assert_eq!(rows(&app).await, before, "{action} {body}");
    };
    let about = |kind: &str, amount: &str, original_status: &str| {
        let more = json!({ "currency": "USD", "amount": amount, "original_id": "original", "original_status": original_status });
        transaction(kind, 1, more)
    };
    let paid = made(&app, json!({ "kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": "100" })).await.id();

    // A hold, confirmed in parts; the last part gives the rest back.
    let id = hold("50").await;
    let mut extended = transaction("extend", 1, json!({ "original_id": "original", "original_status": "Created" }));
    extended["expires_at"] = json!("some time");
    check(&id, "extend", json!({ "expires_in": 600 }), extended).await;
    refused(&id, "confirm", json!({ "amount": "50.01" }), 422, "amount_exceeds_unconfirmed").await;
    refused(&id, "reverse", json!({}), 409, "not_reversible").await;
    let mut kept = about("confirm", "20", "Created");
    kept["expires_at"] = json!("some time");
    check(&id, "confirm", json!({ "amount": "20", "final": false }), kept).await;
    let confirm = check(&id, "confirm", json!({ "amount": 10 }), about("confirm", "10", "Success")).await;
    assert_eq!(app.get(&format!("/v1/transactions/{id}")).await.json()["confirmed"], "30");
    assert_eq!(app.database.available(1, "USD").await, "70");
    for (action, body) in [("confirm", json!({})), ("cancel", json!({})), ("extend", json!({ "expires_in": 1 }))] {
        refused(&id, action, body, 409, "transaction_final").await;
    }
    refused(&confirm, "reverse", json!({}), 409, "not_reversible").await;

    // What was confirmed is reversed in parts, never more than it in all.
    check(&id, "reverse", json!({ "amount": "12.5" }), about("reverse", "12.5", "Success")).await;
    refused(&id, "reverse", json!({ "amount": "17.51" }), 422, "amount_exceeds_original").await;
    let reversal = check(&id, "reverse", json!({}), about("reverse", "17.5", "Success")).await;
    refused(&id, "reverse", json!({ "amount": "0.01" }), 422, "amount_exceeds_original").await;
    refused(&reversal, "reverse", json!({}), 409, "reversal_of_reversal").await;
    let seen = app.get(&format!("/v1/transactions/{id}")).await.json();
    assert_eq!((&seen["reversed"], &seen["status"]), (&json!("30"), &json!("Success")));

    // A hold that is ended.
    let id = hold("40").await;
    check(&id, "cancel", json!({}), about("cancel", "40", "Error")).await;
    let seen = app.get(&format!("/v1/transactions/{id}")).await.json();
    assert_eq!((&seen["status"], &seen["rejection"]), (&json!("Error"), &json!("cancelled")));

    // What was paid in can be taken back while it is there; otherwise the refusal is recorded.
    made(&app, json!({ "kind": "withdraw", "wallet_id": 1, "currency": "USD", "amount": "99" })).await;
    let reply = ask(&app, &format!("/v1/transactions/{paid}/reverse"), json!({})).await;
    assert_eq!(reply.verdict(), (422, "insufficient_funds"));
    let id = reply.body["transaction_id"].as_str().expect("it is recorded");
    let recorded = app.get(&format!("/v1/transactions/{id}")).await.json();
    assert_eq!((&recorded["status"], &recorded["original_id"]), (&json!("Error"), &json!(paid)));

    let nobody = uuid::Uuid::now_v7().to_string();
    for (action, body) in
        [("confirm", json!({})), ("cancel", json!({})), ("extend", json!({ "expires_in": 1 })), ("reverse", json!({}))]
    {
        refused(&nobody, action, body.clone(), 404, "transaction_unknown").await;
        refused("1", action, body, 400, "parameter_invalid").await;
    }
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn what_needs_no_body_takes_none() {
    let app = start_with(|_| {}).await;
    let body = json!({ "kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": 1, "pending": true });
    for (action, status) in [("confirm", "Success"), ("cancel", "Error")] {
        let path = format!("/v1/transactions/{}", made(&app, body.clone()).await.id());
        let answer = app.send("POST", &format!("{path}/{action}"), &Value::Null).await;
        assert_eq!((answer.status, answer.json()["original_status"].clone()), (201, json!(status)), "{action}");
        let extend = app.send("POST", &format!("{path}/extend"), &Value::Null).await;
        assert_eq!(extend.json()["code"], "body_invalid", "an extend needs to say how long");
    }
}

#[actix_rt::test]
async fn a_rules_no_says_why_and_a_recorded_one_where() {
    let app = start_with(|_| {}).await;
    let reply =
        ask(&app, "/v1/transactions", json!({ "kind": "withdraw", "wallet_id": 1, "currency": "USD", "amount": "1" }))
            .await;
    let expected = json!({
        "title": "Unprocessable Entity", "status": 422, "code": "insufficient_funds", "detail": "the available balance is too low",
        "transaction_id": "new",
    });
    assert_eq!((reply.status, shown(&reply.body, &[])), (422, expected));
    let id = reply.body["transaction_id"].as_str().expect("it is recorded");
    let recorded = app.get(&format!("/v1/transactions/{id}")).await.json();
    let more = json!({ "status": "Error", "rejection": "insufficient_funds", "currency": "USD", "amount": "1" });
    assert_eq!(shown(&recorded, &[]), transaction("withdraw", 1, more));

    let before = rows(&app).await;
    let check = async |body: Value, status: u16, code: &str| {
        let reply = ask(&app, "/v1/transactions", body.clone()).await;
        assert_eq!(reply.verdict(), (status, code), "{body}");
        assert_eq!((reply.header("location"), reply.body.get("transaction_id")), (None, None), "{body}");
    };
    let with = |more: Value| {
        let mut body = json!({ "kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": 1 });
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        body
    };
    check(with(json!({ "wallet_id": 77 })), 404, "wallet_unknown").await;
    check(with(json!({ "currency": "XYZ" })), 404, "currency_unknown").await;
    check(with(json!({ "currency": "no code at all" })), 404, "currency_unknown").await;
    check(with(json!({ "service_id": 77 })), 404, "service_unknown").await;
    check(with(json!({ "kind": "transfer", "to_wallet_id": 1 })), 422, "same_wallet").await;
    check(with(json!({ "kind": "transfer", "to_wallet_id": 77 })), 404, "wallet_unknown").await;
    check(with(json!({ "kind": "transfer" })), 422, "contradiction").await;
    check(with(json!({ "to_wallet_id": 2 })), 422, "contradiction").await;
    check(with(json!({ "expires_in": 60 })), 422, "contradiction").await;
    check(with(json!({ "pending": true, "wait_for_funds": true })), 422, "contradiction").await;
    check(with(json!({ "wait_for_funds": true })), 422, "wait_for_funds_invalid").await;
    check(with(json!({ "pending": true, "expires_in": 0 })), 422, "expires_in_invalid").await;
    check(with(json!({ "labels": { "": "x" } })), 422, "labels_invalid").await;
    check(with(json!({ "description": "x".repeat(1001) })), 422, "description_invalid").await;
    check(with(json!({ "order_id": "" })), 422, "order_id_invalid").await;
    check(with(json!({ "idempotency_key": "" })), 422, "idempotency_key_invalid").await;
    check(with(json!({ "kind": "balance" })), 400, "body_invalid").await;
    check(with(json!({ "wallet_id": "1" })), 400, "body_invalid").await;
    check(with(json!({ "pending": "true" })), 400, "body_invalid").await;
    check(with(json!({ "pending": null })), 400, "body_invalid").await;
    // What is misspelt must not be done in another way than its caller thinks.
    for misspelt in [json!({ "pendign": true }), json!({ "Pending": true }), json!({ "dry_run": true })] {
        check(with(misspelt), 400, "body_invalid").await;
    }
    assert_eq!(rows(&app).await, before, "none of them left anything");

    let hold = made(&app, with(json!({ "pending": true }))).await.id();
    for (action, body) in [
        ("confirm", json!({ "finla": false })),
        ("cancel", json!({ "reason": "x" })),
        ("extend", json!({ "expires_in": 1, "amount": 1 })),
        ("reverse", json!({ "amuont": 1 })),
    ] {
        let reply = ask(&app, &format!("/v1/transactions/{hold}/{action}"), body).await;
        assert_eq!(reply.verdict(), (400, "body_invalid"), "{action}");
    }
    let typo = ask(&app, "/v1/transactions?dryrun=true", with(json!({}))).await;
    assert_eq!(typo.verdict(), (400, "parameter_unknown"), "what is misspelt in the query, too");
    let large = with(json!({ "description": "x".repeat(70_000) }));
    assert_eq!(ask(&app, "/v1/transactions", large).await.verdict(), (413, "body_too_large"));
}

#[actix_rt::test]
async fn an_amount_is_a_string_or_a_number_and_exact() {
    let app = start_with(|_| {}).await;
    let check = async |currency: &str, amount: &str, expected: &str| {
        let body = format!(r#"{{"kind":"invoice","wallet_id":1,"currency":"{currency}","amount":{amount}}}"#);
        let reply = ask_text(&app, "/v1/transactions", body, &[]).await;
        let got = reply.body["amount"].as_str().or(reply.body["code"].as_str());
        assert_eq!(got, Some(expected), "{amount}: {reply:?}");
    };
    for (amount, expected) in [
        ("0.1", "0.1"),
        (r#""0.10""#, "0.1"),
        ("12.3400", "12.34"),
        (r#""12.3400""#, "12.34"),
        ("1e2", "100"),
        ("9007199254740993", "9007199254740993"),
        ("12345678901234567890.12", "12345678901234567890.12"),
        ("0.001", "too_many_decimals"),
        ("0", "amount_not_positive"),
        (r#""-0.01""#, "amount_not_positive"),
        ("1e400", "amount_too_large"),
        ("12345678901234567890123456789", "amount_too_large"),
        (r#""12345678901234567890123456789""#, "amount_too_large"),
        ("9999999999999999999999999999", "balance_too_large"),
        ("NaN", "malformed_json"),
        (r#""NaN""#, "amount_invalid"),
        (r#""Infinity""#, "amount_invalid"),
        (r#""١""#, "amount_invalid"),
        (r#"" 1""#, "amount_invalid"),
        (r#""1,5""#, "amount_invalid"),
        (r#""""#, "amount_invalid"),
        ("true", "amount_invalid"),
        ("null", "amount_invalid"),
        ("[1]", "amount_invalid"),
        ("01", "malformed_json"),
    ] {
        check("USD", amount, expected).await;
    }
    check("USDT", "0.000001", "0.000001").await;
    check("USDT", "9999999999999999999999.999999", "9999999999999999999999.999999").await;
    // 0.1 + 0.1 + 12.34 + 12.34 + 100 + 9007199254740993 + 12345678901234567890.12, to the last digit.
    assert_eq!(app.database.available(1, "USD").await, "12354686100489309008");
    assert_eq!(app.database.available(1, "USDT").await, "10000000000000000000000");
    assert_books_balance(&app.database.pool).await;
}
