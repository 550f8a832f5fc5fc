//! The command line. What a command prints as its answer goes to stdout, everything about how it went to stderr.
//!
//! Exit codes: 0 done, 1 failed (or refused, or the books are wrong), 2 wrong usage, 130 interrupted.

mod bench;
mod client;
mod config;
mod connect;
mod conversation;
mod database;
mod failure;
mod import;
mod keys;
pub mod load;
mod openapi;
mod output;
mod scenario;
mod seed;
mod send;
mod serve;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::settings::{Layers, Settings};

/// What a command ends with when Ctrl-C ended it: 128 plus the number of SIGINT.
const INTERRUPTED: u8 = 130;
/// What ends a program whose reader has gone: 128 plus the number of SIGPIPE.
const READER_GONE: u8 = 141;

#[derive(Debug, Parser)]
#[command(
    name = "purser",
    version,
    about = "A wallet transaction processor: ordered per wallet, group-committed to PostgreSQL, over RabbitMQ and HTTP",
    after_help = "\
First steps:
  make services && . .local/env    bring up PostgreSQL and RabbitMQ and learn their addresses
  purser migrate                   create the tables
  purser seed                      currencies USD, RUB, EUR, USDT and wallets 1-9
  purser serve                     take operations over RabbitMQ and HTTP
  purser send invoice 1 10 USD     (in another terminal)

Settings come from the built-in defaults, then --config FILE, then the environment
(DATABASE_URL, AMQP_URL, PURSER_<SECTION>__<KEY>), then flags.
`purser config` shows what is in force and where it was set."
)]
struct Arguments {
    /// Read settings from this TOML file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take operations over RabbitMQ and HTTP until stopped
    Serve(serve::Arguments),
    /// Create the tables, or bring them up to date
    Migrate,
    /// Create or delete the whole database
    Db(database::Arguments),
    /// Add test data: currencies and wallets that are missing
    Seed(seed::Arguments),
    /// Bring wallets and opening balances from another system
    Import(import::Arguments),
    /// Make, list and revoke the keys that HTTP asks for
    Keys(keys::Arguments),
    /// Publish operations, wait for the replies, print them
    Send(send::Arguments),
    /// Measure how many operations a second go through, and how long they take
    Bench(bench::Arguments),
    /// Audit the books: recompute every balance from its entries
    Verify(verify::Arguments),
    /// Show the settings in force, with secrets hidden
    Config(config::Arguments),
    /// Print the document of the HTTP interface: OpenAPI 3.1, as /openapi.json serves it
    Openapi,
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  purser completions bash > ~/.local/share/bash-completion/completions/purser
  purser completions zsh > \"${fpath[1]}/_purser\"
  purser completions fish > ~/.config/fish/completions/purser.fish")]
struct CompletionsArguments {
    /// For which shell
    shell: clap_complete::Shell,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let Arguments { config, command } = Arguments::parse();
    let settings = || Layers::read(config.as_deref(), std::env::vars_os());
    match run(command, settings) {
        Ok(code) => code,
        Err(error) if output::is_reader_gone(&error) => ExitCode::from(READER_GONE),
        Err(error) => {
            failure::report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, layers: impl Fn() -> anyhow::Result<Layers>) -> anyhow::Result<ExitCode> {
    let settings = || -> anyhow::Result<Settings> { layers()?.settings() };
    match command {
        Command::Serve(arguments) => serve::run(layers()?, &arguments),
        Command::Migrate => block_on(database::migrate(&settings()?)),
        Command::Db(arguments) => block_on(database::run(&settings()?, &arguments)),
        Command::Seed(arguments) => block_on(seed::run(&settings()?, &arguments)),
        Command::Import(arguments) => import::run(&settings()?, &arguments),
        Command::Keys(arguments) => block_on(keys::run(&settings()?, &arguments)),
        Command::Send(arguments) => block_on(send::run(&settings()?, arguments)),
        Command::Bench(arguments) if arguments.is_over_http() => {
            block_on_this_thread(bench::run(&settings()?, arguments))
        }
        Command::Bench(arguments) => block_on(bench::run(&settings()?, arguments)),
        Command::Verify(arguments) => block_on(verify::run(&settings()?, &arguments)),
        Command::Config(arguments) => config::run(layers, &arguments),
        Command::Openapi => openapi::run(),
        Command::Completions(CompletionsArguments { shell }) => {
            // Into memory first: the generator would panic on a reader that has gone.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "purser", &mut script);
            output::write(&script)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(command);
    // A read from a terminal cannot be cancelled; it must not keep the process.
    runtime.shutdown_background();
    result
}

/// For what one task does without pause: no other thread is to be woken for each of its steps.
fn block_on_this_thread(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_declared() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_is_for() {
        for command in Arguments::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
