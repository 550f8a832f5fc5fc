//! Atomic batches: all of their items, or none.

use purser::ledger::{Answer, Operation, Status};

use crate::history::History;
use crate::operations::Script;
use crate::{check, check_all};

#[test]
fn all_items_are_carried_out_in_their_order() {
    check(
        "1 has 10 USD",
        "batch as b: transfer 1 2 6 USD as t; withdraw 2 5 USD; invoice 3 7 JPY; withdraw 1 4 USD pending as h",
        "1 holds 4 USD, 2 has 1 USD, 3 has 7 JPY, b is Success, t is Success, h is Created",
    );
    check("", "batch: invoice 1 5 USD", "1 has 5 USD");
    // Each sees those before it.
    check("", "batch: invoice 1 5 USD; withdraw 1 5 USD; invoice 1 1 USD", "1 has 1 USD");
    check("", "batch: withdraw 1 5 USD; invoice 1 5 USD", "insufficient_funds at 0");
}

#[test]
fn if_one_item_fails_nothing_happens() {
    let before = "1 has 5 USD, 2 has 5 USD";
    for (bad, rejection) in [
        ("withdraw 3 1 USD", "insufficient_funds at 2"),
        ("invoice 9 1 USD", "wallet_unknown at 2"),
        ("invoice 4 1 XXX", "currency_unknown at 2"),
        ("invoice 4 0.001 USD", "too_many_decimals at 2"),
        ("invoice 4 1 USD service 8", "service_unknown at 2"),
        ("transfer 4 4 1 USD", "same_wallet at 2"),
        ("invoice 4 1 USD waits", "wait_for_funds_invalid at 2"),
        ("confirm 1 @none", "transaction_unknown at 2"),
        ("withdraw 1 4.01 USD", "insufficient_funds at 2"),
    ] {
        let batch = format!("batch as b: transfer 1 2 1 USD; invoice 3 0.99 USD; {bad}; invoice 4 1 USD");
        check(before, &batch, rejection);
    }
    check(
        "1 closed, 2 has 5 USD, 3 blocked",
        "batch: withdraw 2 1 USD; invoice 1 1 USD; withdraw 3 1 USD",
        "wallet_closed at 1",
    );
    check(
        "2 has 5 USD, 3 blocked",
        "batch: withdraw 2 1 USD; invoice 1 1 USD; withdraw 3 1 USD",
        "wallet_blocked at 2",
    );
    // Nothing to record it under.
    check("", "batch: invoice 9 1 USD; invoice 1 1 USD", "wallet_unknown at 0");
}

#[test]
fn what_a_failed_batch_did_to_holds_lines_and_originals_is_undone() {
    let hold = ("withdraw 1 5 USD pending as h", "1 has 5 USD, 1 holds 5 USD");
    let wait = ("withdraw 2 5 USD waits for 60 as w", "1 has 5 USD, 1 holds 5 USD, 2 USD waits w");
    let next = ("withdraw 2 1 USD waits as x", "1 has 5 USD, 1 holds 5 USD, 2 USD waits w x");
    let fail = "withdraw 4 1 USD";
    for items in [
        "confirm 1 @h 3 USD keep; confirm 1 @h 2 USD keep",
        "confirm 1 @h",
        "cancel 1 @h; withdraw 1 10 USD",
        "extend 1 @h 90",
        "transfer 1 2 5 USD",
        "cancel 2 @w; invoice 2 1 USD",
        "expire 2 @w 60",
        "withdraw 2 1 USD waits",
        "invoice 2 6 USD; withdraw 2 1 USD waits; withdraw 2 1 JPY waits; invoice 3 1 WEI",
    ] {
        let batch = format!("batch: {items}; {fail}");
        let count = items.split(';').count();
        check_all(
            "1 has 10 USD",
            &[
                hold,
                wait,
                next,
                (&batch, &format!("insufficient_funds at {count}")),
                ("confirm 1 @h", "1 has 5 USD, h is Success"),
                ("invoice 2 5.50 USD", "1 has 5 USD, 2 has 0.50 USD, w is Success, x is Created, 2 USD waits x"),
            ],
        );
    }
    check_all(
        "",
        &[
            ("invoice 1 5 USD as t", "1 has 5 USD"),
            ("batch: reverse 1 @t 3 USD; reverse 1 @t 2 USD; withdraw 4 1 USD", "insufficient_funds at 2"),
            ("batch: reverse 1 @t 3 USD; reverse 1 @t 2.01 USD", "amount_exceeds_original at 1"),
            ("reverse 1 @t 5 USD", "t is Success"),
        ],
    );
    // In one commit with what was there before and comes after.
    check_all(
        "",
        &[
            ("invoice 1 5 USD", "1 has 5 USD"),
            ("batch: invoice 1 1 USD; invoice 2 1 USD; withdraw 3 1 USD", "insufficient_funds at 2"),
            ("withdraw 1 5.01 USD", "insufficient_funds"),
            ("invoice 2 2 USD", "1 has 5 USD, 2 has 2 USD"),
        ],
    );
}

