//! The server without its dependencies: what it refuses, and what it does when an operation gets no outcome.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::dev::ServerHandle;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::State;
use super::server::start;
use crate::engine::Processor;
use crate::settings::{Secret, Settings};
use crate::store::Store;
use crate::telemetry::Metrics;

const LARGE: usize = 10 * 1024 * 1024;
/// Whoever waits this long has waited in vain.
const PATIENCE: Duration = Duration::from_secs(20);
const TRANSACTIONS: &str = "/v1/transactions";
const INVOICE: &str = r#"{"kind":"invoice","wallet_id":1,"currency":"USD","amount":1}"#;

/// A served [`State`] whose database takes connections and never says a word, so that operations stay where they are.
struct Server {
    address: SocketAddr,
    client: Client,
    state: State,
    handle: ServerHandle,
    _database: TcpListener,
}

impl Server {
    fn start(adjust: impl FnOnce(&mut Settings)) -> Self {
        let database = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut settings = Settings::load(None).unwrap();
        settings.database.url = Secret::new(format!("postgres://nobody@{}/nothing", database.local_addr().unwrap()));
        settings.database.acquire_timeout_ms = 600_000;
        adjust(&mut settings);

        let metrics = Arc::new(Metrics::new());
        let store = Store::new(&settings.database).unwrap();
        let processor = Processor::start(store.clone(), &settings.engine, Arc::clone(&metrics));
        let broker_is_consuming = Some(Arc::new(AtomicBool::new(true)));
        let state = State { processor, store, metrics, settings: Arc::new(settings), broker_is_consuming };

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Longer than any test waits: a stop that has to use force is seen.
        let server = start(listener, state.clone(), 600).unwrap();
        let handle = server.handle();
        actix_rt::spawn(server);
        let client = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Self { address, client, state, handle, _database: database }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address)).header("content-type", "application/json")
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        self.request(Method::POST, path).body(body).send().await.unwrap()
    }

    async fn metric(&self, line: &str) -> Option<String> {
        let text = self.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let value = text.lines().find_map(|candidate| candidate.strip_prefix(line)?.strip_prefix(' '));
        value.map(str::to_owned)
    }
}

async fn json_of(response: Response) -> Value {
    response.json().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

#[actix_rt::test]
async fn an_unknown_path_and_a_wrong_method_are_problems() {
    let server = Server::start(|_| {});
    let check = async |method: Method, path: &str, status: u16, code: &str, allow: Option<&str>| {
        let response = server.request(method.clone(), path).send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(header(&response, "content-type"), Some("application/problem+json"), "{method} {path}");
        assert_eq!(header(&response, "allow"), allow, "{method} {path}");
        let problem = json_of(response).await;
        assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)), "{method} {path}");
    };
    check(Method::GET, "/nothing", 404, "route_unknown", None).await;
    check(Method::POST, "/v1/transaction", 404, "route_unknown", None).await;
    check(Method::GET, "/", 404, "route_unknown", None).await;
    check(Method::POST, "/healthz", 405, "method_not_allowed", Some("GET, HEAD")).await;
    check(Method::DELETE, "/readyz", 405, "method_not_allowed", Some("GET, HEAD")).await;
    check(Method::PUT, "/metrics", 405, "method_not_allowed", Some("GET, HEAD")).await;
}

