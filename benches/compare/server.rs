//! Programs in processes of their own, as in production: Purser, the echo, the load generator.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};
use purser::settings::{Broker, Settings};
use serde::Deserialize;

use crate::baseline::echo::{self, Manner};
use crate::support::database::Scratch;

const PURSER: &str = env!("CARGO_BIN_EXE_purser");
const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Names on the broker that nobody else has.
#[derive(Clone, Debug)]
pub struct Names(String);

impl Names {
    /// Names for one server of this run.
    pub fn new(server: &str) -> Self {
        Self(format!("purser-bench.{}.{server}", std::process::id()))
    }

    /// As environment variables.
    fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("PURSER_BROKER__OPERATIONS_EXCHANGE", self.exchange()),
            ("PURSER_BROKER__OPERATIONS_QUEUE", self.0.clone()),
            ("PURSER_BROKER__DEAD_LETTER", format!("{}.dead", self.0)),
            ("PURSER_DIALECTS__TRANSACTIONAL_SYSTEM__ENABLED", "false".to_owned()),
        ]
    }

    /// Where the load goes over AMQP.
    pub fn target(&self) -> Target {
        Target::Exchange(self.exchange())
    }

    fn exchange(&self) -> String {
        self.0.clone()
    }

    /// Removes everything of these names from the broker.
    pub async fn delete(&self, broker: &Broker) -> anyhow::Result<()> {
        let connection = Connection::connect(broker.url.expose(), ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let dead = format!("{}.dead", self.0);
        for queue in [format!("{}.0", self.0), dead.clone()] {
            channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
        }
        for exchange in [self.exchange(), format!("{}.unknown", self.0), dead] {
            channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await?;
        }
        connection.close(200, "done".into()).await?;
        Ok(())
    }
}

/// A server's process. It ends with this value, at the latest.
pub struct Server {
    child: Child,
    http: String,
}

impl Server {
    /// Starts `purser serve` on a database, with what else is to be set, and waits until it takes operations.
    pub async fn purser(scratch: &Scratch, names: &Names, settings: &[(&str, String)]) -> anyhow::Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let http = format!("127.0.0.1:{port}");
        let child = Command::new(PURSER)
            .arg("serve")
            .env("DATABASE_URL", scratch.url())
            .env("PURSER_HTTP__LISTEN", &http)
            .env("PURSER_TELEMETRY__LOG", "warn")
            .envs(names.environment())
            .envs(settings.iter().map(|(name, value)| (name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{PURSER} cannot be started"))?;
        let mut server = Self { child, http };
        let deadline = Instant::now() + START_TIMEOUT;
        while !server.is_ready().await {
            ensure!(server.child.try_wait()?.is_none(), "purser ended while it was starting");
            ensure!(Instant::now() < deadline, "purser is not ready after {} s", START_TIMEOUT.as_secs());
            tokio::time::sleep(POLL).await;
        }
        Ok(server)
    }

    /// Starts the echo and waits until it consumes.
    pub fn echo(names: &Names, manner: Manner) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(manner.argument())
            .envs(names.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the echo cannot be started")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("the echo has no output")?).read_line(&mut line)?;
        ensure!(line.trim() == echo::READY, "the echo ended while it was starting");
        Ok(Self { child, http: String::new() })
    }

    /// Where the load goes over HTTP.
    pub fn target(&self) -> Target {
        Target::Http(self.http.clone())
    }

    async fn is_ready(&self) -> bool {
        match reqwest::get(format!("http://{}/readyz", self.http)).await {
            Ok(response) => response.status().is_success(),
            Err(_) => false,
        }
    }

    /// The value of a metric without labels.
    pub async fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let text = reqwest::get(format!("http://{}/metrics", self.http)).await?.text().await?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .with_context(|| format!("there is no metric {name}"))
    }

    /// Its resident memory. Bytes.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kibibytes: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok())
            .context("/proc says nothing about resident memory")?;
        Ok(kibibytes * 1024)
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let told = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        ensure!(told.success(), "a server ended before it was asked to");
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "a server did not stop within {} s", STOP_TIMEOUT.as_secs());
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has mostly ended by now; one that has not must not outlive the benchmark.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `purser bench` measured.
#[derive(Debug, Deserialize)]
pub struct Measured {
    /// Answered, a second.
    pub operations_per_second: f64,
    /// From publishing to reply. Microseconds.
    pub latency_us: Latency,
    refused: u64,
    failed: u64,
    missing: u64,
    first_refusal: Option<String>,
}

/// Microseconds.
#[derive(Debug, Deserialize)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50: u64,
}

/// What load to make.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many operations are measured.
    pub operations: u64,
    /// How many come before, unmeasured.
    pub warmup: u64,
    /// On how many wallets.
    pub wallets: i64,
    /// How many are outstanding at a time; over HTTP on as many connections.
    pub window: u32,
    /// What is asked, in the words of `purser bench`.
    pub kind: &'static str,
}

/// Where the load goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// Over AMQP, to this exchange.
    Exchange(String),
    /// To this address.
    Http(String),
}

impl Load {
    /// Runs `purser bench` against a server. Everything must be answered, and nothing refused.
    pub async fn run(self, target: &Target) -> anyhow::Result<Measured> {
        let mut command = Command::new(PURSER);
        command.args(["bench", "--kind", self.kind, "--json"]);
        let window = match target {
            Target::Exchange(exchange) => {
                command.args(["--exchange", exchange]);
                "--window"
            }
            Target::Http(address) => {
                command.args(["--http", address]);
                "--connections"
            }
        };
        for (flag, value) in [
            ("--operations", self.operations),
            ("--warmup", self.warmup),
            ("--wallets", u64::try_from(self.wallets)?),
            (window, self.window.into()),
        ] {
            command.arg(flag).arg(value.to_string());
        }
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        ensure!(output.status.success(), "purser bench failed");
        let measured: Measured = serde_json::from_slice(&output.stdout).context("purser bench printed no JSON")?;
        let Measured { refused, failed, missing, first_refusal, .. } = &measured;
        if refused + failed + missing > 0 {
            bail!("purser bench: {refused} refused, {failed} failed, {missing} missing: {first_refusal:?}");
        }
        Ok(measured)
    }
}

/// Lets `purser verify` audit a database.
pub fn verify(scratch: &Scratch) -> anyhow::Result<()> {
    let verdict = Command::new(PURSER).arg("verify").env("DATABASE_URL", scratch.url()).output()?;
    ensure!(verdict.status.success(), "the books are wrong: {}", String::from_utf8_lossy(&verdict.stdout));
    Ok(())
}

/// The broker as the settings have it.
pub fn broker() -> anyhow::Result<Broker> {
    Ok(Settings::load(None)?.broker)
}
