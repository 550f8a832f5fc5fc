//! System 003, and what its own tests asked of it: those of its API, those of its models, and the one with parallel payments.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use purser::settings::{AuthMode, Secret};
use rand::Rng;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{start_for, start_with};
use crate::support::app::{Answer, metric_in};
use crate::support::server::purser;
use crate::support::{PATIENCE, RoundRobin, TestApp, TestDatabase, assert_books_balance, golden, poll_until};

const TO_SELF: &str = "Could not make payment to self";
const NOT_POSITIVE: &str = "Amount should be positive";
const TOO_LITTLE: &str = "Buyer account does not have sufficient balance";
const OTHER_CURRENCY: &str = "Payment allowed only when account currencies match";
const NAME_TAKEN: &str = r#"pq: duplicate key value violates unique constraint "accounts_name_key""#;
const BUSY: &str = "the database took too long; nothing was made, ask again later";
/// Its numbers of currencies.
const USD: i64 = 1;
const RUB: i64 = 2;

/// Without any wallet, as that system began.
async fn start_empty() -> TestApp {
    start_on(TestDatabase::with_wallets(0).await).await
}

async fn start_on(database: TestDatabase) -> TestApp {
    TestApp::start_on(database, |settings| settings.broker.enabled = false).await
}

/// A second instance on the first one's database.
async fn start_beside(app: &TestApp) -> TestApp {
    let url = app.database.url.clone();
    start_with(|settings| settings.database.url = Secret::new(url)).await
}

/// As many decimals of a dollar as its tests use.
async fn start_with_fine_dollars() -> TestApp {
    let database = TestDatabase::with_wallets(0).await;
    database.execute("UPDATE currencies SET scale = 8 WHERE code = 'USD'").await;
    start_on(database).await
}

async fn create(app: &TestApp, name: &str, amount: &str, currency: i64) -> Answer {
    app.post("/accounts", &json!({ "Name": name, "Amount": amount, "CurrencyId": currency })).await
}

/// Makes an account and gives its id.
async fn account(app: &TestApp, name: &str, amount: &str, currency: i64) -> i64 {
    let created = create(app, name, amount, currency).await;
    assert_eq!((created.status, created.body.as_str()), (200, "{}\n"), "{name}");
    let id = app.database.fetch(format!("SELECT id FROM wallets WHERE external_id = '{name}'")).await;
    id.parse().expect("an id is a number")
}

async fn pay(app: &TestApp, buyer: i64, seller: i64, amount: &str) -> Answer {
    let payment = json!({ "BuyerAccountID": buyer, "SellerAccountID": seller, "Amount": amount });
    app.post("/payments", &payment).await
}

async fn amount_of(app: &TestApp, id: i64) -> String {
    let account = app.get(&format!("/account/{id}")).await;
    assert_eq!(account.status, 200, "{account:?}");
    account.json()["Amount"].as_str().expect("an amount is a string").to_owned()
}

async fn items(app: &TestApp, path: &str, name: &str) -> Vec<Value> {
    let list = app.get(path).await;
    assert_eq!((list.status, list.content_type.as_str()), (200, "application/json"));
    list.json()[name].as_array().cloned().unwrap_or_default()
}

fn error(text: &str) -> Value {
    json!({ "Error": text })
}

#[actix_rt::test]
async fn every_answer_is_as_documented() {
    golden::check("wallet_test", async |file: &str| match file {
        "failures" => start_for(file).await,
        _ => start_empty().await,
    })
    .await;
}

