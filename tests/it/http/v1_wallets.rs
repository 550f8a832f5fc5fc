//! `/v1/wallets`: making, finding and renaming them.

use serde_json::{Value, json};

use super::start_with;
use crate::support::TestApp;

async fn refused(app: &TestApp, method: &str, path: &str, body: Value, status: u16, code: &str) {
    let answer = app.send(method, path, &body).await;
    assert_eq!((answer.status, answer.json()["code"].clone()), (status, json!(code)), "{method} {path} {body}");
    assert_eq!(answer.content_type, "application/problem+json");
}

#[tokio::test]
async fn a_wallet_is_made_found_and_renamed() {
    let app = start_with(|_| {}).await;
    let body = json!({ "external_id": "customer-17", "name": "Ann", "labels": { "tier": "gold", "city": "Wien" } });
    let made = app.send("POST", "/v1/wallets", &body).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let path = format!("/v1/wallets/{}", made["id"]);
    assert_eq!(app.get(&path).await.json(), made);
    assert_eq!((&made["status"], &made["labels"]), (&json!("open"), &body["labels"]));

    let change = json!({ "name": null, "labels": { "tier": "silver" } });
    let changed = app.send("PATCH", &path, &change).await;
    assert_eq!(changed.status, 200);
    assert_eq!((changed.json().get("name"), &changed.json()["labels"]), (None, &json!({ "tier": "silver" })));
    assert_eq!(changed.json()["external_id"], "customer-17", "what is not named stays");

    refused(&app, "POST", "/v1/wallets", json!({ "external_id": "customer-17" }), 409, "external_id_taken").await;
    refused(&app, "PATCH", "/v1/wallets/1", json!({ "external_id": "customer-17" }), 409, "external_id_taken").await;
    refused(&app, "POST", "/v1/wallets", json!({ "id": 1 }), 409, "wallet_exists").await;
    refused(&app, "PATCH", "/v1/wallets/4711", json!({}), 404, "wallet_unknown").await;
    refused(&app, "POST", "/v1/wallets", json!({ "nmae": "Ann" }), 400, "body_invalid").await;
    refused(&app, "POST", "/v1/wallets", json!([]), 400, "body_invalid").await;
    refused(&app, "POST", "/v1/wallets", json!({ "name": "" }), 400, "body_invalid").await;
    refused(&app, "POST", "/v1/wallets", json!({ "labels": { "": "x" } }), 422, "labels_invalid").await;
    let twice = app.post_bytes("/v1/wallets", "application/json", r#"{"labels":{"a":"1","a":"2"}}"#).await;
    assert_eq!((twice.status, &twice.json()["code"]), (400, &json!("body_invalid")), "{twice:?}");
    refused(&app, "POST", "/v1/wallets", json!({ "id": 1_000_000_000_000_001_i64 }), 400, "body_invalid").await;
    // The two could not be done as one.
    refused(&app, "PATCH", "/v1/wallets/1", json!({"status": "blocked", "name": "x"}), 422, "contradiction").await;
    let no_json = app.post_bytes("/v1/wallets", "text/plain", "{}").await;
    assert_eq!((no_json.status, no_json.json()["code"].clone()), (415, json!("unsupported_content_type")));
    let no_method = app.send("PUT", &path, &json!({})).await;
    assert_eq!((no_method.status, no_method.json()["code"].clone()), (405, json!("method_not_allowed")));
}

#[tokio::test]
async fn an_id_that_was_chosen_is_not_given_out_again() {
    let app = start_with(|_| {}).await;
    let made = async |body: Value| app.send("POST", "/v1/wallets", &body).await.json()["id"].as_i64();
    assert_eq!(made(json!({ "id": 100 })).await, Some(100));
    assert_eq!(made(json!({})).await, Some(101));
    assert_eq!(made(json!({ "id": 50 })).await, Some(50), "a smaller one moves nothing");
    assert_eq!(made(json!({})).await, Some(102));
    // Many at once, some of which choose the very next numbers.
    let at_once = (0..40).map(|number| made(if number % 2 == 0 { json!({ "id": 103 + number }) } else { json!({}) }));
    let mut ids: Vec<i64> = futures::future::join_all(at_once).await.into_iter().flatten().collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "no id twice");
    let after = made(json!({})).await.expect("the next one is free");
    assert!(ids.iter().all(|id| *id < after), "{after} {ids:?}");
}

#[tokio::test]
async fn wallets_are_found_by_what_they_are_called() {
    let app = start_with(|_| {}).await;
    app.database
        .execute(
            r#"INSERT INTO wallets (id, external_id, labels, blocked_at, closed_at)
               SELECT n, 'w' || n, CASE WHEN n % 2 = 0 THEN jsonb_build_object('even', 'yes', 'n', n::text) ELSE '{}' END,
                   CASE WHEN n % 3 = 0 THEN now() END, CASE WHEN n % 5 = 0 THEN now() END
               FROM generate_series(1001, 3000) AS n"#,
        )
        .await;
    let check = async |query: &str, condition: &str| {
        let sql = format!("SELECT string_agg(id::text, ' ' ORDER BY id) FROM wallets WHERE {condition}");
        let expected = app.database.fetch(sql).await;
        assert_eq!(app.get_all(&format!("/v1/wallets?limit=300&{query}"), "id").await.join(" "), expected, "{query}");
    };
    check("order=asc", "true").await;
    check("external_id=w1234", "id = 1234").await;
    check("label.even=yes", "id > 1000 AND id % 2 = 0").await;
    check("label.even=yes&label.n=2002", "id = 2002").await;
    check("status=open", "closed_at IS NULL AND blocked_at IS NULL").await;
    check("status=blocked", "closed_at IS NULL AND blocked_at IS NOT NULL").await;
    check("status=closed", "closed_at IS NOT NULL").await;
    assert_eq!(app.get_all("/v1/wallets?limit=300&order=desc", "id").await.first().map(String::as_str), Some("3000"));
}

