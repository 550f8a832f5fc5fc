//! For those who run Purser: is it alive, can it work, what does it do.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{self, Data};
use actix_web::{HttpResponse, Route, guard};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::auth::Rule;
use super::error;
use super::server::Context;
use crate::settings;

/// A database that has not answered a ping by then is away for those who wait for an answer.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the answer to a ping is given again: however often `/readyz` is asked, the database is asked once in this time.
const PING_FRESH: Duration = Duration::from_secs(1);
/// The text format that Prometheus reads.
const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const READ_METHODS: &str = "GET, HEAD";

/// What each route asks of its caller. Probes have no key; what the metrics tell is for who may look, unless `http.metrics_open` says otherwise.
pub fn access(settings: &settings::Http) -> [Rule; 3] {
    let metrics = if settings.metrics_open { Rule::open } else { Rule::read };
    [Rule::open("GET", "/healthz"), Rule::open("GET", "/readyz"), metrics("GET", "/metrics")]
}

pub fn configure(routes: &mut web::ServiceConfig) {
    let serve = |path: &str, handler: fn() -> Route| {
        let wrong_method = web::to(|| async { error::method_not_allowed(READ_METHODS) });
        let is_read = guard::Any(guard::Get()).or(guard::Head());
        web::resource(path).route(handler().guard(is_read)).default_service(wrong_method)
    };
    routes
        .service(serve("/healthz", || web::to(healthz)))
        .service(serve("/readyz", || web::to(readyz)))
        .service(serve("/metrics", || web::to(metrics)));
}

/// The process is alive and answers; it says nothing about what it depends on, so that an outage elsewhere restarts nobody.
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(serde_json::json!({ "status": "alive" }))
}

/// Whether operations can be served now: 200, or 503 with what is missing.
async fn readyz(context: Data<Context>) -> HttpResponse {
    let state = &context.state;
    let ping = async { matches!(timeout(PING_TIMEOUT, state.store.ping()).await, Ok(Ok(()))) };
    let report = Report::new(
        context.readiness.ping(ping).await,
        state.broker_is_consuming.as_ref().map(|is_consuming| is_consuming.load(Ordering::Relaxed)),
    );
    // A server that is stopping takes no more operations, however well its dependencies are.
    let report = Report { ready: report.ready && !state.processor.is_closed(), ..report };
    let mut response = if report.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header((CACHE_CONTROL, "no-store")).json(report)
}

async fn metrics(context: Data<Context>) -> HttpResponse {
    HttpResponse::Ok().content_type(METRICS_CONTENT_TYPE).body(context.state.metrics.render())
}

/// What `/readyz` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Report {
    ready: bool,
    dependencies: Dependencies,
}

/// `up`, `down`, or `off` for what is switched off by a setting. The broker is up while operations are consumed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Dependencies {
    database: &'static str,
    broker: &'static str,
}

impl Report {
    fn new(database_is_up: bool, broker_is_consuming: Option<bool>) -> Self {
        let word = |is_up| if is_up { "up" } else { "down" };
        let broker = broker_is_consuming.map_or("off", word);
        Self {
            ready: database_is_up && broker_is_consuming != Some(false),
            dependencies: Dependencies { database: word(database_is_up), broker },
        }
    }
}

/// Remembers the last ping. One is under way at most; whoever asks meanwhile gets its answer.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    async fn ping(&self, ping: impl Future<Output = bool>) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, is_up)) = *last
            && at.elapsed() < PING_FRESH
        {
            return is_up;
        }
        let is_up = ping.await;
        *last = Some((Instant::now(), is_up));
        is_up
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn it_is_ready_when_nothing_it_needs_is_missing() {
        let check = |database_is_up, broker_is_consuming, ready, database, broker| {
            let expected = Report { ready, dependencies: Dependencies { database, broker } };
            assert_eq!(Report::new(database_is_up, broker_is_consuming), expected);
        };
        check(true, Some(true), true, "up", "up");
        check(true, None, true, "up", "off");
        check(false, Some(true), false, "down", "up");
        check(true, Some(false), false, "up", "down");
        check(false, None, false, "down", "off");
    }

    #[actix_web::test]
    async fn many_probes_ask_the_database_once() {
        let readiness = Readiness::default();
        let pings = Cell::new(0);
        let probes = (0..100).map(|_| {
            readiness.ping(async {
                pings.set(pings.get() + 1);
                tokio::task::yield_now().await;
                true
            })
        });
        assert!(futures::future::join_all(probes).await.into_iter().all(|is_up| is_up));
        assert_eq!(pings.get(), 1);
    }
}
