//! Blocked and closed wallets.

use crate::history::History;
use crate::operations::Script;
use crate::{assert_left, check, check_all};

#[test]
fn a_wallet_is_blocked_and_opened_as_often_as_asked() {
    check("", "block 1", "1 blocked");
    check("1 blocked", "block 1", "1 blocked");
    check("1 blocked", "open 1", "");
    check("", "open 1", "");
    check_all("", &[("block 1", "1 blocked"), ("open 1", ""), ("block 1", "1 blocked"), ("open 1", "")]);
    for sentence in ["block 9", "open 9", "close 9"] {
        check("", sentence, "wallet_unknown");
    }
}

#[test]
fn no_money_leaves_a_blocked_wallet() {
    let before = "1 has 5 USD, 1 blocked";
    for sentence in ["withdraw 1 9.001 XXX", "withdraw 1 1 USD pending", "withdraw 1 9 USD waits", "transfer 1 2 1 USD"]
    {
        check(before, sentence, "wallet_blocked");
    }
    check(before, "transfer 1 2 1 USD pending", "wallet_blocked");
    check(before, "transfer 1 9 1 USD", "wallet_unknown");
    check("1 has 5 USD, 1 blocked, 2 closed", "transfer 1 2 1 USD", "wallet_closed");
    let block = ("block 1", "1 has 5 USD, 1 blocked");
    check_all("", &[("invoice 1 5 USD as t", "1 has 5 USD"), block, ("reverse 1 @t", "wallet_blocked")]);
    check_all(
        "2 has 5 USD",
        &[("transfer 2 1 5 USD as t", "1 has 5 USD"), block, ("reverse 1 @t 1 USD", "wallet_blocked")],
    );
    for hold in ["withdraw 1 5 USD pending as h", "transfer 1 2 5 USD pending as h"] {
        let held = (hold, "1 holds 5 USD");
        let block = ("block 1", "1 holds 5 USD, 1 blocked");
        check_all("1 has 5 USD", &[held, block, ("confirm 1 @h 1 USD", "wallet_blocked")]);
        check_all("1 has 5 USD", &[held, block, ("confirm 1 @h 1 USD keep", "wallet_blocked")]);
    }
}

#[test]
fn money_comes_and_stays_in_a_blocked_wallet() {
    check("1 blocked", "invoice 1 5 USD", "1 has 5 USD, 1 blocked");
    check("1 blocked, 2 has 5 USD", "transfer 2 1 5 USD", "1 has 5 USD, 1 blocked");
    check("1 has 5 USD, 1 blocked", "balance 1", "1 has 5 USD, 1 blocked");
    check_all(
        "",
        &[
            ("invoice 1 5 USD pending as h", "1 awaits 5 USD"),
            ("block 1", "1 awaits 5 USD, 1 blocked"),
            ("confirm 1 @h", "1 has 5 USD, 1 blocked"),
        ],
    );
    check_all(
        "1 has 5 USD",
        &[("withdraw 1 5 USD as t", ""), ("block 1", "1 blocked"), ("reverse 1 @t", "1 has 5 USD, 1 blocked")],
    );
    // What was set aside may go back, and a hold may be given more time.
    check_all(
        "1 has 5 USD",
        &[
            ("withdraw 1 5 USD pending for 60 as h", "1 holds 5 USD"),
            ("block 1", "1 holds 5 USD, 1 blocked"),
            ("extend 1 @h 90", "1 holds 5 USD, 1 blocked"),
            ("expire 1 @h 90", "1 has 5 USD, 1 blocked, h is Error expired"),
        ],
    );
}

#[test]
fn only_an_empty_wallet_is_closed() {
    check("", "close 1", "1 closed");
    check("1 blocked", "close 1", "1 closed");
    check("1 closed", "close 1", "1 closed");
    check("1 has 0.01 USD", "close 1", "wallet_not_empty");
    check("1 has 1 USD, 1 blocked", "close 1", "wallet_not_empty");
    check_all("1 has 5 USD", &[("withdraw 1 5 USD pending", "1 holds 5 USD"), ("close 1", "wallet_not_empty")]);
    check_all("1 has 5 USD", &[("transfer 1 2 5 USD pending", "1 holds 5 USD"), ("close 1", "wallet_not_empty")]);
    check_all("", &[("invoice 1 5 USD pending", "1 awaits 5 USD"), ("close 1", "wallet_not_empty")]);
    check_all(
        "",
        &[
            ("withdraw 1 5 USD waits as w", "1 USD waits w"),
            ("close 1", "wallet_not_empty"),
            ("cancel 1 @w", "1 USD waits"),
            ("close 1", "1 closed"),
        ],
    );
    check_all("1 has 5 USD", &[("withdraw 1 5 USD", ""), ("close 1", "1 closed"), ("balance 1", "1 closed")]);
}

