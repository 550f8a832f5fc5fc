//! `purser send`: a client.

mod lines;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use futures::Stream;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::value::RawValue;

use super::client::Client;
use super::conversation::{self, Answer, Ending, Manner, Message, Unanswered};
use super::failure::Failure;
use super::{INTERRUPTED, output, scenario};
use crate::settings::Settings;

/// Messages without a reply at a time: enough to keep large batches going, far below the server's prefetch.
const WINDOW: usize = 1000;
/// From how many answers on progress is shown.
const MANY: u64 = 100;

/// What to send.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  purser send invoice --wallet 1 --currency USD --amount 10
  purser send withdraw --wallet 1 --currency USD --amount 2.50 --key order-17
  purser send transfer --wallet 1 --to-wallet 2 --currency USD --amount 1
  purser send balance --wallet 1
  purser send --file operations.jsonl
  echo '{\"operation\":\"balance\",\"wallet_id\":1}' | purser send --file -
  purser send --scenario 1      what a client of system 000 does; checks the answers

Every reply is printed as one line of JSON, in the order of the operations.
The exit code is 1 when an operation was refused or has no reply.

An operation without a reply may or may not have been applied. Send it again with the same
--key (or \"idempotency_key\" in its line): then it is applied once at most.")]
pub struct Arguments {
    /// The operation: invoice, withdraw, transfer or balance
    #[arg(required_unless_present_any = ["file", "scenario"])]
    operation: Option<String>,
    /// The wallet; of a transfer the one that pays
    #[arg(long, value_name = "N", conflicts_with_all = ["file", "scenario"], allow_negative_numbers = true)]
    wallet: Option<i64>,
    /// The wallet that a transfer pays to
    #[arg(long, value_name = "N", conflicts_with_all = ["file", "scenario"], allow_negative_numbers = true)]
    to_wallet: Option<i64>,
    /// The currency's code, such as USD
    #[arg(long, value_name = "CODE", conflicts_with_all = ["file", "scenario"])]
    currency: Option<String>,
    /// The amount in major units; passed on exactly as written
    #[arg(long, value_name = "DECIMAL", conflicts_with_all = ["file", "scenario"], allow_hyphen_values = true)]
    amount: Option<String>,
    /// The idempotency key; without it the operation gets a new one
    #[arg(long, value_name = "KEY", conflicts_with_all = ["file", "scenario"])]
    key: Option<String>,
    /// Send one operation from each line of this file: JSON objects with "operation" and its fields; - reads stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["operation", "scenario"])]
    file: Option<PathBuf>,
    /// Replay a client of system 000 on its own exchange
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["operation", "exchange"])]
    scenario: Option<Scenario>,
    /// Publish to this exchange instead of broker.operations_exchange
    #[arg(long, value_name = "NAME")]
    exchange: Option<String>,
    /// The longest to wait for the next reply. Seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
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
    if let Some(scenario) = arguments.scenario {
        let mut client = Client::connect(&settings.broker).await?;
        let manner = Manner { exchange: older_exchange, timeout, window: WINDOW };
        let code = scenario::replay(&mut client, manner, scenario).await;
        client.close().await;
        return code;
    }
    let exchange = arguments.exchange.as_ref().unwrap_or(&settings.broker.operations_exchange);
    let manner = Manner { exchange, timeout, window: WINDOW };
    let messages: Pin<Box<dyn Stream<Item = anyhow::Result<Message>>>> = match &arguments.file {
        Some(file) => Box::pin(lines::messages(lines::open(file).await?, file.display().to_string())),
        None => {
            let words = if exchange == older_exchange { Words::TransactionalSystem } else { Words::Native };
            let message = message(&arguments, words)?;
            Box::pin(futures::stream::once(async { Ok(message) }))
        }
    };
    let mut client = Client::connect(&settings.broker).await?;
    let mut printer = Printer::new(timeout)?;
    let ending = conversation::hold(&mut client, manner, messages, |answer| printer.print(&answer)).await;
    client.close().await;
    printer.finish();
    printer.verdict(ending?)
}

/// Whose names the fields have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    Native,
    TransactionalSystem,
}

/// The one operation that the arguments ask for. What does not fit together is for the server to say.
fn message(arguments: &Arguments, words: Words) -> anyhow::Result<Message> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    let currency_name = match words {
        Words::Native => "currency",
        Words::TransactionalSystem => "ticker",
    };
    fields.extend(arguments.wallet.map(|wallet| ("wallet_id", wallet.to_string())));
    fields.extend(arguments.to_wallet.map(|wallet| ("to_wallet_id", wallet.to_string())));
    if let Some(currency) = &arguments.currency {
        fields.push((currency_name, serde_json::to_string(currency)?));
    }
    if let Some(amount) = &arguments.amount {
        fields.push(("amount", literal(amount)?));
    }
    let body: Vec<String> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let operation = arguments.operation.clone().unwrap_or_default();
    let mut message = Message::new(operation, format!("{{{}}}", body.join(",")));
    if let Some(key) = &arguments.key {
        message.key.clone_from(key);
    }
    Ok(message)
}

/// A number as JSON has it, digit by digit as it was written; what is no number goes as a string, for the server to refuse.
fn literal(amount: &str) -> anyhow::Result<String> {
    let is_number = amount.starts_with(|first: char| first.is_ascii_digit() || first == '-')
        && serde_json::from_str::<&RawValue>(amount).is_ok();
    if is_number { Ok(amount.to_owned()) } else { Ok(serde_json::to_string(amount)?) }
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

    fn check(arguments: &str, words: Words, body: &str) {
        let command = Command::try_parse_from(format!("send {arguments}").split_whitespace()).unwrap();
        let message = message(&command.send, words).unwrap();
        assert_eq!(String::from_utf8(message.body).unwrap(), body);
    }

    #[test]
    fn arguments_become_a_body_with_the_amount_as_it_was_written() {
        let native = Words::Native;
        check("balance --wallet 1", native, r#"{"wallet_id":1}"#);
        check(
            "invoice --wallet 1 --currency USD --amount 1.50",
            native,
            r#"{"wallet_id":1,"currency":"USD","amount":1.50}"#,
        );
        check(
            "transfer --wallet 1 --to-wallet 2 --currency USD --amount 12345678901234567890.12345678",
            native,
            r#"{"wallet_id":1,"to_wallet_id":2,"currency":"USD","amount":12345678901234567890.12345678}"#,
        );
        check(
            "withdraw --wallet 1 --currency USD --amount -1e400",
            Words::TransactionalSystem,
            r#"{"wallet_id":1,"ticker":"USD","amount":-1e400}"#,
        );
        check("invoice --amount 007", native, r#"{"amount":"007"}"#);
        check("invoice --amount NaN", native, r#"{"amount":"NaN"}"#);
        check("invoice --amount {}", native, r#"{"amount":"{}"}"#);
    }

    #[test]
    fn what_does_not_go_together_is_wrong_usage() {
        for arguments in ["", "invoice --file x", "--scenario 3", "--scenario 1 --exchange x", "--file x --wallet 1"] {
            let parsed = Command::try_parse_from(format!("send {arguments}").split_whitespace());
            assert!(parsed.is_err(), "{arguments}");
        }
    }
}
