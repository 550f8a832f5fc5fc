//! `/v1/wallets/{id}/balances` and `/entries`: now, in the past, page by page and as CSV.

use serde_json::json;

use super::start_with;
use crate::support::TestApp;

/// Entries of the wallet 1 in USD: one a second from 2026-01-01 on, each with 1.00 more; every tenth comes with the one before it.
const ENTRIES: u32 = 5000;

async fn add_history(app: &TestApp) {
    app.database
        .execute(format!(
            "INSERT INTO entries (wallet_id, currency, seq, transaction_id, available_delta, held_delta, incoming_delta, available, held,
                 incoming, created_at)
             SELECT 1, 'USD', n, gen_random_uuid(), 1.00, 0, 0, n, 0, 0,
                 timestamptz '2026-01-01Z' + make_interval(secs => CASE n % 10 WHEN 0 THEN n - 1 ELSE n END)
             FROM generate_series(1, {ENTRIES}) AS n
             UNION ALL
             SELECT 1, 'EUR', n, gen_random_uuid(), -0.50, 0.50, 0, 3 - n * 0.5, n * 0.5, 0, timestamptz '2026-02-01Z'
             FROM generate_series(1, 3) AS n"
        ))
        .await;
    app.database
        .execute(
            "INSERT INTO balances (wallet_id, currency, available, held, incoming, seq)
             VALUES (1, 'USD', 5000, 0, 0, 5000), (1, 'EUR', 1.5, 1.5, 0, 3), (2, 'USD', 0, 0, 0, 0)",
        )
        .await;
}

#[tokio::test]
async fn balances_are_those_of_the_moment_that_is_asked_about() {
    let app = start_with(|_| {}).await;
    add_history(&app).await;
    let check = async |at: &str, expected: &[(&str, &str, &str)]| {
        let answer = app.get(&format!("/v1/wallets/1/balances{at}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let expected: Vec<_> = expected
            .iter()
            .map(|(currency, available, held)| {
                json!({ "currency": currency, "available": available, "held": held, "incoming": "0" })
            })
            .collect();
        assert_eq!(answer.json()["balances"], json!(expected), "{at}");
    };
    check("", &[("EUR", "1.5", "1.5"), ("USD", "5000", "0")]).await;
    check("?at=2026-03-01T00:00:00Z", &[("EUR", "1.5", "1.5"), ("USD", "5000", "0")]).await;
    check("?at=2026-01-31T23:59:59.999999Z", &[("USD", "5000", "0")]).await;
    check("?at=2026-01-01T00:00:00Z", &[]).await;
    check("?at=2026-01-01T00:00:01Z", &[("USD", "1", "0")]).await;
    check("?at=2026-01-01T00:00:00.999999Z", &[]).await;
    // Two entries of one moment: the last of them counts.
    check("?at=2026-01-01T00:00:09Z", &[("USD", "10", "0")]).await;
    check("?at=2026-01-01T00:00:08.5Z", &[("USD", "8", "0")]).await;
    check("?at=2026-01-01T02:12:03%2B01:00", &[("USD", "4323", "0")]).await;
    check("?at=1900-01-01T00:00:00Z", &[]).await;
    assert_eq!(app.get("/v1/wallets/2/balances").await.json()["balances"][0]["available"], "0");
    assert_eq!(app.get("/v1/wallets/2/balances?at=2026-03-01T00:00:00Z").await.json()["balances"], json!([]));
    assert_eq!(app.get("/v1/wallets/99/balances").await.json()["code"], "wallet_unknown");
    assert_eq!(app.get("/v1/wallets/1/balances?at=now").await.json()["code"], "parameter_invalid");
}

#[tokio::test]
async fn entries_come_page_by_page_each_once() {
    let app = start_with(|_| {}).await;
    add_history(&app).await;
    let numbers = |from: u32, to: u32| (from..=to).map(|number| number.to_string()).collect::<Vec<_>>();
    let ascending = app.get_all("/v1/wallets/1/entries?currency=USD&order=asc&limit=499", "seq").await;
    assert_eq!(ascending, numbers(1, ENTRIES));
    let mut descending = app.get_all("/v1/wallets/1/entries?currency=USD&limit=1000", "seq").await;
    descending.reverse();
    assert_eq!(descending, numbers(1, ENTRIES));
    let both = app.get_all("/v1/wallets/1/entries?order=asc&limit=1000", "seq").await;
    assert_eq!(both, [numbers(1, 3), numbers(1, ENTRIES)].concat());
    let page = app.get("/v1/wallets/1/entries?currency=EUR&order=asc&limit=1").await.json();
    let entry = &page["items"][0];
    assert_eq!((&entry["available_delta"], &entry["held"]), (&json!("-0.5"), &json!("0.5")));
    assert_eq!(entry["created_at"], "2026-02-01T00:00:00Z");

    // A line that is added does not move the page that follows.
    let first = app.get("/v1/wallets/1/entries?currency=USD&limit=10").await.json();
    app.database
        .execute("INSERT INTO entries SELECT 1, 'USD', 5001, gen_random_uuid(), 1, 0, 0, 5001, 0, 0, now()")
        .await;
    let cursor = first["next_cursor"].as_str().expect("there are more");
    let second = app.get(&format!("/v1/wallets/1/entries?currency=USD&limit=10&cursor={cursor}")).await.json();
    assert_eq!(second["items"][0]["seq"], 4990);
}

#[tokio::test]
async fn entries_are_given_as_csv_to_the_last_one() {
    let app = start_with(|_| {}).await;
    add_history(&app).await;
    app.database.execute("INSERT INTO entries SELECT 1, '=CMD', 1, gen_random_uuid(), -1, 1, 0, 1, 1, 0, now()").await;
    let answer = app.get_csv("/v1/wallets/1/entries?order=asc").await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/csv; charset=utf-8; header=present"));
    let lines: Vec<&str> = answer.body.lines().collect();
    assert_eq!(
        lines[0],
        "currency,seq,transaction_id,available_delta,held_delta,incoming_delta,available,held,incoming,created_at"
    );
    assert_eq!(lines.len(), 1 + 1 + 3 + ENTRIES as usize);
    let last: Vec<&str> = lines[lines.len() - 1].split(',').collect();
    assert_eq!((last[0], last[1], last[6], last[9]), ("USD", "5000", "5000", "2026-01-01T01:23:19Z"));
    let formula: Vec<&str> = lines.iter().copied().filter(|line| line.contains("=CMD")).collect();
    assert!(formula.len() == 1 && formula[0].starts_with("'=CMD,1,") && formula[0].contains(",-1,1,0,"), "{formula:?}");
    let few = app.get_csv("/v1/wallets/1/entries?currency=USD&limit=2").await;
    assert_eq!(few.body.lines().count(), 3);
    let none = app.get_csv("/v1/wallets/2/entries").await;
    assert_eq!(none.body.lines().count(), 1);
    let unknown = app.get_csv("/v1/wallets/99/entries").await;
    assert_eq!((unknown.status, unknown.content_type.as_str()), (404, "application/problem+json"));
}
