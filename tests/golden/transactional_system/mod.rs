//! System 000 over HTTP and, as its clients know it, through the exchange `queries`.

use lapin::options::ExchangeBindOptions;
use lapin::types::FieldTable;
use uuid::Uuid;

use super::check_golden;
use crate::support::{Amqp, Message, PATIENCE, TestApp, assert_books_balance, poll_until};

#[actix_rt::test]
async fn every_answer_is_as_documented() {
    check_golden("transactional_system").await;
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
