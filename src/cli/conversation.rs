//! Publishes messages and pairs each with its reply.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use futures::Stream;
use futures::stream::{FuturesUnordered, StreamExt};
use lapin::options::BasicPublishOptions;
use lapin::protocol::BasicProperties;
use lapin::types::ShortString;
use lapin::{Confirmation, PublisherConfirm};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use super::client::{Client, Reply, is_unknown_exchange, publishing_failed, unroutable};
use super::failure::Failure;

/// AMQP's delivery mode for messages that survive a restart of the broker.
pub const PERSISTENT: u8 = 2;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The operation: the routing key.
    pub operation: String,
    /// JSON.
    pub body: Vec<u8>,
    /// Names the operation: asked twice under the same key, it is done once.
    pub key: String,
}

impl Message {
    /// With a key of its own.
    pub fn new(operation: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { operation: operation.into(), body: body.into(), key: Uuid::now_v7().to_string() }
    }
}

/// What came of a message.
#[derive(Debug)]
pub struct Answer {
    /// What was asked.
    pub operation: String,
    /// Under which key.
    pub key: String,
    /// What was said, or why nothing was.
    pub result: Result<Said, Unanswered>,
}

/// A reply, as it came and as it was read.
#[derive(Debug)]
pub struct Said {
    /// The reply's bytes as text.
    pub text: String,
    /// What it says, if it is a reply at all.
    pub reply: Option<Reply>,
}

/// Why a message has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It came back: no queue takes it. Nothing was done.
    Returned(String),
    /// The broker did not take it. Nothing was done.
    NotTaken,
    /// No reply came in time. It may or may not have been done: ask again under the same key.
    Silence,
}

/// How a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything was asked.
    Complete,
    /// Ctrl-C.
    Interrupted,
}

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    /// Where to publish.
    pub exchange: &'a str,
    /// The longest to wait for the next reply.
    pub timeout: Duration,
    /// The most messages without a reply at a time.
    pub window: usize,
}

/// Asks everything and gives the answers in the order of the questions, each as soon as those before it are there.
///
/// When the connection is lost, or `messages` or `each` fail, what was asked already gets its answer first where there is one.
pub async fn hold(
    client: &mut Client,
    manner: Manner<'_>,
    messages: impl Stream<Item = anyhow::Result<Message>>,
    mut each: impl FnMut(Answer) -> anyhow::Result<()>,
) -> anyhow::Result<Ending> {
    let mut messages = std::pin::pin!(messages.fuse());
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut pending = Pending::default();
    let mut confirms = FuturesUnordered::new();
    // Why no more is asked.
    let mut ending: Option<anyhow::Result<Ending>> = None;
    loop {
        for answer in pending.take_settled() {
            each(answer)?;
        }
        let is_asking = ending.is_none();
        if pending.waiting() == 0 && !is_asking {
            break;
        }
        tokio::select! {
            message = messages.next(), if is_asking && pending.waiting() < manner.window => match message {
                None => ending = Some(Ok(Ending::Complete)),
                Some(Err(error)) => ending = Some(Err(error)),
                Some(Ok(message)) => match publish(client, manner.exchange, &message).await {
                    Ok(confirm) => {
                        let correlation_id = pending.ask(message);
                        confirms.push(confirmation(confirm, correlation_id));
                    }
                    Err(failure) => {
                        pending.give_up(&Unanswered::Silence);
                        ending = Some(Err(failure));
                    }
                },
            },
            Some((correlation_id, confirmed)) = confirms.next() => match confirmed {
                Ok(Confirmation::Ack(None)) => {}
                Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) => {
                    let failure = unroutable(manner.exchange, returned.delivery.routing_key.as_str());
                    pending.settle(&correlation_id, Err(Unanswered::Returned(failure.to_string())));
                }
                Ok(Confirmation::Nack(None) | Confirmation::NotRequested) => {
                    pending.settle(&correlation_id, Err(Unanswered::NotTaken));
                }
                Err(error) => {
                    let why = if is_unknown_exchange(&error) { Unanswered::NotTaken } else { Unanswered::Silence };
                    pending.give_up(&why);
                    // The first failure is the cause, those of other messages follow from it.
                    ending = Some(match ending.take() {
                        Some(Err(first)) => Err(first),
                        _ => Err(publishing_failed(manner.exchange, error).into()),
                    });
                }
            },
            reply = client.replies.next(), if pending.waiting() > 0 => match reply {
                Some(Ok(delivery)) => {
                    let correlation_id = delivery.properties.correlation_id().as_ref().map(ShortString::as_str);
                    let reply = serde_json::from_slice(&delivery.data).ok();
                    let text = String::from_utf8_lossy(&delivery.data).into_owned();
                    pending.settle(correlation_id.unwrap_or_default(), Ok(Said { text, reply }));
                }
                Some(Err(error)) => {
                    pending.give_up(&Unanswered::Silence);
                    ending = Some(Err(publishing_failed(manner.exchange, error).into()));
                }
                None => {
                    pending.give_up(&Unanswered::Silence);
                    ending = Some(Err(Failure::new("the broker took the reply queue away", "").into()));
                }
            },
            // The first asks nothing more, the second waits for nothing more.
            Some(()) = interrupts.recv() => {
                if ending.is_some() {
                    pending.give_up(&Unanswered::Silence);
                } else {
                    ending = Some(Ok(Ending::Interrupted));
                }
            }
            // Made anew at every turn: as long as something happens, nothing is late.
            () = tokio::time::sleep(manner.timeout), if pending.waiting() > 0 => pending.give_up(&Unanswered::Silence),
        }
    }
    ending.unwrap_or(Ok(Ending::Complete))
}

