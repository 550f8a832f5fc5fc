//! Over HTTP: connections that stay open, each with one operation outstanding.
//!
//! Everything runs in one task without a lock, for a runtime of one thread: what this takes of the machine, the server lacks.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use uuid::Uuid;

use super::orders::{Order, Orders};
use super::report::{Report, Tally};
use super::{Load, STOP_TIMEOUT, Watch, Way, nobody_answered, refused};
use crate::cli::failure::Failure;
use crate::settings::Secret;

const PATH: &str = "/v1/transactions";
/// Says whether the operation could be done, and does nothing.
const PROBE_PATH: &str = "/v1/transactions?dry_run=true";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// How long the server may take to let a client in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the load.
pub async fn run(load: &Load, address: SocketAddr, api_key: Option<&Secret>, watch: &Watch) -> anyhow::Result<Report> {
    let mut connections = Vec::with_capacity(load.window);
    for _ in 0..load.window {
        connections.push(Connection::open(address).await?);
    }
    let headers = headers(address, api_key)?;
    let mut way = OverHttp { load, watch, orders: Orders::of(load), headers, connections };
    load.carry_out(&mut way, watch).await
}

struct OverHttp<'a> {
    load: &'a Load,
    watch: &'a Watch,
    orders: Orders<'a>,
    /// What every request has.
    headers: HeaderMap,
    connections: Vec<Connection>,
}

impl Way for OverHttp<'_> {
    fn keeps_books(&self) -> bool {
        true
    }

    async fn probe(&mut self) -> anyhow::Result<()> {
        let mut body = String::new();
        self.orders.write_native(Order::Probe, &mut body);
        let request = request(PROBE_PATH, &self.headers, &body);
        let Connection { sender, driver } = &mut self.connections[0];
        let answer = tokio::select! {
            answer = timeout(self.load.reply_timeout, driven(driver, exchange(sender, request))) => answer,
            () = self.watch.stopped() => return Ok(()),
        };
        let answer = answer.map_err(|_| nobody_answered(self.load.reply_timeout))?.map_err(|error| {
            Failure::new("the server did not answer in HTTP", "is this Purser's address?").because(error)
        })?;
        match answer.status {
            status if status.is_success() => Ok(()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let what = format!("the server wants a key that may move money: {}", answer.refusal());
                Err(Failure::new(what, "give one with --api-key or PURSER_API_KEY").into())
            }
            status => {
                let reason = format!("{} {}", status.as_u16(), answer.refusal());
                Err(refused(self.load.wallets, &reason).into())
            }
        }
    }

    async fn ask(&mut self, count: u64, order: impl Fn(u64) -> Order, is_measured: bool) -> anyhow::Result<Report> {
        let stage = Stage {
            load: self.load,
            watch: self.watch,
            orders: self.orders,
            headers: &self.headers,
            count,
            order,
            is_measured,
            sent: Cell::new(0),
            tally: RefCell::new(Tally::new()?),
        };
        let began = Instant::now();
        let mut loss = None;
        {
            let conversations =
                self.connections.iter_mut().map(|Connection { sender, driver }| driven(driver, stage.converse(sender)));
            let mut conversations: FuturesUnordered<_> = conversations.collect();
            let mut last_chance = pin!(async {
                self.watch.stopped().await;
                tokio::time::sleep(STOP_TIMEOUT).await;
            });
            loop {
                let ended = tokio::select! {
                    ended = conversations.next() => ended,
                    () = &mut last_chance => None,
                };
                match ended {
                    None => break,
                    Some(Ok(())) => {}
                    // The others go on.
                    Some(Err(lost)) => loss = loss.or(Some(lost)),
                }
            }
        }
        let (sent, is_interrupted) = (stage.sent.get(), self.watch.is_stopped());
        let tally = stage.tally.into_inner();
        if let Some(lost) = loss
            && sent < count
            && !is_interrupted
        {
            let what =
                format!("every connection to the server is lost, after {} of {count} operations", tally.answered());
            return Err(Failure::new(what, "look at the log of `purser serve`").because(lost).into());
        }
        let missing = sent - tally.answered();
        Ok(tally.report(sent, missing, is_interrupted, began))
    }
}

