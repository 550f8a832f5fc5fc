//! Who is let in, on the real thing.

use std::process::Output;

use purser::settings::{AuthMode, Settings};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::server::purser;
use crate::support::{PATIENCE, TestApp, TestDatabase, poll_until};

/// What whoever may read may ask for.
const BALANCES: &str = "/v1/wallets/1/balances";
/// What whoever may write may post.
const TRANSACTIONS: &str = "/v1/transactions";
const INVOICE: &str = r#"{"kind":"invoice","wallet_id":1,"currency":"USD","amount":1}"#;

/// Purser with authentication on and without a broker.
async fn start_with(adjust: impl FnOnce(&mut Settings)) -> TestApp {
    TestApp::start_with(|settings| {
        settings.broker.enabled = false;
        settings.http.auth = AuthMode::On;
        adjust(settings);
    })
    .await
}

fn run_on(database: &TestDatabase, arguments: &[&str]) -> Output {
    purser(arguments).env("DATABASE_URL", &database.url).output().expect("the binary starts")
}

/// A new key, as its maker gets it.
fn new_key(database: &TestDatabase, scope: &str) -> String {
    let output = run_on(database, &["keys", "create", "--name", "of a test", "--scope", scope]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is text").trim_end().to_owned()
}

fn number_of(key: &str) -> &str {
    key.split('_').nth(1).expect("a key holds its number")
}

async fn ask(app: &TestApp, credential: Option<&str>, method: Method, path: &str) -> Response {
    let client = Client::builder().timeout(PATIENCE).build().expect("a client is made");
    let mut request = client.request(method.clone(), app.url(path)).header("content-type", "application/json");
    if method == Method::POST {
        request = request.body(INVOICE);
    }
    if let Some(credential) = credential {
        request = request.header("authorization", credential);
    }
    request.send().await.expect("the server answers")
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("it is text"))
}

#[actix_rt::test]
async fn a_key_opens_what_its_scope_allows_and_nothing_else() {
    let app = start_with(|_| {}).await;
    let keys = ["read", "write", "admin"].map(|scope| bearer(&new_key(&app.database, scope)));
    // Expected without a key, and with one that may read, write, administer.
    let check = async |method: Method, path: &str, expected: [u16; 4]| {
        let credentials = [None, Some(keys[0].as_str()), Some(&keys[1]), Some(&keys[2])];
        for (credential, expected) in credentials.into_iter().zip(expected) {
            let response = ask(&app, credential, method.clone(), path).await;
            assert_eq!(response.status(), expected, "{method} {path} {credential:?}");
        }
    };
    check(Method::GET, "/healthz", [200, 200, 200, 200]).await;
    check(Method::GET, "/readyz", [200, 200, 200, 200]).await;
    check(Method::GET, "/metrics", [401, 200, 200, 200]).await;
    check(Method::HEAD, "/metrics", [401, 200, 200, 200]).await;
    check(Method::GET, BALANCES, [401, 200, 200, 200]).await;
    check(Method::POST, TRANSACTIONS, [401, 403, 201, 201]).await;
    // What nobody wrote a rule for is for administrators; that nothing is served, anyone with a key may learn.
    check(Method::DELETE, TRANSACTIONS, [401, 403, 403, 405]).await;
    check(Method::GET, "/nothing", [401, 404, 404, 404]).await;
    check(Method::GET, "//metrics", [401, 404, 404, 404]).await;
    check(Method::GET, "/metrics/", [401, 404, 404, 404]).await;
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "2");
}

#[actix_rt::test]
async fn however_a_path_is_written_what_is_asked_is_what_the_route_that_serves_it_asks() {
    let app = start_with(|_| {}).await;
    let keys = ["read", "write"].map(|scope| new_key(&app.database, scope));
    // Expected with a key that may read, and one that may write.
    let check = async |line: &str, expected: [&str; 2]| {
        for (key, expected) in keys.iter().zip(expected) {
            assert_eq!(status_of_line(&app, line, key).await, expected, "{line}");
        }
    };
    check("POST /v1/transactions", ["403", "201"]).await;
    // Let in, and refused there: it has no such parameter.
    check("POST /v1/transactions?x=/v1/wallets", ["403", "400"]).await;
    check("POST http://anywhere.example/v1/transactions", ["403", "201"]).await;
    check("POST /v1/%74ransactions", ["403", "201"]).await;
    check("POST /%76%31/%74%72%61%6e%73%61%63%74%69%6F%6E%73", ["403", "201"]).await;
    for line in [
        "POST /v1/%2574ransactions",
        "POST /v1/TRANSACTIONS",
        "POST //v1/transactions",
        "POST /./v1/transactions",
        "POST /v1/wallets/1/balances/../../../transactions",
        "POST /healthz/%2e%2e/v1/transactions",
        "POST /v1/wallets%2f..%2ftransactions",
        "POST /v1/transactions/",
        "POST /v1/transactions;x",
        "POST /v1/transactions%00",
    ] {
        check(line, ["404", "404"]).await;
    }
    // A method that is only nearly one is none that is served.
    check("post /v1/transactions", ["403", "403"]).await;
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "4");
}

/// The status of a request that starts like this: no client tidies the path up.
async fn status_of_line(app: &TestApp, line: &str, key: &str) -> String {
    let mut connection = TcpStream::connect(app.address).await.expect("the server is there");
    let length = INVOICE.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{INVOICE}"
    );
    connection.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("the server answers");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[actix_rt::test]