async fn confirmation(confirm: PublisherConfirm, correlation_id: String) -> (String, lapin::Result<Confirmation>) {
    (correlation_id, confirm.await)
}

/// Mandatory: a message that no queue takes comes back with its confirm instead of vanishing.
async fn publish(client: &Client, exchange: &str, message: &Message) -> anyhow::Result<PublisherConfirm> {
    let name = |name: &str, what: &str| {
        ShortString::try_new(name).map_err(|_| Failure::new(format!("{what} is longer than AMQP's 255 bytes"), ""))
    };
    let key = name(&message.key, "the idempotency key")?;
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(key.clone())
        .with_correlation_id(key)
        .with_reply_to(client.reply_queue.clone());
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let routing_key = name(&message.operation, "the operation's name")?;
    let exchange_name = name(exchange, "the exchange's name")?;
    let published =
        client.confirmed.basic_publish(exchange_name, routing_key, mandatory, &message.body, properties).await;
    Ok(published.map_err(|error| publishing_failed(exchange, error))?)
}

/// What was asked and not yet told to the caller, in the order of asking.
#[derive(Default)]
struct Pending {
    asked: VecDeque<Answer>,
    /// How many answers were told already: the number of the first in `asked`.
    told: u64,
    /// Numbers of those that wait, by correlation id. Two messages may have the same key: both get a reply, in either order.
    waiting: HashMap<String, VecDeque<u64>>,
    waiting_count: usize,
    settled: BTreeMap<u64, Result<Said, Unanswered>>,
}

impl Pending {
    fn waiting(&self) -> usize {
        self.waiting_count
    }

    fn ask(&mut self, message: Message) -> String {
        let number = self.told + self.asked.len() as u64;
        self.waiting.entry(message.key.clone()).or_default().push_back(number);
        self.waiting_count += 1;
        let correlation_id = message.key.clone();
        self.asked.push_back(Answer {
            operation: message.operation,
            key: message.key,
            result: Err(Unanswered::Silence),
        });
        correlation_id
    }

    /// Takes a result for what was asked under that id. One for nothing that waits is none of ours.
    fn settle(&mut self, correlation_id: &str, result: Result<Said, Unanswered>) {
        let Some(numbers) = self.waiting.get_mut(correlation_id) else {
            return;
        };
        if let Some(number) = numbers.pop_front() {
            self.waiting_count -= 1;
            self.settled.insert(number, result);
        }
        if numbers.is_empty() {
            self.waiting.remove(correlation_id);
        }
    }

    fn give_up(&mut self, why: &Unanswered) {
        self.waiting_count = 0;
        for number in self.waiting.drain().flat_map(|(_, numbers)| numbers) {
            self.settled.insert(number, Err(why.clone()));
        }
    }

    /// The answers that can be told now.
    fn take_settled(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(result) = self.settled.remove(&self.told) {
            let Some(mut answer) = self.asked.pop_front() else {
                break;
            };
            answer.result = result;
            answers.push(answer);
            self.told += 1;
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Said, Unanswered> {
        Ok(Said { text: text.to_owned(), reply: None })
    }

    fn told(pending: &mut Pending) -> Vec<String> {
        let text = |answer: Answer| answer.result.map_or_else(|why| format!("{why:?}"), |said| said.text);
        pending.take_settled().into_iter().map(text).collect()
    }

    fn message(key: &str) -> Message {
        Message { operation: "balance".to_owned(), body: Vec::new(), key: key.to_owned() }
    }

    #[test]
    fn answers_are_told_in_the_order_of_asking() {
        let mut pending = Pending::default();
        for key in ["a", "b", "c"] {
            pending.ask(message(key));
        }
        pending.settle("c", said("third"));
        pending.settle("unknown", said("not ours"));
        assert_eq!(told(&mut pending), [""; 0]);
        pending.settle("a", said("first"));
        assert_eq!(told(&mut pending), ["first"]);
        pending.settle("b", said("second"));
        pending.settle("b", said("twice"));
        assert_eq!(told(&mut pending), ["second", "third"]);
        assert_eq!(pending.waiting(), 0);
    }

    #[test]
    fn two_messages_of_one_key_get_a_reply_each_and_silence_ends_the_rest() {
        let mut pending = Pending::default();
        for key in ["a", "a", "b"] {
            pending.ask(message(key));
        }
        pending.settle("a", said("first"));
        pending.settle("a", said("replayed"));
        pending.give_up(&Unanswered::Silence);
        assert_eq!(told(&mut pending), ["first", "replayed", "Silence"]);
        assert_eq!(pending.waiting(), 0);
    }
}
