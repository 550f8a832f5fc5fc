//! `purser keys`: who may ask over HTTP.

use std::process::ExitCode;

use anyhow::Context;

use super::failure::Failure;
use super::{connect, output};
use crate::http::KeySecret;
use crate::settings::Settings;
use crate::store::keys::{self, IN_USE_MAX, ListedKey, Scope};

/// What to do with keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  purser keys create --name shop --scope write
  KEY=$(purser keys create --name report --scope read --good-for-days 90)
  curl -H \"Authorization: Bearer $KEY\" https://purser.example/balance ...
  purser keys list
  purser keys revoke 3

To replace a key, create the new one, give it to its user, and revoke the old one.")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a key and print it: it is shown this once
    Create {
        /// For whom it is, for people
        #[arg(long)]
        name: String,
        /// What it allows: read; write, which moves money too; admin, which does everything
        #[arg(long, value_parser = ["read", "write", "admin"])]
        scope: String,
        /// After this many days it stops working by itself
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i32).range(1..=36_500))]
        good_for_days: Option<i32>,
    },
    /// List every key there ever was; the keys themselves are not known any more
    List,
    /// Make a key stop working
    Revoke {
        /// Its number: `purser keys list` shows it, and it stands in the key itself
        #[arg(value_name = "NUMBER")]
        id: i64,
    },
}

/// Does it.
pub async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.action {
        Action::Create { name, scope, good_for_days } => create(settings, name, scope.parse()?, *good_for_days).await,
        Action::List => list(settings).await,
        Action::Revoke { id } => revoke(settings, *id).await,
    }
}

async fn create(settings: &Settings, name: &str, scope: Scope, good_for_days: Option<i32>) -> anyhow::Result<ExitCode> {
    if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Failure::new("a key's name has 1 to 100 characters, none of them a control character", "").into());
    }
    let secret = KeySecret::random().context("the operating system has no randomness to give")?;
    let mut connection = connect::database(settings).await?;
    let inserted = keys::insert(&mut connection, name, secret.hash(), scope, good_for_days).await;
    let Some(id) = inserted.map_err(connect::statement_failed)? else {
        let what = format!("{IN_USE_MAX} keys are in use, which is as many as there can be");
        return Err(Failure::new(what, "revoke those that nobody needs: `purser keys list`").into());
    };
    // Alone on stdout, so that a script can take it.
    output::line(secret.with_number(id))?;
    eprintln!("Key {id} is made, with the scope {scope}. It is not shown again: keep it now, where secrets are kept.");
    Ok(ExitCode::SUCCESS)
}

async fn list(settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut connection = connect::database(settings).await?;
    let keys = keys::list(&mut connection).await.map_err(connect::statement_failed)?;
    output::line(row(["number", "scope", "state", "made", "until", "name"]))?;
    for key in &keys {
        let id = key.id.to_string();
        let until = key.revoked_at.as_ref().or(key.expires_at.as_ref()).map_or("-", String::as_str);
        output::line(row([&id, &key.scope, state(key), &key.created_at, until, &key.name]))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row([id, scope, state, made, until, name]: [&str; 6]) -> String {
    format!("{id:>6}  {scope:<5}  {state:<7}  {made:<20}  {until:<20}  {name}")
}

fn state(key: &ListedKey) -> &'static str {
    match (&key.revoked_at, key.is_expired) {
        (Some(_), _) => "revoked",
        (None, true) => "expired",
        (None, false) => "in use",
    }
}

async fn revoke(settings: &Settings, id: i64) -> anyhow::Result<ExitCode> {
    let mut connection = connect::database(settings).await?;
    let milliseconds = settings.http.key_cache_ms;
    match keys::revoke(&mut connection, id).await.map_err(connect::statement_failed)? {
        None => Err(Failure::new(format!("there is no key {id}"), "`purser keys list` shows every one").into()),
        Some(true) => {
            output::line(format!(
                "Key {id} is revoked: within {milliseconds} ms (http.key_cache_ms) nobody takes it any more"
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(false) => {
            output::line(format!("Key {id} was revoked already"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
