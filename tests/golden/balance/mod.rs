//! System 001, FlynnTaggart/balance: its golden files, and what takes time, a restart, a race or a directory of its own.

use std::path::{Path, PathBuf};

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use purser::settings::{AuthMode, Secret, Settings};
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{start_for, start_with};
use crate::support::server::purser;
use crate::support::{
    PATIENCE, Proxy, Server, TestApp, TestDatabase, assert_books_balance, golden, poll_until, unique,
};

/// A directory for reports that is gone with the test.
struct Reports(PathBuf);

impl Reports {
    fn new() -> Self {
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("reports")))
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }

    fn set(&self, settings: &mut Settings) {
        settings.dialects.balance.report_directory = self.path();
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[actix_rt::test]
async fn every_answer_is_as_documented() {
    let reports = Reports::new();
    golden::check("balance", async |file: &str| match file {
        "reports" => start_with(|settings| reports.set(settings)).await,
        _ => start_for(file).await,
    })
    .await;
}

/// Money, and a service.
async fn prepare(app: &TestApp) {
    changes(app, "POST", "/api", &json!({ "id": 10, "amount": 100 })).await;
    changes(app, "POST", "/api/services", &json!({ "services": [{ "id": 1, "name": "delivery" }] })).await;
}

async fn changes(app: &TestApp, method: &str, path: &str, body: &Value) {
    let answer = app.send(method, path, body).await;
    assert_eq!((answer.status, &*answer.body), (200, "OK"), "{method} {path} {body}");
}

fn order(order: i64, amount: &str) -> Value {
    let amount: Value = serde_json::from_str(amount).expect("an amount is a number");
    json!({ "user_id": 10, "service_id": 1, "order_id": order, "amount": amount })
}

async fn balance(app: &TestApp, user: i64) -> String {
    app.send("GET", "/api", &json!({ "id": user })).await.body
}

#[actix_rt::test]
async fn what_is_not_purchased_in_time_goes_back_and_its_order_is_free_again() {
    let app = start_with(|settings| {
        // Long enough for a purchase on a slow machine.
        settings.dialects.balance.reserve_seconds = 3;
        settings.expiry.poll_ms = 20;
    })
    .await;
    prepare(&app).await;
    changes(&app, "POST", "/api/reserve", &order(1, "30")).await;
    changes(&app, "POST", "/api/reserve", &order(2, "20")).await;
    changes(&app, "POST", "/api/purchase", &order(2, "20")).await;
    poll_until(PATIENCE, "the reserve goes back", async || balance(&app, 10).await == r#"{"balance":80}"#).await;
    let purchase = app.send("POST", "/api/purchase", &order(1, "30")).await;
    let text = "db: get purchase: money were not reserved for order 10, user 1 and service 1";
    assert_eq!((purchase.status, purchase.json()), (400, json!({ "message": text })));
    changes(&app, "POST", "/api/reserve", &order(1, "5")).await;
    assert_books_balance(&app.database.pool).await;
}

/// That system's timer was gone with its process, and the money with it.
#[actix_rt::test]
async fn a_reserve_goes_back_in_time_after_a_kill_and_a_restart() {
    let database = TestDatabase::create().await;
    let mut server = Server::start([
        ("DATABASE_URL", database.url.as_str()),
        ("PURSER_BROKER__ENABLED", "false"),
        ("PURSER_DIALECTS__BALANCE__RESERVE_SECONDS", "3"),
        ("PURSER_EXPIRY__POLL_MS", "20"),
    ]);
    server.ready().await;
    let client = reqwest::Client::new();
    let send = async |server: &Server, method: Method, path: &str, body: Value| {
        let request = client.request(method, format!("http://{}{path}", server.address)).json(&body);
        request.send().await.expect("the server answers").text().await.expect("the body is text")
    };
    let (get, post) = (Method::GET, Method::POST);
    let services = json!({ "services": [{ "id": 1, "name": "delivery" }] });
    assert_eq!(send(&server, post.clone(), "/api", json!({ "id": 10, "amount": 100 })).await, "OK");
    assert_eq!(send(&server, post.clone(), "/api/services", services).await, "OK");
    assert_eq!(send(&server, post.clone(), "/api/reserve", order(1, "30")).await, "OK");
    server.kill();
    assert_eq!(database.available(10, "RUB").await, "70", "nobody is there to give it back");
    server.restart();
    server.ready().await;
    let balance = async || send(&server, get.clone(), "/api", json!({ "id": 10 })).await;
    poll_until(PATIENCE, "the reserve goes back", async || balance().await == r#"{"balance":100}"#).await;
    // Not before its time, by the database's own clock.
    let waited =
        "SELECT extract(epoch FROM min(finished_at - created_at)) >= 3 FROM transactions WHERE kind = 'withdraw'";
    assert_eq!(database.fetch(waited).await, "true");
    assert_eq!(send(&server, post, "/api/reserve", order(1, "30")).await, "OK", "its order is free");
    assert_books_balance(&database.pool).await;
}

#[actix_rt::test]
async fn first_credits_at_once_are_all_credited() {
    let app = start_with(|_| {}).await;
    for user in 100..110 {
        let body = json!({ "id": user, "amount": 1.5 });
        let answers = join_all((0..8).map(|_| app.send("POST", "/api", &body))).await;
        assert!(answers.iter().all(|answer| answer.body == "OK"), "{answers:?}");
        assert_eq!(balance(&app, user).await, r#"{"balance":12}"#);
    }
    // The next number that nobody chose.
    assert_eq!(app.post("/v1/wallets", &json!({})).await.json()["id"], 110);
}

#[actix_rt::test]
async fn of_many_who_reserve_one_order_at_once_one_does() {
    let app = start_with(|_| {}).await;
    prepare(&app).await;
    for user in 11..14 {
        changes(&app, "POST", "/api", &json!({ "id": user, "amount": 100 })).await;
    }
    for number in 1..10 {
        let bodies: Vec<_> = (0..8)
            .map(|n| json!({ "user_id": 10 + n % 4, "service_id": 1, "order_id": number, "amount": 1 }))
            .collect();
        let answers = join_all(bodies.iter().map(|body| app.send("POST", "/api/reserve", body))).await;
        assert_eq!(answers.iter().filter(|answer| answer.body == "OK").count(), 1, "{answers:?}");
        let refused = answers.iter().filter(|answer| answer.body != "OK");
        assert!(refused.into_iter().all(|answer| answer.body.contains("reserves_pkey")), "{answers:?}");
    }
    assert_books_balance(&app.database.pool).await;
}

#[actix_rt::test]
async fn a_report_has_what_was_purchased_in_the_month_and_is_replaced_as_a_whole() {
    let reports = Reports::new();
    let app = start_with(|settings| reports.set(settings)).await;
    prepare(&app).await;
    let services = json!({ "services": [{ "id": 7, "name": "ads, \"large\"" }, { "id": 8, "name": "nothing" }] });
    changes(&app, "POST", "/api/services", &services).await;
    for (number, amount) in [(1, "10"), (2, "0.5"), (3, "20")] {
        changes(&app, "POST", "/api/reserve", &order(number, amount)).await;
    }
    changes(&app, "POST", "/api/purchase", &order(1, "10")).await;
    changes(&app, "POST", "/api/purchase", &order(2, "0.5")).await;
    let large = json!({ "user_id": 10, "service_id": 7, "order_id": 4, "amount": 7.25 });
    changes(&app, "POST", "/api/reserve", &large).await;
    changes(&app, "POST", "/api/purchase", &large).await;
    // Another currency's revenue is none here.
    app.post("/v1/transactions", &json!({ "kind": "invoice", "wallet_id": 10, "currency": "USD", "amount": "9" }))
        .await;
    let elsewhere = json!({ "kind": "withdraw", "wallet_id": 10, "currency": "USD", "amount": "9", "service_id": 8 });
    assert_eq!(app.post("/v1/transactions", &elsewhere).await.status, 201);

    // The month in which all that happened, by the database's clock.
    let month =
        "SELECT to_char(max(finished_at) AT TIME ZONE 'UTC', 'YYYY-FMMM') FROM transactions WHERE kind = 'withdraw'";
    let month = app.database.fetch(month).await;
    let (year, month) = month.split_once('-').expect("a year and a month");
    let asked = json!({ "year": year.parse::<i64>().unwrap(), "month": month.parse::<i64>().unwrap() });
    let link = app.send("GET", "/api/report", &asked).await.json()["report_link"].as_str().unwrap().to_owned();
    assert_eq!(link, app.url(&format!("/api/report/{year}/{month}/report.csv")));
    let expected = "service_name,month_amount\ndelivery,10.50\n\"ads, \"\"large\"\"\",7.25\n";
    let path = link.strip_prefix(&app.url("")).unwrap();
    let report = app.get(path).await;
    assert_eq!((report.status, &*report.body), (200, expected));
    let directory = reports.0.join(year).join(month);
    assert_eq!(std::fs::read_to_string(directory.join("report.csv")).unwrap(), expected);

    // What comes later is in the next one only.
    changes(&app, "POST", "/api/purchase", &order(3, "20")).await;
    assert_eq!(app.get(path).await.body, expected);
    // As many at once as the connections allow; the others are told to come again.
    let answers = join_all((0..8).map(|_| app.send("GET", "/api/report", &asked))).await;
    assert!(answers.iter().all(|answer| [200, 429].contains(&answer.status)), "{answers:?}");
    assert!(answers.iter().filter(|answer| answer.status == 200).count() >= 2, "{answers:?}");
    assert_eq!(app.get(path).await.body, expected.replace("10.50", "30.50"));
    let files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["report.csv"], "nothing stays behind");

    // No service of that month is in another one.
    let before = json!({ "year": year.parse::<i64>().unwrap() - 1, "month": asked["month"] });
    app.send("GET", "/api/report", &before).await;
    let path = path.replace(year, &before["year"].to_string());
    assert_eq!(app.get(&path).await.body, "service_name,month_amount\n");
}

/// That system's months were Moscow's, which begin three hours earlier.
#[actix_rt::test]
async fn a_month_of_a_report_is_one_of_utc_where_that_system_had_moscows() {
    let reports = Reports::new();
    let app = start_with(|settings| reports.set(settings)).await;
    prepare(&app).await;
    for (amount, moment) in [(1, "2025-11-30 22:30Z"), (2, "2025-11-30 23:59:59.999999Z"), (4, "2025-12-01 00:00Z")] {
        let insert = format!(
            "INSERT INTO transactions (id, wallet_id, kind, status, currency, amount, service_id, created_at)
             VALUES (gen_random_uuid(), 10, 'withdraw', 'Success', 'RUB', {amount}, 1, '{moment}')"
        );
        app.database.execute(insert).await;
    }
    for (month, amount) in [(11, "3.00"), (12, "4.00")] {
        assert_eq!(app.send("GET", "/api/report", &json!({ "year": 2025, "month": month })).await.status, 200);
        let report = app.get(&format!("/api/report/2025/{month}/report.csv")).await;
        assert_eq!(report.body, format!("service_name,month_amount\ndelivery,{amount}\n"), "{month}");
    }
}

#[actix_rt::test]
async fn reports_take_a_part_of_the_connections_for_reading_and_the_others_are_told_to_come_again() {
    let reports = Reports::new();
    let app = start_with(|settings| {
        reports.set(settings);
        settings.database.read_connections_max = 8;
        settings.database.read_timeout_ms = 60_000;
    })
    .await;
    prepare(&app).await;
    let busy = json!({ "message": "as many reports are being made as may be at once; ask again later" });
    let client = reqwest::Client::new();
    let mut lock = app.database.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE services IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();

    let asked = json!({ "year": 2022, "month": 1 });
    let mut answers: FuturesUnordered<_> =
        (0..10).map(|_| client.get(app.url("/api/report")).json(&asked).send()).collect();
    for _ in 0..8 {
        let answer = timeout(PATIENCE, answers.next()).await.expect("it is turned away at once").unwrap().unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &HeaderValue::from_static("5")));
        assert_eq!(answer.json::<Value>().await.unwrap(), busy);
    }
    // Whoever asks by another route stands in the same line, and payments read over what is left.
    let revenue = app.get("/v1/reports/revenue?month=2022-01").await;
    assert_eq!((revenue.status, revenue.json()["code"].as_str()), (429, Some("reports_busy")));
    changes(&app, "POST", "/api", &json!({ "id": 77, "amount": 1 })).await;
    lock.rollback().await.unwrap();
    while let Some(answer) = timeout(PATIENCE, answers.next()).await.expect("the two are made") {
        assert_eq!(answer.unwrap().status(), 200);
    }

    // The other way round; and whoever has his report stands in nobody's way.
    let mut lock = app.database.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE services IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let mut revenues: FuturesUnordered<_> =
        (0..3).map(|_| client.get(app.url("/v1/reports/revenue?month=2022-01")).send()).collect();
    let answer = timeout(PATIENCE, revenues.next()).await.expect("it is turned away at once").unwrap().unwrap();
    assert_eq!(answer.status(), 429);
    assert_eq!(app.send("GET", "/api/report", &asked).await.json(), busy);
    lock.rollback().await.unwrap();
    while let Some(answer) = timeout(PATIENCE, revenues.next()).await.expect("the two are made") {
        assert_eq!(answer.unwrap().text().await.unwrap(), r#"{"month":"2022-01","items":[]}"#);
    }
    assert_eq!(app.send("GET", "/api/report", &asked).await.status, 200);
}

#[actix_rt::test]
async fn what_comes_again_under_a_key_is_found_though_others_paid_the_user_under_the_same_one() {
    let app = start_with(|_| {}).await;
    prepare(&app).await;
    changes(&app, "POST", "/api", &json!({ "id": 11, "amount": 100 })).await;
    changes(&app, "POST", "/api/reserve", &order(1, "30")).await;
    changes(&app, "POST", "/api/reserve", &order(2, "20")).await;
    let client = reqwest::Client::new();
    let send = async |method: Method, path: &str, key: &str, body: Value| {
        let request = client.request(method, app.url(path)).header("Idempotency-Key", key).json(&body);
        let answer = request.send().await.expect("the server answers");
        (answer.status().as_u16(), answer.text().await.expect("the body is text"))
    };
    for (method, path, key, body) in
        [(Method::POST, "/api/purchase", "p", order(1, "30")), (Method::DELETE, "/api/reserve", "u", order(2, "20"))]
    {
        let paid = json!({ "kind": "transfer", "wallet_id": 11, "to_wallet_id": 10, "currency": "RUB", "amount": "1" });
        assert_eq!(send(Method::POST, "/v1/transactions", key, paid).await.0, 201);
        for time in ["first", "again"] {
            let answer = send(method.clone(), path, key, body.clone()).await;
            assert_eq!(answer, (200, "OK".to_owned()), "{method} {path} {time}");
        }
    }
    assert_eq!(balance(&app, 10).await, r#"{"balance":72}"#);
}

#[actix_rt::test]
async fn the_largest_number_that_may_be_chosen_is_a_setting_and_only_for_what_is_not_there() {
    let app = start_with(|settings| settings.dialects.balance.id_max = 500).await;
    changes(&app, "POST", "/api", &json!({ "id": 500, "amount": 1 })).await;
    let refused = app.send("POST", "/api", &json!({ "id": 501, "amount": 1 })).await;
    assert_eq!((refused.status, refused.json()), (400, json!({ "message": "the user's id must be from 1 to 500" })));
    // Made elsewhere, it is a user like all others.
    assert_eq!(app.post("/v1/wallets", &json!({})).await.json()["id"], 501);
    changes(&app, "POST", "/api", &json!({ "id": 501, "amount": 2 })).await;
    assert_eq!(balance(&app, 501).await, r#"{"balance":2}"#);
}

#[actix_rt::test]
async fn a_report_that_cannot_be_written_is_no_report_and_says_nothing_of_the_machine() {
    let reports = Reports::new();
    std::fs::write(&reports.0, "in the way").unwrap();
    let app = start_with(|settings| reports.set(settings)).await;
    let answer = app.send("GET", "/api/report", &json!({ "year": 2022, "month": 1 })).await;
    assert_eq!((answer.status, answer.json()), (500, json!({ "message": "the server failed; its log says why" })));
    std::fs::remove_file(&reports.0).unwrap();
}

#[actix_rt::test]
async fn the_list_says_where_money_came_from_whoever_moved_it() {
    let app = start_with(|_| {}).await;
    prepare(&app).await;
    let v1 = async |body: Value| {
        let answer = app.post("/v1/transactions", &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let withdraw = |amount: &str| json!({ "kind": "withdraw", "wallet_id": 10, "currency": "RUB", "amount": amount });
    v1(json!({ "kind": "transfer", "wallet_id": 10, "to_wallet_id": 1, "currency": "RUB", "amount": "1" })).await;
    v1(json!({ "kind": "transfer", "wallet_id": 1, "to_wallet_id": 10, "currency": "RUB", "amount": "0.5" })).await;
    let plain = v1(withdraw("2")).await;
    let mut described = withdraw("3");
    described["description"] = json!("a gift");
    v1(described).await;
    let mut ordered = withdraw("4");
    ordered["service_id"] = json!(1);
    ordered["order_id"] = json!("x-1");
    let ordered = v1(ordered).await;
    for id in [plain, ordered] {
        assert_eq!(app.post(&format!("/v1/transactions/{id}/reverse"), &json!({})).await.status, 201);
    }
    // Refused, so it moved nothing.
    assert_eq!(app.post("/v1/transactions", &withdraw("1000")).await.status, 422);

    let list = app.get("/api/history?user_id=10&order=asc").await.json();
    let lines: Vec<String> = list["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| format!("{} {} {}", line["amount"], line["comment"].as_str().unwrap(), line["order_id"]))
        .collect();
    assert_eq!(
        lines,
        [
            "100 credit null",
            "-1 transfer to user 1 null",
            "0.5 transfer from user 1 null",
            "-2 withdrawal null",
            "-3 a gift null",
            "-4 purchase from delivery, order x-1 \"x-1\"",
            "2 reversal null",
            "4 refund by delivery, order x-1 \"x-1\"",
        ]
    );
}

#[actix_rt::test]
async fn where_keys_are_needed_clients_need_one_that_may_move_money_and_the_document_none() {
    let reports = Reports::new();
    let app = start_with(|settings| {
        settings.http.auth = AuthMode::On;
        reports.set(settings);
    })
    .await;
    let key = |scope: &str| {
        let mut create = purser(&["keys", "create", "--name", scope, "--scope", scope]);
        let created = create.env("DATABASE_URL", &app.database.url).output().expect("the binary starts");
        assert!(created.status.success(), "{created:?}");
        String::from_utf8(created.stdout).expect("it is text").trim().to_owned()
    };
    let (reader, writer) = (key("read"), key("write"));
    let client = reqwest::Client::new();
    let check_with = async |key: &str, method: Method, path: &str, body: Value, status: u16| {
        let request = client.request(method.clone(), app.url(path)).json(&body);
        let answer = request.bearer_auth(key).send().await.expect("the server answers");
        assert_eq!(answer.status(), status, "{method} {path}");
    };
    let check = async |method: Method, path: &str, body: Value, status: u16| {
        check_with(&writer, method, path, body, status).await;
    };
    check(Method::POST, "/api", json!({ "id": 10, "amount": 100 }), 200).await;
    check(Method::POST, "/api/services", json!({ "services": [{ "id": 1, "name": "delivery" }] }), 200).await;
    check(Method::POST, "/api/reserve", order(1, "30"), 200).await;
    check(Method::POST, "/api/purchase/", order(1, "30"), 200).await;
    check(Method::GET, "/api/reserve", order(1, "30"), 200).await;
    // A report writes a file; who may look may read it.
    let month = json!({ "year": 2022, "month": 1 });
    for path in ["/api/report", "/api/report/"] {
        check_with(&reader, Method::GET, path, month.clone(), 403).await;
        check_with(&reader, Method::POST, path, month.clone(), 403).await;
        check(Method::GET, path, month.clone(), 200).await;
        check(Method::POST, path, month.clone(), 200).await;
    }
    check_with(&reader, Method::GET, "/api/report/2022/1/report.csv", Value::Null, 200).await;
    check_with(&reader, Method::GET, "/api/report/2022/1/report.csv/", Value::Null, 200).await;
    // For administrators.
    check(Method::DELETE, "/api/users", json!({ "id": 9 }), 403).await;
    check(Method::DELETE, "/api/services/", json!({ "id": 1 }), 403).await;

    let stranger = app.send("GET", "/api", &json!({ "id": 10 })).await;
    assert_eq!(stranger.status, 401);
    assert!(stranger.json()["message"].is_string(), "{stranger:?}");
    for path in ["/swagger", "/swagger/index.html", "/swagger/doc.json"] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
}

#[actix_rt::test]
async fn while_the_database_is_away_every_answer_says_so_in_this_systems_shape() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(&database.url).await;
    let url = Secret::new(proxy.url.clone());
    let app = TestApp::start_on(database, |settings| {
        settings.broker.enabled = false;
        settings.database.url = url;
        settings.database.acquire_timeout_ms = 200;
        settings.http.request_timeout_ms = 500;
        settings.engine.drain_timeout_ms = 500;
    })
    .await;
    proxy.stall();
    proxy.cut();
    let text = "the database is away; nothing was applied, ask again later";
    // What was accepted before anybody knew is answered 503, too, but nobody can say what became of it.
    poll_until(PATIENCE, "it is known", async || {
        let answer = app.send("GET", "/api", &json!({ "id": 1 })).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        answer.json() == json!({ "message": text })
    })
    .await;
    for (method, path) in [
        ("GET", "/api"),
        ("POST", "/api"),
        ("DELETE", "/api/users"),
        ("POST", "/api/reserve"),
        ("GET", "/api/reserve"),
        ("POST", "/api/purchase"),
        ("GET", "/api/services"),
        ("GET", "/api/operations"),
    ] {
        let body = json!({ "id": 1, "user_id": 1, "service_id": 1, "order_id": 1, "amount": 1 });
        let answer = app.send(method, path, &body).await;
        assert_eq!((answer.status, answer.json()), (503, json!({ "message": text })), "{method} {path}");
    }
}

#[actix_rt::test]
async fn where_the_dialect_is_switched_off_nothing_is_served() {
    let app = start_with(|settings| settings.dialects.balance.enabled = false).await;
    for path in ["/api", "/api/reserve", "/api/report", "/swagger/index.html"] {
        let answer = app.send("GET", path, &json!({ "id": 1 })).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("route_unknown")), "{path}");
    }
}
