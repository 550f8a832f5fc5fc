//! `/v1/transactions` on thousands of them.

use serde_json::json;

use super::start_with;
use crate::support::TestApp;

/// Received one a millisecond from this moment on: 2023-11-14T22:13:20Z.
const FIRST_MS: u64 = 1_700_000_000_000;

/// A UUIDv7 of the moment and the number that `number` stands for, as SQL.
fn id(number: &str) -> String {
    format!("(lpad(to_hex({FIRST_MS} + {number}), 12, '0') || '70008000' || lpad(to_hex({number}), 12, '0'))::uuid")
}

/// Adds the transactions `from` to `to`: on the wallets 1 to 5, of all kinds that move money, every third refused, in two currencies.
async fn add(app: &TestApp, from: u32, to: u32) {
    let sql = format!(
        r#"INSERT INTO transactions (id, wallet_id, to_wallet_id, kind, status, rejection, currency, amount, labels, order_id, service_id,
               created_at)
           SELECT {}, 1 + n % 5, CASE n % 4 WHEN 2 THEN 1 + (n + 1) % 5 END,
               (ARRAY['invoice', 'withdraw', 'transfer', 'invoice'])[1 + n % 4],
               CASE n % 3 WHEN 0 THEN 'Error' ELSE 'Success' END, CASE n % 3 WHEN 0 THEN 'insufficient_funds' END,
               (ARRAY['USD', 'EUR'])[1 + n % 2], (1 + n * 7919 % 100) / 4.0,
               CASE WHEN n % 10 = 0 THEN jsonb_build_object('ten', 'yes', 'n', n::text) END,
               CASE WHEN n % 50 = 0 THEN 'order-' || n END, CASE WHEN n % 20 = 0 THEN 7 END,
               to_timestamp(({FIRST_MS} + n) / 1000.0)
           FROM generate_series({from}, {to}) AS n"#,
        id("n")
    );
    app.database.execute(sql).await;
}

/// The ids that SQL finds, in its order.
async fn ids(app: &TestApp, rest: &str) -> Vec<String> {
    let found =
        app.database.fetch(format!("SELECT string_agg(id::text, ' ') FROM (SELECT id FROM transactions {rest}) x"));
    found.await.split(' ').filter(|id| *id != "NULL").map(str::to_owned).collect()
}

#[tokio::test]
async fn pages_hold_each_transaction_once_in_the_order_that_was_asked_for() {
    let app = start_with(|_| {}).await;
    add(&app, 1, 3000).await;
    // One that has no amount stands where 0 would.
    app.database
        .execute(format!(
            "INSERT INTO transactions (id, wallet_id, kind, status, created_at) VALUES ({}, 1, 'batch', 'Success', now())",
            id("3001")
        ))
        .await;
    let check = async |query: &str, order: &str| {
        let path = format!("/v1/transactions?limit=137{query}");
        assert_eq!(app.get_all(&path, "id").await, ids(&app, order).await, "{query}");
    };
    check("", "ORDER BY id DESC").await;
    check("&order=asc", "ORDER BY id").await;
    check("&sort=amount", "ORDER BY coalesce(amount, 0) DESC, id DESC").await;
    check("&sort=amount&order=asc", "ORDER BY coalesce(amount, 0), id").await;
    check("&wallet_id=2", "WHERE 2 IN (wallet_id, to_wallet_id) ORDER BY id DESC").await;
    check("&wallet_id=2&sort=amount&order=asc", "WHERE 2 IN (wallet_id, to_wallet_id) ORDER BY amount, id").await;
}

#[tokio::test]
async fn every_filter_finds_what_it_says() {
    let app = start_with(|_| {}).await;
    add(&app, 1, 1000).await;
    let check = async |query: &str, condition: &str| {
        let expected = ids(&app, &format!("WHERE {condition} ORDER BY id DESC")).await;
        assert!(!expected.is_empty() && expected.len() < 1000, "{condition} tells nothing");
        assert_eq!(app.get_all(&format!("/v1/transactions?limit=1000&{query}"), "id").await, expected, "{query}");
    };
    check("kind=withdraw", "kind = 'withdraw'").await;
    check("status=Error", "status = 'Error'").await;
    check("currency=EUR", "currency = 'EUR'").await;
    check("label.ten=yes", "labels ->> 'ten' = 'yes'").await;
    check("label.ten=yes&label.n=30", "labels ->> 'n' = '30'").await;
    check("order_id=order-50", "order_id = 'order-50'").await;
    check("service_id=7", "service_id = 7").await;
    check("amount_min=10&amount_max=12.25", "amount BETWEEN 10 AND 12.25").await;
    check("created_from=2023-11-14T22:13:20.5Z", "created_at >= '2023-11-14T22:13:20.5Z'").await;
    check("created_to=2023-11-15T00:13:20.5%2B02:00", "created_at < '2023-11-14T22:13:20.5Z'").await;
    check(
        "wallet_id=3&kind=transfer&status=Success&currency=USD",
        "3 IN (wallet_id, to_wallet_id) AND kind = 'transfer' AND status = 'Success' AND currency = 'USD'",
    )
    .await;
    assert_eq!(app.get("/v1/transactions?idempotency_key=nobody").await.json(), json!({ "items": [] }));
}

