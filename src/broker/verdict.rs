//! What becomes of a delivery once its fate is known. Pure: the table needs no broker to be tested.

use crate::engine::SubmitError;
use crate::ledger::{Outcome, Refused, Request};
use crate::wire::{self, Dialect, Part, Refusal, Reply};

/// How a delivery is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has been dealt with.
    Ack,
    /// It was no operation, or a refusal that is on record nowhere; its sender is told.
    Refuse,
    /// Nobody got an answer and it cannot be done: it goes to the dead letters, then it is acknowledged.
    DeadLetter(Reason),
    /// It may have been applied before: it goes to the dead letters for someone to decide.
    Park(Reason),
    /// It has no outcome yet. The broker takes it back when the session ends, with all that is not acknowledged and in the old order.
    /// Handing it back by itself would let the wallet's next operations overtake it.
    Leave,
}

/// Why a delivery ended among the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    /// Permanent snake_case code.
    pub(super) code: &'static str,
    /// For people.
    pub(super) text: String,
}

impl Reason {
    fn ambiguous_redelivery() -> Self {
        let text = "it came again without an idempotency key: it may or may not have been applied".to_owned();
        Self { code: "ambiguous_redelivery", text }
    }

    fn not_stored(error: &SubmitError) -> Self {
        Self { code: "not_stored", text: error.to_string() }
    }
}

/// What came of a delivery.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every one is the largest")]
pub(super) enum Fate {
    /// It was no operation.
    Refused(Refusal),
    /// It came again without a key.
    Ambiguous,
    /// The engine's answer.
    Answered(Request, Result<Outcome, SubmitError>),
    /// The same for each of a batch.
    AnsweredEach(Vec<Part>),
}

/// Whether somebody waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// There is a `reply_to`.
    Waits,
    /// There is none.
    None,
}

/// How a delivery is settled, and the reply to it if somebody waits for one. `routing_key` is the operation's word as it came.
pub(super) fn of(fate: &Fate, dialect: Dialect, routing_key: &str, asker: Asker) -> (Verdict, Option<Reply>) {
    let waits = asker == Asker::Waits;
    match fate {
        Fate::Ambiguous => (Verdict::Park(Reason::ambiguous_redelivery()), None),
        // A refusal is an answer; without anybody to answer it is kept where somebody can find it.
        Fate::Refused(refusal) if waits => (Verdict::Refuse, Some(wire::reply_refusal(dialect, routing_key, refusal))),
        Fate::Refused(Refusal { code, reason, .. }) => {
            (Verdict::DeadLetter(Reason { code, text: reason.clone() }), None)
        }
        Fate::Answered(request, Ok(outcome)) if waits => {
            let is_on_record = outcome.result.is_ok() || outcome.is_recorded_refusal();
            let verdict = if is_on_record { Verdict::Ack } else { Verdict::Refuse };
            (verdict, Some(wire::reply_to(dialect, request, outcome)))
        }
        Fate::Answered(_, Ok(outcome)) => (unasked(outcome), None),
        Fate::Answered(_, Err(error)) if error.is_transient() => (Verdict::Leave, None),
        Fate::Answered(_, Err(error)) => {
            let reply = waits.then(|| wire::reply_failure(dialect, routing_key, error));
            (Verdict::DeadLetter(Reason::not_stored(error)), reply)
        }
        Fate::AnsweredEach(parts) => of_each(parts, waits),
    }
}

/// One reply for all of them. What has to come again takes the others with it: they have keys, or are parked when they come.
fn of_each(parts: &[Part], waits: bool) -> (Verdict, Option<Reply>) {
    let errors = || {
        parts.iter().filter_map(|part| match part {
            Part::Answered(_, Err(error)) => Some(error),
            _ => None,
        })
    };
    if errors().any(SubmitError::is_transient) {
        return (Verdict::Leave, None);
    }
    if waits {
        return (Verdict::Ack, Some(wire::reply_to_each(parts)));
    }
    let verdict = |part: &Part| match part {
        Part::Refused(Refusal { code, reason, .. }) => Verdict::DeadLetter(Reason { code, text: reason.clone() }),
        Part::Answered(_, Err(error)) => Verdict::DeadLetter(Reason::not_stored(error)),
        Part::Answered(_, Ok(outcome)) => unasked(outcome),
    };
    (parts.iter().map(verdict).find(|verdict| *verdict != Verdict::Ack).unwrap_or(Verdict::Ack), None)
}