#[actix_rt::test]
async fn a_body_beyond_the_limit_is_refused_and_the_next_request_is_served() {
    let server = Server::start(|_| {});
    let response = server.post(TRANSACTIONS, vec![b' '; LARGE]).await;
    assert_eq!(response.status(), 413);
    assert_eq!(json_of(response).await["code"], "body_too_large");
    assert_eq!(server.request(Method::GET, "/healthz").send().await.unwrap().status(), 200);

    // The same when it is found out only while it comes.
    let address = server.address;
    let answer = actix_rt::task::spawn_blocking(move || post_in_chunks(address, LARGE)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(server.state.processor.in_flight(), 0);
}

/// Sends a body without telling its length, and gives the answer's first line.
fn post_in_chunks(address: SocketAddr, bytes: usize) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    write!(
        connection,
        "POST /v1/transactions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    let chunk = [b' '; 65_536];
    for _ in 0..bytes / chunk.len() {
        write!(connection, "{:x}\r\n", chunk.len())?;
        connection.write_all(&chunk)?;
        write!(connection, "\r\n")?;
    }
    write!(connection, "0\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(connection).read_line(&mut line)?;
    Ok(line)
}

#[actix_rt::test]
async fn an_operation_without_an_outcome_in_time_may_have_been_applied_and_still_counts_as_in_flight() {
    let server = Server::start(|settings| {
        settings.http.in_flight_max = 1;
        settings.http.request_timeout_ms = 200;
    });
    let response = server.post(TRANSACTIONS, INVOICE).await;
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (503, Some("1")));
    let problem = json_of(response).await;
    assert_eq!(problem["code"], "timed_out");
    let reason = problem["detail"].as_str().unwrap();
    assert!(reason.contains("may or may not") && reason.contains("same idempotency key"), "{reason}");

    // Nobody waits for it any more, yet it is in flight: the bound holds.
    assert_eq!(server.state.processor.in_flight(), 1);
    let response = server.post(TRANSACTIONS, INVOICE).await;
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (429, Some("1")));
    assert_eq!(json_of(response).await["code"], "overloaded");
    assert_eq!(server.state.processor.in_flight(), 1);
}

#[actix_rt::test]
async fn a_caller_that_goes_away_cancels_nothing() {
    let server = Server::start(|_| {});
    let request = server.request(Method::POST, TRANSACTIONS).body(INVOICE).timeout(Duration::from_millis(300));
    request.send().await.unwrap_err();
    assert_eq!(server.state.processor.in_flight(), 1);
}

#[actix_rt::test]
async fn a_database_that_is_known_to_be_away_is_told_at_once() {
    let server = Server::start(|settings| {
        settings.database.url = Secret::new("postgres://nobody@127.0.0.1:1/nothing");
        settings.database.acquire_timeout_ms = 50;
        settings.http.request_timeout_ms = 20_000;
    });
    let first = server.request(Method::POST, TRANSACTIONS).body(INVOICE).timeout(Duration::from_secs(20)).send();
    actix_rt::spawn(first);
    until(|| !server.state.processor.database_is_up()).await;
    let response = server.post(TRANSACTIONS, INVOICE).await;
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (503, Some("5")));
    let reason = json_of(response).await["detail"].as_str().unwrap().to_owned();
    assert!(reason.contains("nothing was applied"), "{reason}");
    assert_eq!(server.state.processor.in_flight(), 1, "the second was not submitted");
}

#[actix_rt::test]
async fn a_server_that_stops_says_so() {
    let server = Server::start(|_| {});
    assert_eq!(server.state.processor.drain(Duration::from_secs(5)).await, 0);
    let response = server.post(TRANSACTIONS, INVOICE).await;
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (503, Some("5")));
    assert_eq!(json_of(response).await["code"], "stopping");
}

#[actix_rt::test]
async fn a_stop_does_not_wait_for_idle_connections() {
    let server = Server::start(|_| {});
    let address = server.address;
    let mut answer = actix_rt::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        write!(connection, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = BufReader::new(connection);
        let mut line = String::new();
        answer.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
        answer
    })
    .await
    .unwrap();
    timeout(PATIENCE, server.handle.stop(true)).await.expect("the stop ends");
    let mut rest = String::new();
    answer.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with(r#"{"status":"alive"}"#), "{rest}");
}

#[actix_rt::test]
async fn a_stop_lets_a_request_under_way_have_its_answer() {
    let server = Server::start(|settings| settings.http.request_timeout_ms = 1_000);
    let under_way = actix_rt::spawn(server.request(Method::POST, TRANSACTIONS).body(INVOICE).send());
    until(|| server.state.processor.in_flight() == 1).await;
    timeout(PATIENCE, server.handle.stop(true)).await.expect("the stop ends");
    let response = under_way.await.unwrap().expect("the request was answered");
    assert_eq!(response.status(), 503);
}