#[tokio::test]
async fn a_cursor_stays_where_it_is_while_transactions_are_added() {
    let app = start_with(|_| {}).await;
    add(&app, 1001, 2000).await;
    let before = ids(&app, "ORDER BY id DESC").await;
    let first = async |query: &str| {
        let page = app.get(&format!("/v1/transactions?limit=10{query}")).await.json();
        page["next_cursor"].as_str().expect("there are more").to_owned()
    };
    let (newest_first, oldest_first) = (first("").await, first("&order=asc").await);
    add(&app, 2001, 2100).await;
    let page = app.get(&format!("/v1/transactions?limit=10&cursor={newest_first}")).await.json();
    assert_eq!(page["items"][0]["id"], before[10], "what is newer does not appear");
    let page = app.get(&format!("/v1/transactions?limit=10&order=asc&cursor={oldest_first}")).await.json();
    assert_eq!(page["items"][0]["id"], before[before.len() - 11]);
    let all = app.get_all("/v1/transactions?limit=1000&order=asc", "id").await;
    assert_eq!(all.len(), 1100, "what is newer comes last");

    let other = app.get(&format!("/v1/transactions?limit=10&kind=invoice&cursor={newest_first}")).await;
    assert_eq!((other.status, other.json()["code"].clone()), (404, json!("cursor_unknown")));
}

#[tokio::test]
async fn one_transaction_is_shown_with_everything_that_applies() {
    let app = start_with(|_| {}).await;
    let (hold, reversal) = (id("1"), id("2"));
    app.database
        .execute(format!(
            r#"INSERT INTO transactions (id, wallet_id, kind, status, currency, amount, confirmed, idempotency_key, fingerprint, created_at,
                   finished_at, expires_at, labels, description, service_id, order_id, original_id, original_status)
               VALUES ({hold}, 1, 'withdraw', 'Success', 'USD', 12.50, 10.00, 'order-1', '\x00', '2026-11-20 12:00:00.5+02',
                   '2026-11-20 11:00Z', '2026-11-21Z', '{{"a": "b"}}', 'lunch', 3, 'o-1', NULL, NULL),
                   ({reversal}, 1, 'reverse', 'Success', 'USD', 2.50, NULL, NULL, NULL, '2026-11-20 12:00Z', NULL, NULL, NULL, NULL, 3,
                   'o-1', {hold}, 'Success')"#
        ))
        .await;
    let hold = app.database.fetch(format!("SELECT {hold}")).await;
    let expected = json!({
        "id": hold, "kind": "withdraw", "status": "Success", "wallet_id": 1, "currency": "USD", "amount": "12.5", "confirmed": "10",
        "reversed": "2.5", "waiting": false, "expires_at": "2026-11-21T00:00:00Z", "idempotency_key": "order-1", "labels": { "a": "b" },
        "description": "lunch", "service_id": 3, "order_id": "o-1", "created_at": "2026-11-20T10:00:00.5Z",
        "finished_at": "2026-11-20T11:00:00Z",
    });
    assert_eq!(app.get(&format!("/v1/transactions/{hold}")).await.json(), expected);
    let listed = app.get(&format!("/v1/transactions?original_id={hold}")).await.json();
    assert_eq!((&listed["items"][0]["kind"], &listed["items"][1]), (&json!("reverse"), &json!(null)));
    assert_eq!(listed["items"][0]["original_status"], "Success");
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_and_named() {
    let app = start_with(|_| {}).await;
    let check = async |path: &str, status: u16, code: &str, named: &str| {
        let answer = app.get(path).await;
        assert_eq!((answer.status, answer.content_type.as_str()), (status, "application/problem+json"), "{path}");
        let problem = answer.json();
        assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)), "{path}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(named)), "{path}: {problem}");
    };
    check("/v1/transactions?walet_id=1", 400, "parameter_unknown", "walet_id").await;
    check("/v1/transactions?wallet_id=one", 400, "parameter_invalid", "wallet_id").await;
    check("/v1/transactions?kind=deposit", 400, "parameter_invalid", "withdraw").await;
    check("/v1/transactions?limit=1001", 400, "parameter_invalid", "1000").await;
    check("/v1/transactions?created_from=yesterday", 400, "parameter_invalid", "RFC 3339").await;
    check("/v1/transactions?cursor=xyz", 400, "parameter_invalid", "cursor").await;
    check("/v1/transactions?label.=x", 400, "parameter_invalid", "label").await;
    check("/v1/transactions/1", 400, "parameter_invalid", "UUID").await;
    check("/v1/transactions/01a1f9cc-28bd-7000-8000-0000000000c8", 404, "transaction_unknown", "").await;
    check("/v1/transactions/01a1f9cc-28bd-7000-8000-0000000000c8?x=1", 400, "parameter_unknown", "x").await;
    check("/v1/nothing", 404, "route_unknown", "").await;
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_ended() {
    let app = start_with(|settings| settings.database.read_timeout_ms = 200).await;
    let mut blocker = app.database.pool.begin().await.expect("a connection is free");
    sqlx::query("LOCK TABLE transactions").execute(&mut *blocker).await.expect("nobody else has it");
    let answer = app.get("/v1/transactions").await;
    assert_eq!((answer.status, answer.json()["code"].clone()), (504, json!("read_timed_out")));
    blocker.rollback().await.expect("the lock is let go");
    assert_eq!(app.get("/v1/transactions").await.status, 200);
}
