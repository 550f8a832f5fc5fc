//! Every metric, declared once: name, help, labels, buckets. Labels come from closed sets only.

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// Seconds from 0.25 ms to 10 s, each about twice the one before: a commit on a local disk takes one, an outage ten.
const SECONDS: &[f64] =
    &[0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Operations in one commit.
const OPERATIONS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0];

/// What can panic.
const ACTORS: [&str; 2] = ["wallet", "lane"];
/// Why batches are tried again: a serialization failure, a deadlock, a lock held too long, a database that is away.
const RETRIED: [&str; 4] = ["40001", "40P01", "55P03", "connection"];

/// The metrics of one running Purser.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each metric is documented by its help text below")]
pub struct Metrics {
    registry: Registry,
    pub operations: IntCounterVec,
    pub operation_duration: HistogramVec,
    pub queue_wait: Histogram,
    pub batch_operations: Histogram,
    pub commit_duration: Histogram,
    pub wallet_actors: IntGauge,
    pub actor_panics: IntCounterVec,
    pub operations_in_flight: IntGauge,
    pub amqp_deliveries: IntCounterVec,
    pub amqp_replies: IntCounterVec,
    pub amqp_connected: IntGauge,
    pub http_requests: IntCounterVec,
    pub http_request_duration: HistogramVec,
    pub store_retries: IntCounterVec,
    pub app_queries_status: IntCounterVec,
}

impl Metrics {
    /// Declares them all in a registry of their own.
    pub fn new() -> Self {
        let declare = Declare(Registry::new());
        let metrics = Self::declared(declare);
        // What alerts watch is there from the start, at 0: an increase that is a series' first sample is none to Prometheus.
        for actor in ACTORS {
            metrics.actor_panics.with_label_values(&[actor]);
        }
        for sqlstate in RETRIED {
            metrics.store_retries.with_label_values(&[sqlstate]);
        }
        metrics
    }

    fn declared(declare: Declare) -> Self {
        Self {
            operations: declare.counters(
                "purser_operations_total",
                "Operations answered, by kind and outcome: a status, a rejection's code, or failed.",
                &["operation", "outcome"],
            ),
            operation_duration: declare.histograms(
                "purser_operation_duration_seconds",
                "From receipt of an operation to its commit.",
                &["operation"],
                SECONDS,
            ),
            queue_wait: declare.histogram(
                "purser_queue_wait_seconds",
                "From receipt of an operation to the start of the commit that holds it.",
                SECONDS,
            ),
            batch_operations: declare.histogram("purser_batch_operations", "Operations in one commit.", OPERATIONS),
            commit_duration: declare.histogram(
                "purser_commit_duration_seconds",
                "One batch: lock, read, decide, write, commit.",
                SECONDS,
            ),
            wallet_actors: declare.gauge("purser_wallet_actors", "Wallet actors that are alive."),
            actor_panics: declare.counters(
                "purser_actor_panics_total",
                "Actors that ended by a panic: a bug. Their callers were answered.",
                &["actor"],
            ),
            operations_in_flight: declare
                .gauge("purser_operations_in_flight", "Operations accepted and not yet answered."),
            amqp_deliveries: declare.counters(
                "purser_amqp_deliveries_total",
                "Deliveries settled, by queue and verdict: ack, refuse, requeue, dead_letter, park.",
                &["queue", "verdict"],
            ),
            amqp_replies: declare.counters(
                "purser_amqp_replies_total",
                "Replies published, by result: sent, or returned because their queue had vanished or their address cannot be read.",
                &["result"],
            ),
            amqp_connected: declare.gauge("purser_amqp_connected", "1 while operations are consumed from the broker."),
            http_requests: declare.counters(
                "purser_http_requests_total",
                "HTTP requests answered.",
                &["route", "method", "status"],
            ),
            http_request_duration: declare.histograms(
                "purser_http_request_duration_seconds",
                "From receipt of an HTTP request to its answer.",
                &["route"],
                SECONDS,
            ),
            store_retries: declare.counters(
                "purser_store_retries_total",
                "Batches tried again, by SQLSTATE, or connection when the database was away.",
                &["sqlstate"],
            ),
            app_queries_status: declare.counters(
                "app_queries_status_counter",
                "Replies to the clients of system 000, as its own dashboards count them.",
                &["operation", "status"],
            ),
            registry: declare.0,
        }
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("the encoder writes to memory");
        String::from_utf8(text).expect("the text format is UTF-8")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Seconds as Prometheus wants them; a duration is no money.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// A name that is declared twice, or is not a name, is a bug that every start would meet: hence the panics.
struct Declare(Registry);

impl Declare {
    fn register<C: prometheus::core::Collector + Clone + 'static>(&self, collector: prometheus::Result<C>) -> C {
        let collector = collector.expect("a metric is well declared");
        self.0.register(Box::new(collector.clone())).expect("a metric is declared once");
        collector
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(name, help))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        self.register(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_alerts_watch_is_there_at_zero_from_the_start() {
        let text = Metrics::new().render();
        for line in [
            r#"purser_actor_panics_total{actor="wallet"} 0"#,
            r#"purser_actor_panics_total{actor="lane"} 0"#,
            r#"purser_store_retries_total{sqlstate="40001"} 0"#,
            r#"purser_store_retries_total{sqlstate="connection"} 0"#,
        ] {
            assert!(text.lines().any(|candidate| candidate == line), "{line} is not in: {text}");
        }
    }
}
