//! The two scenarios of system 000's own test client, sent as that client sends them, with the answers its document promises.
//!
//! Its helpers empty the books first; here they stay, so the first scenario reads the balance before and computes what must follow.

use std::process::ExitCode;

use futures::stream;
use rand::Rng;
use rand::seq::SliceRandom;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Client, Reply};
use super::conversation::{self, Answer, Ending, Manner, Message};
use super::failure::Failure;
use super::send::Scenario;
use super::{INTERRUPTED, output};
use crate::ledger::Amount;

const WALLET: i64 = 1;
const TICKER: &str = "USD";
/// How often the first scenario credits 1.
const INVOICES: i64 = 5;
/// What the first scenario then asks for.
const TOO_MUCH: i64 = 50;
/// The wallets of the second scenario are 1 to this.
const WALLETS: i64 = 8;

/// Replays a scenario, prints every reply, and fails when one is missing or not the documented one.
pub async fn replay(client: &mut Client, manner: Manner<'_>, scenario: Scenario) -> anyhow::Result<ExitCode> {
    let mut talk = Talk { client, manner, is_interrupted: false };
    match scenario {
        Scenario::One => talk.one().await?,
        Scenario::Two => talk.two().await?,
    }
    if talk.is_interrupted {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    eprintln!("every answer is the documented one");
    Ok(ExitCode::SUCCESS)
}

struct Talk<'a, 'b> {
    client: &'a mut Client,
    manner: Manner<'b>,
    is_interrupted: bool,
}

impl Talk<'_, '_> {
    async fn one(&mut self) -> anyhow::Result<()> {
        let before = self.balance().await?;
        let invoices = (0..INVOICES).map(|_| money("invoice", WALLET, 1)).collect();
        for answer in self.ask(invoices).await? {
            expect_done(&answer)?;
        }
        let credited = before + Decimal::from(INVOICES);
        let is_covered = credited >= Decimal::from(TOO_MUCH);
        for answer in self.ask(vec![money("withdraw", WALLET, TOO_MUCH)]).await? {
            if is_covered {
                eprintln!("wallet {WALLET} held {before} {TICKER} already, so {TOO_MUCH} can be withdrawn");
                expect_done(&answer)?;
            } else {
                expect_not_enough(&answer, WALLET)?;
            }
        }
        let expected = if is_covered { credited - Decimal::from(TOO_MUCH) } else { credited };
        let after = self.balance().await?;
        if after != expected && !self.is_interrupted {
            let what = format!("wallet {WALLET} holds {after} {TICKER} instead of {expected}");
            return Err(Failure::new(what, "did someone else use wallet 1 at the same time?").into());
        }
        Ok(())
    }

    async fn two(&mut self) -> anyhow::Result<()> {
        let mut random = rand::rng();
        let wallet = || rand::rng().random_range(1..=WALLETS);
        let mut messages: Vec<Message> = (0..30).map(|_| money("invoice", wallet(), 1)).collect();
        messages.extend((0..40).map(|_| money("withdraw", wallet(), 1)));
        messages.extend((0..50).map(|_| balance(wallet())));
        // That client asks from many threads at once, so in any order.
        messages.shuffle(&mut random);
        for answer in self.ask(messages).await? {
            let reply = reply(&answer)?;
            match answer.operation.as_str() {
                "withdraw" if reply.code == 400 => {
                    expect_reason(&answer, reply, "there are not enough USD's on the wallet with id = ")?
                }
                "balance" => {
                    expect_done(&answer)?;
                    actual(&answer)?;
                }
                _ => expect_done(&answer)?,
            }
        }
        Ok(())
    }

    /// What the scenario's wallet can spend.
    async fn balance(&mut self) -> anyhow::Result<Decimal> {
        let answers = self.ask(vec![balance(WALLET)]).await?;
        answers.first().map_or(Ok(Decimal::ZERO), actual)
    }

    /// Asks everything at once, prints the replies and returns them. None after an interruption.
    async fn ask(&mut self, messages: Vec<Message>) -> anyhow::Result<Vec<Answer>> {
        if self.is_interrupted {
            return Ok(Vec::new());
        }
        let mut answers = Vec::new();
        let messages = stream::iter(messages.into_iter().map(Ok));
        let ending = conversation::hold(self.client, self.manner, messages, |answer| {
            if let Ok(said) = &answer.result {
                output::line(&said.text)?;
            }
            answers.push(answer);
            Ok(())
        });
        if ending.await? == Ending::Interrupted {
            self.is_interrupted = true;
            answers.clear();
        }
        Ok(answers)
    }
}

fn money(operation: &str, wallet: i64, amount: i64) -> Message {
    Message::new(operation, format!(r#"{{"wallet_id":{wallet},"ticker":"{TICKER}","amount":{amount}}}"#))
}

fn balance(wallet: i64) -> Message {
    Message::new("balance", format!(r#"{{"wallet_id":{wallet}}}"#))
}

fn reply(answer: &Answer) -> anyhow::Result<&Reply> {
    let reply = answer.result.as_ref().ok().and_then(|said| said.reply.as_ref());
    reply.ok_or_else(|| {
        let hint = "is `purser serve` running with dialects.transactional_system.enabled = true?";
        Failure::new(format!("a {} has no reply", answer.operation), hint).into()
    })
}

fn expect_done(answer: &Answer) -> anyhow::Result<()> {
    let reply = reply(answer)?;
    if reply.code == 200 && reply.reason.is_none() {
        return Ok(());
    }
    let hint = "wallets 1-9 and USD must be there: `purser seed` adds them";
    let what =
        format!("a {} was answered {} {}", answer.operation, reply.code, reply.reason.as_deref().unwrap_or_default());
    Err(Failure::new(what, hint).into())
}

fn expect_not_enough(answer: &Answer, wallet: i64) -> anyhow::Result<()> {
    let reason = format!("there are not enough {TICKER}'s on the wallet with id = {wallet} to be debited");
    expect_reason(answer, reply(answer)?, &reason)
}

fn expect_reason(answer: &Answer, reply: &Reply, reason: &str) -> anyhow::Result<()> {
    if reply.code == 400 && reply.reason.as_ref().is_some_and(|given| given.starts_with(reason)) {
        return Ok(());
    }
    let given = reply.reason.as_deref().unwrap_or("no reason");
    Err(Failure::new(format!("a {} was answered {} {given}, not 400 {reason}", answer.operation, reply.code), "")
        .into())
}

/// The actual balance in a reading's body, which is JSON in a string. Read exactly, not as a float.
fn actual(answer: &Answer) -> anyhow::Result<Decimal> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default)]
        actual_balance: std::collections::HashMap<String, &'a RawValue>,
    }
    expect_done(answer)?;
    let body = reply(answer)?.body.as_deref().unwrap_or_default();
    let wrong = || Failure::new(format!("a balance's body is {body:?}"), "");
    let body: Body<'_> = serde_json::from_str(body).map_err(|error| wrong().because(error))?;
    match body.actual_balance.get(TICKER).map(|number| number.get()) {
        None | Some("0") => Ok(Decimal::ZERO),
        Some(number) => Ok(Amount::parse(number).map_err(|error| wrong().because(error))?.value()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::conversation::{Said, Unanswered};
    use super::*;

    fn answer(operation: &str, reply: &str) -> Answer {
        let said = Said { text: reply.to_owned(), reply: serde_json::from_str(reply).ok() };
        Answer { operation: operation.to_owned(), key: String::new(), result: Ok(said) }
    }

    #[test]
    fn a_balance_is_read_exactly_from_the_string_in_the_body() {
        let check = |body: &str, expected: &str| {
            let reply = serde_json::json!({"operation": "balance", "code": 200, "body": body}).to_string();
            let got = actual(&answer("balance", &reply)).map_or_else(|_| "refused".to_owned(), |got| got.to_string());
            assert_eq!(got, expected, "{body}");
        };
        check(r#"{"actual_balance":{"USD":0.1}}"#, "0.1");
        check(r#"{"actual_balance":{"EUR":7,"USD":12345678901234567.89}}"#, "12345678901234567.89");
        check(r#"{"actual_balance":{"USD":0}}"#, "0");
        check("{}", "0");
        check("nonsense", "refused");
    }

    #[test]
    fn only_the_documented_answers_will_do() {
        assert!(expect_done(&answer("invoice", r#"{"operation":"invoice","code":200}"#)).is_ok());
        assert!(expect_done(&answer("invoice", r#"{"operation":"invoice","code":400,"reason":"no"}"#)).is_err());
        assert!(expect_done(&answer("invoice", "nonsense")).is_err());
        let silent = Answer { result: Err(Unanswered::Silence), ..answer("invoice", "") };
        assert!(expect_done(&silent).is_err());
        let refusal = |code: u16, reason: &str| {
            let reply = serde_json::json!({"operation": "withdraw", "code": code, "reason": reason}).to_string();
            expect_not_enough(&answer("withdraw", &reply), 1).is_ok()
        };
        let documented = "there are not enough USD's on the wallet with id = 1 to be debited";
        assert!(refusal(400, documented));
        assert!(!refusal(422, documented));
        assert!(!refusal(400, "amount lower then 0"));
    }
}