#[actix_rt::test]
async fn an_account_is_made_listed_and_found() {
    let app = start_empty().await;
    let id = account(&app, "test account", "1000", USD).await;
    let expected =
        json!({ "ID": id, "Name": "test account", "CurrencyID": 1, "CurrencyName": "USD", "Amount": "1000" });
    assert_eq!(app.get(&format!("/account/{id}")).await.json(), expected);
    assert_eq!(items(&app, "/accounts", "Accounts").await, [expected]);
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn a_payment_of_a_hundred_millionth_is_made_and_listed() {
    let app = start_with_fine_dollars().await;
    let (buyer, seller) = (account(&app, "buyer", "10.0", USD).await, account(&app, "seller", "0", USD).await);
    let made = pay(&app, buyer, seller, "0.00000001").await;
    assert_eq!(made.status, 200, "{made:?}");
    let mut expected = made.json();
    expected["CurrencyName"] = json!("USD");
    assert_eq!(items(&app, "/payments", "Payments").await, [expected]);
    assert_eq!(
        (amount_of(&app, buyer).await.as_str(), amount_of(&app, seller).await.as_str()),
        ("9.99999999", "0.00000001")
    );
}

#[actix_rt::test]
async fn a_hundred_accounts_are_listed_with_what_they_were_given() {
    let app = start_with_fine_dollars().await;
    for number in 0..100 {
        account(&app, &format!("account {number}"), "567.765", USD).await;
    }
    let accounts = items(&app, "/accounts", "Accounts").await;
    assert_eq!(accounts.len(), 100);
    assert!(accounts.iter().all(|account| account["Amount"] == "567.765" && account["CurrencyName"] == "USD"));
}

#[actix_rt::test]
async fn a_payment_is_made_once_and_only_as_the_rules_allow() {
    let app = start_with_fine_dollars().await;
    let buyer = account(&app, "buyer", "500.0", USD).await;
    let (seller, in_rub) = (account(&app, "seller", "0", USD).await, account(&app, "seller in RUB", "0", RUB).await);
    let amount = "250.00000001";
    for (to, amount, text) in [(in_rub, amount, OTHER_CURRENCY), (buyer, amount, TO_SELF), (seller, "0", NOT_POSITIVE)]
    {
        let refused = pay(&app, buyer, to, amount).await;
        assert_eq!((refused.status, refused.json()), (400, error(text)));
    }
    let made = pay(&app, buyer, seller, amount).await;
    assert_eq!((made.status, &made.json()["Amount"]), (200, &json!(amount)));
    assert_eq!(amount_of(&app, buyer).await, "249.99999999");
    assert_eq!(amount_of(&app, seller).await, amount);
    let refused = pay(&app, buyer, seller, amount).await;
    assert_eq!((refused.status, refused.json()), (400, error(TOO_LITTLE)));
    assert_eq!(items(&app, "/payments", "Payments").await.len(), 1);
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn parallel_payments_through_two_instances_keep_every_cent() {
    let app = start_empty().await;
    let second = start_beside(&app).await;
    let balancer = RoundRobin::start(vec![app.address, second.address]).await;
    let mut accounts =
        vec![account(&app, "account 0", "500.0", USD).await, account(&app, "account 1", "600.0", RUB).await];
    for number in 1..98_i64 {
        accounts.push(account(&app, &format!("zero account {number}"), "0", number % 2 + 1).await);
    }
    assert_eq!(accounts.len(), 99);

    let clients = (0..100).map(|_| tokio::spawn(client(balancer, accounts.clone())));
    let made: Vec<BTreeSet<i64>> =
        join_all(clients).await.into_iter().map(|made| made.expect("no client panics")).collect();
    let made_count: usize = made.iter().map(BTreeSet::len).sum();
    let made: BTreeSet<i64> = made.into_iter().flatten().collect();

    // Both did their part.
    for instance in [&app, &second] {
        let text = instance.get("/metrics").await.body;
        let paid = metric_in(&text, r#"purser_http_requests_total{method="POST",route="/payments",status="200"}"#);
        assert!(paid > 0, "an instance made no payment");
    }
    // Whoever is asked: the sums are exact, and what was opened with and paid since explains every balance.
    for instance in [&app, &second] {
        let listed = items(instance, "/accounts", "Accounts").await;
        let mut expected = BTreeMap::from([(accounts[0], Decimal::from(500)), (accounts[1], Decimal::from(600))]);
        let payments = items(instance, "/payments", "Payments").await;
        for payment in &payments {
            let amount = decimal(&payment["Amount"]);
            *expected.entry(number(&payment["BuyerAccountID"])).or_default() -= amount;
            *expected.entry(number(&payment["SellerAccountID"])).or_default() += amount;
        }
        let mut sums = BTreeMap::<i64, Decimal>::new();
        for account in &listed {
            let amount = decimal(&account["Amount"]);
            assert_eq!(amount, expected.get(&number(&account["ID"])).copied().unwrap_or_default(), "{account}");
            *sums.entry(number(&account["CurrencyID"])).or_default() += amount;
        }
        assert_eq!(sums, BTreeMap::from([(USD, Decimal::from(500)), (RUB, Decimal::from(600))]));
        assert_eq!(payments.len(), made_count);
        assert_eq!(payments.iter().map(|payment| number(&payment["ID"])).collect::<BTreeSet<_>>(), made);
    }
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn of_two_buyers_in_different_currencies_one_pays_a_wallet_that_has_none() {
    const ROUNDS: usize = 40;
    let app = start_empty().await;
    let second = start_beside(&app).await;
    let (dollars, roubles) = (account(&app, "dollars", "1000", USD).await, account(&app, "roubles", "1000", RUB).await);
    for round in 0..ROUNDS {
        let seller = app.post("/v1/wallets", &json!({ "external_id": format!("seller {round}") })).await;
        let seller = number(&seller.json()["id"]);
        let answers = join_all([pay(&app, dollars, seller, "1"), pay(&second, roubles, seller, "1")]).await;
        let paid: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 400).collect();
        assert_eq!((paid.len(), refused.len()), (1, 1), "{answers:?}");
        assert_eq!(refused[0].json(), error(OTHER_CURRENCY));
        let seen = app.get(&format!("/account/{seller}")).await.json();
        assert_eq!((&seen["CurrencyID"], &seen["Amount"]), (&paid[0].json()["CurrencyID"], &json!("1")));
        let balances = format!("SELECT count(*) FROM balances WHERE wallet_id = {seller}");
        assert_eq!(app.database.fetch(&balances).await, "1");
    }
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn a_seller_who_gets_his_first_money_elsewhere_keeps_its_currency() {
    let app = start_empty().await;
    let buyer = account(&app, "buyer", "10", USD).await;
    let seller = number(&app.post("/v1/wallets", &json!({ "external_id": "seller" })).await.json()["id"]);
    // His first money is on its way: its batch has the wallet's lock and is not committed yet.
    let mut lock = app.database.pool.begin().await.expect("a transaction begins");
    sqlx::query("SELECT id FROM wallets WHERE id = $1 FOR UPDATE")
        .bind(seller)
        .execute(&mut *lock)
        .await
        .expect("the wallet is locked");
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = '{}' AND application_name = 'purser' AND wait_event_type = 'Lock'",
        app.database.name
    );
    let unlock = async {
        poll_until(PATIENCE, "a waiting payment", async || app.database.fetch(&waits).await != "0").await;
        sqlx::query("UPDATE wallets SET labels = '{\"currency\": \"RUB\"}' WHERE id = $1")
            .bind(seller)
            .execute(&mut *lock)
            .await
            .expect("it gets a currency");
        lock.commit().await.expect("it is committed");
    };
    let (paid, ()) = tokio::join!(pay(&app, buyer, seller, "4"), unlock);
    assert_eq!((paid.status, paid.json()), (400, error(OTHER_CURRENCY)));
    assert_eq!(amount_of(&app, buyer).await, "10");
}

#[actix_rt::test]
async fn payments_are_listed_in_the_order_of_their_timestamps() {
    let app = start_empty().await;
    let (buyer, seller) = (account(&app, "buyer", "10", USD).await, account(&app, "seller", "0", USD).await);
    for amount in ["1", "2", "3"] {
        assert_eq!(pay(&app, buyer, seller, amount).await.status, 200);
    }
    let amounts = async || {
        let payments = items(&app, "/payments", "Payments").await;
        let moments: Vec<String> = payments.iter().map(|payment| payment["OperationTimestamp"].to_string()).collect();
        assert!(moments.is_sorted(), "{moments:?}");
        payments.iter().map(|payment| payment["Amount"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(amounts().await, "1 2 3");
    // The first one waited for the database; the last one's instance has a clock that is ahead.
    app.database.execute("ALTER TABLE transactions DISABLE TRIGGER transactions_final").await;
    for (amount, seconds) in [(1, 3600), (3, -8)] {
        let moved = format!(
            "UPDATE transactions SET created_at = created_at + interval '1 second' * {seconds}
             WHERE kind = 'transfer' AND amount = {amount}"
        );
        assert_eq!(app.database.execute(moved).await, 1);
    }
    assert_eq!(amounts().await, "3 2 1");
}

/// A client with a connection of its own: a hundred payments of 0 to 9.99 between any two accounts. Gives the ids of those that were made.
async fn client(balancer: RoundRobin, accounts: Vec<i64>) -> BTreeSet<i64> {
    let http = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client is made");
    let mut made = BTreeSet::new();
    for _ in 0..100 {
        let (buyer, seller, cents) = {
            let mut random = rand::rng();
            let mut any = || accounts[random.random_range(0..accounts.len())];
            (any(), any(), random.random_range(0..1000))
        };
        let amount = Decimal::new(cents, 2).to_string();
        let payment = json!({ "BuyerAccountID": buyer, "SellerAccountID": seller, "Amount": amount });
        let response = http.post(balancer.url("/payments")).json(&payment).send().await.expect("an instance answers");
        let status = response.status().as_u16();
        let body: Value = response.json().await.expect("the answer is JSON");
        match status {
            200 => assert!(made.insert(number(&body["ID"])), "{body}: a second payment of this ID"),
            _ => {
                let text = body["Error"].as_str().unwrap_or_default();
                let is_expected = [TO_SELF, NOT_POSITIVE, TOO_LITTLE, OTHER_CURRENCY].contains(&text);
                assert!(status == 400 && is_expected, "{status} {body}");
            }
        }
    }
    made
}

#[actix_rt::test]
async fn what_a_crash_left_of_an_account_is_finished_when_it_is_asked_for_again() {
    let app = start_empty().await;
    // Its wallet was made, its credit was not, and nobody was answered.
    app.database
        .execute(
            r#"INSERT INTO wallets (external_id, name, labels)
               VALUES ('half', 'half', '{"currency": "USD", "opening_amount": "1000"}')"#,
        )
        .await;
    for (amount, currency) in [("1000.01", USD), ("1000", RUB), ("0", USD)] {
        let other = create(&app, "half", amount, currency).await;
        assert_eq!((other.status, other.json()), (409, error(NAME_TAKEN)), "{amount} is somebody else's");
    }
    assert_eq!(amount_of(&app, 1).await, "0");
    assert_eq!(create(&app, "half", "1000.00", USD).await.status, 200);
    assert_eq!(amount_of(&app, 1).await, "1000");
    let again = create(&app, "half", "1000", USD).await;
    assert_eq!((again.status, again.json()), (409, error(NAME_TAKEN)));
    assert_eq!(amount_of(&app, 1).await, "1000");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn of_many_who_make_the_same_account_at_once_one_does() {
    let app = start_empty().await;
    let second = start_beside(&app).await;
    for round in 0..10 {
        let name = format!("account {round}");
        let creations = (0..20).map(|number| create([&app, &second][number % 2], &name, "10", USD));
        let statuses: Vec<u16> = join_all(creations).await.into_iter().map(|answer| answer.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 19, "{statuses:?}");
    }
    let accounts = items(&app, "/accounts", "Accounts").await;
    assert!(accounts.len() == 10 && accounts.iter().all(|account| account["Amount"] == "10"), "{accounts:?}");
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn a_list_of_many_pages_is_one_answer() {
    let app = start_on(TestDatabase::with_wallets(3000).await).await;
    let ids = |accounts: Vec<Value>| accounts.iter().map(|account| number(&account["ID"])).collect::<Vec<_>>();
    // Three full pages, then a short one behind them.
    assert_eq!(ids(items(&app, "/accounts", "Accounts").await), (1..=3000).collect::<Vec<_>>());
    account(&app, "one more", "1", USD).await;
    assert_eq!(ids(items(&app, "/accounts", "Accounts").await).len(), 3001);
}

#[actix_rt::test]
async fn a_payment_between_locked_accounts_waits_for_its_turn() {
    let app = start_empty().await;
    let (buyer, seller) = (account(&app, "buyer", "10", USD).await, account(&app, "seller", "0", USD).await);
    let mut lock = app.database.pool.begin().await.expect("a transaction begins");
    sqlx::query("SELECT id FROM wallets FOR UPDATE").execute(&mut *lock).await.expect("the wallets are locked");
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = '{}' AND application_name = 'purser' AND wait_event_type = 'Lock'",
        app.database.name
    );
    let unlock = async {
        poll_until(PATIENCE, "a waiting payment", async || app.database.fetch(&waits).await != "0").await;
        lock.rollback().await.expect("the lock is given back");
    };
    let (paid, ()) = tokio::join!(pay(&app, buyer, seller, "4"), unlock);
    assert_eq!(paid.status, 200, "{paid:?}");
    assert_eq!(amount_of(&app, seller).await, "4");
}

#[actix_rt::test]
async fn what_waits_too_long_is_not_made_and_may_be_asked_again() {
    let app = start_with(|settings| settings.database.lock_timeout_ms = 50).await;
    let mut lock = app.database.pool.begin().await.expect("a transaction begins");
    sqlx::query("LOCK TABLE wallets, transactions").execute(&mut *lock).await.expect("the tables are locked");
    for path in ["/accounts", "/account/1", "/payments"] {
        let refused = app.get(path).await;
        assert_eq!((refused.status, refused.json()), (503, error(BUSY)), "{path}");
    }
    let refused = create(&app, "late", "1", USD).await;
    assert_eq!((refused.status, refused.json()), (503, error(BUSY)));
    let response = reqwest::get(app.url("/accounts")).await.expect("the server answers");
    assert_eq!(response.headers().get("retry-after").map(|value| value.as_bytes()), Some(&b"1"[..]));
    lock.rollback().await.expect("the lock is given back");
    assert_eq!(app.get("/payments").await.body, "{}\n");
    assert_eq!(app.database.fetch("SELECT count(*) FROM wallets WHERE external_id = 'late'").await, "0");
    assert_eq!(create(&app, "late", "1", USD).await.status, 200);
}

#[actix_rt::test]
async fn what_http_refuses_is_said_in_its_words() {
    let app = start_with(|settings| settings.http.body_bytes_max = 64).await;
    let refused = create(&app, &"n".repeat(64), "1", USD).await;
    assert_eq!((refused.status, refused.content_type.as_str()), (413, "application/json"));
    assert_eq!(refused.json(), error("the body is larger than this server reads"));
}

#[actix_rt::test]
async fn who_may_not_is_told_in_its_words() {
    let app = start_with(|settings| settings.http.auth = AuthMode::On).await;
    let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client is made");
    let arguments = ["keys", "create", "--name", "of a test", "--scope", "read"];
    let made = purser(&arguments).env("DATABASE_URL", &app.database.url).output().expect("the binary starts");
    let key = String::from_utf8(made.stdout).expect("a key is text");
    let check = async |request: reqwest::RequestBuilder, expected: u16| {
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status().as_u16(), expected);
        let body: Value = response.json().await.expect("it is JSON");
        assert!(expected == 200 || body["Error"].is_string(), "{body}");
    };
    check(client.get(app.url("/accounts")), 401).await;
    check(client.get(app.url("/accounts")).bearer_auth(key.trim()), 200).await;
    check(client.get(app.url("/payments")).bearer_auth(key.trim()), 200).await;
    // To look is not to pay.
    check(client.post(app.url("/payments")).body("{}").bearer_auth(key.trim()), 403).await;
    check(client.post(app.url("/accounts")).body("{}").bearer_auth(key.trim()), 403).await;
}

#[actix_rt::test]
async fn switched_off_it_serves_nothing() {
    let app = start_with(|settings| settings.dialects.wallet_test.enabled = false).await;
    for path in ["/accounts", "/account/1", "/payments"] {
        assert_eq!(app.get(path).await.status, 404, "{path}");
    }
}

fn decimal(amount: &Value) -> Decimal {
    amount.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{amount} is no amount"))
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[actix_rt::test]
async fn a_wallet_for_whose_first_money_a_withdrawal_only_waits_has_no_currency_yet() {
    let app = start_with(|_| {}).await;
    let waiting =
        json!({ "kind": "withdraw", "wallet_id": 5, "currency": "EUR", "amount": "1", "wait_for_funds": true });
    assert_eq!(app.post("/v1/transactions", &waiting).await.status, 201);
    assert_eq!(app.get("/account/5").await.json()["CurrencyName"], "");
    app.post("/v1/transactions", &json!({ "kind": "invoice", "wallet_id": 5, "currency": "USD", "amount": "7" })).await;
    let account = app.get("/account/5").await.json();
    assert_eq!((&account["CurrencyName"], &account["Amount"]), (&json!("USD"), &json!("7")));
}
