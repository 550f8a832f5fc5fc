//! What is still answered about a wallet that was closed: it is not gone.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::start_with;
use crate::support::TestApp;

/// What a request below `/v1/wallets/{id}` is answered when that wallet is closed. In this order: none but the renaming changes anything.
const ANSWERED: [(&str, &str, &str, u16); 13] = [
    ("GET", "", "", 200),
    ("GET", "/balances", "", 200),
    ("GET", "/balances", "?at=2026-01-01T00:00:00Z", 200),
    ("GET", "/entries", "", 200),
    ("GET", "/entries", "?order=desc&limit=1", 200),
    ("PATCH", "", "{}", 200),
    ("PATCH", "", r#"{"name":null}"#, 200),
    ("PATCH", "", r#"{"labels":{"reason":"moved"}}"#, 200),
    ("PATCH", "", r#"{"external_id":null}"#, 200),
    ("PATCH", "", r#"{"status":"open"}"#, 409),
    ("PATCH", "", r#"{"status":"blocked"}"#, 409),
    ("DELETE", "", "", 204),
    ("GET", "", "", 200),
];

/// The operations of the document below `/v1/wallets/{id}`: method, path, and id.
async fn operations(app: &TestApp) -> Vec<(String, String, Value)> {
    let document = app.get("/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("it has paths");
    let below = paths.iter().filter_map(|(path, item)| Some((path.strip_prefix("/v1/wallets/{id}")?, item)));
    let operation = |(path, item): (&str, &Value)| {
        let methods = item.as_object().expect("a path has operations").iter();
        let path = path.to_owned();
        methods
            .map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
            .collect::<Vec<_>>()
    };
    below.flat_map(operation).collect()
}

/// Wallet 1, through which money went, with names; closed.
async fn start_with_a_closed_wallet() -> TestApp {
    let app = start_with(|_| {}).await;
    let names = json!({ "name": "Ann", "external_id": "customer-17", "labels": { "tier": "gold" } });
    assert_eq!(app.send("PATCH", "/v1/wallets/1", &names).await.status, 200);
    for kind in ["invoice", "withdraw"] {
        let money = json!({ "kind": kind, "wallet_id": 1, "currency": "USD", "amount": "5" });
        assert_eq!(app.send("POST", "/v1/transactions", &money).await.status, 201);
    }
    assert_eq!(app.send("DELETE", "/v1/wallets/1", &Value::Null).await.status, 204);
    app
}

#[tokio::test]
async fn what_a_closed_wallet_answers_is_decided_for_every_operation() {
    let app = start_with_a_closed_wallet().await;
    let operations = operations(&app).await;
    let declared: BTreeSet<_> = operations.iter().map(|(method, path, _)| (method.as_str(), path.as_str())).collect();
    let decided: BTreeSet<_> = ANSWERED.iter().map(|(method, path, ..)| (*method, *path)).collect();
    assert_eq!(declared, decided, "what a new operation answers for a closed wallet is to be decided here");

    let closed_at = app.get("/v1/wallets/1").await.json()["closed_at"].clone();
    for (method, path, more, status) in ANSWERED {
        let is_query = more.starts_with('?');
        let body = if is_query || more.is_empty() {
            Value::Null
        } else {
            more.parse().expect("the test's JSON is well formed")
        };
        let path = format!("/v1/wallets/1{path}{}", if is_query { more } else { "" });
        let answer = app.send(method, &path, &body).await;
        assert_eq!(answer.status, status, "{method} {path} {more} {answer:?}");
        if status == 409 {
            assert_eq!(answer.json()["code"], "wallet_closed", "{method} {path} {more}");
        }
        let wallet = app.get("/v1/wallets/1").await.json();
        assert_eq!((&wallet["status"], &wallet["closed_at"]), (&json!("closed"), &closed_at), "{method} {path} {more}");
    }
    let wallet = app.get("/v1/wallets/1").await.json();
    let names = [wallet.get("name"), wallet.get("external_id"), wallet.get("labels")];
    assert_eq!(names, [None, None, Some(&json!({ "reason": "moved" }))], "its names are taken away, its label is new");
}

#[tokio::test]
async fn the_history_of_a_closed_wallet_stays_and_nothing_moves() {
    let app = start_with_a_closed_wallet().await;
    let entries = app.get_all("/v1/wallets/1/entries?order=asc", "available_delta").await;
    assert_eq!(entries, ["5", "-5"]);
    assert_eq!(app.get_csv("/v1/wallets/1/entries").await.body.lines().count(), 3);
    let zero = json!([{ "currency": "USD", "available": "0", "held": "0", "incoming": "0" }]);
    assert_eq!(app.get("/v1/wallets/1/balances").await.json()["balances"], zero);
    assert_eq!(app.get_all("/v1/wallets?external_id=customer-17", "id").await, ["1"]);
    assert_eq!(app.get_all("/v1/wallets?status=closed", "id").await, ["1"]);
    let transactions = app.get_all("/v1/transactions?wallet_id=1&order=asc", "id").await;
    assert_eq!(transactions.len(), 2);

    let money =
        |kind: &str, wallet: i64| json!({ "kind": kind, "wallet_id": wallet, "currency": "USD", "amount": "1" });
    let mut transfers = [money("transfer", 1), money("transfer", 2)];
    transfers[0]["to_wallet_id"] = json!(2);
    transfers[1]["to_wallet_id"] = json!(1);
    for body in [money("invoice", 1), money("withdraw", 1)].iter().chain(&transfers) {
        let answer = app.send("POST", "/v1/transactions", body).await;
        assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("wallet_closed")), "{body}");
    }
    for transaction in transactions {
        assert_eq!(app.get(&format!("/v1/transactions/{transaction}")).await.status, 200);
        let answer = app.send("POST", &format!("/v1/transactions/{transaction}/reverse"), &Value::Null).await;
        assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("wallet_closed")), "{answer:?}");
    }
    // What it was called can be given to another one.
    let again = json!({ "external_id": "customer-17" });
    assert_eq!(app.send("POST", "/v1/wallets", &again).await.json()["code"], "external_id_taken");
    assert_eq!(app.send("PATCH", "/v1/wallets/1", &json!({ "external_id": null })).await.status, 200);
    assert_eq!(app.send("POST", "/v1/wallets", &again).await.status, 201);
}
