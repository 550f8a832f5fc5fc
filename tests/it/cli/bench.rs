//! `purser bench`: every operation is done once and counted as what came of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use serde_json::Value;

use super::{Said, Served};
use crate::support::server::purser;
use crate::support::{Server, TestDatabase};

#[tokio::test]
async fn the_benchmark_counts_every_operation_it_made() {
    let served = Served::start().await;
    let arguments = ["bench", "--operations", "500", "--warmup", "50", "--kind", "mixed", "--window", "64", "--json"];
    let report = served.run(&arguments).expect(0, &[]).json_lines().remove(0);
    assert_eq!((&report["answered"], &report["refused"], &report["missing"]), (&500.into(), &0.into(), &0.into()));
    assert_eq!(report["unexpected"], 0);
    assert!(report["latency_us"]["p50"].as_u64() <= report["latency_us"]["max"].as_u64());
    // 9 that fund the wallets, 50 and 500.
    assert_eq!(served.database.fetch("SELECT count(*) FROM transactions").await, "559");
    served
        .run(&["bench", "--operations", "10", "--wallets", "10"])
        .expect(1, &["does not exist", "purser seed --wallets 10"]);
    served.run(&["bench", "--kind", "transfer", "--wallets", "1"]).expect(1, &["two wallets"]);
    served.run(&["verify"]).expect(0, &["the books are right"]);
}

/// A server of HTTP alone, with a database of its own.
struct OverHttp {
    server: Server,
    database: TestDatabase,
}

impl OverHttp {
    async fn start() -> Self {
        let database = TestDatabase::create().await;
        let settings = [("DATABASE_URL", database.url.clone()), ("PURSER_BROKER__ENABLED", "false".to_owned())];
        let mut server = Server::start(settings);
        server.ready().await;
        Self { server, database }
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let mut command = purser(arguments);
        // Without an address it goes where the settings say.
        command.env("DATABASE_URL", &self.database.url).env("PURSER_HTTP__LISTEN", &self.server.address);
        Said::of(command.output().expect("the binary starts"))
    }
}

#[track_caller]
fn counts(report: &Value) -> [u64; 4] {
    ["answered", "refused", "failed", "missing"].map(|count| report[count].as_u64().expect("it is a count"))
}

#[tokio::test]
async fn over_http_every_operation_is_done_once_and_counted() {
    let served = OverHttp::start().await;
    let arguments = [
        "bench",
        "--http",
        "--operations",
        "500",
        "--warmup",
        "50",
        "--kind",
        "mixed",
        "--connections",
        "16",
        "--json",
    ];
    let report = served.run(&arguments).expect(0, &[]).json_lines().remove(0);
    assert_eq!((counts(&report), &report["sent"]), ([500, 0, 0, 0], &500.into()));
    assert_eq!((&report["window"], &report["is_over_http"]), (&16.into(), &true.into()));
    assert!(report["latency_us"]["p50"].as_u64() <= report["latency_us"]["max"].as_u64());
    // 9 that fund the wallets, 50 and 500; the dry run before them left nothing.
    let done = "SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM transactions WHERE status = 'Success'";
    assert_eq!(served.database.fetch(done).await, "559 559");
    assert_eq!(served.database.fetch("SELECT count(*) FROM transactions").await, "559");
    served.run(&["verify"]).expect(0, &["the books are right"]);
}

#[tokio::test]
async fn over_http_refusals_are_counted_and_the_first_is_told() {
    let served = OverHttp::start().await;
    served
        .run(&["bench", "--http", &served.server.address, "--operations", "10", "--wallets", "10"])
        .expect(1, &["wallet_unknown", "purser seed --wallets 10"]);
    served.database.execute("UPDATE wallets SET closed_at = now() WHERE id = 3").await;
    let report =
        served.run(&["bench", "--http", "--operations", "200", "--json"]).expect(0, &[]).json_lines().remove(0);
    let [answered, refused, failed, missing] = counts(&report);
    assert_eq!((answered, failed, missing), (200, 0, 0));
    assert!((1..200).contains(&refused), "{report}");
    assert!(report["first_refusal"].as_str().is_some_and(|reason| reason.contains("wallet_closed")), "{report}");
    assert_eq!(served.database.fetch("SELECT count(*) FROM transactions").await, (200 - refused).to_string());
    served.run(&["verify"]).expect(0, &["the books are right"]);
}

/// Takes one connection, answers its requests one after the other with these, and then takes one more request and closes. Gives the requests.
fn answering(answers: &'static [(&'static str, &'static str)]) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client comes");
        let mut requests = Vec::new();
        for (status, body) in answers {
            requests.push(read_request(&mut stream));
            let length = body.len();
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}").expect("it can be written");
        }
        read_request(&mut stream);
        requests
    });
    (address, serving)
}

/// Up to the end of its body, which is the only `}` in it, or of the connection.
fn read_request(stream: &mut TcpStream) -> String {
    let (mut request, mut piece) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"}") {
        match stream.read(&mut piece) {
            Ok(length) if length > 0 => request.extend_from_slice(&piece[..length]),
            _ => break,
        }
    }
    String::from_utf8(request).expect("it is text")
}

fn run_against(address: SocketAddr, operations: &str) -> Said {
    let address = address.to_string();
    let mut command = purser(&["bench", "--http", &address, "--connections", "1", "--operations", operations]);
    Said::of(command.env("PURSER_API_KEY", "secret-1").output().expect("the binary starts"))
}

#[test]
fn over_http_the_key_goes_along_and_is_not_shown() {
    const ANSWERS: &[(&str, &str)] =
        &[("401 Unauthorized", r#"{"code":"key_revoked","detail":"this key is revoked"}"#)];
    let (address, serving) = answering(ANSWERS);
    let said = run_against(address, "5").expect(1, &["key_revoked: this key is revoked", "PURSER_API_KEY"]);
    assert!(!said.stderr.contains("secret-1"), "{}", said.stderr);
    let requests = serving.join().expect("it served");
    assert!(requests[0].starts_with("POST /v1/transactions?dry_run=true HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].to_ascii_lowercase().contains("\r\nauthorization: bearer secret-1\r\n"), "{requests:?}");
}

#[test]
fn over_http_what_is_never_answered_is_told() {
    const ANSWERS: &[(&str, &str)] = &[("200 OK", "{}"), ("201 Created", "{}"), ("503 Service Unavailable", "")];
    let (address, serving) = answering(ANSWERS);
    run_against(address, "3").expect(1, &["2 answered, 0 refused, 1 failed, 1 missing", "1 operation without a reply"]);
    let keys: Vec<String> = serving.join().expect("it served")[1..]
        .iter()
        .filter_map(|request| request.lines().find(|line| line.starts_with("idempotency-key: ")).map(str::to_owned))
        .collect();
    assert!(keys.len() == 2 && keys[0] != keys[1], "each has a key of its own: {keys:?}");

    let (address, _) = answering(ANSWERS);
    run_against(address, "5").expect(1, &["every connection to the server is lost, after 2 of 5 operations"]);
    // Nothing listens on port 1.
    run_against(SocketAddr::from(([127, 0, 0, 1], 1)), "5").expect(1, &["Unable to connect to http://127.0.0.1:1"]);
    Said::of(purser(&["bench", "--http", "--window", "5"]).output().expect("the binary starts"))
        .expect(2, &["cannot be used with"]);
}