#[actix_rt::test]
async fn readiness_names_each_dependency() {
    let server = Server::start(|settings| settings.database.acquire_timeout_ms = 50);
    server.state.broker_is_consuming.as_ref().unwrap().store(false, Ordering::Relaxed);
    let response = server.request(Method::GET, "/readyz").send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(
        json_of(response).await,
        json!({ "ready": false, "dependencies": { "database": "down", "broker": "down" } })
    );
    let response = server.request(Method::GET, "/healthz").send().await.unwrap();
    assert_eq!((response.status().as_u16(), json_of(response).await), (200, json!({ "status": "alive" })));
    let response = server.request(Method::HEAD, "/readyz").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (503, String::new()));
}

#[actix_rt::test]
async fn requests_are_counted_under_closed_labels_from_zero() {
    let server = Server::start(|_| {});
    let line = |route: &str, method: &str, status: u16| {
        format!(r#"purser_http_requests_total{{method="{method}",route="{route}",status="{status}"}}"#)
    };
    for zero in [line(TRANSACTIONS, "POST", 200), line("/v1/wallets/{id}", "GET", 503), line("/readyz", "GET", 503)] {
        assert_eq!(server.metric(&zero).await.as_deref(), Some("0"), "{zero}");
    }

    server.post(TRANSACTIONS, "no JSON").await;
    server.request(Method::from_bytes(b"BREW").unwrap(), "/coffee/4711").send().await.unwrap();
    assert_eq!(server.metric(&line(TRANSACTIONS, "POST", 400)).await.as_deref(), Some("1"));
    assert_eq!(server.metric(&line("other", "other", 404)).await.as_deref(), Some("1"));
    let timed = r#"purser_http_request_duration_seconds_count{route="/v1/transactions"}"#;
    assert_eq!(server.metric(timed).await.as_deref(), Some("1"));
}

#[actix_rt::test]
async fn a_client_that_takes_its_time_does_not_keep_the_server_waiting() {
    let server = Server::start(|settings| {
        settings.http.head_timeout_ms = 200;
        settings.http.request_timeout_ms = 200;
    });
    let address = server.address;
    let first_line = |sent: &'static str| async move {
        let ask = move || {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.set_read_timeout(Some(PATIENCE)).unwrap();
            connection.write_all(sent.as_bytes()).unwrap();
            let mut line = String::new();
            BufReader::new(connection).read_line(&mut line).unwrap();
            line
        };
        actix_rt::task::spawn_blocking(ask).await.unwrap()
    };
    let head = first_line("POST /v1/transactions HTTP/1.1\r\nHost: x\r\n").await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    let body = first_line(
        "POST /v1/transactions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    )
    .await;
    assert!(body.starts_with("HTTP/1.1 408 "), "{body}");
    assert_eq!(server.state.processor.in_flight(), 0);
}

#[test]
fn every_route_has_a_rule() {
    let rules = super::server::access(&Settings::load(None).unwrap());
    for (route, method) in super::measure::ROUTES {
        assert!(rules.iter().any(|rule| (rule.path, rule.method) == (route, method)), "{method} {route}");
    }
}

/// Waits for what other threads do; a test that would wait for ever has failed.
async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "what was waited for did not come");
        actix_rt::time::sleep(Duration::from_millis(2)).await;
    }
}

#[actix_rt::test]
async fn every_rule_is_about_a_route_that_is_served() {
    use actix_web::dev::Service;
    let settings = Settings::load(None).unwrap();
    let app = actix_web::App::new()
        .wrap_fn(|request, _| {
            let pattern = request.match_pattern().unwrap_or_default();
            std::future::ready(Ok(request.into_response(HttpResponse::Ok().body(pattern))))
        })
        .configure(|routes| super::server::configure(routes, &settings));
    let app = actix_web::test::init_service(app).await;
    let rules = super::server::access(&settings);
    assert!(rules.len() >= 6, "the rules were not found");
    for rule in rules {
        // `/v1/wallets/{id}` is asked for as it stands: whatever stands between the slashes fits.
        let request = actix_web::test::TestRequest::with_uri(&rule.path.replace(['{', '}'], "")).to_request();
        let response = app.call(request).await.unwrap();
        let pattern = actix_web::test::read_body(response).await;
        assert_eq!(pattern, rule.path, "{} {}", rule.method, rule.path);
    }
}
