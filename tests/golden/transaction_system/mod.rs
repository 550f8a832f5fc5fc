//! System 004: its golden files, and what its document asks for: a queue of each client's own, and nothing lost when the server dies.

mod kills;

use futures::future::join_all;
use purser::settings::AuthMode;

use super::{start_for, start_with};
use crate::support::server::purser;
use crate::support::{PATIENCE, TestApp, assert_books_balance, golden, poll_until};

#[actix_rt::test]
async fn every_answer_is_as_documented() {
    golden::check("transaction_system", async |file: &str| match file {
        "line" => start_with(|settings| settings.engine.waiting_max = 1).await,
        "unread" => start_with(|settings| settings.http.request_timeout_ms = 200).await,
        _ => start_for(file).await,
    })
    .await;
}

#[actix_rt::test]
async fn what_was_accepted_before_anybody_knew_that_the_database_is_away_is_not_known_to_be_paid() {
    let app = start_with(|settings| {
        settings.database.acquire_timeout_ms = 200;
        settings.http.request_timeout_ms = 500;
        settings.engine.drain_timeout_ms = 500;
    })
    .await;
    app.database.alter("ALLOW_CONNECTIONS false").await;
    app.database.terminate_connections().await;
    let answer = pay(&app, 1, r#"{"orderID":7,"typeTXN":"deposit","amount":1}"#).await;
    assert_eq!(answer, (502, "check your balance\n".into()));
}

#[actix_rt::test]
async fn a_key_that_may_only_look_pays_nothing() {
    let app = start_with(|settings| settings.http.auth = AuthMode::On).await;
    let http = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client is made");
    let key = |scope: &str| {
        let mut create = purser(&["keys", "create", "--name", "of a test", "--scope", scope]);
        let created = create.env("DATABASE_URL", &app.database.url).output().expect("the binary starts");
        String::from_utf8(created.stdout).expect("a key is text").trim_end().to_owned()
    };
    let (reader, writer) = (key("read"), key("write"));
    let send = async |path: &str, key: &str| {
        let request = http.post(app.url(path)).bearer_auth(key).body(r#"{"typeTXN":"deposit","amount":1}"#);
        request.send().await.expect("the server answers")
    };
    for path in ["/pay/?client=1", "/pay?client=1", "/domain/pay?client=1", "/domain/pay/?client=1"] {
        let answer = send(path, &reader).await;
        assert_eq!(answer.status(), 403, "{path}");
        for (name, expected) in [
            ("content-type", "text/plain; charset=utf-8"),
            ("x-content-type-options", "nosniff"),
            ("www-authenticate", r#"Bearer realm="purser", error="insufficient_scope", scope="write""#),
        ] {
            assert_eq!(answer.headers()[name], expected, "{path}");
        }
        let text = answer.text().await.expect("it is text");
        assert_eq!(text, "the key is good, but its scope does not allow this\n", "{path}");
    }
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "0");
    assert_eq!(send("/pay/?client=1", &writer).await.status(), 200);
}

#[actix_rt::test]
async fn a_name_in_another_encoding_is_read_as_go_reads_it() {
    let app = start_with(|_| {}).await;
    let body =
        [br#"{"clientName":""#.as_slice(), b"\xcc\xe0\xf0\xea", br#"","orderID":1,"typeTXN":"deposit","amount":1}"#];
    assert_eq!(app.post_bytes("/pay/?client=1", "application/json", body.concat()).await.status, 200);
    let name = app.database.fetch("SELECT labels->>'client_name' FROM transactions").await;
    assert_eq!(name, "\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
    let outside = app.post_bytes("/pay/?client=1", "application/json", b"{\xcc}".to_vec()).await;
    assert_eq!((outside.status, outside.body.as_str()), (400, "unmarshalling JSON error\n"));
}

/// What a client says and what it hears.
async fn pay(app: &TestApp, client: i64, body: &str) -> (u16, String) {
    let answer = app.post_bytes(&format!("/pay/?client={client}"), "application/json", body.to_owned()).await;
    (answer.status, answer.body)
}

#[actix_rt::test]
async fn one_clients_requests_are_applied_in_their_order_and_hold_up_nobody_else() {
    let app = start_with(|settings| settings.database.lock_timeout_ms = 20).await;
    // Someone holds client 1's wallet, so what is asked of it stands in its queue.
    let mut db_tx = app.database.pool.begin().await.expect("the database is there");
    sqlx::query("SELECT FROM wallets WHERE id = 1 FOR UPDATE").execute(&mut *db_tx).await.expect("the wallet is there");

    // Each withdrawal takes all that the deposit before it brought and a cent more than the one before that: in any other order it is refused.
    let steps: Vec<(&str, String)> = (1..=20)
        .flat_map(|cents| [("deposit", format!("0.{cents:02}")), ("withdraw", format!("0.{cents:02}"))])
        .collect();
    let requests = steps.iter().enumerate().map(|(place, (word, amount))| {
        let body = format!(r#"{{"typeTXN":"{word}","amount":{amount}}}"#);
        let app = &app;
        async move {
            // One after the other: each goes out when all before it stand in the queue.
            let in_flight = i64::try_from(place).expect("there are few");
            poll_until(PATIENCE, "its turn", async || app.metric("purser_operations_in_flight").await >= in_flight)
                .await;
            pay(app, 1, &body).await
        }
    });
    let all = i64::try_from(steps.len()).expect("there are few");
    let release = async {
        poll_until(PATIENCE, "all in the queue", async || app.metric("purser_operations_in_flight").await == all).await;
        // Another client's queue is another one.
        assert_eq!(pay(&app, 2, r#"{"typeTXN":"deposit","amount":1}"#).await, (200, String::new()));
        poll_until(PATIENCE, "client 1's requests, all of them, wait still", async || {
            app.metric("purser_operations_in_flight").await == all
        })
        .await;
        db_tx.rollback().await.expect("the database is there");
    };
    let (answers, ()) = tokio::join!(join_all(requests), release);
    for (step, answer) in steps.iter().zip(answers) {
        assert_eq!(answer, (200, String::new()), "{step:?}");
    }
    let applied =
        "SELECT string_agg(trim_scale(available_delta)::text, ' ' ORDER BY seq) FROM entries WHERE wallet_id = 1";
    let expected: Vec<String> =
        (1..=20).map(|cents| format!("0.{cents:02}").trim_end_matches('0').to_owned()).collect();
    let expected = expected.iter().map(|amount| format!("{amount} -{amount}")).collect::<Vec<_>>().join(" ");
    assert_eq!(app.database.fetch(applied).await, expected);
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn an_order_that_is_sent_many_times_at_once_is_charged_once() {
    let app = start_with(|_| {}).await;
    assert_eq!(pay(&app, 1, r#"{"typeTXN":"deposit","amount":10}"#).await.0, 200);
    let order = r#"{"orderID":5,"typeTXN":"withdraw","amount":6}"#;
    let answers = join_all((0..30).map(|_| pay(&app, 1, order))).await;
    assert!(answers.iter().all(|answer| *answer == (200, String::new())), "{answers:?}");
    assert_eq!(app.database.available(1, "USD").await, "4");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn a_withdrawal_that_waited_in_vain_gives_its_order_back() {
    let app = start_with(|settings| settings.expiry.poll_ms = 50).await;
    let order = r#"{"orderID":5,"typeTXN":"withdraw","amount":6}"#;
    let waits = app.post_bytes("/pay/?client=1&wait=1s", "application/json", order).await;
    assert_eq!((waits.status, waits.body.as_str()), (202, ""));
    let ended = "SELECT count(*) FROM transactions WHERE kind = 'withdraw' AND rejection = 'expired'";
    poll_until(PATIENCE, "its time is up", async || app.database.fetch(ended).await == "1").await;
    assert_eq!(pay(&app, 1, order).await, (422, "not enough money\n".into()));
    assert_eq!(pay(&app, 1, r#"{"typeTXN":"deposit","amount":10}"#).await.0, 200);
    assert_eq!(app.database.available(1, "USD").await, "10", "nobody waits any more");
    assert_eq!(pay(&app, 1, order).await, (200, String::new()));
    assert_eq!(app.database.available(1, "USD").await, "4");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn under_a_key_a_withdrawal_that_waited_in_vain_is_answered_as_the_first_time() {
    let app = start_with(|settings| settings.expiry.poll_ms = 50).await;
    let http = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client is made");
    let order = async |key: &str| {
        let request = http.post(app.url("/pay/?client=1&wait=1s")).header("idempotency-key", key);
        let answer = request.body(r#"{"orderID":5,"typeTXN":"withdraw","amount":6}"#).send().await;
        answer.expect("the server answers").status().as_u16()
    };
    assert_eq!(order("k").await, 202);
    let ended = "SELECT count(*) FROM transactions WHERE kind = 'withdraw' AND rejection = 'expired'";
    poll_until(PATIENCE, "its time is up", async || app.database.fetch(ended).await == "1").await;
    // The key names what was answered, not what has become of it since.
    assert_eq!(order("k").await, 202);
    assert_eq!(
        app.database.fetch("SELECT count(*) FROM transactions WHERE kind = 'withdraw'").await,
        "1",
        "nothing waits again"
    );
    // What has become of it: it ended, and its number is free.
    assert_eq!(pay(&app, 1, r#"{"orderID":5,"typeTXN":"withdraw","amount":6}"#).await.0, 422);
    assert_eq!(pay(&app, 1, r#"{"typeTXN":"deposit","amount":10}"#).await.0, 200);
    assert_eq!(order("k").await, 202);
    assert_eq!(app.database.available(1, "USD").await, "10", "the key's answer moves nothing");
    assert_eq!(order("another").await, 200);
    assert_eq!(app.database.available(1, "USD").await, "4");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn a_currency_that_is_not_there_is_no_clients_fault() {
    let app = start_with(|settings| settings.dialects.transaction_system.currency = "XXX".to_owned()).await;
    assert_eq!(pay(&app, 1, r#"{"typeTXN":"deposit","amount":1}"#).await, (502, "check your balance\n".into()));
}

#[actix_rt::test]
async fn where_the_dialect_is_switched_off_nothing_is_served() {
    let app = start_with(|settings| settings.dialects.transaction_system.enabled = false).await;
    for path in ["/pay/?client=1", "/pay?client=1", "/domain/pay?client=1", "/domain/pay/?client=1"] {
        let answer = app.post_bytes(path, "application/json", r#"{"typeTXN":"deposit","amount":1}"#).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("route_unknown")), "{path}");
    }
}