/// A refusal that is on record nowhere, and that nobody hears of, is kept where somebody can find it.
fn unasked(outcome: &Outcome) -> Verdict {
    match &outcome.result {
        Err(Refused { rejection, transaction: None, .. }) => {
            Verdict::DeadLetter(Reason { code: rejection.code(), text: rejection.to_string() })
        }
        _ => Verdict::Ack,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::outcome::Replay;
    use crate::ledger::{Answer, Kind, Rejection, Status, Timestamp, Transaction, WalletId};
    use crate::store::StoreError;

    fn answered(result: Result<Result<Answer, Rejection>, SubmitError>) -> Fate {
        let refused = |rejection: Rejection| Refused {
            transaction: rejection.is_recorded().then(|| Box::new(record(rejection))),
            ..rejection.into()
        };
        let outcome = result.map(|result| Outcome {
            kind: Kind::Balance,
            result: result.map_err(refused),
            replay: Replay::First,
            line: None,
        });
        Fate::Answered(Request::Balance { wallet: WalletId(1) }, outcome)
    }

    fn each(results: [Result<Result<(), Rejection>, SubmitError>; 2]) -> Fate {
        let part = |result: Result<Result<(), Rejection>, SubmitError>| {
            let result = result.map(|result| result.map(|()| Answer::Balances(vec![])));
            let Fate::Answered(request, result) = answered(result) else { unreachable!("it was answered") };
            Part::Answered(request.kind(), result)
        };
        Fate::AnsweredEach(results.into_iter().map(part).collect())
    }

    fn record(rejection: Rejection) -> Transaction {
        Transaction {
            id: wire::new_id(),
            kind: Kind::Withdraw,
            wallet: WalletId(1),
            to_wallet: None,
            money: None,
            status: Status::Error,
            rejection: Some(rejection),
            key: None,
            created_at: Timestamp::EPOCH,
            more: None,
        }
    }

    /// The verdict and the reply's code, with somebody waiting and with nobody.
    fn check(fate: &Fate, when_asked: &str, when_not: &str) {
        for (asker, expected) in [(Asker::Waits, when_asked), (Asker::None, when_not)] {
            let (verdict, reply) = of(fate, Dialect::Native, "balance", asker);
            let verdict = match verdict {
                Verdict::Ack => "ack".to_owned(),
                Verdict::Refuse => "refuse".to_owned(),
                Verdict::DeadLetter(reason) => format!("dead_letter {}", reason.code),
                Verdict::Park(reason) => format!("park {}", reason.code),
                Verdict::Leave => "leave".to_owned(),
            };
            let code = reply.map(|reply| format!(", {}", reply.status)).unwrap_or_default();
            assert_eq!(format!("{verdict}{code}"), expected, "{fate:?} {asker:?}");
        }
    }

    #[test]
    fn every_fate_has_its_verdict() {
        check(&answered(Ok(Ok(Answer::Balances(vec![])))), "ack, 200", "ack");
        check(&answered(Ok(Err(Rejection::InsufficientFunds))), "ack, 422", "ack");
        check(&answered(Ok(Err(Rejection::WalletUnknown))), "refuse, 404", "dead_letter wallet_unknown");
        check(&answered(Ok(Err(Rejection::IdempotencyKeyReused))), "refuse, 422", "dead_letter idempotency_key_reused");
        let refusal =
            Refusal { code: "malformed_json", status: 400, reason: "the body must be UTF-8".to_owned(), item: None };
        check(&Fate::Refused(refusal), "refuse, 400", "dead_letter malformed_json");
        check(&Fate::Ambiguous, "park ambiguous_redelivery", "park ambiguous_redelivery");
        check(&answered(Err(SubmitError::ShuttingDown)), "leave", "leave");
        check(&answered(Err(SubmitError::Abandoned)), "leave", "leave");
        check(&answered(Err(SubmitError::Panicked)), "dead_letter not_stored, 500", "dead_letter not_stored");
        let refused = Arc::new(StoreError::from(sqlx::Error::RowNotFound));
        check(&each([Ok(Ok(())), Ok(Err(Rejection::InsufficientFunds))]), "ack, 200", "ack");
        check(&each([Ok(Ok(())), Ok(Err(Rejection::WalletUnknown))]), "ack, 200", "dead_letter wallet_unknown");
        check(&each([Ok(Ok(())), Err(SubmitError::Abandoned)]), "leave", "leave");
        check(&each([Err(SubmitError::ShuttingDown), Err(SubmitError::Abandoned)]), "leave", "leave");
        let lost = Err(SubmitError::Store(Arc::clone(&refused)));
        check(&each([Ok(Ok(())), lost]), "ack, 200", "dead_letter not_stored");
        check(&answered(Err(SubmitError::Store(refused))), "dead_letter not_stored, 500", "dead_letter not_stored");
    }
}
