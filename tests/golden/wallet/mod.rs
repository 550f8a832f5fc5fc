//! System 002: its documented answers, its own tests as ours, and what it shows of money that others moved.

use std::collections::HashMap;

use futures::future::join_all;
use purser::settings::{AuthMode, Secret};
use serde_json::{Value, json};

use super::{check_golden, start_with};
use crate::support::app::Answer;
use crate::support::server::purser;
use crate::support::{PATIENCE, TestApp, assert_books_balance};

#[actix_rt::test]
async fn every_answer_is_as_documented() {
    check_golden("wallet").await;
}

/// Its clients' requests as sentences, and the answers in short.
///
/// | sentence | answer |
/// |---|---|
/// | `create ann` | the wallet's external id |
/// | `get ann` | the same |
/// | `balance ann` | the number |
/// | `post ann -25 f-1` | a transaction of 25 out with the fingerprint f-1: `2: 99.0 -25.0 74.0` is refno, old balance, amount, new balance |
/// | `void ann f-1` | the same of its void |
/// | `latest ann` | the same of the newest |
/// | `list ann` | the same of all, the newest first, between `;` |
///
/// What is refused is its status and its message. A wallet that nobody created is -1.
struct Clerk {
    app: TestApp,
    wallets: HashMap<String, i64>,
    transactions: HashMap<String, String>,
}

impl Clerk {
    async fn start() -> Self {
        Self { app: start_with(|_| {}).await, wallets: HashMap::new(), transactions: HashMap::new() }
    }

    async fn check(&mut self, sentence: &str, expected: &str) {
        assert_eq!(self.say(sentence).await, expected, "{sentence}");
    }

    async fn say(&mut self, sentence: &str) -> String {
        let words: Vec<&str> = sentence.split_whitespace().collect();
        let name = words[1];
        let path = format!("/wallets/{}", self.wallets.get(name).copied().unwrap_or(-1));
        let answer = match words[..] {
            ["create", name] => {
                let body = json!({ "externalId": name, "labels": { "Source": "IntegrationTest" } });
                self.app.post("/wallets", &body).await
            }
            ["get", _] => self.app.get(&path).await,
            ["balance", _] => self.app.get(&format!("{path}/balance")).await,
            ["latest", _] => self.app.get(&format!("{path}/transactions/latest")).await,
            ["list", _] => self.app.get(&format!("{path}/transactions")).await,
            ["post", _, amount, fingerprint] => {
                let body = new_transaction(amount, fingerprint);
                self.app.post_bytes(&format!("{path}/transactions"), "application/json", body).await
            }
            ["void", _, fingerprint] => {
                let id = &self.transactions[fingerprint];
                self.app.send("POST", &format!("{path}/transactions/{id}/void"), &Value::Null).await
            }
            _ => panic!("{sentence:?} is no sentence"),
        };
        let body = answer.json();
        if answer.status != 200 {
            return format!("{} {}", answer.status, body["message"].as_str().expect("a refusal has a message"));
        }
        match words[..] {
            ["create" | "get", name] => {
                assert_eq!(body["labels"], json!({ "Source": "IntegrationTest" }), "{sentence}");
                self.wallets.insert(name.to_owned(), body["id"].as_i64().expect("a wallet has an id"));
                body["externalId"].as_str().expect("it is text").to_owned()
            }
            ["balance", _] => answer.body.trim_end().to_owned(),
            ["list", _] => body.as_array().expect("it is a list").iter().map(line).collect::<Vec<_>>().join("; "),
            ["post", _, _, fingerprint] => {
                let id = body["id"].as_str().expect("a transaction has an id").to_owned();
                assert_eq!((&body["fingerprint"], &body["description"]), (&json!(fingerprint), &json!("desc")));
                self.transactions.insert(fingerprint.to_owned(), id);
                line(&body)
            }
            _ => line(&body),
        }
    }
}

