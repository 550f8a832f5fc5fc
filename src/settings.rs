//! Settings: built-in `config/purser.toml` < file < environment < flags. What each is for stands in that file.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use serde::{Deserialize, Serialize};

mod dialects;
mod layers;
mod secret;

pub use dialects::{Balance, Dialects, TransactionSystem, TransactionalSystem, Wallet, WalletTest};
pub use layers::{Layers, Origin};
pub use secret::Secret;

/// The built-in defaults, which are also the manual.
pub const DEFAULTS: &str = include_str!("../config/purser.toml");

/// The longest a PostgreSQL timeout can be. Milliseconds.
const POSTGRES_TIMEOUT_MS_MAX: u64 = 2_147_483_647;
/// More than this would make reading a line the slowest part of a credit.
const WAITING_MAX_MAX: u64 = 100_000;
/// The most a page of a list may hold: all of it is in memory at once.
const PAGE_ITEMS_MAX: u64 = 10_000;
/// AMQP allows 255 bytes; a queue's number is appended.
const BROKER_NAME_BYTES_MAX: usize = 240;

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// PostgreSQL.
    pub database: Database,
    /// RabbitMQ.
    pub broker: Broker,
    /// Actors and lanes.
    pub engine: Engine,
    /// Operations that come together.
    pub batch: Batch,
    /// Transactions whose time is up.
    pub expiry: Expiry,
    /// The HTTP server.
    pub http: Http,
    /// Logs.
    pub telemetry: Telemetry,
    /// The older systems' interfaces.
    pub dialects: Dialects,
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct Database {
    pub url: Secret,
    pub read_connections_max: u32,
    pub start_timeout_ms: u64,
    pub acquire_timeout_ms: u64,
    pub statement_timeout_ms: u64,
    pub lock_timeout_ms: u64,
    pub read_timeout_ms: u64,
    pub report_timeout_ms: u64,
    pub migrate_on_start: bool,
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct Broker {
    pub enabled: bool,
    pub url: Secret,
    pub tls_ca_file: String,
    pub operations_exchange: String,
    pub operations_queue: String,
    pub shards: u16,
    pub dead_letter: String,
    pub prefetch: u16,
    pub delivery_limit: u32,
    pub body_bytes_max: usize,
    pub reconnect_pause_max_ms: u64,
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct Engine {
    pub lanes: usize,
    pub batch_max: usize,
    pub actor_idle_timeout_ms: u64,
    pub conflict_retries_max: u32,
    pub reconnect_pause_max_ms: u64,
    pub drain_timeout_ms: u64,
    pub waiting_max: usize,
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct Batch {
    pub operations_max: usize,
    pub body_bytes_max: usize,
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct Expiry {
    pub poll_ms: u64,
    pub claim_ms: u64,
    pub batch_max: u32,
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct Http {
    pub listen: SocketAddr,
    pub auth: AuthMode,
    pub public_without_auth: bool,
    pub metrics_open: bool,
    pub key_cache_ms: u64,
    pub workers: usize,
    pub in_flight_max: usize,
    pub body_bytes_max: usize,
    pub head_bytes_max: usize,
    pub head_timeout_ms: u64,
    pub request_timeout_ms: u64,
    pub page_items_max: u32,
    pub caller_rate_max: u32,
    pub stranger_rate_max: u32,
    pub tls: Tls,
    pub jwt: Jwt,
}

impl Http {
    /// Whether a request needs a key.
    pub fn is_auth_on(&self) -> bool {
        match self.auth {
            AuthMode::Auto => self.is_public(),
            AuthMode::On => true,
            AuthMode::Off => false,
        }
    }

    /// Whether others than this machine's own programs may reach it.
    pub fn is_public(&self) -> bool {
        !self.listen.ip().to_canonical().is_loopback()
    }
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct Tls {
    pub certificate_file: String,
    pub key_file: String,
}

impl Tls {
    /// Whether HTTPS is served, instead of HTTP.
    pub fn is_on(&self) -> bool {
        !self.certificate_file.is_empty()
    }
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct Jwt {
    pub issuer: String,
    pub audience: String,
    pub jwks_url: String,
    pub scope_claim: String,
    pub scope_read: String,
    pub scope_write: String,
    pub scope_admin: String,
    pub leeway_seconds: u64,
    pub keys_cache_ms: u64,
    pub fetch_pause_ms: u64,
}

impl Jwt {
    /// Whether tokens of an identity provider are taken.
    pub fn is_on(&self) -> bool {
        !self.issuer.is_empty()
    }
}

/// When a request needs a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// On unless only this machine's own programs can reach it.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct Telemetry {
    pub log: String,
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human in a terminal, JSON elsewhere.
    Auto,
    /// For reading.
    Human,
    /// For machines.
    Json,
}

impl Settings {
    /// Reads the built-in defaults, `file` if there is one, and the environment, and checks every value.
    ///
    /// Errors name the setting, where it was set and what to do; they never hold a value that may be a secret.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        Layers::read(file, std::env::vars_os())?.settings()
    }

    /// Refuses values that cannot work, naming the setting and what to do.
    pub fn check(&self) -> anyhow::Result<()> {
        match self.problem() {
            None => Ok(()),
            Some((key, problem)) => bail!("{key} {problem}"),
        }
    }

    /// The first setting that cannot work, and why.
    fn problem(&self) -> Option<(&'static str, String)> {
        let Self { database, broker, engine, batch, expiry, http, telemetry: _, dialects } = self;
        let problems = [
            ("database.url", address_problem(&database.url, "postgres", "postgres://USER:PASSWORD@HOST:5432/DATABASE")),
            ("database.read_connections_max", at_least_one(database.read_connections_max)),
            ("database.acquire_timeout_ms", at_least_one(database.acquire_timeout_ms)),
            ("database.statement_timeout_ms", at_most(database.statement_timeout_ms, POSTGRES_TIMEOUT_MS_MAX)),
            ("database.lock_timeout_ms", at_most(database.lock_timeout_ms, POSTGRES_TIMEOUT_MS_MAX)),
            ("database.read_timeout_ms", at_most(database.read_timeout_ms, POSTGRES_TIMEOUT_MS_MAX)),
            ("database.report_timeout_ms", at_most(database.report_timeout_ms, POSTGRES_TIMEOUT_MS_MAX)),
            ("broker.url", address_problem(&broker.url, "amqp", "amqp://USER:PASSWORD@HOST:5672/%2f")),
            ("broker.operations_exchange", name_problem(&broker.operations_exchange)),
            ("broker.operations_queue", name_problem(&broker.operations_queue)),
            ("broker.shards", (broker.shards != 1).then(|| "must be 1: this version serves one queue".to_owned())),
            ("broker.dead_letter", name_problem(&broker.dead_letter)),
            // To a broker, 0 means no bound at all.
            ("broker.prefetch", at_least_one(broker.prefetch)),
            ("broker.delivery_limit", at_least_one(broker.delivery_limit)),
            ("broker.body_bytes_max", at_least_one(broker.body_bytes_max)),
            ("engine.lanes", at_least_one(engine.lanes)),
            ("engine.batch_max", at_least_one(engine.batch_max)),
            ("engine.actor_idle_timeout_ms", at_least_one(engine.actor_idle_timeout_ms)),
            ("engine.waiting_max", at_most(engine.waiting_max as u64, WAITING_MAX_MAX)),
            ("batch.operations_max", at_least_one(batch.operations_max)),
            ("batch.body_bytes_max", at_least_one(batch.body_bytes_max)),
            ("expiry.poll_ms", at_least_one(expiry.poll_ms)),
            ("expiry.claim_ms", at_least_one(expiry.claim_ms)),
            ("expiry.batch_max", at_least_one(expiry.batch_max)),
            ("http.auth", auth_problem(http)),
            ("http.workers", at_least_one(http.workers)),
            ("http.in_flight_max", at_least_one(http.in_flight_max)),
            ("http.body_bytes_max", at_least_one(http.body_bytes_max)),
            ("http.head_bytes_max", at_least_one(http.head_bytes_max)),
            ("http.tls.key_file", pair_problem(&http.tls)),
            ("http.jwt.issuer", issuer_problem(&http.jwt.issuer)),
            ("http.jwt.jwks_url", issuer_problem(&http.jwt.jwks_url)),
            ("http.jwt.audience", audience_problem(&http.jwt)),
            ("http.head_timeout_ms", at_least_one(http.head_timeout_ms)),
            ("http.request_timeout_ms", at_least_one(http.request_timeout_ms)),
            ("http.page_items_max", at_least_one(http.page_items_max)),
            ("http.page_items_max", at_most(http.page_items_max.into(), PAGE_ITEMS_MAX)),
        ];
        problems.into_iter().chain(dialects.problems()).find_map(|(key, problem)| Some((key, problem?)))
    }
}

/// Open to everybody by intent, or not at all.
fn auth_problem(http: &Http) -> Option<String> {
    (http.is_public() && !http.is_auth_on() && !http.public_without_auth).then(|| {
        format!(
            "must not be \"off\" while others can reach http.listen ({}): whoever finds it could move money. Leave it \"auto\" and make a key \
             with `purser keys create`, or listen on 127.0.0.1, or, if something in front of it asks for authentication, set http.public_without_auth",
            http.listen
        )
    })
}

fn pair_problem(tls: &Tls) -> Option<String> {
    (tls.certificate_file.is_empty() != tls.key_file.is_empty())
        .then(|| "and http.tls.certificate_file must be set together, or neither".to_owned())
}

fn issuer_problem(address: &str) -> Option<String> {
    (!address.is_empty() && !is_address_of_keys(address))
        .then(|| "must be an https:// address, or http:// on a loopback address such as 127.0.0.1".to_owned())
}

/// A token that was meant for another service must not open this one.
fn audience_problem(jwt: &Jwt) -> Option<String> {
    (jwt.is_on() && jwt.audience.is_empty())
        .then(|| "must be set with http.jwt.issuer: what the tokens for Purser have in aud".to_owned())
}

fn at_least_one<T: PartialEq + From<u8>>(value: T) -> Option<String> {
    (value == T::from(0)).then(|| "must be at least 1".to_owned())
}

fn at_most(value: u64, most: u64) -> Option<String> {
    (value > most).then(|| format!("must be at most {most}"))
}

/// Whether AMQP can have an exchange or a queue of this name. Room is left for the number of a queue.
fn name_problem(name: &str) -> Option<String> {
    (name.is_empty() || name.len() > BROKER_NAME_BYTES_MAX)
        .then(|| format!("must be a name of 1 to {BROKER_NAME_BYTES_MAX} bytes"))
}

/// An address is judged without being shown: it may hold a password in the wrong place.
fn address_problem(address: &Secret, scheme: &str, shape: &str) -> Option<String> {
    let schemes = [scheme.to_owned(), format!("{scheme}s"), format!("{scheme}ql")];
    let is_good = url::Url::parse(address.expose())
        .is_ok_and(|address| !address.cannot_be_a_base() && schemes.iter().any(|scheme| scheme == address.scheme()));
    (!is_good).then(|| {
        format!(
            "must be an address like {shape} (not shown: it may hold a password; write its special characters as %XX)"
        )
    })
}

/// Whether an address may be asked for an identity provider's keys: over TLS, or without on this machine. Whoever can change what it answers can
/// let anybody in.
pub fn is_address_of_keys(address: &str) -> bool {
    // A password in it would be shown by `purser config`.
    let is_bare = |address: &url::Url| address.username().is_empty() && address.password().is_none();
    url::Url::parse(address).is_ok_and(|address| match (address.scheme(), address.host()) {
        _ if !is_bare(&address) => false,
        ("https", Some(_)) => true,
        ("http", Some(url::Host::Ipv4(host))) => host.is_loopback(),
        ("http", Some(url::Host::Ipv6(host))) => host.is_loopback(),
        _ => false,
    })
}

/// A number of milliseconds as a duration.
pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
