//! `purser serve`.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;

use crate::app::App;
use crate::settings::{Layers, LogFormat, Settings};
use crate::telemetry::logging::{self, Format};

/// How to serve.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  purser serve                                 with the built-in settings and DATABASE_URL, AMQP_URL
  purser serve --http 0.0.0.0:8080             reachable by others: there is no authentication yet
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
        if std::io::stderr().is_terminal() {
            eprint!("{}", what_to_try(&settings, app.http_addr()));
        }
        app.run_until_signal().await
    })?;
    Ok(ExitCode::SUCCESS)
}

fn what_to_try(settings: &Settings, http: SocketAddr) -> String {
    let mut text = format!(
        "
  Purser serves on http://{http}. Try, in another terminal:

    curl http://{http}/readyz
"
    );
    if settings.dialects.transactional_system.enabled {
        text.push_str(&format!(
            "    curl -d '{{\"wallet_id\":1,\"ticker\":\"USD\",\"amount\":10}}' http://{http}/invoice
    curl -d '{{\"wallet_id\":1}}' http://{http}/balance
"
        ));
    }
    if settings.broker.enabled {
        text.push_str(
            "    purser send withdraw --wallet 1 --currency USD --amount 2.50
    purser send balance --wallet 1
    purser bench --operations 20000 --wallets 9
",
        );
    }
    text.push_str(
        "
  No wallets yet? `purser seed` adds some. `purser verify` audits the books. Ctrl-C stops.

",
    );
    text
}
