//! The same reference on two instances at once, for different wallets: no lock that they share keeps them apart.

use purser::ledger::{Cause, Request, Transaction, WalletId};

use super::instances::{Instances, ROUNDS, Tally};
use crate::support::requests::{batch, cancel, confirm, invoice, named, pending, transfer, when_funded, withdraw};

const DONE: &str = "Success";
const TAKEN: &str = "reference_taken";

/// Each kind of movement in turn, with the word that it begins with.
fn movement(turn: usize, wallet: i64) -> (Request, &'static str) {
    match turn % 6 {
        0 => (invoice(wallet, "1"), DONE),
        1 => (withdraw(wallet, "1"), DONE),
        2 => (transfer(wallet, 7 - wallet, "1"), DONE),
        3 => (pending(withdraw(wallet, "1"), Some(600)), "Created"),
        4 => (pending(invoice(wallet, "1"), None), "Created"),
        _ => (when_funded(withdraw(wallet, "1000000"), None), "Created"),
    }
}

async fn funded() -> Instances {
    let instances = Instances::start(6).await;
    for wallet in 1..=6 {
        instances.ask(invoice(wallet, "10000")).await;
    }
    instances
}

/// What a reference names, and what became of that: `Success`; empty if it names nothing.
async fn named_status(instances: &Instances, reference: &str) -> String {
    let query = format!(
        "SELECT coalesce(string_agg(concat_ws(' ', status, wallet_id), ', '), '')
         FROM transaction_references
         JOIN transactions ON transactions.id = transaction_id
         WHERE transaction_references.reference = '{reference}'"
    );
    instances.database.fetch(query).await
}

#[actix_rt::test]
async fn of_two_who_take_one_reference_one_succeeds() {
    let instances = funded().await;
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let reference = format!("r{round}");
        let [(first, first_word), (second, second_word)] = [movement(round, 1), movement(round / 6, 2)];
        let words = instances.race(round, [named(first, &reference), named(second, &reference)]).await;
        let winner = match words {
            [first, TAKEN] if first == first_word => format!("{first} 1"),
            [TAKEN, second] if second == second_word => format!("{second} 2"),
            _ => panic!("round {round}: {words:?}"),
        };
        assert_eq!(named_status(&instances, &reference).await, winner, "round {round}");
        tally.count(words);
    }
    instances.assert_right().await;
}

#[actix_rt::test]
async fn of_many_who_take_one_reference_one_succeeds() {
    let instances = funded().await;
    for round in 0..ROUNDS {
        let reference = format!("r{round}");
        let requests = [1, 2, 3, 4, 5, 6].map(|wallet| named(invoice(wallet, "1"), &reference));
        let words = instances.race(round, requests).await;
        let count = |wanted: &str| words.iter().filter(|word| **word == wanted).count();
        assert_eq!((count(DONE), count(TAKEN)), (1, 5), "round {round}: {words:?}");
    }
    instances.assert_right().await;
}

/// Races one who ends a hold of wallet 1 with five who want its reference, on the wallets from 2 on. `is_right` is asked of the end's word, of what
/// the hold has become, and of what its reference names.
async fn check(end: impl Fn(&Transaction) -> Request, is_right: impl Fn(&str, &str, &str) -> bool) {
    let instances = funded().await;
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let reference = format!("r{round}");
        let hold = instances.ask(named(pending(withdraw(1, "1"), Some(600)), &reference)).await;
        let [a, b, c, d, e] = [2, 3, 4, 5, 6].map(|wallet| named(invoice(wallet, "1"), &reference));
        let [word, takers @ ..] = instances.race(round, [end(&hold), a, b, c, d, e]).await;
        let (kept, names) = (instances.stored(hold.id).await, named_status(&instances, &reference).await);
        assert!(is_right(word, &kept, &names), "round {round}: {word}, {kept}, {names}");
        // Who took it is who it names, and the others were told so.
        for (taker, wallet) in takers.iter().zip(2..) {
            let expected = if names == format!("Success {wallet}") { DONE } else { TAKEN };
            assert_eq!(*taker, expected, "round {round}: wallet {wallet}, {names}");
        }
        tally.count((kept, names.is_empty(), names == "Success 1"));
    }
    instances.assert_right().await;
}

#[actix_rt::test]
async fn who_wants_the_reference_of_what_is_cancelled_gets_it_or_comes_too_early() {
    check(
        |hold| cancel(1, hold.id),
        |word, kept, names| (word, kept) == (DONE, "Error cancelled") && names != "Success 1",
    )
    .await;
}

#[actix_rt::test]
async fn who_wants_the_reference_of_what_expires_gets_it_or_comes_too_early() {
    let expire = |hold: &Transaction| {
        let due = hold.more().expires_at.expect("it was given a time");
        Request::Cancel { wallet: WalletId(1), original: hold.id, cause: Cause::Expired { due } }
    };
    check(expire, |word, kept, names| (word, kept) == (DONE, "Error expired") && names != "Success 1").await;
}

#[actix_rt::test]
async fn the_reference_of_what_is_confirmed_is_never_free() {
    check(|hold| confirm(1, hold.id), |word, kept, names| (word, kept, names) == (DONE, DONE, "Success 1")).await;
}

#[actix_rt::test]
async fn batches_with_the_same_references_in_other_orders_do_not_wait_in_a_circle() {
    let instances = funded().await;
    for round in 0..ROUNDS {
        let item = |wallet: i64, n: usize| named(invoice(wallet, "1"), &format!("r{round}n{n}"));
        let forth = batch((0..8).map(|n| item(1, n)));
        let back = batch((0..8).rev().map(|n| item(2, n)));
        let words = instances.race(round, [forth, back]).await;
        assert!(matches!(words, [DONE, TAKEN] | [TAKEN, DONE]), "round {round}: {words:?}");
    }
    let rows = instances.database.fetch("SELECT count(*) FROM transaction_references").await;
    assert_eq!(rows, (ROUNDS * 8).to_string());
    instances.assert_right().await;
}
