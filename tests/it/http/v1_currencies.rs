//! `/v1/currencies`: adding them, and changing how fine amounts may be.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::start_with;
use crate::support::{PATIENCE, TestApp, poll_until};

async fn code(app: &TestApp, method: &str, path: &str, body: Value) -> (u16, String) {
    let answer = app.send(method, path, &body).await;
    (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_currency_is_made_found_and_renamed() {
    let app = start_with(|_| {}).await;
    let made = app.send("POST", "/v1/currencies", &json!({ "code": "CHF", "scale": 2.0, "name": "Swiss franc" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json(), json!({ "code": "CHF", "number": 7, "scale": 2, "name": "Swiss franc" }));
    assert_eq!(app.get("/v1/currencies/CHF").await.json(), made.json());
    assert_eq!(app.get("/v1/currencies").await.json()["items"][0]["code"], "CHF");
    let renamed = app.send("PATCH", "/v1/currencies/CHF", &json!({ "name": null })).await.json();
    assert_eq!(renamed, json!({ "code": "CHF", "number": 7, "scale": 2 }));
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let taken = code(&app, "POST", "/v1/currencies", json!({ "code": "CHF", "scale": 2 })).await;
    assert_eq!(taken, refused(409, "currency_exists"));
    let taken = code(&app, "POST", "/v1/currencies", json!({ "code": "NOK", "scale": 2, "number": 1 })).await;
    assert_eq!(taken, refused(409, "currency_number_taken"));
    for body in [json!({ "code": "a/b", "scale": 2 }), json!({ "code": "NOK" }), json!({ "code": "NOK", "scale": 19 })]
    {
        assert_eq!(code(&app, "POST", "/v1/currencies", body).await, refused(400, "body_invalid"));
    }
    assert_eq!(
        code(&app, "PATCH", "/v1/currencies/XXX", json!({ "scale": 1 })).await,
        refused(404, "currency_unknown")
    );
    assert_eq!(code(&app, "GET", "/v1/currencies/a%2Fb", Value::Null).await, refused(404, "currency_unknown"));
}

fn usdt(wallet: i64, amount: &str) -> Value {
    json!({ "kind": "invoice", "wallet_id": wallet, "currency": "USDT", "amount": amount })
}

/// The finest amount that is stored, and what the currency allows.
async fn decimals(app: &TestApp, currency: &str) -> (String, String) {
    let used =
        format!("SELECT coalesce(max(scale(trim_scale(amount))), 0) FROM transactions WHERE currency = '{currency}'");
    let allowed = format!("SELECT scale FROM currencies WHERE code = '{currency}' AND lowering_to IS NULL");
    (app.database.fetch(used).await, app.database.fetch(allowed).await)
}

#[tokio::test]
async fn a_scale_is_raised_at_once_and_lowered_only_to_what_is_in_use() {
    let app = start_with(|_| {}).await;
    let invoice = usdt(1, "1.125");
    assert_eq!(app.post("/v1/transactions", &invoice).await.status, 201);
    let answer = app.send("PATCH", "/v1/currencies/USDT", &json!({ "scale": 8 })).await;
    assert_eq!((answer.status, answer.json()["scale"].clone()), (200, json!(8)));
    let refused = code(&app, "PATCH", "/v1/currencies/USDT", json!({ "scale": 2 })).await;
    assert_eq!(refused, (409, "scale_in_use".to_owned()));
    assert_eq!(decimals(&app, "USDT").await, ("3".to_owned(), "8".to_owned()));
    let answer = app.send("PATCH", "/v1/currencies/USDT", &json!({ "scale": 3, "name": "Tether" })).await;
    assert_eq!(
        (answer.status, answer.json()["scale"].clone(), answer.json()["name"].clone()),
        (200, json!(3), json!("Tether"))
    );
    let finer = code(&app, "POST", "/v1/transactions", usdt(1, "0.0001")).await;
    assert_eq!(finer, (422, "too_many_decimals".to_owned()), "a copy from before is used no more");
    assert_eq!(app.post("/v1/transactions", &invoice).await.status, 201);
}

#[tokio::test]
async fn no_posting_slips_by_while_a_scale_is_lowered() {
    let app = start_with(|_| {}).await;
    // From now on this instance has a copy of the currencies, by which finer amounts are right for some seconds more.
    assert_eq!(app.post("/v1/transactions", &usdt(1, "1")).await.status, 201);
    let is_over = AtomicBool::new(false);
    let lowering = async {
        let results = futures::future::join_all(
            (0..3).map(|_| code(&app, "PATCH", "/v1/currencies/USDT", json!({ "scale": 2 }))),
        )
        .await;
        is_over.store(true, Ordering::Relaxed);
        results
    };
    let posting = async |wallet: i64| {
        let (mut done, mut refused) = (0, 0);
        // The first look has found nothing: now is the time to slip by.
        poll_until(PATIENCE, "the announcement", async || {
            let announced = "SELECT count(*) FROM currencies WHERE lowering_to IS NOT NULL";
            is_over.load(Ordering::Relaxed) || app.database.fetch(announced).await == "1"
        })
        .await;
        while !is_over.load(Ordering::Relaxed) {
            match app.post("/v1/transactions", &usdt(wallet, "0.000001")).await.status {
                201 => done += 1,
                _ => refused += 1,
            }
        }
        (done, refused)
    };
    let (results, first, second) = tokio::join!(lowering, posting(1), posting(2));
    for result in &results {
        let is_expected = result.0 == 200 || ["scale_in_use", "currency_busy"].contains(&result.1.as_str());
        assert!(is_expected, "{results:?}");
    }
    let (used, allowed) = decimals(&app, "USDT").await;
    let (used, allowed): (i32, i32) =
        (used.parse().expect("a number"), allowed.parse().expect("nothing is left half done"));
    assert!(used <= allowed, "{used} decimals are used, {allowed} are allowed: {results:?} {first:?} {second:?}");
    let was_done = results.iter().any(|result| result.0 == 200);
    assert_eq!(was_done, allowed == 2, "{results:?}");
    assert!(first.0 + second.0 == 0 || !was_done, "what was posted is in use: {first:?} {second:?}");
}
