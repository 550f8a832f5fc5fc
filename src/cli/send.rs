//! `purser send`: a client.

mod body;
mod lines;
mod operation;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use futures::Stream;
use indicatif::{ProgressBar, ProgressStyle};

use super::client::Client;
use super::conversation::{self, Answer, Ending, Manner, Message, Unanswered};
use super::failure::Failure;
use super::{INTERRUPTED, output, scenario};
use crate::settings::Settings;
use body::Words;
use operation::Operation;

/// Messages without a reply at a time: enough to keep large batches going, far below the server's prefetch.
const WINDOW: usize = 1000;
/// From how many answers on progress is shown.
const MANY: u64 = 100;

/// What to send.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_negates_reqs = true,
    subcommand_help_heading = "Operations",
    subcommand_value_name = "OPERATION",
    after_help = "\
Examples:
  purser send invoice 1 10 USD
  purser send balance 1
  purser send transfer 1 2 5.00 USD --key order-17
  purser send reverse 2 TRANSACTION_ID

  hold, capture 3 of it, release the rest; the first reply has the id:
  purser send withdraw 1 5.00 USD --pending --expires-in 600
  purser send confirm 1 TRANSACTION_ID 3 --keep-rest
  purser send cancel 1 TRANSACTION_ID

  many at once, and what a client of system 000 does, with its answers checked:
  purser send --file operations.jsonl
  echo '{\"operation\":\"balance\",\"wallet_id\":1}' | purser send --file -
  purser send --scenario 1

`purser send OPERATION --help` has more. Every reply is printed as one line of
JSON, in the order of the operations. The exit code is 1 when an operation was
refused or has no reply.

An operation without a reply may or may not have been applied. Send it again
with the same --key (or \"idempotency_key\" in its line): then it is applied once
at most."
)]
pub struct Arguments {
    #[command(subcommand)]
    operation: Option<Operation>,
    /// Send one operation from each line of this file: JSON objects with "operation" and its fields; - reads stdin
    #[arg(long, value_name = "FILE", required_unless_present = "scenario", conflicts_with_all = ["scenario", "key"])]
    file: Option<PathBuf>,
    /// Replay a client of system 000 on its own exchange
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["exchange", "key"])]
    scenario: Option<Scenario>,
    /// The idempotency key; without it the operation gets a new one
    #[arg(long, value_name = "KEY", global = true)]
    key: Option<String>,
    /// Publish to this exchange instead of broker.operations_exchange
    #[arg(long, value_name = "NAME", global = true)]
    exchange: Option<String>,
    /// The longest to wait for the next reply. Seconds
    #[arg(
        long,
        value_name = "SECONDS",
        global = true,
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    timeout: u64,
}

/// A client of system 000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Five credits, a withdrawal that is too large, the balance
    #[value(name = "1")]
    One,
    /// 30 credits, 40 withdrawals and 50 readings at once over eight wallets
    #[value(name = "2")]
    Two,
}

/// Sends, and prints the replies.
pub async fn run(settings: &Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let older_exchange = &settings.dialects.transactional_system.exchange;
    let timeout = Duration::from_secs(arguments.timeout);
    if arguments.operation.is_some() && (arguments.file.is_some() || arguments.scenario.is_some()) {
        return Err(
            Failure::new("--file and --scenario have their own operations", "leave out the one that is named").into()
        );
    }
    if let Some(scenario) = arguments.scenario {
        let mut client = Client::connect(&settings.broker).await?;
        let manner = Manner { exchange: older_exchange, timeout, window: WINDOW };
        let code = scenario::replay(&mut client, manner, scenario).await;
        client.close().await;
        return code;
    }
    let exchange = arguments.exchange.as_ref().unwrap_or(&settings.broker.operations_exchange);
    let manner = Manner { exchange, timeout, window: WINDOW };
    let messages: Pin<Box<dyn Stream<Item = anyhow::Result<Message>>>> = match (&arguments.operation, &arguments.file) {
        (Some(operation), _) => {
            let words = if exchange == older_exchange { Words::TransactionalSystem } else { Words::Native };
            let mut message = operation.message(words).await?;
            if let Some(key) = &arguments.key {
                message.key.clone_from(key);
            }
            Box::pin(futures::stream::once(async { Ok(message) }))
        }
        (None, Some(file)) => Box::pin(lines::messages(lines::open(file).await?, file.display().to_string())),
        (None, None) => unreachable!("clap demands an operation, a file or a scenario"),
    };
    let mut client = Client::connect(&settings.broker).await?;
    let mut printer = Printer::new(timeout)?;
    let ending = conversation::hold(&mut client, manner, messages, |answer| printer.print(&answer)).await;
    client.close().await;
    printer.finish();
    printer.verdict(ending?)
}

