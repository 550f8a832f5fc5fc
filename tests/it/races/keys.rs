//! The same key on two instances at once.

use purser::ledger::Request;

use super::instances::{Instances, ROUNDS};
use crate::support::requests::{batch, cancel, confirm, invoice, pending, reverse, transfer, when_funded, withdraw};

/// A request of each kind in turn, with the word that it must end with.
async fn request(instances: &Instances, round: usize) -> (Request, &'static str) {
    let hold = async || instances.ask(pending(withdraw(1, "2"), None)).await.id;
    match round % 10 {
        0 => (invoice(1, "1"), "Success"),
        1 => (transfer(1, 2, "1"), "Success"),
        2 => (pending(withdraw(1, "1"), Some(600)), "Created"),
        3 => (pending(invoice(1, "1"), None), "Created"),
        4 => (when_funded(withdraw(3, "1"), None), "Created"),
        5 => (confirm(1, hold().await), "Success"),
        6 => (cancel(1, hold().await), "Success"),
        7 => (reverse(1, instances.ask(withdraw(1, "2")).await.id, None), "Success"),
        8 => (batch([transfer(1, 2, "1"), invoice(2, "1"), pending(withdraw(2, "1"), None)]), "Success"),
        _ => (batch([transfer(1, 2, "1"), withdraw(2, "1000000")]), "insufficient_funds"),
    }
}

#[actix_rt::test]
async fn what_two_are_asked_for_under_one_key_is_done_once_and_told_twice() {
    let instances = Instances::start(3).await;
    instances.ask(invoice(1, "1000")).await;
    for round in 0..ROUNDS {
        let (request, word) = request(&instances, round).await;
        assert_eq!(instances.race_under_one_key(round, &request).await, word, "{request:?}");
    }
    let keyed = "SELECT count(*) FROM transactions WHERE idempotency_key IS NOT NULL";
    assert_eq!(instances.database.fetch(keyed).await, ROUNDS.to_string());
    instances.assert_right().await;
}
