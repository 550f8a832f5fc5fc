//! Connecting to the database for one command, and what to say when that fails.

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use super::failure::Failure;
use crate::settings::{Settings, ms};
use crate::store;

/// One connection, made at once: unlike a pool it says why it could not be made.
pub async fn database(settings: &Settings) -> anyhow::Result<PgConnection> {
    let options = store::connect_options(&settings.database)?;
    open(settings, &options).await
}

/// The same to the server's maintenance database, and the name of the database that the settings mean.
pub async fn maintenance_database(settings: &Settings) -> anyhow::Result<(PgConnection, String)> {
    let options = store::connect_options(&settings.database)?;
    // An address without a database means the one named like the user.
    let name = options.get_database().unwrap_or(options.get_username()).to_owned();
    Ok((open(settings, &options.database("postgres")).await?, name))
}

async fn open(settings: &Settings, options: &PgConnectOptions) -> anyhow::Result<PgConnection> {
    let options = options.clone().disable_statement_logging();
    match tokio::time::timeout(ms(settings.database.acquire_timeout_ms), PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(unreachable(settings, error).into()),
        Err(_) => Err(Failure::new(away(settings), START_IT).because("it did not answer in time").into()),
    }
}

const START_IT: &str =
    "start PostgreSQL with `make services` and then run `. .local/env`; or set DATABASE_URL (database.url)";

fn away(settings: &Settings) -> String {
    format!("Unable to connect to database: {}", settings.database.url)
}

fn unreachable(settings: &Settings, error: sqlx::Error) -> Failure {
    let hint = match sqlstate(&error).as_deref() {
        // invalid_catalog_name: the server is there, the database is not
        Some("3D000") => "create it with `purser db --initdb`",
        Some("28P01" | "28000") => "the user or the password in DATABASE_URL (database.url) is not right",
        Some("53300") => "the server has no connection left: stop something, or raise its max_connections",
        _ => START_IT,
    };
    Failure::new(away(settings), hint).because(error)
}

/// Wraps the failure of a statement with a hint, where the SQLSTATE tells what to do.
pub fn statement_failed(error: impl std::error::Error + Send + Sync + 'static) -> anyhow::Error {
    let hint = match sqlstate(&error).as_deref() {
        Some("42P01") => "the tables are not there: run `purser migrate`",
        Some("42501") => "this database user may not do that; ask the owner, or use another user in DATABASE_URL",
        Some("55006") => "someone is connected to it: stop `purser serve` and every other client first",
        Some("23514") => "the data break one of the tables' own rules; `purser verify` tells more",
        _ => "",
    };
    Failure::new("QueryRow failed", hint).because(error).into()
}

/// The SQLSTATE somewhere in an error's chain.
fn sqlstate(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let database = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
        if let Some(code) = database.and_then(|error| error.code()) {
            return Some(code.into_owned());
        }
        cause = error.source();
    }
    None
}

/// The broker's address in the form that its client takes. The error does not hold it.
pub fn broker_address(settings: &crate::settings::Secret) -> anyhow::Result<lapin::uri::AMQPUri> {
    lapin::uri::AMQPUri::from_str(settings.expose()).map_err(|_| {
        Failure::new(
            "broker.url (AMQP_URL) is not an AMQP address",
            "write amqp://USER:PASSWORD@HOST:5672/%2f with the special characters of the password as %XX",
        )
        .into()
    })
}
