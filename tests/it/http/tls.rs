//! HTTPS with a certificate made in the test, and the limits of a request's head.

use futures::future::join_all;
use purser::settings::{AuthMode, Settings};
use reqwest::Client;
use serde_json::json;

use crate::support::server::purser;
use crate::support::tls::Certificate;
use crate::support::{PATIENCE, Server, TestApp, TestDatabase, poll_until};

fn environment<'a>(files: &'a Certificate, database: &'a TestDatabase) -> [(&'a str, &'a str); 4] {
    [
        ("DATABASE_URL", &database.url),
        ("PURSER_BROKER__ENABLED", "false"),
        ("PURSER_HTTP__TLS__CERTIFICATE_FILE", Certificate::path(&files.certificate)),
        ("PURSER_HTTP__TLS__KEY_FILE", Certificate::path(&files.key)),
    ]
}

#[actix_rt::test]
async fn https_is_served_to_those_who_trust_the_certificate_and_plain_http_is_not() {
    let files = Certificate::of("127.0.0.1");
    let database = TestDatabase::create().await;
    let server = Server::start(environment(&files, &database));
    let authority = std::fs::read(&files.authority).expect("it was written");
    let authority = reqwest::Certificate::from_pem(&authority).expect("it is a certificate");
    let trusting =
        Client::builder().add_root_certificate(authority).timeout(PATIENCE).build().expect("a client is made");
    let https = format!("https://{}", server.address);
    poll_until(PATIENCE, "readiness over HTTPS", || async {
        trusting.get(format!("{https}/readyz")).send().await.is_ok_and(|response| response.status() == 200)
    })
    .await;
    let invoice = json!({ "kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": "1" });
    let request = trusting.post(format!("{https}/v1/transactions")).json(&invoice);
    assert_eq!(request.send().await.expect("it answers").status(), 201);

    let stranger = Client::builder().timeout(PATIENCE).build().expect("a client is made");
    stranger.get(format!("{https}/healthz")).send().await.expect_err("nobody vouches for the certificate");
    stranger.get(format!("http://{}/healthz", server.address)).send().await.expect_err("it is no plain HTTP");
    assert_eq!(database.available(1, "USD").await, "1");
}

#[actix_rt::test]
async fn a_certificate_that_cannot_be_served_is_told_at_the_start() {
    let (files, others) = (Certificate::of("127.0.0.1"), Certificate::of("127.0.0.1"));
    let database = TestDatabase::create().await;
    let check = |name: &str, value: &str, words: &[&str]| {
        let mut command = purser(&["serve"]);
        command.envs(environment(&files, &database)).env("PURSER_HTTP__LISTEN", "127.0.0.1:0").env(name, value);
        let output = command.output().expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
        assert!(!said.contains("PRIVATE KEY"), "{said}");
    };
    let other_key = Certificate::path(&others.key);
    check("PURSER_HTTP__TLS__KEY_FILE", other_key, &["http.tls.certificate_file", "http.tls.key_file", "together"]);
    check("PURSER_HTTP__TLS__KEY_FILE", "", &["http.tls.key_file", "set together"]);
    check("PURSER_HTTP__TLS__KEY_FILE", "no/such/file.pem", &["http.tls.key_file", "no/such/file.pem"]);
    check("PURSER_HTTP__TLS__CERTIFICATE_FILE", "no/such/file.pem", &["http.tls.certificate_file", "no/such/file.pem"]);
    check("PURSER_HTTP__TLS__CERTIFICATE_FILE", other_key, &["http.tls.certificate_file", "PEM"]);
}

async fn start_with(adjust: impl FnOnce(&mut Settings)) -> TestApp {
    TestApp::start_with(|settings| {
        settings.broker.enabled = false;
        adjust(settings);
    })
    .await
}

#[actix_rt::test]
async fn a_head_beyond_the_limit_is_refused() {
    let app = start_with(|settings| settings.http.head_bytes_max = 2_000).await;
    let client = Client::builder().timeout(PATIENCE).build().expect("a client is made");
    let check = async |path: &str, header_bytes: usize, expected: u16| {
        let request = client.get(app.url(path)).header("x-long", "x".repeat(header_bytes));
        assert_eq!(request.send().await.expect("it answers").status(), expected, "{path:.20} {header_bytes}");
    };
    check("/healthz", 1_000, 200).await;
    check("/healthz", 2_000, 431).await;
    check(&format!("/healthz?{}", "x".repeat(2_000)), 0, 431).await;
    check("/healthz", 1_000, 200).await;
    // What no server should keep in memory is not even read.
    check("/healthz", 200_000, 431).await;
}

#[actix_rt::test]
async fn whoever_asks_too_often_is_told_when_to_come_back_and_the_others_are_served() {
    let app = start_with(|settings| {
        settings.http.auth = AuthMode::On;
        settings.http.caller_rate_max = 5;
        settings.http.stranger_rate_max = 5;
    })
    .await;
    let make = || {
        let arguments = ["keys", "create", "--name", "of a test", "--scope", "read"];
        let output = purser(&arguments).env("DATABASE_URL", &app.database.url).output().expect("the binary starts");
        String::from_utf8(output.stdout).expect("it is text").trim_end().to_owned()
    };
    let client = Client::builder().timeout(PATIENCE).build().expect("a client is made");
    let ask = async |key: &str| {
        client.get(app.url("/v1/wallets/1/balances")).bearer_auth(key).send().await.expect("it answers")
    };
    // Many at once, until it is too fast.
    let too_fast = async |key: &str, until_then: u16| {
        poll_until(PATIENCE, "429", || async {
            let responses = join_all((0..30).map(|_| ask(key))).await;
            let (refused, served): (Vec<_>, Vec<_>) =
                responses.into_iter().partition(|response| response.status() == 429);
            assert!(served.len() >= 5, "as many at once as in a second");
            assert!(served.iter().all(|response| response.status() == until_then));
            for response in &refused {
                let wait = response.headers()["retry-after"].to_str().unwrap_or_default();
                assert!(wait.parse().is_ok_and(|seconds: u64| seconds >= 1), "it says when to come back");
            }
            !refused.is_empty()
        })
        .await;
    };
    let (hasty, patient) = (make(), make());
    too_fast(&hasty, 200).await;
    assert_eq!(ask(&patient).await.status(), 200, "each key has its own count");
    too_fast("nobody", 401).await;
    assert_ne!(ask(&patient).await.status(), 401);
    assert_eq!(
        client.get(app.url("/healthz")).send().await.expect("it answers").status(),
        200,
        "probes are not counted"
    );
}
