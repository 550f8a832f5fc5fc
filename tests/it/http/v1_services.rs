//! `/v1/services` and the report of what they earned.

use serde_json::{Value, json};

use super::start_with;
use crate::support::TestApp;

#[tokio::test]
async fn services_are_made_found_renamed_and_deleted() {
    let app = start_with(|_| {}).await;
    let code = async |method: &str, path: &str, body: Value| {
        let answer = app.send(method, path, &body).await;
        (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    let one = app.send("POST", "/v1/services", &json!({ "name": "delivery" })).await;
    assert_eq!((one.status, one.json()["name"].clone()), (201, json!("delivery")));
    let many: Vec<Value> = (0..1000).map(|number| json!({ "name": format!("s{number}") })).collect();
    let made = app.send("POST", "/v1/services", &json!(many)).await;
    assert_eq!((made.status, made.json()["items"][999]["name"].clone()), (201, json!("s999")));
    assert_eq!(app.get_all("/v1/services?limit=300", "name").await.len(), 1001);
    assert_eq!(app.get("/v1/services?name=s7").await.json()["items"][0]["name"], "s7");

    let path = format!("/v1/services/{}", one.json()["id"]);
    assert_eq!(app.send("PATCH", &path, &json!({ "name": "courier" })).await.json()["name"], "courier");
    assert_eq!(app.get(&path).await.json()["name"], "courier");
    assert_eq!(code("PATCH", &path, json!({ "name": "s1" })).await, (409, "service_name_taken".to_owned()));
    assert_eq!(code("POST", "/v1/services", json!([{ "name": "new" }, { "name": "s1" }])).await.0, 409);
    assert_eq!(app.get("/v1/services?name=new").await.json(), json!({ "items": [] }), "all are made or none");
    assert_eq!(code("POST", "/v1/services", json!([])).await, (400, "body_invalid".to_owned()));
    assert_eq!(code("POST", "/v1/services", json!([["x"]])).await, (400, "body_invalid".to_owned()));
    assert_eq!(code("POST", "/v1/services", json!({ "name": "" })).await, (400, "body_invalid".to_owned()));

    let id = &one.json()["id"];
    let used = format!(
        "INSERT INTO transactions (id, wallet_id, kind, status, currency, amount, service_id, created_at)
         VALUES (gen_random_uuid(), 1, 'withdraw', 'Success', 'USD', 1, {id}, now())"
    );
    app.database.execute(used).await;
    assert_eq!(code("DELETE", &path, Value::Null).await, (409, "service_in_use".to_owned()));
    let other = app.get("/v1/services?name=s7").await.json()["items"][0]["id"].clone();
    let other = format!("/v1/services/{other}");
    assert_eq!(app.send("DELETE", &other, &Value::Null).await.status, 204);
    assert_eq!(code("DELETE", &other, Value::Null).await, (404, "service_unknown".to_owned()));
    assert_eq!(code("GET", &other, Value::Null).await, (404, "service_unknown".to_owned()));
}

/// Adds a transaction as a sentence: service, kind, status, amount, when it was made, when it became final, its original's kind.
async fn add(app: &TestApp, service: i64, sentence: &str) {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let [kind, status, amount, created_at, finished_at, pending, original] = words[..] else {
        panic!("seven words: {sentence}");
    };
    let quoted = |word: &str| if word == "-" { "NULL".to_owned() } else { format!("'{word}'") };
    let rejection = if status == "Error" { "'insufficient_funds'" } else { "NULL" };
    let confirmed = if pending == "pending" { "0" } else { "NULL" };
    let original = match original {
        "-" => "NULL".to_owned(),
        kind => format!("(SELECT id FROM transactions WHERE description = 'original {kind}')"),
    };
    app.database
        .execute(format!(
            "INSERT INTO transactions (id, wallet_id, to_wallet_id, kind, status, rejection, currency, amount, confirmed, service_id,
                 created_at, finished_at, original_id)
             VALUES (gen_random_uuid(), 1, 2, '{kind}', '{status}', {rejection}, 'USD', {amount}, {confirmed}, {service}, {}, {}, {original})",
            quoted(created_at),
            quoted(finished_at)
        ))
        .await;
}

#[tokio::test]
async fn revenue_is_what_left_to_a_service_in_a_month() {
    let app = start_with(|_| {}).await;
    app.database
        .execute("INSERT INTO services (id, name) SELECT n, 'service ' || n FROM generate_series(1, 250) AS n")
        .await;
    app.database.execute("UPDATE services SET name = '=1+1, \"x\"' WHERE id = 2").await;
    for kind in ["withdraw", "invoice"] {
        app.database
            .execute(format!(
                "INSERT INTO transactions (id, wallet_id, kind, status, currency, amount, confirmed, description, created_at)
                 VALUES (gen_random_uuid(), 1, '{kind}', 'Created', 'USD', 1000, 0, 'original {kind}', '2026-10-01Z')"
            ))
            .await;
    }
    for sentence in [
        // Counted: 10 + 2.50 + 7 + 4 - 1 = 22.5
        "withdraw Success 10 2026-11-01T00:00Z - - -",
        "withdraw Success 2.50 2026-11-30T23:59:59.999999Z - - -",
        "withdraw Success 7 2026-10-15T00:00Z 2026-11-15T00:00Z - -",
        "confirm Success 4 2026-11-10T00:00Z - - withdraw",
        "reverse Success 1 2026-11-20T00:00Z - - withdraw",
        // Not: another month, refused, still pending, no withdrawal.
        "withdraw Success 100 2026-10-31T23:59:59.999999Z - - -",
        "withdraw Success 100 2026-12-01T00:00Z - - -",
        "withdraw Success 100 2026-11-15T00:00Z 2026-12-01T00:00Z - -",
        "withdraw Error 100 2026-11-15T00:00Z - - -",
        "withdraw Success 100 2026-11-15T00:00Z - pending -",
        "invoice Success 100 2026-11-15T00:00Z - - -",
        "confirm Success 100 2026-11-10T00:00Z - - invoice",
        "reverse Success 100 2026-11-10T00:00Z - - invoice",
        "transfer Success 100 2026-11-10T00:00Z - - -",
    ] {
        add(&app, 1, sentence).await;
    }
    add(&app, 2, "reverse Success 3 2026-11-05T00:00Z - - withdraw").await;
    add(&app, 250, "withdraw Success 9999999999999999999999999999 2026-11-05T00:00Z - - -").await;
    add(&app, 250, "withdraw Success 9999999999999999999999999999 2026-11-06T00:00Z - - -").await;

    let report = app.get("/v1/reports/revenue?month=2026-11").await;
    assert_eq!((report.status, report.content_type.as_str()), (200, "application/json"));
    let line = |id: i64, name: &str, amount: &str| json!({ "service_id": id, "service": name, "currency": "USD", "amount": amount });
    let expected = [
        line(1, "service 1", "22.5"),
        line(2, "=1+1, \"x\"", "-3"),
        line(250, "service 250", "19999999999999999999999999998"),
    ];
    assert_eq!(report.json(), json!({ "month": "2026-11", "items": expected }));
    let csv = app.get_csv("/v1/reports/revenue?month=2026-11").await;
    assert_eq!(
        csv.body,
        "service_id,service,currency,amount\r\n1,service 1,USD,22.5\r\n2,\"'=1+1, \"\"x\"\"\",USD,-3\r\n\
         250,service 250,USD,19999999999999999999999999998\r\n"
    );
    assert_eq!(app.get("/v1/reports/revenue?month=2025-01").await.json(), json!({ "month": "2025-01", "items": [] }));
    for bad in ["", "?month=2026-13", "?month=11", "?moth=2026-11"] {
        assert_eq!(app.get(&format!("/v1/reports/revenue{bad}")).await.status, 400, "{bad}");
    }
}