/// Some operations, asked over all connections.
struct Stage<'a, O> {
    load: &'a Load,
    watch: &'a Watch,
    orders: Orders<'a>,
    headers: &'a HeaderMap,
    count: u64,
    order: O,
    is_measured: bool,
    sent: Cell<u64>,
    tally: RefCell<Tally>,
}

impl<O: Fn(u64) -> Order> Stage<'_, O> {
    /// Asks one operation after the other over a connection, until there is none left or the connection is lost.
    async fn converse(&self, sender: &mut SendRequest<Full<Bytes>>) -> Result<(), Lost> {
        let mut body = String::new();
        loop {
            sender.ready().await?;
            let number = self.sent.get();
            if number == self.count || self.watch.is_stopped() {
                return Ok(());
            }
            self.sent.set(number + 1);
            body.clear();
            self.orders.write_native((self.order)(number), &mut body);
            let mut request = request(PATH, self.headers, &body);
            request.headers_mut().insert(IDEMPOTENCY_KEY, new_key());
            let began = Instant::now();
            let answer =
                timeout(self.load.reply_timeout, exchange(sender, request)).await.map_err(|_| Lost::Silent)??;
            let mut tally = self.tally.borrow_mut();
            tally.count(answer.status.as_u16(), || answer.refusal(), began.elapsed());
            if self.is_measured {
                self.watch.answered.store(tally.answered(), Relaxed);
            }
        }
    }
}

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("no answer came in time (--timeout)")]
    Silent,
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// What was said, as far as it is of interest.
struct Answer {
    status: StatusCode,
    /// Empty where the answer is yes.
    body: Bytes,
}

impl Answer {
    /// Why the answer is no.
    fn refusal(&self) -> String {
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(Problem { code, detail: Some(detail) }) => format!("{code}: {detail}"),
            Ok(Problem { code, detail: None }) => code,
            Err(_) => "without a reason".to_owned(),
        }
    }
}

/// What is read of an RFC 9457 problem.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: Option<String>,
}

/// One request and its whole answer: a connection takes the next request only after that.
async fn exchange(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
    let response = sender.send_request(request).await?;
    let status = response.status();
    let mut body = response.into_body();
    if !status.is_success() {
        return Ok(Answer { status, body: body.collect().await?.to_bytes() });
    }
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(Answer { status, body: Bytes::new() })
}

type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection: what asks, and what reads and writes while it is polled.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
}

impl Connection {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let away = || {
            let hint = "start `purser serve`; --http takes its address, http.listen otherwise";
            Failure::new(format!("Unable to connect to http://{address}"), hint)
        };
        let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(stream) => stream.map_err(|error| away().because(error))?,
            Err(_) => return Err(away().because("it did not answer in time").into()),
        };
        // A request is written at once and waits for nothing.
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver })
    }
}

/// Does `work` over the connection, reading and writing in the same task.
async fn driven<T>(driver: &mut Driver, work: impl Future<Output = T>) -> T {
    match select(pin!(work), driver).await {
        Either::Left((done, _)) => done,
        // The connection has ended: whoever waits for an answer over it is told so.
        Either::Right((_, work)) => work.await,
    }
}

fn headers(address: SocketAddr, api_key: Option<&Secret>) -> anyhow::Result<HeaderMap> {
    // One more: the idempotency key.
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(HOST, HeaderValue::try_from(address.to_string())?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(api_key) = api_key {
        // The library's own error is left out: nothing of a key is to be shown.
        let mut value = HeaderValue::try_from(format!("Bearer {}", api_key.expose()))
            .map_err(|_| Failure::new("the API key is none: it cannot stand in a header", ""))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn request(path: &'static str, headers: &HeaderMap, body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(path);
    *request.headers_mut() = headers.clone();
    request
}

fn new_key() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let key: &str = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(key).expect("a UUID can stand in a header")
}
