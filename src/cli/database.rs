//! `purser migrate` and `purser db`.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use super::failure::Failure;
use super::{connect, output};
use crate::settings::Settings;
use crate::store::{Store, administration};

/// What to do with the database.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  purser db --initdb              create the database that DATABASE_URL names, and its tables
  purser db --dropdb              delete it after asking
  purser db --dropdb --yes        delete it without asking

Both connect to the maintenance database `postgres` of the same server.
The user needs the right to create databases.")]
pub struct Arguments {
    /// Create the database and its tables; what is there already stays as it is
    #[arg(long)]
    initdb: bool,
    /// Delete the database with everything in it
    #[arg(long)]
    dropdb: bool,
    /// Delete without asking
    #[arg(long)]
    yes: bool,
}

/// Creates or deletes the database.
pub async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // The words of system 002, spaces included: its users' scripts may look for them.
    match (arguments.initdb, arguments.dropdb) {
        (true, true) => Err(Failure::new("only one of --initdb or --dropdb  parameters should be provided", "").into()),
        (false, false) => {
            Err(Failure::new("either one of --initdb or --dropdb  parameters should be provided", "").into())
        }
        (true, false) => create(settings).await,
        (false, true) => delete(settings, arguments.yes).await,
    }
}

/// Creates the tables, or brings them up to date.
pub async fn migrate(settings: &Settings) -> anyhow::Result<ExitCode> {
    migrate_tables(settings).await?;
    output::line("Database schema is up to date")?;
    Ok(ExitCode::SUCCESS)
}

async fn migrate_tables(settings: &Settings) -> anyhow::Result<()> {
    // The pool below would only say that it waited too long.
    connect::database(settings).await?;
    let store = Store::new(&settings.database)?;
    let migrated = store.migrate().await;
    store.close().await;
    migrated.map_err(connect::statement_failed)
}

async fn create(settings: &Settings) -> anyhow::Result<ExitCode> {
    let (mut connection, name) = connect::maintenance_database(settings).await?;
    if administration::database_exists(&mut connection, &name).await.map_err(connect::statement_failed)? {
        output::line("Database exists already")?;
    } else {
        administration::create_database(&mut connection, &name).await.map_err(connect::statement_failed)?;
        output::line("Database is created")?;
    }
    migrate_tables(settings).await?;
    output::line("Database schema is created")?;
    Ok(ExitCode::SUCCESS)
}

async fn delete(settings: &Settings, is_agreed: bool) -> anyhow::Result<ExitCode> {
    let (mut connection, name) = connect::maintenance_database(settings).await?;
    if !administration::database_exists(&mut connection, &name).await.map_err(connect::statement_failed)? {
        return Err(Failure::new(format!("there is no database \"{name}\""), "").into());
    }
    if !is_agreed && !is_agreed_in_terminal(settings, &name)? {
        return Err(Failure::new("nothing was deleted", "").into());
    }
    administration::drop_database(&mut connection, &name).await.map_err(connect::statement_failed)?;
    output::line("Database is dropped")?;
    Ok(ExitCode::SUCCESS)
}

fn is_agreed_in_terminal(settings: &Settings, name: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::new("deleting the database needs a yes, and there is no terminal to ask in", "add --yes").into()
        );
    }
    let mut stderr = std::io::stderr().lock();
    write!(
        stderr,
        "This deletes the database \"{name}\" at {} with every wallet, balance and entry in it.\nType its name to go on: ",
        settings.database.url
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == name)
}