async fn a_credential_that_is_not_a_key_in_use_is_refused() {
    let app = start_with(|_| {}).await;
    let key = new_key(&app.database, "admin");
    let other = new_key(&app.database, "admin");
    let (number, secret) = (number_of(&key), key.rsplit('_').next().expect("a key holds its secret"));
    let another_secret = other.rsplit('_').next().expect("a key holds its secret");
    for credential in [
        String::new(),
        "Bearer".to_owned(),
        bearer(""),
        key.clone(),
        format!("Basic {key}"),
        bearer(secret),
        bearer(&format!("purser_{number}_{another_secret}")),
        bearer(&format!("purser_999_{secret}")),
        bearer(&key[..key.len() - 1]),
        bearer(&format!("{key}0")),
        bearer(&key.to_uppercase()),
        bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."),
    ] {
        let response = ask(&app, Some(&credential), Method::POST, TRANSACTIONS).await;
        assert_eq!(response.status(), 401, "{credential}");
    }
    assert_eq!(ask(&app, Some(&bearer(&key)), Method::POST, TRANSACTIONS).await.status(), 201);
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "1");
}

#[actix_rt::test]
async fn a_refusal_says_how_to_be_let_in() {
    let app = start_with(|_| {}).await;
    let reader = bearer(&new_key(&app.database, "read"));

    let response = ask(&app, None, Method::GET, "/metrics").await;
    assert_eq!(header(&response, "www-authenticate"), r#"Bearer realm="purser""#);
    assert_eq!(header(&response, "content-type"), "application/problem+json");
    let problem: Value = response.json().await.expect("the body is JSON");
    assert_eq!((&problem["code"], &problem["status"]), (&json!("unauthenticated"), &json!(401)));

    let response = ask(&app, Some("Bearer x"), Method::POST, TRANSACTIONS).await;
    assert_eq!(header(&response, "www-authenticate"), r#"Bearer realm="purser", error="invalid_token""#);
    let problem: Value = response.json().await.expect("the body is JSON");
    assert_eq!((&problem["code"], &problem["status"]), (&json!("unauthenticated"), &json!(401)));

    let response = ask(&app, Some(&reader), Method::POST, TRANSACTIONS).await;
    let challenge = r#"Bearer realm="purser", error="insufficient_scope", scope="write""#;
    assert_eq!((response.status().as_u16(), header(&response, "www-authenticate")), (403, challenge));
    let problem: Value = response.json().await.expect("the body is JSON");
    assert_eq!((&problem["code"], &problem["status"]), (&json!("forbidden"), &json!(403)));
    assert_eq!(app.database.fetch("SELECT count(*) FROM transactions").await, "0");
}

#[actix_rt::test]
async fn a_key_works_from_when_it_is_made_until_it_is_revoked_or_its_time_is_over() {
    let app = start_with(|settings| settings.http.key_cache_ms = 50).await;
    let answers = async |key: &str, expected: u16| {
        let what = format!("{expected} for key {}", number_of(key));
        let credential = bearer(key);
        poll_until(PATIENCE, &what, || async {
            ask(&app, Some(&credential), Method::GET, BALANCES).await.status() == expected
        })
        .await;
    };
    let key = new_key(&app.database, "read");
    answers(&key, 200).await;
    // One that is made while others are known already.
    let later = new_key(&app.database, "read");
    answers(&later, 200).await;

    let output = run_on(&app.database, &["keys", "revoke", number_of(&key)]);
    assert!(output.status.success(), "{output:?}");
    answers(&key, 401).await;
    answers(&later, 200).await;

    app.database.execute("UPDATE api_keys SET created_at = now() - interval '2 s', expires_at = now()").await;
    answers(&later, 401).await;
}

#[actix_rt::test]
async fn while_the_keys_cannot_be_read_nobody_is_let_in_and_nobody_is_called_a_stranger() {
    let app = start_with(|settings| {
        settings.http.key_cache_ms = 1;
        settings.database.acquire_timeout_ms = 200;
    })
    .await;
    let key = bearer(&new_key(&app.database, "write"));
    assert_eq!(ask(&app, Some(&key), Method::GET, BALANCES).await.status(), 200);
    app.database.alter("ALLOW_CONNECTIONS false").await;
    app.database.terminate_connections().await;
    poll_until(PATIENCE, "503", || async {
        let response = ask(&app, Some(&key), Method::GET, BALANCES).await;
        assert_ne!(response.status(), 401);
        response.status() == 503 && header(&response, "retry-after") == "5"
    })
    .await;
    app.database.alter("ALLOW_CONNECTIONS true").await;
    poll_until(PATIENCE, "200", || async { ask(&app, Some(&key), Method::GET, BALANCES).await.status() == 200 }).await;
}

#[actix_rt::test]
async fn the_metrics_can_be_opened_by_a_setting() {
    let app = start_with(|settings| settings.http.metrics_open = true).await;
    assert_eq!(ask(&app, None, Method::GET, "/metrics").await.status(), 200);
    assert_eq!(ask(&app, None, Method::GET, BALANCES).await.status(), 401);
    // Strangers are counted under the route they asked for.
    assert_eq!(
        app.metric(r#"purser_http_requests_total{method="GET",route="/v1/wallets/{id}/balances",status="401"}"#).await,
        1
    );
}

#[actix_rt::test]
async fn on_loopback_nobody_needs_a_key_unless_a_setting_says_so() {
    let app = start_with(|settings| settings.http.auth = AuthMode::Auto).await;
    assert_eq!(ask(&app, None, Method::POST, TRANSACTIONS).await.status(), 201);
    // A key that is brought all the same does no harm, not even a bad one.
    assert_eq!(ask(&app, Some("Bearer x"), Method::POST, TRANSACTIONS).await.status(), 201);
}
