//! Idempotency keys: the first answer again, whatever became of it since. [`History`](crate::history::History) compares the answers whole.

use purser::ledger::outcome::Replay;
use purser::ledger::{Answer, Lifetime, Status, Timestamp};

use crate::check_all;
use crate::history::History;
use crate::operations::Script;

#[test]
fn a_hold_answers_again_as_it_was_made() {
    let sentence = "withdraw 1 5 USD pending for 60 k as h";
    let hold = (sentence, "1 holds 5 USD, h is Created");
    for (later, left) in [
        ("confirm 1 @h", "h is Success"),
        ("confirm 1 @h 2 USD keep", "1 holds 3 USD, h is Created"),
        ("confirm 1 @h 2 USD", "1 has 3 USD, h is Success"),
        ("cancel 1 @h", "1 has 5 USD, h is Error cancelled"),
        ("expire 1 @h 60", "1 has 5 USD, h is Error expired"),
        ("extend 1 @h 90", "1 holds 5 USD, h is Created"),
        ("block 1", "1 holds 5 USD, 1 blocked, h is Created"),
    ] {
        check_all("1 has 5 USD", &[hold, (later, left), (sentence, &format!("{left} again"))]);
    }
    check_all("1 has 5 USD", &[hold, ("withdraw 1 5 USD pending for 61 k", "idempotency_key_reused")]);
    check_all("1 has 5 USD", &[hold, ("withdraw 1 5 USD pending k", "idempotency_key_reused")]);
    check_all("1 has 5 USD", &[hold, ("withdraw 1 5 USD waits for 60 k", "idempotency_key_reused")]);
    check_all("1 has 5 USD", &[hold, ("withdraw 1 5 USD pending for 60 order o k", "idempotency_key_reused")]);
}

#[test]
fn a_withdrawal_that_waited_answers_again_that_it_waits() {
    let sentence = "withdraw 1 5 USD waits for 60 k as w";
    let wait = (sentence, "w is Created, 1 USD waits w");
    for (later, left) in [
        ("invoice 1 5 USD", "w is Success"),
        ("cancel 1 @w", "w is Error cancelled"),
        ("expire 1 @w 60", "w is Error expired"),
        ("extend 1 @w 90", "w is Created, 1 USD waits w"),
    ] {
        check_all("", &[wait, (later, left), (sentence, &format!("{left} again"))]);
    }
    // One that was paid at once answers that.
    check_all(
        "1 has 5 USD",
        &[(sentence, "w is Success"), ("invoice 1 5 USD", "1 has 5 USD"), (sentence, "1 has 5 USD again")],
    );
}

#[test]
fn what_is_about_a_transaction_answers_again_what_it_did_then() {
    let hold = ("withdraw 1 5 USD pending for 60 as h", "1 holds 5 USD, h is Created");
    for (sentence, left) in [
        ("confirm 1 @h 2 USD keep k", "1 holds 3 USD, h is Created"),
        ("extend 1 @h 90 k", "1 holds 5 USD, h is Created"),
    ] {
        check_all("1 has 5 USD", &[hold, (sentence, left), (sentence, &format!("{left} again"))]);
        let finish = if sentence.starts_with("extend") { "1 has 5 USD" } else { "1 has 3 USD" };
        check_all(
            "1 has 5 USD",
            &[hold, (sentence, left), ("cancel 1 @h", finish), (sentence, &format!("{finish} again"))],
        );
    }
    for (sentence, left) in [("confirm 1 @h k", "h is Success"), ("cancel 1 @h k", "1 has 5 USD, h is Error cancelled")]
    {
        check_all("1 has 5 USD", &[hold, (sentence, left), (sentence, &format!("{left} again"))]);
    }
    let invoice = ("invoice 1 5 USD as t", "1 has 5 USD");
    check_all(
        "",
        &[
            invoice,
            ("reverse 1 @t 2 USD k", "1 has 3 USD"),
            ("reverse 1 @t 3 USD", ""),
            ("reverse 1 @t 2 USD k", " again"),
            ("reverse 1 @t 3 USD k", "idempotency_key_reused"),
            ("reverse 1 @t k", "idempotency_key_reused"),
        ],
    );
    // A refusal that was recorded stays one.
    check_all(
        "",
        &[
            invoice,
            ("withdraw 1 5 USD", ""),
            ("reverse 1 @t k", "insufficient_funds"),
            ("invoice 1 5 USD", "1 has 5 USD"),
            ("reverse 1 @t k", "insufficient_funds again"),
            ("reverse 1 @t", ""),
            ("reverse 1 @t k", "insufficient_funds again"),
        ],
    );
    // One that was not is a new question.
    check_all(
        "1 has 5 USD",
        &[hold, ("confirm 1 @h 6 USD k", "amount_exceeds_unconfirmed"), ("confirm 1 @h 5 USD k", "h is Success")],
    );
}

#[test]
fn times_are_given_again_as_they_were() {
    let seconds = |seconds| Lifetime::from_seconds(seconds).unwrap();
    let mut script = Script::default();
    let mut history = History::of("1 has 5 USD");
    history.pass(seconds(10));
    let hold = script.say("withdraw 1 5 USD pending for 60 k as h");
    let first = history.post(&[hold]).remove(0);
    history.pass(seconds(30));
    history.post(&[script.say("extend 1 @h 60")]);
    let due = |history: &History| history.find(script.id("h")).unwrap().more().expires_at;
    assert_eq!(due(&history), Some(Timestamp::EPOCH + seconds(100)), "from when it was extended");
    history.pass(seconds(60));
    history.post(&[script.clone().say("expire 1 @h 100")]);
    let kept = history.find(script.id("h")).unwrap();
    assert_eq!((kept.status, kept.more().finished_at), (Status::Error, Some(Timestamp::EPOCH + seconds(100))));

    let again = history.post(&[script.clone().say("withdraw 1 5 USD pending for 60 k")]).remove(0);
    assert_eq!((again.replay, &again.result), (Replay::Replayed, &first.result));
    let Ok(Answer::Transaction(told)) = again.result else { panic!("a hold is answered with a transaction") };
    assert_eq!((told.status, told.rejection), (Status::Created, None));
    assert_eq!(told.more().expires_at, Some(Timestamp::EPOCH + seconds(70)));
    assert_eq!((told.created_at, told.more().finished_at), (Timestamp::EPOCH + seconds(10), None));
}

#[test]
fn what_follows_is_for_the_same_service_and_order() {
    let mut script = Script::default();
    let mut history = History::of("1 has 9 USD");
    for sentence in [
        "withdraw 1 5 USD pending service 7 order o-1 as h",
        "confirm 1 @h 4 USD as c",
        "reverse 1 @h 1 USD as r",
        "withdraw 1 5 USD pending as plain",
        "cancel 1 @plain as p",
    ] {
        history.post(&[script.say(sentence)]);
    }
    for name in ["h", "c", "r"] {
        let details = history.find(script.id(name)).unwrap().more().details.clone().expect("they have details");
        assert_eq!((details.service().map(|service| service.0), details.order()), (Some(7), Some("o-1")), "{name}");
    }
    assert_eq!(history.find(script.id("p")).unwrap().more().details, None);
}
