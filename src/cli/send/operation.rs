//! One operation, its fields as arguments.

use std::path::PathBuf;

use super::body::{Body, Words};
use super::lines;
use crate::cli::conversation::Message;
use crate::cli::failure::Failure;

/// What is asked, and of whom. What does not fit together is for the server to say.
#[derive(Debug, clap::Subcommand)]
pub enum Operation {
    /// Credit a wallet
    #[command(after_help = "\
Examples:
  purser send invoice 1 10 USD
  purser send invoice 1 10 USD --pending    counts when it is confirmed")]
    Invoice {
        #[command(flatten)]
        wallet: Wallet,
        #[command(flatten)]
        money: Money,
        #[command(flatten)]
        terms: Terms,
    },
    /// Debit a wallet, or hold money back on it
    #[command(after_help = "\
Examples:
  purser send withdraw 1 2.50 USD

  a hold; capture it with confirm, release it with cancel:
  purser send withdraw 1 5.00 USD --pending --expires-in 600

  paid as soon as there is enough, first in, first out:
  purser send withdraw 1 5.00 USD --wait-for-funds")]
    Withdraw {
        #[command(flatten)]
        wallet: Wallet,
        #[command(flatten)]
        money: Money,
        #[command(flatten)]
        terms: Terms,
        /// Wait for funds if there are not enough
        #[arg(long, conflicts_with = "pending")]
        wait_for_funds: bool,
    },
    /// Move money from one wallet to another
    #[command(after_help = "\
Examples:
  purser send transfer 1 2 5.00 USD    from wallet 1 to wallet 2
  purser send transfer 1 2 5.00 USD --pending")]
    Transfer {
        #[command(flatten)]
        wallet: Wallet,
        /// The wallet that receives
        #[arg(value_name = "TO_WALLET", allow_negative_numbers = true)]
        to_wallet: i64,
        #[command(flatten)]
        money: Money,
        #[command(flatten)]
        terms: Terms,
    },
    /// Finish a pending transaction, in full or in part
    #[command(after_help = "\
Examples:
  purser send confirm 1 ID                  all that is left of it
  purser send confirm 1 ID 2 --keep-rest    2 of it; the rest stays pending
  purser send confirm 1 ID 2                2 of it; the rest goes back")]
    Confirm {
        #[command(flatten)]
        about: About,
        #[command(flatten)]
        part: Part,
        /// Keep the rest pending instead of giving it back
        #[arg(long)]
        keep_rest: bool,
    },
    /// End a pending or waiting transaction; its money goes back
    Cancel {
        #[command(flatten)]
        about: About,
    },
    /// Give a pending or waiting transaction a new time to live, from now on
    Extend {
        #[command(flatten)]
        about: About,
        /// How long from now. Seconds
        #[arg(value_name = "SECONDS", allow_negative_numbers = true)]
        expires_in: i64,
    },
    /// Undo a finished transaction, in full or in part
    #[command(after_help = "\
Examples:
  purser send reverse 1 ID         all that is left of it
  purser send reverse 2 ID 1.50    a transfer is given back by who received it")]
    Reverse {
        #[command(flatten)]
        about: About,
        #[command(flatten)]
        part: Part,
    },
    /// Read what a wallet holds
    Balance {
        #[command(flatten)]
        wallet: Wallet,
    },
    /// Send many operations in one message
    #[command(after_help = "\
Examples:
  purser send batch operations.jsonl             each for itself
  purser send batch operations.jsonl --atomic    all of them or none

The lines are those of `purser send --file`, which sends each as a message of
its own.")]
    Batch {
        /// JSON objects, one a line, with \"operation\" and its fields; - reads stdin
        file: PathBuf,
        /// All of them or none
        #[arg(long)]
        atomic: bool,
    },
}

/// In whose queue it stands.
#[derive(Debug, clap::Args)]
pub struct Wallet {
    /// The wallet; of a transfer the one that pays
    #[arg(allow_negative_numbers = true)]
    pub(super) wallet: i64,
}

/// How much of what.
#[derive(Debug, clap::Args)]
pub struct Money {
    /// In major units; passed on exactly as written
    #[arg(value_name = "AMOUNT", allow_negative_numbers = true)]
    pub(super) amount: String,
    /// The currency's code, such as USD
    pub(super) currency: String,
}

/// An earlier transaction.
#[derive(Debug, clap::Args)]
pub struct About {
    /// The wallet of that transaction; of the reversal of a transfer the one that received
    #[arg(allow_negative_numbers = true)]
    pub(super) wallet: i64,
    /// Its id, as the reply to it said
    pub(super) transaction_id: String,
}

/// How much of an earlier transaction.
#[derive(Debug, clap::Args)]
pub struct Part {
    /// How much of it; all that is left when it is not said
    #[arg(allow_negative_numbers = true)]
    pub(super) amount: Option<String>,
}

/// On what terms money moves.
#[derive(Debug, clap::Args)]
pub struct Terms {
    /// Set the money aside until it is confirmed, cancelled or expired
    #[arg(long)]
    pub(super) pending: bool,
    /// How long it may stay pending or wait. Seconds
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(super) expires_in: Option<i64>,
    /// Attach a label; can be given several times
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(super) labels: Vec<(String, String)>,
    /// Attach a text for people
    #[arg(long, value_name = "TEXT")]
    pub(super) description: Option<String>,
    /// The number of the service that it pays for
    #[arg(long, value_name = "N")]
    pub(super) service: Option<i64>,
    /// Your order's id
    #[arg(long, value_name = "ID")]
    pub(super) order: Option<String>,
}

