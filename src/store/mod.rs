//! The store: PostgreSQL through sqlx, one statement per function.
//!
//! Functions that take a [`DbTx`] are parts of a write; only [`crate::posting`] begins and commits one. Functions that take a pool read.
//! No rule lives here: what is written was decided by [`crate::ledger`].

pub mod administration;
pub mod audit;
pub mod balances;
pub mod changes;
pub mod currencies;
mod error;
pub mod seed;
pub mod transactions;
pub mod wallets;

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool};

use crate::settings::{Database, ms};

pub use error::{AddressError, StoreError, Trouble};

/// A SQL transaction: everything of one batch happens in one.
pub type DbTx = sqlx::Transaction<'static, sqlx::Postgres>;

/// Set on every connection that posts, so that no statement's plan can go wrong as tables grow.
///
/// A batch reaches every row through an index, from a list. A statement that was planned while its table was empty would otherwise keep
/// a sequential scan for as long as its connection lives; planning anew each time would cost more than many a batch.
const PLAN_SETTINGS: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_bitmapscan", "off"),
    ("jit", "off"),
];

/// The database as Purser uses it.
#[derive(Clone, Debug)]
pub struct Store {
    posting: PgPool,
    read: PgPool,
    currencies: currencies::Cache,
}

impl Store {
    /// Opens the database with one posting connection per lane. Connections are made when they are first needed, so the database may
    /// still be away.
    pub fn new(settings: &Database, lanes: usize) -> Result<Self, AddressError> {
        let options = connect_options(settings)?;
        let timeouts = [
            ("statement_timeout", settings.statement_timeout_ms.to_string()),
            ("lock_timeout", settings.lock_timeout_ms.to_string()),
        ];
        // A connection found broken shows as an error of its first statement, and the batch is tried again:
        // a ping before each batch would cost a round trip to learn the same.
        let pool = || PgPoolOptions::new().acquire_timeout(ms(settings.acquire_timeout_ms)).test_before_acquire(false);
        let lanes = u32::try_from(lanes).unwrap_or(u32::MAX);
        Ok(Self {
            posting: pool()
                .max_connections(lanes)
                .connect_lazy_with(options.clone().options(PLAN_SETTINGS).options(timeouts)),
            read: pool().max_connections(settings.read_connections_max).connect_lazy_with(options),
            currencies: currencies::Cache::default(),
        })
    }

    /// Connections for reading.
    pub fn read_pool(&self) -> &PgPool {
        &self.read
    }

    /// Creates and upgrades the tables; nothing when they are there.
    pub async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        sqlx::migrate!().run(&self.read).await
    }

    /// Asks the database whether it is there.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        Ok(())
    }

    /// Begins the SQL transaction of a batch.
    pub async fn begin(&self) -> Result<DbTx, StoreError> {
        self.posting.begin().await.map_err(StoreError::before_anything)
    }

    /// The known currencies, read anew when a batch may need it.
    pub(crate) fn currencies(&self) -> &currencies::Cache {
        &self.currencies
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.posting.close().await;
        self.read.close().await;
    }
}

/// How to connect.
pub fn connect_options(settings: &Database) -> Result<PgConnectOptions, AddressError> {
    PgConnectOptions::from_str(settings.url.expose())
        // Statements are measured per batch; a log line each would cost more than some of them.
        .map(|options| options.application_name("purser").disable_statement_logging())
        .map_err(|_| AddressError)
}
