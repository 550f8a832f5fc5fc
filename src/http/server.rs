//! The server: what is served where, and the limits that no client can talk it out of.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::KeepAlive;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::auth::{self, Auth, Rule};
use super::endpoint::Endpoint;
use super::error::Unserved;
use super::submit::Gate;
use super::{dialects, endpoint, error, measure, ops, tls, v1};
use crate::engine::Processor;
use crate::settings::{Settings, ms};
use crate::store::Store;
use crate::telemetry::Metrics;

/// An idle connection is kept this long: longer than the usual client pool keeps one, so that the client closes it first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A connection that the server ends gets this long to read its answer and to stop sending.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// When the server is stopped, the engine has answered every operation or given it up; what is left is to send bytes.
const SHUTDOWN_TIMEOUT_SECONDS: u64 = 5;
/// Connections per worker: with the body limit it bounds the memory that requests can hold before they are operations.
const CONNECTIONS_PER_WORKER_MAX: usize = 4096;
/// Reports may take one of so many connections for reading, and one at least: each step of a report may take minutes, and clients who pay read over the
/// same connections.
const READ_CONNECTIONS_PER_REPORT: u32 = 4;

/// What the routes need of the rest of Purser.
#[derive(Clone)]
pub struct State {
    /// Takes the operations.
    pub processor: Processor,
    /// For reading, and for administering wallets, currencies and services. Money moves through the processor.
    pub store: Store,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// The limits, and which dialects are spoken.
    pub settings: Arc<Settings>,
    /// Whether operations are consumed from the broker now; `None` when the broker is switched off.
    pub broker_is_consuming: Option<Arc<AtomicBool>>,
}

/// What all workers share.
pub(super) struct Context {
    pub state: State,
    pub auth: Auth,
    pub gate: Gate,
    /// One for each report that may be made at once, by whatever route.
    pub reports: Arc<Semaphore>,
    pub readiness: ops::Readiness,
}

impl Context {
    pub fn new(state: State) -> Self {
        measure::start_at_zero(&state);
        let http = &state.settings.http;
        let gate = Gate::new(http.in_flight_max, ms(http.request_timeout_ms));
        let auth = Auth::new(http, state.store.clone(), access(&state.settings));
        let reports_max = (state.settings.database.read_connections_max / READ_CONNECTIONS_PER_REPORT).max(1);
        let reports =
            Arc::new(Semaphore::new(usize::try_from(reports_max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)));
        Self { state, auth, gate, reports, readiness: ops::Readiness::default() }
    }

    /// Lets a report begin, or turns it away at once.
    pub fn admit_report(&self) -> Result<OwnedSemaphorePermit, Unserved> {
        Arc::clone(&self.reports).try_acquire_owned().map_err(|_| Unserved::ReportsBusy)
    }
}

/// Starts serving on `listener`. The server is a future: it serves while it is awaited or spawned, and ends by its handle's `stop(true)`, which
/// closes idle connections at once and lets the others have their answer. Signals are the caller's to watch.
///
/// # Errors
/// When the listener cannot be used, or what HTTPS needs is not there.
pub fn serve(listener: TcpListener, state: State) -> std::io::Result<Server> {
    start(listener, state, SHUTDOWN_TIMEOUT_SECONDS)
}

pub(super) fn start(listener: TcpListener, state: State, shutdown_timeout_seconds: u64) -> std::io::Result<Server> {
    let settings = Arc::clone(&state.settings);
    let context = Data::new(Context::new(state));
    let app = move || {
        App::new()
            .wrap(from_fn(auth::guard))
            .wrap(from_fn(measure::measure))
            .app_data(context.clone())
            .configure(|routes| configure(routes, &context.state.settings))
    };
    let server = HttpServer::new(app)
        .workers(settings.http.workers)
        .max_connections(CONNECTIONS_PER_WORKER_MAX)
        .client_request_timeout(ms(settings.http.head_timeout_ms))
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
        .shutdown_timeout(shutdown_timeout_seconds)
        .tls_handshake_timeout(ms(settings.http.head_timeout_ms))
        .disable_signals();
    let tls = tls::server_config(&settings.http.tls).map_err(std::io::Error::other)?;
    Ok(match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls)?.run(),
        None => server.listen(listener)?.run(),
    })
}

/// What every route asks of its caller: each module of routes says it of its own. What is missing here is for administrators.
pub(super) fn access(settings: &Settings) -> Vec<Rule> {
    let dialects = dialects::served(&settings.dialects).flat_map(|dialect| dialect.endpoints);
    ops::access(&settings.http).into_iter().chain(dialects.map(Endpoint::rule)).chain(v1::access()).collect()
}

/// A refusal in the words of whoever is served at `pattern`.
pub(super) fn refuse(context: &Context, pattern: Option<&str>, unserved: Unserved) -> HttpResponse {
    let in_dialect = pattern.and_then(|path| dialects::refuse_at(context, path, unserved));
    in_dialect.unwrap_or_else(|| error::problem(unserved))
}

/// Everything that is served.
pub(super) fn configure(routes: &mut web::ServiceConfig, settings: &Settings) {
    routes.configure(ops::configure);
    routes.configure(v1::configure);
    for dialect in dialects::served(&settings.dialects) {
        endpoint::configure(routes, dialect.endpoints);
    }
    routes.default_service(web::to(error::route_unknown));
}
