//! The only place that wires the parts together, and the order in which they start and stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::broker::Broker;
use crate::engine::{Processor, expiry};
use crate::http;
use crate::ledger::Limits;
use crate::settings::{Settings, ms};
use crate::store::Store;
use crate::telemetry::Metrics;

/// Pause between attempts to reach the database at the start.
const START_PAUSE: Duration = Duration::from_millis(500);

/// What a stop may take beyond `engine.drain_timeout_ms`: the last replies, acks and HTTP answers, and the goodbyes.
const GOODBYE_GRACE: Duration = Duration::from_secs(8);

/// A running Purser.
pub struct App {
    settings: Arc<Settings>,
    store: Store,
    processor: Processor,
    stop_sweeping: watch::Sender<bool>,
    broker: Option<Broker>,
    http_addr: SocketAddr,
    http: actix_web::dev::ServerHandle,
}

impl App {
    /// Starts everything: the database first, the doors last. Needs a running actix `System`.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let settings = Arc::new(settings);
        let metrics = Arc::new(Metrics::new());
        let limits = Limits { waiting_max: settings.engine.waiting_max };
        let store = Store::new(&settings.database)?.with_limits(limits);
        // The door is taken early, so that a port in use is told before anything else happens.
        let listen = settings.http.listen;
        let listener = TcpListener::bind(listen).with_context(|| {
            format!("http.listen: {listen} cannot be listened on; free it, or set PURSER_HTTP__LISTEN")
        })?;
        let http_addr = listener.local_addr().context("http.listen has no address")?;
        prepare(&store, &settings).await?;
        http::auth::check_start(&settings.http, &store).await.context("HTTP is not safe to serve")?;

        let processor = Processor::start(store.clone(), &settings.engine, Arc::clone(&metrics));
        let broker = settings.broker.enabled.then(|| Broker::start(&settings, processor.clone(), Arc::clone(&metrics)));
        let (stop_sweeping, stop_asked) = watch::channel(false);
        actix_rt::spawn(expiry::sweep(store.clone(), processor.clone(), settings.expiry.clone(), stop_asked));
        let server = http::serve(
            listener,
            http::State {
                processor: processor.clone(),
                store: store.clone(),
                metrics,
                settings: Arc::clone(&settings),
                broker_is_consuming: broker.as_ref().map(Broker::health),
            },
        )
        .context("the HTTP server cannot start")?;
        let http = server.handle();
        actix_rt::spawn(server);
        tracing::info!(address = %http_addr, "purser serves");
        Ok(Self { settings, store, processor, stop_sweeping, broker, http_addr, http })
    }

    /// Where HTTP is served.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// The way into the engine.
    pub fn processor(&self) -> &Processor {
        &self.processor
    }

    /// Serves until SIGINT or SIGTERM, then stops; see [`Self::run_until`].
    pub async fn run_until_signal(self) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        self.run_until(async || signals.next().await).await
    }

    /// Serves until `next_signal` gives its name, then stops. A second signal ends it at once: nothing that was answered is lost by that.
    ///
    /// An engine that can do no more stops it too, and is an error: whoever supervises the process is to start it again.
    pub async fn run_until(self, mut next_signal: impl AsyncFnMut() -> &'static str) -> anyhow::Result<()> {
        let processor = self.processor.clone();
        let result = tokio::select! {
            name = next_signal() => {
                tracing::info!(signal = name, "stopping: what was accepted is finished first");
                Ok(())
            }
            () = processor.until_a_lane_died() => {
                tracing::error!("stopping: the engine has lost a lane; what the others accepted is finished first");
                Err(anyhow::anyhow!(
                    "the engine lost a lane by a panic, a bug: the log says where; what was not answered is delivered again, start Purser anew"
                ))
            }
        };
        tokio::select! {
            () = self.stop() => result,
            name = next_signal() => {
                tracing::warn!(signal = name, "stopping at once");
                anyhow::bail!("stopped before everything accepted was finished; the broker delivers it again")
            }
        }
    }

    /// Stops: no new work, what was accepted is committed and answered, then the doors close.
    ///
    /// The work has `engine.drain_timeout_ms`, all of it together; the goodbyes after it have `GOODBYE_GRACE` more. Whatever does not
    /// end in its time is left behind: a broker that blocks its publishers, for instance, takes no goodbye either.
    pub async fn stop(self) {
        let deadline = Instant::now() + ms(self.settings.engine.drain_timeout_ms);
        let end = deadline + GOODBYE_GRACE;
        self.stop_sweeping.send_replace(true);
        if let Some(broker) = &self.broker {
            within(deadline, "consuming", broker.stop_consuming()).await;
        }
        // From here on HTTP answers 503.
        let left = self.processor.drain(deadline.saturating_duration_since(Instant::now())).await;
        if left > 0 {
            tracing::warn!(operations = left, "not finished in time; the broker delivers them again");
        }
        let broker = async {
            if let Some(broker) = self.broker {
                broker.close().await;
            }
        };
        // At once, so that neither takes the other's time.
        within(end, "the doors", async { tokio::join!(broker, self.http.stop(true)) }).await;
        self.processor.stop();
        within(end, "the store", self.store.close()).await;
        tracing::info!("stopped");
    }
}

/// Waits for the end of something, but not for ever.
async fn within(deadline: Instant, what: &'static str, ending: impl Future) {
    if tokio::time::timeout_at(deadline.into(), ending).await.is_err() {
        tracing::warn!(what, "not ended in time; the stop goes on without it");
    }
}

/// Waits for the database, for a while: at a start it may well come up at the same time. Then makes the tables.
async fn prepare(store: &Store, settings: &Settings) -> anyhow::Result<()> {
    let deadline = Instant::now() + ms(settings.database.start_timeout_ms);
    while let Err(error) = store.ping().await {
        if !error.is_starting() || Instant::now() > deadline {
            return Err(error).context(
                "the database cannot be used: is it running, and is database.url (or DATABASE_URL) right? \
                 `make services` starts one",
            );
        }
        tracing::warn!("the database is not there yet");
        tokio::time::sleep(START_PAUSE).await;
    }
    if settings.database.migrate_on_start {
        store.migrate().await.context("the tables cannot be created or upgraded")?;
    }
    if !store.is_durable().await.context("the database cannot be asked how durable its commits are")? {
        tracing::error!(
            "fsync or synchronous_commit is off: what Purser acknowledges can be lost when the database crashes"
        );
    }
    Ok(())
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("SIGINT cannot be listened for")?,
            terminate: signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
