//! Golden files: requests and the answers to them, byte for byte, written to be read.
//!
//! ```text
//! # What this file shows.
//!
//! ### What this exchange shows
//! POST /wallets
//! Idempotency-Key: k1
//!
//! {"externalId":"a"}
//! => 200
//! Content-Type: application/json
//!
//! {"id":{{wallet:number}},"created":"{{time}}"}
//!
//! ### What comes next, on the same server
//! GET /wallets/{{wallet}}
//! => 404
//! ```
//!
//! Of the answer, the status and the whole body are compared, of its headers those that are named. A body is what stands between the empty line and
//! the next heading, without the line ends around it; one that ends with a line end says so by `\n`. `{{time}}`, `{{uuid}}`, `{{number}}` and `{{any}}`
//! stand for what cannot be known before; `{{name:uuid}}` gives it a name, and `{{name}}` is what had that name. A request with a body has the
//! content type `application/json` unless it names another; `Content-Type: none` is none. One that names its own `Content-Length` or
//! `Transfer-Encoding` is sent as it stands, over a connection that stays open: its body may be less than what it announces.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, TestApp};

/// What stands for a value that cannot be known before: its name, and what values look like.
const UNKNOWNS: [(&str, &str); 4] = [
    ("time", r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z"),
    ("uuid", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ("number", r"-?[0-9]+(?:\.[0-9]+)?"),
    ("any", r"(?s:.*)"),
];

/// A request, and what must come back.
#[derive(Debug)]
struct Exchange {
    title: String,
    request: Part,
    answer: Part,
}

/// The first line, the headers, the body.
#[derive(Debug)]
struct Part {
    first: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// What came back.
struct Answer {
    status: String,
    headers: HeaderMap,
    body: String,
}

/// Goes through every golden file `tests/golden/FOLDER/NAME.http`, each with an app of its own that is started for its name, and panics with all that
/// was different.
pub async fn check(folder: &str, start: impl AsyncFn(&str) -> TestApp) {
    let mut different = String::new();
    let files = files(folder);
    assert!(!files.is_empty(), "tests/golden/{folder} has no golden file");
    for file in files {
        let name = file.file_stem().expect("it ends with .http").to_string_lossy();
        let mut app = start(&name).await;
        let mut known = HashMap::new();
        let text = std::fs::read_to_string(&file).expect("a golden file is readable");
        for exchange in parse(&text) {
            if let Err(how) = check_one(&app, &exchange, &mut known).await {
                writeln!(different, "{}: {}\n{how}\n", file.display(), exchange.title)
                    .expect("a string takes everything");
            }
        }
        app.stop().await;
    }
    assert!(different.is_empty(), "\n{different}");
}

fn files(folder: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it is readable").path()).collect();
    // Rust's tests of the dialect stand beside them. What is neither would be passed over in silence.
    let ends_with = |file: &PathBuf, ending: &str| file.extension().is_some_and(|extension| extension == ending);
    let stray = files.iter().find(|file| !ends_with(file, "http") && !ends_with(file, "rs"));
    assert!(stray.is_none(), "{stray:?} is neither a golden file nor a Rust test");
    files.retain(|file| ends_with(file, "http"));
    files.sort();
    files
}

fn parse(text: &str) -> Vec<Exchange> {
    let (before, rest) = text.split_once("### ").expect("a golden file has an exchange");
    assert!(before.lines().all(|line| line.is_empty() || line.starts_with('#')), "before the first exchange: {before}");
    rest.split("\n### ").map(exchange).collect()
}

fn exchange(text: &str) -> Exchange {
    let (title, rest) = text.split_once('\n').expect("a heading is not all");
    let (request, answer) = rest.split_once("\n=> ").unwrap_or_else(|| panic!("{title}: no answer is named"));
    Exchange { title: title.to_owned(), request: part(request), answer: part(answer) }
}

fn part(text: &str) -> Part {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.trim_start_matches('\n').lines().filter(|line| !line.starts_with('#'));
    let first = lines.next().unwrap_or_default().trim().to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no header"));
        (name.to_owned(), value.to_owned())
    };
    let body = body.trim_matches('\n');
    let body = body.strip_suffix("\\n").map_or_else(|| body.to_owned(), |body| format!("{body}\n"));
    Part { first, headers: lines.map(header).collect(), body }
}

async fn check_one(app: &TestApp, exchange: &Exchange, known: &mut HashMap<String, String>) -> Result<(), String> {
    let frames_itself = |(name, _): &(String, String)| {
        ["content-length", "transfer-encoding"].iter().any(|framing| name.eq_ignore_ascii_case(framing))
    };
    let Answer { status, headers, body } = if exchange.request.headers.iter().any(frames_itself) {
        let answer = timeout(PATIENCE, send_as_it_stands(app, &exchange.request, known)).await;
        answer.map_err(|_| "  no answer came".to_owned())?.map_err(|error| error.to_string())?
    } else {
        send(app, &exchange.request, known).await.map_err(|error| error.to_string())?
    };
    let mut how = String::new();
    if exchange.answer.first != status {
        writeln!(how, "  status: {status}, must be {}", exchange.answer.first).expect("a string takes everything");
    }
    for (name, expected) in &exchange.answer.headers {
        let value = headers.get(name).map_or("none", |value| value.to_str().expect("headers of tests are text"));
        if !matches(expected, value, known) {
            writeln!(how, "  {name}: {value}, must be {expected}").expect("a string takes everything");
        }
    }
    if !matches(&exchange.answer.body, &body, known) {
        let expected = fill(&exchange.answer.body, known);
        writeln!(how, "  body:    {body:?}\n  must be: {expected:?}").expect("a string takes everything");
    }
    if how.is_empty() { Ok(()) } else { Err(how) }
}

async fn send(app: &TestApp, asked: &Part, known: &HashMap<String, String>) -> reqwest::Result<Answer> {
    let (method, path) = asked.first.split_once(' ').expect("a request names its method and its path");
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let mut request = client.request(method.parse().expect("it is a method"), app.url(&fill(path, known)));
    let mut names_type = asked.body.is_empty();
    for (name, value) in &asked.headers {
        names_type |= name.eq_ignore_ascii_case("content-type");
        if value != "none" {
            request = request.header(name, fill(value, known));
        }
    }
    if !names_type {
        request = request.header("content-type", "application/json");
    }
    let response = request.body(fill(&asked.body, known)).send().await?;
    let (status, headers) = (response.status().as_u16().to_string(), response.headers().clone());
    Ok(Answer { status, headers, body: response.text().await? })
}

async fn send_as_it_stands(app: &TestApp, asked: &Part, known: &HashMap<String, String>) -> std::io::Result<Answer> {
    let headers: String = asked.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("{} HTTP/1.1\r\nHost: purser\r\n{headers}\r\n{}", asked.first, asked.body);
    let mut connection = BufReader::new(TcpStream::connect(app.address).await?);
    connection.write_all(fill(&request, known).as_bytes()).await?;

    let mut line = String::new();
    connection.read_line(&mut line).await?;
    let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HeaderMap::new();
    loop {
        line.clear();
        connection.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        let name = HeaderName::from_str(name).expect("the server writes names of headers");
        headers.insert(name, HeaderValue::from_str(value).expect("the server writes values of headers"));
    }
    let bytes = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; bytes];
    connection.read_exact(&mut body).await?;
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Puts in what has a name.
fn fill(text: &str, known: &HashMap<String, String>) -> String {
    known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

/// Whether `text` is what is expected; if so, what was unknown in it and has a name is known from now on.
fn matches(expected: &str, text: &str, known: &mut HashMap<String, String>) -> bool {
    let expected = fill(expected, known);
    let mut pattern = "^".to_owned();
    let mut names = Vec::new();
    let mut rest = expected.as_str();
    while let Some((before, after)) = rest.split_once("{{") {
        let (unknown, after) = after.split_once("}}").unwrap_or_else(|| panic!("{expected:?}: {{{{ is not closed"));
        let (name, sort) = unknown.split_once(':').unwrap_or(("", unknown));
        let (_, shape) = UNKNOWNS
            .into_iter()
            .find(|(known_sort, _)| *known_sort == sort)
            .unwrap_or_else(|| panic!("{expected:?}: nothing is called {unknown:?} yet"));
        write!(pattern, "{}({shape})", regex::escape(before)).expect("a string takes everything");
        names.push(name.to_owned());
        rest = after;
    }
    write!(pattern, "{}$", regex::escape(rest)).expect("a string takes everything");
    let pattern = regex::Regex::new(&pattern).expect("the pattern was made here");
    let Some(found) = pattern.captures(text) else { return false };
    for (position, name) in names.into_iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        known.insert(name, found[position + 1].to_owned());
    }
    true
}