#[test]
fn items_change_what_waits_as_operations_do() {
    check_all(
        "1 has 10 USD",
        &[
            ("withdraw 1 5 USD pending as h", "1 has 5 USD, 1 holds 5 USD"),
            ("batch: confirm 1 @h 3 USD keep; confirm 1 @h 1 USD keep; cancel 1 @h", "1 has 6 USD, h is Success"),
        ],
    );
    check_all(
        "1 has 10 USD",
        &[
            ("withdraw 1 5 USD pending as h", "1 has 5 USD, 1 holds 5 USD"),
            ("batch: confirm 1 @h 3 USD keep; confirm 1 @h 3 USD keep", "amount_exceeds_unconfirmed at 1"),
            ("batch: cancel 1 @h; confirm 1 @h", "transaction_final at 1"),
            ("batch: confirm 1 @h", "1 has 5 USD, h is Success"),
        ],
    );
    check("", "batch: withdraw 1 5 USD waits as w; invoice 1 6 USD", "1 has 1 USD, w is Success, 1 USD waits");
}

#[test]
fn a_batch_has_one_key() {
    let first = ("batch k as b: invoice 1 5 USD; withdraw 1 2 USD pending for 60 as h", "1 has 3 USD, 1 holds 2 USD");
    let again = "batch k: invoice 1 5.00 USD; withdraw 1 2 USD pending for 60";
    check_all("", &[first, (again, "1 has 3 USD, 1 holds 2 USD again")]);
    check_all("", &[first, ("confirm 1 @h", "1 has 3 USD, h is Success"), (again, "1 has 3 USD, h is Success again")]);
    let reused = "idempotency_key_reused";
    for other in [
        "batch k: withdraw 1 2 USD pending for 60; invoice 1 5 USD",
        "batch k: invoice 1 5 USD; withdraw 1 2 USD pending for 61",
        "batch k: invoice 1 5 USD; withdraw 1 2 USD pending for 60; invoice 1 1 USD",
        "batch k: invoice 1 5 USD",
        "invoice 1 5 USD k",
    ] {
        check_all("", &[first, (other, reused)]);
    }
    check_all("", &[("invoice 1 5 USD k", "1 has 5 USD"), ("batch k: invoice 1 5 USD", reused)]);
    // A failure is given again, too, even when it would succeed by now.
    let short = "batch k: invoice 2 1 USD; withdraw 1 5 USD";
    check_all(
        "",
        &[
            (short, "insufficient_funds at 1"),
            ("invoice 1 5 USD", "1 has 5 USD"),
            (short, "insufficient_funds at 1 again"),
            ("batch k: invoice 2 1 USD; withdraw 1 4 USD", reused),
        ],
    );
    let unknown = "batch k: invoice 1 1 USD; invoice 9 1 USD";
    check_all("", &[(unknown, "wallet_unknown at 1"), (unknown, "wallet_unknown at 1 again")]);
}

/// The items' statuses and the records that are left of a batch.
fn told(history: &mut History, operation: &Operation) -> (Vec<Status>, usize) {
    let outcome = history.post(std::slice::from_ref(operation)).remove(0);
    let Ok(Answer::Batch(transaction, items)) = outcome.result else { panic!("the batch succeeds: {outcome:?}") };
    assert_eq!(transaction.id, operation.id);
    assert!(items.iter().all(|item| item.more().batch == Some(transaction.id)));
    (items.iter().map(|item| item.status).collect(), history.transactions.len())
}

#[test]
fn its_answer_has_an_item_for_each_of_its_operations() {
    let mut script = Script::default();
    let mut history = History::of("1 has 5 USD");
    let batch = script.say("batch k: withdraw 1 2 USD pending as h; withdraw 2 1 USD waits as w; invoice 2 1 USD");
    let created_first = vec![Status::Created, Status::Created, Status::Success];
    assert_eq!(told(&mut history, &batch), (created_first.clone(), 4));
    assert_eq!(history.find(script.id("w")).unwrap().status, Status::Success, "the third item paid it");
    history.post(&[script.say("cancel 1 @h")]);
    assert_eq!(history.find(script.id("h")).unwrap().status, Status::Error);
    // As it was told the first time, whatever became of it.
    let again = script.say("batch k: withdraw 1 2 USD pending; withdraw 2 1 USD waits; invoice 2 1 USD");
    let outcome = history.post(&[again]).remove(0);
    let Ok(Answer::Batch(_, items)) = outcome.result else { panic!("{outcome:?}") };
    assert_eq!(items.iter().map(|item| item.status).collect::<Vec<_>>(), created_first);
    assert_eq!(history.transactions.len(), 5);
}

#[test]
fn of_a_failed_batch_only_its_own_record_is_left() {
    let mut script = Script::default();
    let mut history = History::of("");
    let batch = script.say("batch k as b: invoice 1 5 USD; invoice 2 5 USD; withdraw 3 1 USD; invoice 4 1 USD");
    let outcome = history.post(&[batch]).remove(0);
    let refused = outcome.result.unwrap_err();
    assert_eq!((refused.rejection.code(), refused.item), ("insufficient_funds", Some(2)));
    assert_eq!(refused.transaction.map(|kept| kept.id), Some(script.id("b")));
    assert_eq!((history.transactions.len(), history.entries.len()), (1, 0));
    let kept = history.find(script.id("b")).unwrap();
    assert_eq!((kept.status, kept.money, kept.more().failed_item), (Status::Error, None, Some(2)));
}
