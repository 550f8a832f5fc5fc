//! One wallet seen by everyone: money that comes in through one system goes out through another, and all agree after each step.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::server::purser;
use crate::support::{Message, TestApp, TestDatabase, assert_books_balance};

/// An app whose systems all speak of the same currency.
async fn start() -> TestApp {
    TestApp::start_with(|settings| {
        let dialects = &mut settings.dialects;
        for currency in
            [&mut dialects.balance.currency, &mut dialects.wallet.currency, &mut dialects.transaction_system.currency]
        {
            "USD".clone_into(currency);
        }
    })
    .await
}

/// What every system says of a wallet: so much to spend, and so much put aside.
async fn check(app: &TestApp, wallet: i64, available: &str, held: &str) {
    let number = |text: &str| serde_json::from_str::<Value>(text).expect("a number");
    let seen_by = |system: &str| format!("wallet {wallet} as {system} shows it");

    let balances = app.get(&format!("/v1/wallets/{wallet}/balances")).await.json();
    let native = json!([{ "currency": "USD", "available": available, "held": held, "incoming": "0" }]);
    assert_eq!(balances["balances"], native, "{}", seen_by("/v1"));

    let envelope = app.post("/balance", &json!({ "wallet_id": wallet })).await.json();
    let frozen = if held == "0" { String::new() } else { format!(r#","frozen_balance":{{"USD":{held}}}"#) };
    let body = format!(r#"{{"actual_balance":{{"USD":{available}}}{frozen}}}"#);
    assert_eq!(envelope["body"], body, "{}", seen_by("000"));

    let balance = app.send("GET", "/api", &json!({ "id": wallet })).await;
    assert_eq!(balance.json(), json!({ "balance": number(available) }), "{}", seen_by("001"));

    let balance = app.get(&format!("/wallets/{wallet}/balance")).await;
    let shown = if available.contains('.') { available.to_owned() } else { format!("{available}.0") };
    assert_eq!(balance.body.trim_end(), shown, "{}", seen_by("002"));

    let account = app.get(&format!("/account/{wallet}")).await.json();
    assert_eq!(
        (&account["Amount"], &account["CurrencyName"]),
        (&json!(available), &json!("USD")),
        "{}",
        seen_by("003")
    );
}

/// Sends what must be answered with 200.
async fn done(app: &TestApp, method: &str, path: &str, body: Value) -> Value {
    let answer = app.send(method, path, &body).await;
    assert_eq!(answer.status, 200, "{method} {path} {body}: {answer:?}");
    serde_json::from_str(&answer.body).unwrap_or_default()
}

#[actix_rt::test]
async fn money_goes_through_all_five_systems_and_every_view_agrees() {
    let app = start().await;
    let client = app.amqp().await;

    // 000 credits, over its exchange.
    let credit = json!({ "wallet_id": 1, "ticker": "USD", "amount": 100 });
    let message = Message::new(&app.names.queries, "invoice", credit.to_string());
    assert_eq!(client.call(message).await.json(), json!({ "operation": "invoice", "code": 200 }));
    check(&app, 1, "100", "0").await;

    // 003 pays.
    let payment =
        done(&app, "POST", "/payments", json!({ "BuyerAccountID": 1, "SellerAccountID": 2, "Amount": "40.5" })).await;
    assert_eq!(payment["Amount"], "40.5");
    check(&app, 1, "59.5", "0").await;
    check(&app, 2, "40.5", "0").await;

    // 001 reserves, of what 003 paid.
    done(&app, "POST", "/api/services", json!({ "services": [{ "id": 7, "name": "delivery" }] })).await;
    let order = |amount: Value| json!({ "user_id": 2, "service_id": 7, "order_id": 71, "amount": amount });
    done(&app, "POST", "/api/reserve", order(json!(20.25))).await;
    check(&app, 2, "20.25", "20.25").await;

    // 002 sees it, and adds to it.
    let credit = json!({ "amount": 10.0, "fingerprint": "TX1", "description": "prize" });
    let transaction = done(&app, "POST", "/wallets/2/transactions", credit).await;
    assert_eq!((&transaction["oldbalance"], &transaction["newbalance"]), (&json!(20.25), &json!(30.25)));
    check(&app, 2, "30.25", "20.25").await;

    // 001 sells what it reserved.
    done(&app, "POST", "/api/purchase", order(json!(20.25))).await;
    check(&app, 2, "30.25", "0").await;

    // 004 withdraws, and is refused what is not there any more.
    let payment = |kind: &str, order: i64, amount: &str| json!({ "clientName": "Ann", "orderID": order, "typeTXN": kind, "amount": serde_json::from_str::<Value>(amount).expect("a number") });
    done(&app, "POST", "/pay/?client=2", payment("withdraw", 1, "30")).await;
    check(&app, 2, "0.25", "0").await;
    let short = app.post("/pay/?client=2", &payment("withdraw", 2, "0.26")).await;
    assert_eq!((short.status, &*short.body), (422, "not enough money\n"));
    done(&app, "POST", "/pay/?client=1", payment("deposit", 3, "0.5")).await;
    check(&app, 1, "60", "0").await;
    check(&app, 2, "0.25", "0").await;

    // The native interface has all of it, whoever asked.
    let asked = app.get_all("/v1/transactions?wallet_id=2&limit=3", "kind").await;
    assert_eq!(asked.len(), 6, "{asked:?}");
    assert_books_balance(&app.database.pool).await;
}

/// Runs the binary on a database, with this on its standard input.
fn run_on(database: &TestDatabase, arguments: &[&str], input: &str) {
    let mut command = purser(arguments);
    command.env("DATABASE_URL", &database.url).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    // One that reads nothing may be gone before it is written to.
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).ok();
    let output = child.wait_with_output().expect("it can be waited for");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

#[actix_rt::test]
async fn what_was_imported_is_there_for_the_clients_of_the_old_systems() {
    let database = TestDatabase::empty().await;
    run_on(&database, &["migrate"], "");
    run_on(&database, &["seed", "--like", "wallet-test"], "");
    let accounts = "wallet_id,external_id,currency,amount,labels\n\
                    1,Ann,USD,249.99999999,\"{\"\"currency\"\": \"\"USD\"\"}\"\n\
                    2,Bob,ETC,0,\"{\"\"currency\"\": \"\"ETC\"\"}\"\n";
    run_on(&database, &["import", "-", "--format", "csv", "--name", "003"], accounts);

    let app = TestApp::start_on(database, |settings| settings.broker.enabled = false).await;
    let accounts = json!({ "Accounts": [
        { "ID": 1, "Name": "Ann", "CurrencyID": 1, "CurrencyName": "USD", "Amount": "249.99999999" },
        { "ID": 2, "Name": "Bob", "CurrencyID": 4, "CurrencyName": "ETC", "Amount": "0" },
    ] });
    assert_eq!(app.get("/accounts").await.json(), accounts);
    let balance = app.post("/balance", &json!({ "wallet_id": 1 })).await.json();
    assert_eq!(balance["body"], r#"{"actual_balance":{"USD":249.99999999}}"#);
    let paid =
        app.post("/pay/?client=1", &json!({ "orderID": 1, "typeTXN": "withdraw", "amount": 249.99999998 })).await;
    assert_eq!((paid.status, paid.body.as_str()), (200, ""));
    let buyer = app.get("/account/1").await.json();
    assert_eq!(buyer["Amount"], "0.00000001");
    // The next account does not meet those that were imported.
    app.post("/accounts", &json!({ "Name": "Cid", "Amount": "1", "CurrencyID": 2 })).await;
    assert_eq!(app.get("/account/3").await.json()["Name"], "Cid");
    assert_books_balance(&app.database.pool).await;
}