#[tokio::test]
async fn no_money_leaves_a_blocked_wallet_until_it_is_opened_again() {
    let app = start_with(|_| {}).await;
    let post = async |kind: &str, more: Value| {
        let mut body = json!({ "kind": kind, "wallet_id": 1, "currency": "USD", "amount": "1" });
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let answer = app.send("POST", "/v1/transactions", &body).await;
        (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    let done = || (201, String::new());
    let refused = || (409, "wallet_blocked".to_owned());
    assert_eq!(post("invoice", json!({ "amount": "10" })).await, done());
    let blocked = app.send("PATCH", "/v1/wallets/1", &json!({ "status": "blocked" })).await;
    assert_eq!((blocked.status, &blocked.json()["status"]), (200, &json!("blocked")));
    assert!(blocked.json()["blocked_at"].is_string(), "{blocked:?}");
    assert_eq!(app.get("/v1/wallets/1").await.json(), blocked.json());
    for kind in ["withdraw", "withdraw pending", "transfer"] {
        let to_wallet = if kind == "transfer" { json!({ "to_wallet_id": 2 }) } else { json!({}) };
        let pending = if kind.ends_with("pending") { json!({ "pending": true }) } else { to_wallet };
        assert_eq!(post(kind.split(' ').next().expect("a kind"), pending).await, refused(), "{kind}");
    }
    assert_eq!(post("invoice", json!({})).await, done(), "money may come");
    assert_eq!(
        post("transfer", json!({ "wallet_id": 2, "to_wallet_id": 1 })).await,
        (422, "insufficient_funds".to_owned())
    );
    // Again is no change, and no mistake.
    let again = app.send("PATCH", "/v1/wallets/1", &json!({ "status": "blocked" })).await;
    assert_eq!((again.status, again.json()), (200, blocked.json()));
    let opened = app.send("PATCH", "/v1/wallets/1", &json!({ "status": "open" })).await.json();
    assert_eq!((&opened["status"], opened.get("blocked_at")), (&json!("open"), None));
    assert_eq!(post("withdraw", json!({})).await, done());

    refused_change(&app).await;
}

async fn refused_change(app: &TestApp) {
    refused(app, "PATCH", "/v1/wallets/1", json!({ "status": "closed" }), 400, "body_invalid").await;
    refused(app, "PATCH", "/v1/wallets/1", json!({ "status": null }), 400, "body_invalid").await;
    refused(app, "PATCH", "/v1/wallets/4711", json!({ "status": "blocked" }), 404, "wallet_unknown").await;
}

#[tokio::test]
async fn only_an_empty_wallet_is_closed_and_its_history_stays() {
    let app = start_with(|_| {}).await;
    let post = async |body: Value| {
        let answer = app.send("POST", "/v1/transactions", &body).await;
        assert_eq!(answer.status, 201, "{body} {answer:?}");
        answer.json()["id"].as_str().expect("it has an id").to_owned()
    };
    let money = |kind: &str, more: &str| {
        let text = format!(r#"{{"kind":"{kind}","wallet_id":1,"currency":"USD","amount":"1"{more}}}"#);
        serde_json::from_str::<Value>(&text).expect("the test's JSON is well formed")
    };
    let path = "/v1/wallets/1";
    let not_empty = async || refused(&app, "DELETE", path, Value::Null, 409, "wallet_not_empty").await;
    // Money that is there, held, announced, or waited for.
    post(money("invoice", "")).await;
    not_empty().await;
    let hold = post(money("withdraw", r#","pending":true"#)).await;
    not_empty().await;
    post_empty(&app, &format!("/v1/transactions/{hold}/confirm")).await;
    let announced = post(money("invoice", r#","pending":true"#)).await;
    not_empty().await;
    post_empty(&app, &format!("/v1/transactions/{announced}/cancel")).await;
    let waiting = post(money("withdraw", r#","wait_for_funds":true"#)).await;
    not_empty().await;
    post_empty(&app, &format!("/v1/transactions/{waiting}/cancel")).await;

    let closed = app.send("DELETE", path, &Value::Null).await;
    assert_eq!((closed.status, closed.body.as_str()), (204, ""));
    let wallet = app.get(path).await.json();
    assert_eq!((&wallet["status"], wallet["closed_at"].is_string()), (&json!("closed"), true));
    assert_eq!(app.send("DELETE", path, &Value::Null).await.status, 204, "again is no change, and no mistake");
    refused(&app, "POST", "/v1/transactions", money("invoice", ""), 409, "wallet_closed").await;
    refused(&app, "POST", "/v1/transactions", money("withdraw", ""), 409, "wallet_closed").await;
    refused(&app, "PATCH", path, json!({ "status": "open" }), 409, "wallet_closed").await;
    refused(&app, "DELETE", "/v1/wallets/4711", Value::Null, 404, "wallet_unknown").await;
    assert_eq!(
        app.get("/v1/transactions?wallet_id=1&kind=withdraw").await.json()["items"].as_array().map(Vec::len),
        Some(2)
    );
    let entries = app.get("/v1/wallets/1/entries").await.json();
    assert!(entries["items"].as_array().is_some_and(|items| !items.is_empty()), "{entries}");
}

async fn post_empty(app: &TestApp, path: &str) {
    let answer = app.send("POST", path, &Value::Null).await;
    assert_eq!(answer.status, 201, "{path} {answer:?}");
}