#[test]
fn nothing_moves_in_a_closed_wallet() {
    for sentence in ["open 1", "block 1", "invoice 1 5 USD pending", "withdraw 1 5 USD waits", "transfer 2 1 1 USD"] {
        check("1 closed, 2 has 5 USD", sentence, "wallet_closed");
    }
    check_all("", &[("close 1", "1 closed"), ("invoice 1 5 USD", "wallet_closed"), ("open 1", "wallet_closed")]);
}

#[test]
fn services_are_asked_for_after_amounts_before_funds() {
    for terms in ["", " pending", " waits"] {
        check("1 has 5 USD", &format!("withdraw 1 5 USD{terms} service 8"), "service_unknown");
        check("1 has 5 USD", &format!("withdraw 1 5.001 USD{terms} service 8"), "too_many_decimals");
    }
    check("", "withdraw 1 5 USD service 8", "service_unknown");
    check("", "invoice 1 5 USD service 8", "service_unknown");
    check("", "invoice 1 5 USD pending service 8", "service_unknown");
    check("", "transfer 1 2 5 USD service 8", "service_unknown");
    check("", "invoice 1 5 USD service 7", "1 has 5 USD");
    check("", "withdraw 1 5 USD service 7", "insufficient_funds");
}

/// A batch is posted after others, its commit is not heard of, another instance posts some more: posted again, it is answered alike and leaves what was left.
#[track_caller]
fn check_again(earlier: &[&str], batch: &[&str], between: &[&str], left: &str) {
    let (mut script, mut history) = (Script::default(), History::of(""));
    history.post(&script.say_all(earlier));
    let batch = script.say_all(batch);
    let outcomes = history.post(&batch);
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()), "{outcomes:?}");
    history.post(&script.say_all(between));
    assert_left(&history, &script, left, "before");
    assert_eq!(history.post_again(&batch), outcomes);
    assert_left(&history, &script, left, "after");
}

#[test]
fn a_standing_whose_commit_was_not_heard_of_is_not_given_twice() {
    let waits = "withdraw 1 5 USD waits as w";
    let blocked = "1 has 5 USD, 1 blocked, w is Created, 1 USD waits w";
    // Opened again it would pay the withdrawal, with money that came after it was blocked.
    check_again(&[waits, "block 1"], &["open 1", "block 1", "invoice 1 5 USD"], &[], blocked);
    // Though opening it changed nothing the first time.
    check_again(&[waits], &["open 1", "block 1", "invoice 1 5 USD"], &[], blocked);
    check_again(&[waits], &["open 1"], &["block 1", "invoice 1 5 USD"], blocked);
    check_again(&[], &["block 1"], &["open 1"], "");
    check_again(&["block 1"], &["open 1"], &["block 1"], "1 blocked");
    // It was done, though by now it could not be.
    check_again(&[], &["block 1"], &["close 1"], "1 closed");
    check_again(&[], &["block 1", "open 1", "close 1"], &[], "1 closed");
    check_again(&["invoice 1 5 USD"], &["block 1"], &["open 1", "withdraw 1 5 USD", "close 1"], "1 closed");
}

#[test]
fn a_standing_that_was_refused_or_not_committed_is_asked_anew() {
    let mut script = Script::default();
    let mut history = History::of("1 has 5 USD");
    let close = script.say_all(&["close 1"]);
    assert!(history.post(&close)[0].result.is_err());
    history.post(&script.say_all(&["withdraw 1 5 USD"]));
    assert!(history.post_again(&close)[0].result.is_ok());
    assert_left(&history, &script, "1 closed", "refused at first");
    history.post_again(&script.say_all(&["block 2"]));
    assert_left(&history, &script, "1 closed, 2 blocked", "never committed");
}
