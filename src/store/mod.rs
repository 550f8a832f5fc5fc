//! The store: PostgreSQL through sqlx, one statement per function.
//!
//! Functions that take a [`DbTx`] are parts of a write; only [`crate::posting`] begins and commits one. Functions that take a pool read.
//! No rule lives here: what is written was decided by [`crate::ledger`].

pub mod accounts;
pub mod administration;
pub mod audit;
pub mod balances;
pub mod changes;
pub mod currencies;
mod db_tx;
pub mod directory;
mod error;
pub mod expiries;
pub mod history;
pub mod imports;
pub mod keys;
pub mod lines;
pub mod movements;
pub mod references;
pub mod reports;
pub mod scale;
pub mod seed;
pub mod services;
pub mod standings;
pub mod statements;
pub mod transactions;
pub mod wallets;

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use crate::ledger::Limits;
use crate::settings::{Database, ms};
use db_tx::Connections;

pub use db_tx::DbTx;
pub use error::{AddressError, StoreError, Trouble};

/// Set on every connection that posts, so that plans do not go wrong as tables grow.
///
/// A batch reaches every row through an index, from a list. A statement that was planned while its table was empty would otherwise keep
/// a sequential scan for as long as its connection lives; planning anew each time would cost more than many a batch. What is left: a join that
/// is planned when its table was just vacuumed empty may read a whole index, until that table is analysed again.
const PLAN_SETTINGS: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_bitmapscan", "off"),
    ("jit", "off"),
];

/// Set on every connection that posts, so that a Purser that has fallen silent does not keep its wallets locked: the server ends what it left.
const SILENCE_SETTINGS: [(&str, &str); 5] = [
    ("tcp_keepalives_idle", "10s"),
    ("tcp_keepalives_interval", "5s"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "20s"),
    ("client_connection_check_interval", "5s"),
];

/// The database as Purser uses it.
#[derive(Clone, Debug)]
pub struct Store {
    posting: Connections,
    read: PgPool,
    keys: PgPool,
    currencies: currencies::Cache,
    /// For what may take its time: no timeouts are set.
    unhurried: PgConnectOptions,
    report_timeout: Duration,
    batch_timeout: Duration,
    limits: Limits,
}

impl Store {
    /// Opens the database. Connections are made when they are first needed, so it may still be away.
    pub fn new(settings: &Database) -> Result<Self, AddressError> {
        let options = connect_options(settings)?;
        let statement_timeout = settings.statement_timeout_ms.to_string();
        let timeouts = [
            ("statement_timeout", statement_timeout.clone()),
            ("idle_in_transaction_session_timeout", statement_timeout),
            ("lock_timeout", settings.lock_timeout_ms.to_string()),
        ];
        let read_timeouts = [
            ("statement_timeout", settings.read_timeout_ms.to_string()),
            ("idle_in_transaction_session_timeout", settings.read_timeout_ms.to_string()),
            ("lock_timeout", settings.lock_timeout_ms.to_string()),
        ];
        let acquire_timeout = ms(settings.acquire_timeout_ms);
        // Compiling a plan takes longer than a page of a list.
        let read = options.clone().options(SILENCE_SETTINGS).options(read_timeouts).options([("jit", "off")]);
        let posting = options.clone().options(PLAN_SETTINGS).options(SILENCE_SETTINGS).options(timeouts);
        Ok(Self {
            posting: Connections::new(posting, acquire_timeout),
            read: PgPoolOptions::new()
                .acquire_timeout(acquire_timeout)
                .max_connections(settings.read_connections_max)
                .connect_lazy_with(read),
            keys: PgPoolOptions::new()
                .acquire_timeout(acquire_timeout)
                .max_connections(1)
                .connect_lazy_with(options.clone()),
            currencies: currencies::Cache::default(),
            unhurried: options,
            report_timeout: ms(settings.report_timeout_ms),
            batch_timeout: acquire_timeout + ms(settings.statement_timeout_ms),
            limits: Limits::default(),
        })
    }

    /// The same with these limits on operations.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What bounds an operation, beside what is in the database.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// When a batch that has not ended counts as one whose connection is dead: the server would have ended any statement of it by then.
    pub fn batch_timeout(&self) -> Duration {
        self.batch_timeout
    }

    /// Connections for reading and for administering. Their statements are ended after `database.read_timeout_ms`.
    pub fn read_pool(&self) -> &PgPool {
        &self.read
    }

    /// The longest one statement of a report may run.
    pub fn report_timeout(&self) -> Duration {
        self.report_timeout
    }

    /// A connection of its own for reading [`keys`]: long reports on the others must not keep callers out.
    pub fn key_pool(&self) -> &PgPool {
        &self.keys
    }

    /// Creates and upgrades the tables; nothing when they are there.
    pub async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        // On a connection of its own: an index on a large table takes longer than a read may.
        let mut connection = PgConnection::connect_with(&self.unhurried).await?;
        sqlx::migrate!().run(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// A connection of its own, for what holds it long: its statements have the time of a report. Dropped, it is closed.
    pub(crate) async fn connect_aside(&self) -> Result<PgConnection, StoreError> {
        let timeout = ("statement_timeout", self.report_timeout.as_millis().to_string());
        let options = self.unhurried.clone().options(SILENCE_SETTINGS).options([timeout]);
        Ok(PgConnection::connect_with(&options).await?)
    }

    /// Asks the database whether it is there.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        Ok(())
    }

    /// Whether a commit survives a crash of the database, as far as the server's settings go.
    pub async fn is_durable(&self) -> Result<bool, StoreError> {
        let is_durable = "SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off'";
        Ok(sqlx::query_scalar(is_durable).fetch_one(&self.read).await?)
    }

    /// Begins the SQL transaction of a batch.
    pub async fn begin(&self) -> Result<DbTx, StoreError> {
        self.posting.begin().await
    }

    /// The known currencies, read anew when a batch may need it.
    pub(crate) fn currencies(&self) -> &currencies::Cache {
        &self.currencies
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.posting.close().await;
        self.read.close().await;
        self.keys.close().await;
    }
}

/// How to connect.
pub fn connect_options(settings: &Database) -> Result<PgConnectOptions, AddressError> {
    PgConnectOptions::from_str(settings.url.expose())
        // Statements are measured per batch; a log line each would cost more than some of them.
        .map(|options| options.application_name("purser").disable_statement_logging())
        .map_err(|_| AddressError)
}
