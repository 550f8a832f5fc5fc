//! A fresh, migrated and seeded database for each test.

use purser::settings::{Secret, Settings};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::{block_on_aside, database_url, unique};

/// The database of one test. It is dropped at the end; that of a failed test stays, and its name is printed.
#[derive(Debug)]
pub struct TestDatabase {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Connections for the test's own questions.
    pub pool: PgPool,
    /// Where the server's own database is.
    server_url: String,
}

impl TestDatabase {
    /// With the wallets 1 to 9 of system 000.
    pub async fn create() -> Self {
        Self::with_wallets(9).await
    }

    /// With the wallets 1 to `wallets` and the currencies USD (2 decimals), RUB (2), EUR (2) and USDT (6).
    pub async fn with_wallets(wallets: i64) -> Self {
        Self::on_server(&database_url(), wallets).await
    }

    /// The same on another server than the tests' own.
    pub async fn on_server(server_url: &str, wallets: i64) -> Self {
        let database = Self::empty_on_server(server_url).await;
        sqlx::migrate!("./migrations").run(&database.pool).await.expect("the migrations run on an empty database");
        sqlx::query(
            "INSERT INTO currencies (code, number, scale)
             VALUES ('USD', 1, 2), ('RUB', 2, 2), ('EUR', 5, 2), ('USDT', 6, 6)",
        )
        .execute(&database.pool)
        .await
        .expect("the currencies are new");
        sqlx::query("INSERT INTO wallets (id) SELECT generate_series(1, $1)")
            .bind(wallets)
            .execute(&database.pool)
            .await
            .expect("the wallets are new");
        database
    }

    /// With nothing in it, not even tables.
    pub async fn empty() -> Self {
        Self::empty_on_server(&database_url()).await
    }

    async fn empty_on_server(server_url: &str) -> Self {
        let name = unique("purser_test");
        administer(server_url, format!("CREATE DATABASE {name}")).await.expect("the role may create databases");
        let mut url = url::Url::parse(server_url).expect("DATABASE_URL is a URL");
        url.set_path(&name);
        let options: PgConnectOptions = url.as_str().parse().expect("DATABASE_URL is a PostgreSQL address");
        let options = options.application_name("purser-test");
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(options);
        Self { name, url: url.into(), pool, server_url: server_url.to_owned() }
    }

    /// The default settings, with this database.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::load(None).expect("the default settings are valid");
        settings.database.url = Secret::new(&self.url);
        settings
    }

    /// Runs one statement of the test's own.
    pub async fn execute(&self, sql: impl Into<String>) -> u64 {
        let sql: String = sql.into();
        match self.pool.execute(AssertSqlSafe(sql.clone())).await {
            Ok(done) => done.rows_affected(),
            Err(error) => panic!("{error}: {sql}"),
        }
    }

    /// The first column of the only row, as text: `fetch("SELECT count(*) FROM entries")`.
    pub async fn fetch(&self, sql: impl Into<String>) -> String {
        let sql = format!("SELECT (({}))::text", sql.into());
        match sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(sql.clone())).fetch_one(&self.pool).await {
            Ok(value) => value.unwrap_or_else(|| "NULL".to_owned()),
            Err(error) => panic!("{error}: {sql}"),
        }
    }

    /// What a wallet can spend, as text without trailing zeros; `0` if it never held any.
    pub async fn available(&self, wallet: i64, currency: &str) -> String {
        self.fetch(format!(
            "SELECT trim_scale(coalesce(sum(available), 0)) FROM balances
             WHERE wallet_id = {wallet} AND currency = '{currency}'"
        ))
        .await
    }

    /// Ends every connection to this database but the test's own, as a restart of the server would.
    pub async fn terminate_connections(&self) {
        let terminate = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = '{}' AND backend_type = 'client backend' AND application_name <> 'purser-test'",
            self.name
        );
        administer(&self.server_url, terminate).await.expect("the role may end its own connections");
    }

    /// Changes the database itself: `alter("ALLOW_CONNECTIONS false")`. Those who are connected stay, see [`Self::terminate_connections`].
    pub async fn alter(&self, change: &str) {
        let alter = format!("ALTER DATABASE {} {change}", self.name);
        administer(&self.server_url, alter).await.expect("the role owns its databases");
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the test's database stays for a look: {}", self.name);
            return;
        }
        let (server_url, drop) = (self.server_url.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        let dropped = block_on_aside(async move { administer(&server_url, drop).await });
        if let Err(error) = dropped {
            eprintln!("the database {} could not be dropped: {error}", self.name);
        }
    }
}

/// Runs a statement on the server's own database.
async fn administer(server_url: &str, sql: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(server_url).await?;
    connection.execute(AssertSqlSafe(sql)).await?;
    connection.close().await
}