/// As a number in the text: what its clients send.
fn new_transaction(amount: &str, fingerprint: &str) -> String {
    format!(r#"{{"amount":{amount},"fingerprint":"{fingerprint}","description":"desc"}}"#)
}

fn line(transaction: &Value) -> String {
    let [refno, old, amount, new] =
        ["refno", "oldbalance", "amount", "newbalance"].map(|field| transaction[field].to_string());
    format!("{refno}: {old} {amount} {new}")
}

#[actix_rt::test]
async fn the_unit_cases_of_system_002_hold() {
    let mut clerk = Clerk::start().await;
    // GetWallet, CreateWallet.
    clerk.check("get ten", "404 wallet not found").await;
    clerk.check("create ten", "ten").await;
    clerk.check("get ten", "ten").await;
    clerk.check("create ten", "409 wallet already exists").await;
    // GetWalletBalance.
    clerk.check("balance nobody", "404 wallet not found").await;
    clerk.check("balance ten", "0.0").await;
    // GetLatestTransaction.
    clerk.check("latest ten", "404 transaction not found").await;
    clerk.check("latest nobody", "404 transaction not found").await;
    // CreateTransaction: no wallet, the first, the second, not enough. Its consistency error is the next test's.
    clerk.check("post nobody 25 f-1", "404 wallet not found").await;
    clerk.check("post ten 25 f-1", "1: 0.0 25.0 25.0").await;
    clerk.check("create eleven", "eleven").await;
    clerk.check("post eleven 99 f-2", "1: 0.0 99.0 99.0").await;
    clerk.check("post eleven -25 f-3", "2: 99.0 -25.0 74.0").await;
    clerk.check("latest eleven", "2: 99.0 -25.0 74.0").await;
    clerk.check("balance eleven", "74.0").await;
    clerk.check("create twelve", "twelve").await;
    clerk.check("post twelve 1 f-4", "1: 0.0 1.0 1.0").await;
    clerk.check("post twelve -2 f-5", "422 wallet balance is not enough").await;
    clerk.check("latest twelve", "1: 0.0 1.0 1.0").await;
    assert_books_balance(&clerk.app.database.pool).await;
}

#[actix_rt::test]
async fn the_integration_cases_of_system_002_hold() {
    let mut clerk = Clerk::start().await;
    // The repository's.
    clerk.check("create repository", "repository").await;
    clerk.check("get repository", "repository").await;
    clerk.check("balance repository", "0.0").await;
    clerk.check("balance nobody", "404 wallet not found").await;
    clerk.check("post repository 24.75 f-1", "1: 0.0 24.75 24.75").await;
    clerk.check("post repository 5 f-1", "409 a transaction already exists with same fingerprint").await;
    clerk.check("balance repository", "24.75").await;
    clerk.check("latest repository", "1: 0.0 24.75 24.75").await;
    // The API's.
    clerk.check("create api", "api").await;
    clerk.check("post api 9 f-2", "1: 0.0 9.0 9.0").await;
    // And those that it had not yet.
    clerk.check("void api f-2", "2: 9.0 -9.0 0.0").await;
    clerk.check("void api f-2", "409 transaction is void already").await;
    clerk.check("list api", "2: 9.0 -9.0 0.0; 1: 0.0 9.0 9.0").await;
}

/// Its "fail by refno" and "fail by concurrency": there is nothing left to fail, on however many instances.
#[actix_rt::test]
async fn nobody_has_to_try_again_because_of_somebody_else() {
    const EACH: usize = 40;
    let first = start_with(|_| {}).await;
    let second = start_with(|settings| settings.database.url = Secret::new(&first.database.url)).await;
    let wallet = first.post("/wallets", &json!({ "externalId": "busy" })).await.json()["id"].to_string();
    let path = format!("/wallets/{wallet}/transactions");
    let posts = (0..EACH).flat_map(|number| [(&first, number), (&second, number)]).map(async |(app, number)| {
        // Each fingerprint is asked for on both instances at once.
        app.post_bytes(&path, "application/json", new_transaction("2", &format!("f-{number}"))).await
    });
    let answers = join_all(posts).await;
    for pair in answers.chunks(2) {
        let mut statuses = [pair[0].status, pair[1].status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{pair:?}");
    }
    let taken = "a transaction already exists with same fingerprint";
    let refused = answers.iter().filter(|answer| answer.status == 409);
    assert!(refused.map(Answer::json).all(|body| body["message"] == taken), "{answers:?}");

    // Numbers without a gap; each begins where the one before ended. What was answered is what is listed.
    let mut answered: Vec<String> =
        answers.iter().filter(|answer| answer.status == 200).map(|answer| line(&answer.json())).collect();
    let expected: Vec<String> =
        (1..=EACH).map(|refno| format!("{refno}: {}.0 2.0 {}.0", 2 * (refno - 1), 2 * refno)).collect();
    answered.sort_by_key(|line| line.split(':').next().and_then(|refno| refno.parse::<usize>().ok()));
    assert_eq!(answered, expected);
    let list = second.get(&path).await.json();
    let listed: Vec<String> = list.as_array().expect("it is a list").iter().rev().map(line).collect();
    assert_eq!(listed, expected);
    assert_books_balance(&first.database.pool).await;
}

#[actix_rt::test]
async fn money_that_others_move_shows_as_lines_without_a_gap() {
    let mut clerk = Clerk::start().await;
    clerk.check("create ann", "ann").await;
    clerk.check("post ann 20 f-1", "1: 0.0 20.0 20.0").await;
    let ann = clerk.wallets["ann"];
    let v1 = async |body: Value| {
        let answer = clerk.app.post("/v1/transactions", &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().expect("a transaction has an id").to_owned()
    };
    // Another currency is another history.
    let in_dollars = v1(json!({ "kind": "invoice", "wallet_id": ann, "currency": "USD", "amount": "7" })).await;
    // A hold takes money away from what can be spent; its confirmation does not, what is left of it comes back.
    let hold = json!({ "kind": "withdraw", "wallet_id": ann, "currency": "EUR", "amount": "8", "pending": true });
    let hold = v1(hold).await;
    let confirmed = clerk.app.post(&format!("/v1/transactions/{hold}/confirm"), &json!({ "amount": "5" })).await;
    assert_eq!(confirmed.status, 201, "{confirmed:?}");
    // To the receiver, a transfer comes in. It has no fingerprint.
    let transfer =
        v1(json!({ "kind": "transfer", "wallet_id": ann, "to_wallet_id": 1, "currency": "EUR", "amount": "5" })).await;
    // One that is refused has no line.
    let refused = json!({ "kind": "withdraw", "wallet_id": ann, "currency": "EUR", "amount": "99" });
    assert_eq!(clerk.app.post("/v1/transactions", &refused).await.status, 422);
    // Money that is announced is not there yet.
    let announced = json!({ "kind": "invoice", "wallet_id": ann, "currency": "EUR", "amount": "3", "pending": true });
    v1(announced).await;
    clerk.wallets.insert("one".to_owned(), 1);
    clerk.transactions.insert("in-dollars".to_owned(), in_dollars);
    clerk.check("void ann in-dollars", "404 transaction not found").await;
    clerk.check("list one", "1: 0.0 5.0 5.0").await;
    let lines = "5: 10.0 0.0 10.0; 4: 15.0 -5.0 10.0; 3: 12.0 3.0 15.0; 2: 20.0 -8.0 12.0; 1: 0.0 20.0 20.0";
    clerk.check("list ann", lines).await;
    clerk.check("latest ann", "5: 10.0 0.0 10.0").await;
    clerk.check("balance ann", "10.0").await;
    clerk.check("post ann -10 f-2", "6: 10.0 -10.0 0.0").await;
    // Its payer sees the transfer, but only its receiver has the money to give back.
    clerk.transactions.insert("transfer".to_owned(), transfer);
    clerk.check("void ann transfer", "400 a transfer can be void only by the wallet that received it").await;
    clerk.check("void one transfer", "2: 5.0 -5.0 0.0").await;
    clerk.check("latest ann", "7: 0.0 5.0 5.0").await;
}

#[actix_rt::test]
async fn a_transaction_is_found_in_whatever_way_it_was_written() {
    let mut clerk = Clerk::start().await;
    clerk.check("create ann", "ann").await;
    let ann = clerk.wallets["ann"];
    let labels = json!({ "batch": "7" });
    // One that waits for funds leaves its line when it is paid, after what came before it.
    let waits = json!({
        "kind": "withdraw", "wallet_id": ann, "currency": "EUR", "amount": "4", "wait_for_funds": true, "labels": labels
    });
    assert_eq!(clerk.app.post("/v1/transactions", &waits).await.status, 201);
    let found = async |clerk: &Clerk, query: &str| {
        let list = clerk.app.get(&format!("/transactions?{query}")).await.json();
        list.as_array().expect("it is a list").iter().map(line).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(found(&clerk, "label.batch=7").await, "");
    clerk.check("post ann 3 f-1", "1: 0.0 3.0 3.0").await;
    clerk.check("post ann 3 f-2", "2: 3.0 3.0 6.0").await;
    assert_eq!(found(&clerk, "label.batch=7").await, "3: 6.0 -4.0 2.0");
    // A transfer, by whoever had a part in it.
    let transfer = json!({
        "kind": "transfer", "wallet_id": ann, "to_wallet_id": 1, "currency": "EUR", "amount": "2", "labels": labels
    });
    assert_eq!(clerk.app.post("/v1/transactions", &transfer).await.status, 201);
    assert_eq!(found(&clerk, "label.batch=7").await, "4: 2.0 -2.0 0.0; 3: 6.0 -4.0 2.0");
    assert_eq!(found(&clerk, "label.batch=7&wid=1").await, "1: 0.0 2.0 2.0");
    // Lines of one moment: they are of one SQL transaction.
    let items: Vec<Value> = (5..9)
        .map(|_| {
            json!({ "kind": "invoice", "wallet_id": ann, "currency": "EUR", "amount": "1", "labels": { "batch": "8" } })
        })
        .collect();
    let batch = clerk.app.post("/v1/batches", &json!({ "atomic": true, "operations": items })).await;
    assert_eq!(batch.status, 201, "{batch:?}");
    let lines = "8: 3.0 1.0 4.0; 7: 2.0 1.0 3.0; 6: 1.0 1.0 2.0; 5: 0.0 1.0 1.0";
    assert_eq!(found(&clerk, "label.batch=8").await, lines);
    // One that was written while the database's clock was being set back.
    let database = &clerk.app.database;
    database.execute("ALTER TABLE entries DISABLE TRIGGER entries_append_only").await;
    database.execute("UPDATE entries SET created_at = created_at + interval '1 day' WHERE seq IN (1, 5)").await;
    assert_eq!(found(&clerk, "fingerprint=f-1").await, "1: 0.0 3.0 3.0");
    assert_eq!(found(&clerk, "label.batch=8").await, lines);
}

#[actix_rt::test]
async fn what_the_database_says_stays_inside() {
    let app = start_with(|_| {}).await;
    let check = async |method: &str, path: &str, status: u16, message: &str| {
        let body = if method == "POST" { json!({ "externalId": "a" }) } else { Value::Null };
        let answer = app.send(method, path, &body).await;
        let said = (answer.status, answer.content_type.as_str(), answer.json());
        assert_eq!(said, (status, "application/json; charset=UTF-8", json!({ "message": message })), "{method} {path}");
    };
    // Every wallet that is looked at divides by zero.
    app.database.execute("ALTER TABLE wallets RENAME TO kept").await;
    app.database
        .execute(
            "CREATE VIEW wallets AS
             SELECT id / (id - id) AS id, external_id, name, labels, blocked_at, closed_at, created_at
             FROM kept",
        )
        .await;
    check("GET", "/wallets/1", 500, "Internal Server Error").await;
    check("GET", "/wallets?after=0", 500, "Internal Server Error").await;
    check("GET", "/wallets/1/transactions", 500, "Internal Server Error").await;
    check("POST", "/wallets", 500, "Internal Server Error").await;
    check("GET", "/wallets/1/balance", 500, "Internal Server Error").await;
    // Without its tables, it counts as away.
    app.database.execute("DROP VIEW wallets").await;
    check("GET", "/wallets/1", 503, "the database is away; nothing was applied, ask again later").await;
}

#[actix_rt::test]
async fn with_authentication_on_its_clients_need_a_key_that_may_write() {
    let app = start_with(|settings| settings.http.auth = AuthMode::On).await;
    let key = |scope: &str| {
        let mut command = purser(&["keys", "create", "--name", "of a test", "--scope", scope]);
        let output = command.env("DATABASE_URL", &app.database.url).output().expect("the binary starts");
        String::from_utf8(output.stdout).expect("it is text").trim_end().to_owned()
    };
    let (reader, writer) = (key("read"), key("write"));
    let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client is made");
    let check = async |method: &str, path: &str, body: &str, expected: [u16; 3]| {
        for (key, expected) in ["", &reader, &writer].into_iter().zip(expected) {
            let method = method.parse().expect("it is a method");
            let request = client.request(method, app.url(path)).header("content-type", "application/json");
            let response = request.bearer_auth(key).body(body.to_owned()).send().await.expect("the server answers");
            assert_eq!(response.status(), expected, "{path} {key}");
            let body: Value = response.json().await.expect("the body is JSON");
            assert_eq!(body["message"].is_string(), expected != 200, "{path}: {body}");
        }
    };
    check("POST", "/wallets", r#"{"externalId":"a"}"#, [401, 403, 200]).await;
    check("POST", "/wallets/1/transactions", &new_transaction("1", "f"), [401, 403, 200]).await;
    check("GET", "/wallets/1", "", [401, 200, 200]).await;
    check("GET", "/wallets/1/balance", "", [401, 200, 200]).await;
    check("GET", "/wallets/1/transactions/latest", "", [401, 200, 200]).await;
    check("GET", "/transactions?fingerprint=f", "", [401, 200, 200]).await;
    check("POST", "/wallets/1/nothing", "", [401, 404, 404]).await;
}

#[actix_rt::test]
async fn switched_off_it_serves_nothing() {
    let app = start_with(|settings| settings.dialects.wallet.enabled = false).await;
    let paths = [
        ("GET", "/wallets"),
        ("POST", "/wallets"),
        ("GET", "/wallets/1"),
        ("GET", "/wallets/1/balance"),
        ("GET", "/wallets/1/transactions"),
        ("POST", "/wallets/1/transactions"),
        ("GET", "/wallets/1/transactions/latest"),
        ("GET", "/wallets/1/nothing"),
        ("GET", "/transactions?fingerprint=f"),
    ];
    for (method, path) in paths {
        let answer = app.send(method, path, &json!({ "externalId": "a" })).await;
        assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("route_unknown")), "{method} {path}");
    }
    // The wallets are there all the same.
    assert_eq!(app.get("/v1/wallets/1").await.status, 200);
}