impl Operation {
    /// The message that asks it.
    pub async fn message(&self, words: Words) -> anyhow::Result<Message> {
        let mut body = Body::default();
        let word = match self {
            Self::Invoice { wallet, money, terms } => {
                body.wallet(wallet.wallet).money(money, words).terms(terms);
                "invoice"
            }
            Self::Withdraw { wallet, money, terms, wait_for_funds } => {
                body.wallet(wallet.wallet).money(money, words).flag("wait_for_funds", *wait_for_funds).terms(terms);
                "withdraw"
            }
            Self::Transfer { wallet, to_wallet, money, terms } => {
                body.wallet(wallet.wallet).json("to_wallet_id", to_wallet).money(money, words).terms(terms);
                "transfer"
            }
            Self::Confirm { about, part, keep_rest } => {
                body.about(about).part(part);
                if *keep_rest {
                    body.json("final", "false");
                }
                "confirm"
            }
            Self::Cancel { about } => {
                body.about(about);
                "cancel"
            }
            Self::Extend { about, expires_in } => {
                body.about(about).json("expires_in", expires_in);
                "extend"
            }
            Self::Reverse { about, part } => {
                body.about(about).part(part);
                "reverse"
            }
            Self::Balance { wallet } => {
                body.wallet(wallet.wallet);
                "balance"
            }
            Self::Batch { file, atomic } => {
                let operations = lines::all(lines::open(file).await?, &file.display().to_string()).await?;
                if operations.is_empty() {
                    return Err(Failure::new(format!("{} has no operations", file.display()), "").into());
                }
                body.flag("atomic", *atomic).json("operations", format_args!("[{}]", operations.join(",")));
                "batch"
            }
        };
        Ok(Message::new(word, body.finish()))
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a label is written NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(subcommand)]
        operation: Operation,
    }

    async fn check(arguments: &str, words: Words, expected: &str) {
        let command = Command::try_parse_from(format!("send {arguments}").split_whitespace()).unwrap();
        let message = command.operation.message(words).await.unwrap();
        assert_eq!(format!("{} {}", message.operation, String::from_utf8(message.body).unwrap()), expected);
    }

    #[tokio::test]
    async fn arguments_become_a_body_with_the_amount_as_it_was_written() {
        let native = Words::Native;
        check("balance 1", native, r#"balance {"wallet_id":1}"#).await;
        check("invoice 1 1.50 USD", native, r#"invoice {"wallet_id":1,"currency":"USD","amount":1.50}"#).await;
        check(
            "transfer 1 2 12345678901234567890.12345678 USD",
            native,
            r#"transfer {"wallet_id":1,"to_wallet_id":2,"currency":"USD","amount":12345678901234567890.12345678}"#,
        )
        .await;
        check(
            "withdraw 1 -1e400 USD",
            Words::TransactionalSystem,
            r#"withdraw {"wallet_id":1,"ticker":"USD","amount":-1e400}"#,
        )
        .await;
        check("invoice 1 007 USD", native, r#"invoice {"wallet_id":1,"currency":"USD","amount":"007"}"#).await;
        check("invoice 1 NaN USD", native, r#"invoice {"wallet_id":1,"currency":"USD","amount":"NaN"}"#).await;
    }

    #[tokio::test]
    async fn every_operation_has_its_words() {
        for (arguments, expected) in [
            (
                "withdraw 1 5 USD --pending --expires-in 600 --label shop=7 --label a=b=c --order o-1 --service 3",
                r#"withdraw {"wallet_id":1,"currency":"USD","amount":5,"pending":true,"expires_in":600,"labels":{"shop":"7","a":"b=c"},"order_id":"o-1","service_id":3}"#,
            ),
            (
                "withdraw 1 5 USD --wait-for-funds",
                r#"withdraw {"wallet_id":1,"currency":"USD","amount":5,"wait_for_funds":true}"#,
            ),
            ("confirm 1 x", r#"confirm {"wallet_id":1,"transaction_id":"x"}"#),
            ("confirm 1 x --keep-rest", r#"confirm {"wallet_id":1,"transaction_id":"x","final":false}"#),
            (
                "confirm 1 x 2.0 --keep-rest",
                r#"confirm {"wallet_id":1,"transaction_id":"x","amount":2.0,"final":false}"#,
            ),
            ("cancel 1 x", r#"cancel {"wallet_id":1,"transaction_id":"x"}"#),
            ("extend 1 x 60", r#"extend {"wallet_id":1,"transaction_id":"x","expires_in":60}"#),
            ("reverse 2 x 1.5", r#"reverse {"wallet_id":2,"transaction_id":"x","amount":1.5}"#),
        ] {
            check(arguments, Words::Native, expected).await;
        }
    }

    #[test]
    fn what_cannot_be_asked_is_wrong_usage() {
        for arguments in
            ["", "deposit 1", "withdraw 1", "withdraw 1 5 USD --pending --wait-for-funds", "invoice 1 5 USD --label x"]
        {
            assert!(Command::try_parse_from(format!("send {arguments}").split_whitespace()).is_err(), "{arguments}");
        }
    }
}
