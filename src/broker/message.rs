//! From a delivery to what is asked: whose words, which key, and whether it may be applied at all. Pure.

use lapin::BasicProperties;
use lapin::types::ShortString;
use uuid::Uuid;

use crate::ledger::Operation;
use crate::wire::{self, Asked, Dialect, Limits, Message, Refusal};

/// What a delivery turns out to be.
#[derive(Debug)]
pub(super) enum Intake {
    /// Hand it to the engine.
    Submit(Operation),
    /// Hand each of them to the engine.
    SubmitEach(Vec<Result<Operation, Refusal>>),
    /// It is no operation.
    Refused(Refusal),
    /// It came again without a key: it may have been applied before, so it must not be applied.
    Ambiguous,
}

/// What is looked at of a delivery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    pub(super) dialect: Dialect,
    pub(super) routing_key: &'a str,
    pub(super) redelivered: bool,
    pub(super) properties: &'a BasicProperties,
    pub(super) body: &'a [u8],
}

/// A message that was published to system 000's exchange is in its words; the exchange in a delivery is the one it was published to.
pub(super) fn dialect_of(exchange: &str, system_000: Option<&str>) -> Dialect {
    if system_000 == Some(exchange) { Dialect::TransactionalSystem } else { Dialect::Native }
}

/// Where the reply goes, if one is wanted.
pub(super) fn reply_to(properties: &BasicProperties) -> Option<&ShortString> {
    properties.reply_to().as_ref().filter(|queue| !queue.as_str().is_empty())
}

/// Reads a delivery.
pub(super) fn read(envelope: Envelope<'_>, limits: Limits) -> Intake {
    let message = Message {
        dialect: envelope.dialect,
        operation: envelope.routing_key,
        content_type: envelope.properties.content_type().as_ref().map(ShortString::as_str),
        body: envelope.body,
        idempotency_key: key(envelope.properties),
    };
    match wire::decode(&message, limits) {
        Ok(Asked::Operation(operation)) if envelope.redelivered && is_ambiguous(&operation) => Intake::Ambiguous,
        Ok(Asked::Operation(operation)) => Intake::Submit(operation),
        Ok(Asked::Each(each)) if envelope.redelivered && each.iter().flatten().any(is_ambiguous) => Intake::Ambiguous,
        Ok(Asked::Each(each)) => Intake::SubmitEach(each),
        Err(refusal) => Intake::Refused(refusal),
    }
}

/// The caller's name for the operation: the message's id, else a correlation id that is a UUID. Others, such as a running number, are
/// only unique to one run of a client. An empty one is none.
fn key(properties: &BasicProperties) -> Option<&str> {
    let message_id = properties.message_id().as_ref().map(ShortString::as_str).filter(|id| !id.is_empty());
    let correlation_id = properties.correlation_id().as_ref().map(ShortString::as_str);
    message_id.or_else(|| correlation_id.filter(|id| Uuid::try_parse(id).is_ok()))
}

/// Whether doing it twice would differ from doing it once. Looking at a balance is harmless.
fn is_ambiguous(operation: &Operation) -> bool {
    operation.idempotency_key.is_none() && operation.request.is_write()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "6f1c1f0e-5a53-4e0c-9f8e-0a1b2c3d4e5f";

    /// What becomes of a message with these ids: the key it is submitted under, or where it ends.
    fn check(redelivered: bool, (message_id, correlation_id): (&str, &str), body_key: &str, expected: &str) {
        for operation in ["invoice", "balance"] {
            let body = format!(r#"{{"wallet_id":1,"currency":"USD","amount":1{body_key}}}"#);
            let mut properties = BasicProperties::default();
            if message_id != "none" {
                properties = properties.with_message_id(message_id.into());
            }
            if correlation_id != "none" {
                properties = properties.with_correlation_id(correlation_id.into());
            }
            let envelope = Envelope {
                dialect: Dialect::Native,
                routing_key: operation,
                redelivered,
                properties: &properties,
                body: body.as_bytes(),
            };
            let got = match read(
                envelope,
                Limits { body_bytes_max: 1000, batch_body_bytes_max: 1000, batch_operations_max: 10 },
            ) {
                Intake::Submit(operation) => {
                    operation.idempotency_key.map_or_else(|| "no key".to_owned(), |key| key.as_str().to_owned())
                }
                Intake::SubmitEach(each) => format!("{} operations", each.len()),
                Intake::Refused(refusal) => refusal.code.to_owned(),
                Intake::Ambiguous => "ambiguous".to_owned(),
            };
            let expected = if operation == "balance" && expected == "ambiguous" { "no key" } else { expected };
            assert_eq!(got, expected, "{operation}");
        }
    }

    #[test]
    fn the_key_is_the_bodys_else_the_message_id_else_a_correlation_id_that_is_a_uuid() {
        check(false, ("m", UUID), r#","idempotency_key":"b""#, "b");
        check(false, ("m", UUID), "", "m");
        check(false, ("none", UUID), "", UUID);
        check(false, ("", UUID), "", UUID);
        check(false, ("none", "17"), "", "no key");
        check(false, ("none", "none"), "", "no key");
        check(false, ("a\u{1}b", "none"), "", "idempotency_key_invalid");
    }

    #[test]
    fn a_redelivery_without_a_key_is_not_applied() {
        check(true, ("m", "none"), "", "m");
        check(true, ("none", "none"), r#","idempotency_key":"b""#, "b");
        check(true, ("none", UUID), "", UUID);
        check(true, ("none", "17"), "", "ambiguous");
        check(true, ("none", "none"), "", "ambiguous");
    }

    #[test]
    fn the_exchange_tells_the_dialect() {
        assert_eq!(dialect_of("queries", Some("queries")), Dialect::TransactionalSystem);
        assert_eq!(dialect_of("purser.operations", Some("queries")), Dialect::Native);
        assert_eq!(dialect_of("", Some("queries")), Dialect::Native);
        assert_eq!(dialect_of("queries", None), Dialect::Native);
    }
}
