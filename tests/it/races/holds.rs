//! Money that waits: one of those who want to end it does, and never more of it moves than there is.

use purser::ledger::{Cause, Request, Rest, Transaction, WalletId};

use super::instances::{Instances, ROUNDS, Tally};
use crate::support::requests::{cancel, confirm, confirm_part, extend, invoice, pending, reverse, transfer, withdraw};

/// Each kind of movement in turn, of 10 USD between the wallets 1 and 2.
fn movement(round: usize) -> Request {
    match round % 3 {
        0 => withdraw(1, "10"),
        1 => transfer(1, 2, "10"),
        _ => invoice(1, "10"),
    }
}

fn expire(hold: &Transaction) -> Request {
    let due = hold.more().expires_at.expect("it was given a time");
    Request::Cancel { wallet: WalletId(1), original: hold.id, cause: Cause::Expired { due } }
}

/// Races requests about one hold, and checks what the words and the hold's end must be to each other.
async fn check<const N: usize>(
    about: impl Fn(&Transaction) -> [Request; N],
    is_right: impl Fn([&str; N], &str) -> bool,
) {
    let instances = Instances::start(2).await;
    instances.ask(invoice(1, "100000")).await;
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let hold = instances.ask(pending(movement(round / N), Some(600))).await;
        let words = instances.race(round, about(&hold)).await;
        let end = instances.stored(hold.id).await;
        assert!(is_right(words, &end), "round {round}: {words:?} and {end}");
        tally.count((words, end));
    }
    instances.assert_right().await;
}

const DONE: &str = "Success";
const LATE: &str = "transaction_final";

#[actix_rt::test]
async fn of_a_confirm_and_a_cancel_one_is_done() {
    check(
        |hold| [confirm(1, hold.id), cancel(1, hold.id)],
        |words, end| matches!((words, end), ([DONE, LATE], "Success") | ([LATE, DONE], "Error cancelled")),
    )
    .await;
}

#[actix_rt::test]
async fn of_a_confirm_and_an_expiry_one_is_done() {
    check(
        |hold| [confirm(1, hold.id), expire(hold)],
        |words, end| matches!((words, end), ([DONE, LATE], "Success") | ([LATE, DONE], "Error expired")),
    )
    .await;
}

#[actix_rt::test]
async fn of_a_confirm_a_cancel_and_two_expiries_one_is_done() {
    check(
        |hold| [confirm(1, hold.id), cancel(1, hold.id), expire(hold), expire(hold)],
        |words, end| {
            let done = words.iter().position(|word| *word == DONE);
            let late = words.iter().filter(|word| **word == LATE).count();
            late == 3
                && matches!(
                    (done, end),
                    (Some(0), "Success") | (Some(1), "Error cancelled") | (Some(2 | 3), "Error expired")
                )
        },
    )
    .await;
}

#[actix_rt::test]
async fn a_hold_that_is_extended_does_not_expire_and_one_that_expired_is_not_extended() {
    check(
        |hold| [extend(1, hold.id, 900), expire(hold)],
        |words, end| matches!((words, end), ([DONE, "not_expired"], "Created") | ([LATE, DONE], "Error expired")),
    )
    .await;
}

#[actix_rt::test]
async fn a_part_that_is_confirmed_stays_confirmed_whenever_the_cancel_comes() {
    check(
        |hold| [confirm_part(1, hold.id, "4", Rest::Kept), cancel(1, hold.id)],
        |words, end| matches!((words, end), ([DONE, DONE], "Success") | ([LATE, DONE], "Error cancelled")),
    )
    .await;
}

#[actix_rt::test]
async fn of_two_confirms_of_all_one_is_done() {
    check(
        |hold| [confirm(1, hold.id), confirm(1, hold.id)],
        |words, end| matches!((words, end), ([DONE, LATE] | [LATE, DONE], "Success")),
    )
    .await;
}

#[actix_rt::test]
async fn parts_confirmed_at_once_are_never_more_than_the_hold() {
    const MORE: &str = "amount_exceeds_unconfirmed";
    check(
        |hold| [(); 6].map(|()| confirm_part(1, hold.id, "3", Rest::Kept)),
        |words, end| {
            let count = |wanted: &str| words.iter().filter(|word| **word == wanted).count();
            count(DONE) == 3 && count(MORE) == 3 && end == "Created"
        },
    )
    .await;
}

#[actix_rt::test]
async fn parts_reversed_at_once_are_never_more_than_the_original() {
    let instances = Instances::start(2).await;
    instances.ask(invoice(1, "100000")).await;
    for round in 0..ROUNDS {
        let original = instances.ask(movement(round / 6)).await;
        let payer = original.payer_back().0;
        let words = instances.race(round, [(); 6].map(|()| reverse(payer, original.id, Some("3")))).await;
        let count = |wanted: &str| words.iter().filter(|word| **word == wanted).count();
        assert_eq!((count(DONE), count("amount_exceeds_original")), (3, 3), "round {round}: {words:?}");
    }
    instances.assert_right().await;
}