/// Prints answers and counts them.
struct Printer {
    timeout: Duration,
    bar: ProgressBar,
    answered: u64,
    refused: u64,
    unanswered: u64,
}

impl Printer {
    fn new(timeout: Duration) -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{spinner} {human_pos} answered, {per_sec:.0}, {elapsed}")?;
        // Both on one screen would be written over each other.
        let bar = if std::io::stdout().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        Ok(Self { timeout, bar: bar.with_style(style), answered: 0, refused: 0, unanswered: 0 })
    }

    /// One line for every operation, so that lines of the input and of the output belong together.
    fn print(&mut self, answer: &Answer) -> anyhow::Result<()> {
        match &answer.result {
            Ok(said) => {
                self.answered += 1;
                let is_success = said.reply.as_ref().is_some_and(super::client::Reply::is_success);
                self.refused += u64::from(!is_success);
                // One line, whatever whitespace a server put between.
                output::line(said.text.replace(['\r', '\n'], " "))?;
            }
            Err(why) => {
                self.unanswered += 1;
                let error = match why {
                    Unanswered::Returned(why) => why.clone(),
                    Unanswered::NotTaken => "the broker did not take it".to_owned(),
                    Unanswered::Silence => "no reply; it may or may not have been applied".to_owned(),
                };
                let line = serde_json::json!({
                    "operation": answer.operation, "idempotency_key": answer.key, "error": error,
                });
                output::line(line)?;
            }
        }
        if self.answered + self.unanswered >= MANY {
            self.bar.set_position(self.answered);
        }
        Ok(())
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn verdict(&self, ending: Ending) -> anyhow::Result<ExitCode> {
        let total = self.answered + self.unanswered;
        if ending == Ending::Interrupted {
            eprintln!(
                "interrupted: {} answered, {} refused",
                output::counted(self.answered, "operation", "operations"),
                self.refused
            );
            return Ok(ExitCode::from(INTERRUPTED));
        }
        if self.unanswered > 0 {
            let what = format!(
                "{} of {} without a reply",
                output::grouped(self.unanswered),
                output::counted(total, "operation", "operations")
            );
            let hint = format!(
                "the limit is {} s (--timeout); send them again with the same keys, then each is applied once at most",
                self.timeout.as_secs()
            );
            return Err(Failure::new(what, hint).into());
        }
        if self.refused > 0 {
            if total > 1 {
                eprintln!(
                    "{} of {} refused",
                    output::grouped(self.refused),
                    output::counted(total, "operation", "operations")
                );
            }
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        send: Arguments,
    }

    #[test]
    fn a_key_a_timeout_and_an_exchange_stand_before_or_after_the_operation() {
        for arguments in ["--key k --timeout 5 --exchange x balance 1", "balance 1 --key k --timeout 5 --exchange x"] {
            let command = Command::try_parse_from(format!("send {arguments}").split_whitespace()).unwrap();
            let Arguments { key, timeout, exchange, .. } = command.send;
            assert_eq!((key.as_deref(), timeout, exchange.as_deref()), (Some("k"), 5, Some("x")), "{arguments}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_wrong_usage() {
        for arguments in [
            "",
            "balance 1 --file x",
            "--scenario 3",
            "--scenario 1 --exchange x",
            "--file x --scenario 1",
            "--file x --key k",
        ] {
            let parsed = Command::try_parse_from(format!("send {arguments}").split_whitespace());
            assert!(parsed.is_err(), "{arguments}");
        }
    }
}
