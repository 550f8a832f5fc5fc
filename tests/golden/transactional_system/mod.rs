//! System 000 over HTTP and, as its clients know it, through the exchange `queries`.

use lapin::options::ExchangeBindOptions;
use lapin::types::FieldTable;
use purser::settings::AuthMode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{check_golden, start_with};
use crate::support::server::purser;
use crate::support::{Amqp, Message, PATIENCE, TestApp, assert_books_balance, poll_until};

#[actix_rt::test]
async fn every_answer_is_as_documented() {
    check_golden("transactional_system").await;
}

/// As a number in the text: what its clients send.
fn money(wallet: i64, ticker: &str, amount: &str) -> Value {
    serde_json::from_str(&format!(r#"{{"wallet_id":{wallet},"ticker":"{ticker}","amount":{amount}}}"#))
        .expect("the test's JSON is well formed")
}

#[actix_rt::test]
async fn the_three_routes_answer_as_system_000_documents() {
    let app = start_with(|_| {}).await;
    let check = async |path: &str, body: Value, expected: Value| {
        let answer = app.post(path, &body).await;
        assert_eq!(
            (answer.json(), answer.content_type.as_str()),
            (expected.clone(), "application/json"),
            "{path} {body}"
        );
        assert_eq!(expected["code"], answer.status, "{path} {body}: the envelope's code is the status");
    };
    let done = |operation: &str| json!({ "operation": operation, "code": 200 });
    let refused = |operation: &str, reason: &str| json!({ "operation": operation, "code": 400, "reason": reason });
    let balance = |text: &str| json!({ "operation": "balance", "code": 200, "body": text });
    let wallet = |id: i64| json!({ "wallet_id": id });

    check("/balance", wallet(1), balance("{}")).await;
    check("/invoice", money(1, "USD", "5.50"), done("invoice")).await;
    check("/invoice", money(1, "EUR", "1"), done("invoice")).await;
    check("/withdraw", money(1, "USD", "0.50"), done("withdraw")).await;
    check("/balance", wallet(1), balance(r#"{"actual_balance":{"EUR":1,"USD":5}}"#)).await;

    let no_wallet = "the requested wallet with id = 77, doesn't exist";
    let no_ticker = "the requested ticker with name = XYZ, doesn't exist";
    for operation in ["invoice", "withdraw"] {
        let path = format!("/{operation}");
        for amount in ["0", "-1", "-0.01"] {
            check(&path, money(1, "USD", amount), refused(operation, "amount lower then 0")).await;
        }
        check(&path, money(77, "USD", "1"), refused(operation, no_wallet)).await;
        check(&path, money(1, "XYZ", "1"), refused(operation, no_ticker)).await;
        // Checked in this order: amount, wallet, ticker.
        check(&path, money(77, "XYZ", "0"), refused(operation, "amount lower then 0")).await;
        check(&path, money(77, "XYZ", "1"), refused(operation, no_wallet)).await;
    }
    check("/balance", wallet(77), refused("balance", no_wallet)).await;
    let short = |ticker: &str| format!("there are not enough {ticker}'s on the wallet with id = 1 to be debited");
    check("/withdraw", money(1, "USD", "5.01"), refused("withdraw", &short("USD"))).await;
    check("/withdraw", money(1, "RUB", "1"), refused("withdraw", &short("RUB"))).await;
    check("/balance", wallet(1), balance(r#"{"actual_balance":{"EUR":1,"USD":5}}"#)).await;

    let types = "json: cannot unmarshal string into Go struct field InvoiceRequest.wallet_id of type int";
    let body = json!({ "wallet_id": "1", "ticker": "USD", "amount": 1 });
    check("/invoice", body, refused("invoice", types)).await;

    // Each reply was counted under its operation and its code.
    let counted = |operation: &str, status: u16| {
        format!(r#"app_queries_status_counter{{operation="{operation}",status="{status}"}}"#)
    };
    assert_eq!(app.metric(&counted("invoice", 200)).await, 2);
    assert_eq!(app.metric(&counted("invoice", 400)).await, 8);
    assert_eq!(app.metric(&counted("withdraw", 200)).await, 1);
    assert_eq!(app.metric(&counted("withdraw", 400)).await, 9);
    assert_eq!(app.metric(&counted("balance", 200)).await, 3);
    assert_eq!(app.metric(&counted("balance", 400)).await, 1);
    assert_eq!(app.metric(&counted("balance", 500)).await, 0);
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn bad_input_gets_its_envelope_and_disturbs_nothing() {
    let app = start_with(|_| {}).await;
    let key_of_10_kb =
        format!(r#"{{"wallet_id":1,"ticker":"USD","amount":1,"idempotency_key":"{}"}}"#, "k".repeat(10_240));
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"not JSON".to_vec(),
        b"{".to_vec(),
        b"[]".to_vec(),
        b"\"text\"".to_vec(),
        b"{}".to_vec(),
        br#"{"wallet_id":1}"#.to_vec(),
        br#"{"wallet_id":1.5,"ticker":"USD","amount":1}"#.to_vec(),
        br#"{"wallet_id":"1","ticker":"USD","amount":1}"#.to_vec(),
        br#"{"wallet_id":99999999999999999999,"ticker":"USD","amount":1}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":1,"amount":1}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":true}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":0}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":-1}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":NaN}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":"NaN"}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":1e400}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":0.001}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"USD","amount":12345678901234567890123456789}"#.to_vec(),
        br#"{"wallet_id":77,"ticker":"USD","amount":1}"#.to_vec(),
        br#"{"wallet_id":1,"ticker":"XYZ","amount":1}"#.to_vec(),
        b"{\"wallet_id\":1,\"ticker\":\"US\xff\",\"amount\":1}".to_vec(),
        [vec![b'['; 50_000], vec![b']'; 10_000]].concat(),
        key_of_10_kb.into_bytes(),
    ];
    let count = bodies.len();
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let answer = app.post_bytes("/invoice", "application/json", body).await;
        let envelope = answer.json();
        let said = (answer.status, &envelope["code"], &envelope["operation"]);
        assert_eq!(said, (400, &json!(400), &json!("invoice")), "{shown}");
        assert!(envelope["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{shown}: {envelope}");
    }
    assert_eq!(app.post_bytes("/invoice", "application/json", vec![b' '; 10_000_000]).await.status, 413);
    assert_eq!(app.post_bytes("/invoice", "text/plain", money(1, "USD", "1").to_string()).await.status, 400);

    let counted = app.metric(r#"app_queries_status_counter{operation="invoice",status="400"}"#).await;
    assert_eq!(counted, i64::try_from(count).expect("it is a small number") + 1);
    // Fields that it does not know are tolerated, and the same connection goes on working.
    let unknown_field = r#"{"wallet_id":1,"ticker":"USD","amount":1,"colour":"green"}"#;
    assert_eq!(app.post_bytes("/invoice", "application/json", unknown_field).await.status, 200);
    assert_eq!(app.database.available(1, "USD").await, "1");
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "1");
}

#[actix_rt::test]
async fn a_key_that_may_only_look_pays_nothing() {
    let app = start_with(|settings| settings.http.auth = AuthMode::On).await;
    let key = |scope: &str| {
        let mut create = purser(&["keys", "create", "--name", "of a test", "--scope", scope]);
        let created = create.env("DATABASE_URL", &app.database.url).output().expect("the binary starts");
        String::from_utf8(created.stdout).expect("a key is text").trim_end().to_owned()
    };
    let keys = [key("read"), key("write")];
    let http = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client is made");
    for (operation, expected) in [("invoice", [403, 200]), ("withdraw", [403, 200]), ("balance", [200, 200])] {
        for (key, expected) in keys.iter().zip(expected) {
            let request = http.post(app.url(&format!("/{operation}"))).bearer_auth(key);
            let answer = request.json(&money(1, "USD", "1")).send().await.expect("the server answers");
            assert_eq!(answer.status(), expected, "{operation}");
            if expected == 403 {
                let challenge = r#"Bearer realm="purser", error="insufficient_scope", scope="write""#;
                assert_eq!(answer.headers()["www-authenticate"], challenge, "{operation}");
            }
            let envelope: Value = answer.json().await.expect("it is JSON");
            assert_eq!((&envelope["operation"], &envelope["code"]), (&json!(operation), &json!(expected)));
        }
    }
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "2");
}

#[actix_rt::test]
async fn where_the_dialect_is_switched_off_nothing_is_served() {
    let app = start_with(|settings| settings.dialects.transactional_system.enabled = false).await;
    for path in ["/invoice", "/withdraw", "/balance"] {
        let answer = app.post(path, &money(1, "USD", "1")).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("route_unknown")), "{path}");
    }
    assert!(!app.get("/metrics").await.body.contains("\napp_queries_status_counter{"), "its counters are not there");
}

/// A client of that system, and a Purser that it takes for that system.
struct Client {
    app: TestApp,
    amqp: Amqp,
}

impl Client {
    async fn connect() -> Self {
        let app = TestApp::start().await;
        poll_until(PATIENCE, "consuming", || async { app.metric("purser_amqp_connected").await == 1 }).await;
        let amqp = app.amqp().await;
        Self { app, amqp }
    }

    /// Sends as that system's own client does, and demands this reply, byte for byte, under its correlation id.
    async fn check(&self, operation: &str, body: &str, expected: &str) {
        let id = Uuid::now_v7().to_string();
        let message = Message::new(&self.app.names.queries, operation, body)
            .with(|properties| properties.with_delivery_mode(1).with_correlation_id(id.as_str().into()));
        let reply = self.amqp.call(message).await.0;
        assert_eq!(String::from_utf8_lossy(&reply.data), expected, "{operation} {body}");
        assert_eq!(reply.properties.correlation_id(), &Some(id.into()), "{operation} {body}");
        assert_eq!(reply.properties.content_type(), &Some("application/json".into()));
    }

    async fn check_done(&self, operation: &str, body: &str) {
        self.check(operation, body, &format!(r#"{{"operation":"{operation}","code":200}}"#)).await;
    }

    async fn check_balance(&self, wallet: i64, balance: &str) {
        let body = balance.replace('"', r#"\""#);
        let expected = format!(r#"{{"operation":"balance","code":200,"body":"{body}"}}"#);
        self.check("balance", &format!(r#"{{"wallet_id":{wallet}}}"#), &expected).await;
    }

    async fn check_refused(&self, operation: &str, body: &str, reason: &str) {
        let expected = format!(r#"{{"operation":"{operation}","code":400,"reason":"{reason}"}}"#);
        self.check(operation, body, &expected).await;
    }

    async fn counted(&self, operation: &str, status: u16) -> i64 {
        let line = format!(r#"app_queries_status_counter{{operation="{operation}",status="{status}"}}"#);
        self.app.metric(&line).await
    }
}

#[actix_rt::test]
async fn through_its_exchange_every_row_of_its_tables_is_answered_and_counted() {
    let client = Client::connect().await;
    let usd = |wallet: i64, amount: &str| format!(r#"{{"wallet_id":{wallet},"ticker":"USD","amount":{amount}}}"#);
    client.check_balance(1, "{}").await;
    client.check_done("invoice", &usd(1, "5.5")).await;
    client.check_done("withdraw", &usd(1, "0.5")).await;
    client.check_balance(1, r#"{"actual_balance":{"USD":5}}"#).await;

    let go = "json: cannot unmarshal";
    let no_wallet = "the requested wallet with id = 77, doesn't exist";
    let mut refused = 0;
    for (operation, request) in [("invoice", "InvoiceRequest"), ("withdraw", "WithdrawRequest")] {
        let xxx = |wallet: i64, amount: &str| usd(wallet, amount).replace("USD", "XXX");
        let rows = [
            (String::new(), "unexpected end of JSON input".to_owned()),
            ("xyz".to_owned(), "invalid character 'x' looking for beginning of value".to_owned()),
            (
                r#"{"wallet_id":"1"}"#.to_owned(),
                format!("{go} string into Go struct field {request}.wallet_id of type int"),
            ),
            (usd(1, "true"), format!("{go} bool into Go struct field {request}.amount of type float32")),
            (r#"{"ticker":1}"#.to_owned(), format!("{go} number into Go struct field {request}.ticker of type string")),
            (usd(1, "0"), "amount lower then 0".to_owned()),
            (xxx(77, "-5"), "amount lower then 0".to_owned()),
            (usd(77, "1"), no_wallet.to_owned()),
            (xxx(77, "1"), no_wallet.to_owned()),
            (xxx(1, "1"), "the requested ticker with name = XXX, doesn't exist".to_owned()),
            (usd(1, "0.001"), "the amount has more decimals than its currency allows".to_owned()),
        ];
        refused = rows.len() as i64;
        for (body, reason) in rows {
            client.check_refused(operation, &body, &reason).await;
        }
    }
    let short = |wallet: i64, ticker: &str| {
        format!("there are not enough {ticker}'s on the wallet with id = {wallet} to be debited")
    };
    client.check_refused("withdraw", &usd(1, "5.01"), &short(1, "USD")).await;
    client.check_refused("withdraw", &usd(1, "1").replace("USD", "EUR"), &short(1, "EUR")).await;
    client.check_refused("balance", r#"{"wallet_id":77}"#, no_wallet).await;
    let wrong_type = format!("{go} string into Go struct field GetBalanceRequest.wallet_id of type int");
    client.check_refused("balance", r#"{"wallet_id":"1"}"#, &wrong_type).await;

    // What that system's own bindings keep out, whoever binds it gets told; it is counted nowhere.
    let (to, from) = (client.app.names.operations.as_str().into(), client.app.names.queries.as_str().into());
    let bind = client.amqp.channel.exchange_bind(
        to,
        from,
        "deposit".into(),
        ExchangeBindOptions::default(),
        FieldTable::default(),
    );
    bind.await.expect("the exchanges are there");
    client.check_refused("deposit", "{}", "no such operation: deposit").await;

    client.check_balance(1, r#"{"actual_balance":{"USD":5}}"#).await;
    for (operation, status, count) in [
        ("invoice", 200, 1),
        ("invoice", 400, refused),
        ("invoice", 500, 0),
        ("withdraw", 200, 1),
        ("withdraw", 400, refused + 2),
        ("withdraw", 500, 0),
        ("balance", 200, 3),
        ("balance", 400, 2),
        ("balance", 500, 0),
        ("deposit", 400, 0),
    ] {
        assert_eq!(client.counted(operation, status).await, count, "{operation} {status}");
    }
    let page = client.app.get("/metrics").await.body;
    assert!(!page.contains("deposit"), "an operation that is unknown is no label");
    assert_books_balance(&client.app.database.pool).await;
}

#[actix_rt::test]
async fn through_its_exchange_a_request_that_it_could_not_name_is_asked_again_safely() {
    // That system had no keys. Its clients' correlation ids are UUIDs, so they are keys now.
    let client = Client::connect().await;
    let id = Uuid::now_v7().to_string();
    let body = r#"{"wallet_id":1,"ticker":"USD","amount":2}"#;
    for _ in 0..2 {
        let message = Message::new(&client.app.names.queries, "invoice", body)
            .with(|properties| properties.with_correlation_id(id.as_str().into()));
        let reply = client.amqp.call(message).await;
        assert_eq!(String::from_utf8_lossy(&reply.0.data), r#"{"operation":"invoice","code":200}"#);
    }
    client.check_balance(1, r#"{"actual_balance":{"USD":2}}"#).await;
    let of_another = Message::new(&client.app.names.queries, "invoice", body.replace('2', "3"))
        .with(|properties| properties.with_correlation_id(id.as_str().into()));
    let reply = client.amqp.call(of_another).await.json();
    assert_eq!(reply["reason"], "the idempotency key was used for another request");
    assert_eq!(client.counted("invoice", 200).await, 2);
}
