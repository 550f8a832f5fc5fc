//! `purser serve`.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;

use super::output;
use crate::app::App;
use crate::settings::{Layers, LogFormat, Settings};
use crate::telemetry::logging::{self, Format};

/// How to serve.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  purser serve                                 with the built-in settings and DATABASE_URL, AMQP_URL
  purser serve --http 0.0.0.0:8080             reachable by others: needs keys, see `purser keys`
  purser --config purser.toml serve --no-migrate
  PURSER_BROKER__ENABLED=false purser serve    HTTP only

SIGINT or SIGTERM stops it: what was accepted is finished and answered first.
A second one stops it at once.")]
pub struct Arguments {
    /// Serve HTTP here instead of at http.listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// Leave the tables as they are
    #[arg(long)]
    no_migrate: bool,
}

/// Serves until a signal.
pub fn run(mut layers: Layers, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(address) = arguments.http {
        layers.set_flag("--http", "http.listen", address.to_string());
    }
    if arguments.no_migrate {
        layers.set_flag("--no-migrate", "database.migrate_on_start", false);
    }
    let settings = layers.settings()?;
    let format = match settings.telemetry.log_format {
        LogFormat::Auto => Format::for_this_terminal(),
        LogFormat::Human => Format::Human,
        LogFormat::Json => Format::Json,
    };
    logging::init(&settings.telemetry.log, format).context("telemetry.log (PURSER_TELEMETRY__LOG) cannot be used")?;
    actix_rt::System::new().block_on(async {
        let app = App::start(settings.clone()).await?;
        // On stdout, where answers go: the log on stderr stays readable for machines. Who sets JSON wants nothing else anywhere.
        if settings.telemetry.log_format != LogFormat::Json {
            // Nobody who reads it is no reason to end.
            output::write(what_to_try(&settings, &Surroundings::look(), app.http_addr()).as_bytes()).ok();
        }
        app.run_until_signal().await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What a line that is pasted into another terminal, in the same folder, depends on.
struct Surroundings {
    /// How the program was started, its settings file included.
    program: String,
    /// The file to source first, if this process has its addresses from there.
    addresses: Option<&'static str>,
}

/// Where `make services` leaves the addresses.
const ADDRESSES: &str = ".local/env";

impl Surroundings {
    fn look() -> Self {
        let mut arguments = std::env::args().map(|argument| quoted(&argument));
        let mut program = arguments.next().unwrap_or_else(|| "purser".to_owned());
        while let Some(argument) = arguments.next() {
            if argument == "--config" {
                program = format!("{program} --config {}", arguments.next().unwrap_or_default());
            } else if argument.starts_with("--config=") {
                program = format!("{program} {argument}");
            }
        }
        let file = std::fs::read_to_string(ADDRESSES).unwrap_or_default();
        let mut set = ["DATABASE_URL", "AMQP_URL"].into_iter().filter_map(|name| std::env::var(name).ok()).peekable();
        let is_from_there = set.peek().is_some() && set.all(|address| file.contains(&address));
        Self { program, addresses: is_from_there.then_some(ADDRESSES) }
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-+=:@%".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Every line with four spaces in front can be pasted.
fn what_to_try(settings: &Settings, surroundings: &Surroundings, http: SocketAddr) -> String {
    let Surroundings { program, addresses } = surroundings;
    let scheme = if settings.http.tls.is_on() { "https" } else { "http" };
    let key = if settings.http.is_auth_on() { "-H \"Authorization: Bearer $KEY\" " } else { "" };
    let post = |body: &str, path: &str| {
        format!("curl -s {key}-H 'content-type: application/json' -d '{body}' {scheme}://{http}/{path}")
    };
    let credit = r#"{"kind":"invoice","wallet_id":1,"currency":"USD","amount":"10"}"#;
    let mut lines = vec![
        format!("curl -s {scheme}://{http}/readyz"),
        post(credit, "v1/transactions"),
        format!("curl -s {key}{scheme}://{http}/v1/wallets/1/balances"),
    ];
    lines.extend(addresses.map(|file| format!(". {file}")));
    if settings.broker.enabled {
        lines.push(format!("{program} send invoice 1 2.50 USD"));
        lines.push(format!("{program} send balance 1"));
        lines.push(format!("{program} bench --operations 2000 --wallets 9"));
    }
    lines.push(format!("{program} verify"));
    let lines: String = lines.into_iter().map(|line| format!("    {line}\n")).collect();
    format!(
        "
  Purser serves on {scheme}://{http}; everything that can be asked is at {scheme}://{http}/docs/.
  Try, in another terminal, in this folder:

{lines}
  No wallets yet? `{program} seed` adds some. `verify` audits the books. Ctrl-C stops.

"
    )
}
