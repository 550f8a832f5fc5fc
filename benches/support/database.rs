//! Databases that live as long as a benchmark.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use purser::ledger::Operation;
use purser::posting::{self, Attempt};
use purser::settings::{Database, Secret, Settings};
use purser::store::Store;
use sqlx::{Connection, PgConnection};

use super::operations;

const NAME_PREFIX: &str = "purser_bench_";
/// Operations per SQL transaction while wallets are funded.
const FUNDING_BATCH: usize = 1000;

/// A database of the benchmark's own, on the server that `DATABASE_URL` names.
pub struct Scratch {
    name: String,
    url: url::Url,
    server: url::Url,
}

impl Scratch {
    /// Creates an empty database. One that an earlier benchmark left behind when it was killed is dropped.
    pub async fn create() -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("DATABASE_URL")
            .context("DATABASE_URL is not set; run `make services` and source .local/env, or use `make bench`")?;
        let server = url::Url::parse(&server).context("DATABASE_URL is not an address")?;
        let mut connection = connect(&server).await?;
        drop_left_behind(&mut connection).await?;

        let name = format!("{NAME_PREFIX}{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        execute(&mut connection, format!("CREATE DATABASE {name}")).await?;
        let mut url = server.clone();
        url.set_path(&name);
        Ok(Self { name, url, server })
    }

    /// Creates a database with Purser's tables and its currency, and opens it.
    pub async fn open() -> anyhow::Result<(Self, Store)> {
        let scratch = Self::create().await?;
        let store = Store::new(&scratch.settings()?)?;
        store.migrate().await?;
        sqlx::query("INSERT INTO currencies (code, number, scale) VALUES ($1, 1, 2)")
            .bind(super::CURRENCY)
            .execute(store.read_pool())
            .await?;
        Ok((scratch, store))
    }

    /// The built-in settings, for this database.
    pub fn settings(&self) -> anyhow::Result<Database> {
        Ok(Database { url: Secret::new(self.url()), ..Settings::load(None::<&Path>)?.database })
    }

    /// Its address, with the password.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// A connection of the benchmark's own.
    pub async fn connect(&self) -> anyhow::Result<PgConnection> {
        connect(&self.url).await
    }

    /// Drops it; its connections must be closed. Not WITH (FORCE): that needs more rights when an automatic vacuum is at work in it.
    pub async fn drop(self) -> anyhow::Result<()> {
        let mut connection = connect(&self.server).await?;
        execute(&mut connection, format!("DROP DATABASE {}", self.name)).await
    }
}

/// Adds the wallets `1..=wallets`.
pub async fn insert_wallets(store: &Store, wallets: i64) -> anyhow::Result<()> {
    sqlx::query("INSERT INTO wallets (id) SELECT generate_series(1, $1::bigint)")
        .bind(wallets)
        .execute(store.read_pool())
        .await?;
    Ok(())
}

/// Adds the wallets `1..=wallets` and gives each its first money, through posting: so the books stay true.
pub async fn fund(store: &Store, wallets: i64) -> anyhow::Result<()> {
    insert_wallets(store, wallets).await?;
    let invoices: Vec<Operation> = (1..=wallets).map(operations::funding).collect();
    for batch in invoices.chunks(FUNDING_BATCH) {
        for outcome in posting::post(store, batch, Attempt::First).await? {
            outcome.result.map_err(|refused| refused.rejection).context("an invoice was refused")?;
        }
    }
    Ok(())
}

async fn connect(url: &url::Url) -> anyhow::Result<PgConnection> {
    PgConnection::connect(url.as_str()).await.context("PostgreSQL does not answer; is DATABASE_URL right?")
}

/// Without FORCE: one that somebody is connected to belongs to a benchmark that runs now, and stays.
async fn drop_left_behind(connection: &mut PgConnection) -> anyhow::Result<()> {
    let names: Vec<String> = sqlx::query_scalar("SELECT datname FROM pg_database WHERE starts_with(datname, $1)")
        .bind(NAME_PREFIX)
        .fetch_all(&mut *connection)
        .await?;
    for name in names.into_iter().filter(|name| !is_of_a_running_process(name)) {
        // Somebody else may just drop it too.
        let _ = execute(connection, format!("DROP DATABASE IF EXISTS {name}")).await;
    }
    Ok(())
}

fn is_of_a_running_process(name: &str) -> bool {
    let process = name.trim_start_matches(NAME_PREFIX).split('_').next().unwrap_or_default();
    Path::new("/proc").join(process).exists()
}

/// Runs a statement whose words are this file's own.
async fn execute(connection: &mut PgConnection, statement: String) -> anyhow::Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}
