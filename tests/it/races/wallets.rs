//! Wallets: transfers that cross, batches that overlap, standings against money, credits against those who wait for them.

use futures::future::join_all;
use purser::ledger::{Cause, Request, Standing, WalletId};

use super::instances::{Instances, ROUNDS, Tally};
use crate::support::requests::{asked, batch, cancel, invoice, stand, transfer, when_funded, withdraw};

const DONE: &str = "Success";

#[actix_rt::test]
async fn transfers_that_cross_are_both_done_and_never_block_each_other() {
    let instances = Instances::start(2).await;
    instances.ask(invoice(1, "10")).await;
    instances.ask(invoice(2, "10")).await;
    for round in 0..ROUNDS {
        let words = instances.race(round, [transfer(1, 2, "10"), transfer(2, 1, "10")]).await;
        assert_eq!(words, [DONE, DONE], "round {round}");
    }
    // Many at once, too: batches of both directions meet.
    let many = (0..ROUNDS * 4).map(|n| {
        let request = if n % 2 == 0 { transfer(1, 2, "0.01") } else { transfer(2, 1, "0.01") };
        instances.processors[n / 2 % 2].submit(asked(request))
    });
    for outcome in join_all(many).await {
        assert_eq!(outcome.expect("the database is there").label(), DONE);
    }
    assert_eq!(instances.database.available(1, "USD").await, "10");
    instances.assert_right().await;
}

#[actix_rt::test]
async fn batches_over_the_same_wallets_in_opposite_orders_never_block_each_other() {
    let instances = Instances::start(4).await;
    for wallet in 1..=4 {
        instances.ask(invoice(wallet, "10")).await;
    }
    for round in 0..ROUNDS {
        // Each round gives every wallet back what it took, and needs all of it on the way.
        let around = batch([
            transfer(1, 2, "10"),
            transfer(2, 3, "20"),
            transfer(3, 2, "10"),
            transfer(3, 4, "10"),
            transfer(4, 1, "10"),
        ]);
        let back = batch([
            transfer(4, 3, "10"),
            transfer(3, 2, "20"),
            transfer(2, 3, "10"),
            transfer(2, 1, "10"),
            transfer(1, 4, "10"),
        ]);
        // Fails at its end, whatever the others did before it.
        let failing = batch([transfer(2, 4, "10"), transfer(3, 4, "10"), transfer(4, 2, "1000")]);
        let words = instances.race(round, [around, back, failing]).await;
        assert_eq!(words, [DONE, DONE, "insufficient_funds"], "round {round}");
    }
    let moved = "SELECT count(*) FROM balances WHERE available <> 10";
    assert_eq!(instances.database.fetch(moved).await, "0");
    instances.assert_right().await;
}

#[actix_rt::test]
async fn a_wallet_is_closed_or_gets_the_credit_and_never_both() {
    let instances = Instances::start(ROUNDS as i64).await;
    let mut tally = Tally::default();
    for (round, wallet) in (1..=ROUNDS as i64).enumerate() {
        let words = instances.race(round, [stand(wallet, Standing::Closed), invoice(wallet, "1")]).await;
        assert!(matches!(words, [DONE, "wallet_closed"] | ["wallet_not_empty", DONE]), "round {round}: {words:?}");
        tally.count(words);
    }
    instances.assert_right().await;
}

#[actix_rt::test]
async fn no_money_leaves_a_wallet_once_it_is_blocked() {
    let instances = Instances::start(1).await;
    instances.ask(invoice(1, "1000")).await;
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let words = instances.race(round, [stand(1, Standing::Blocked), withdraw(1, "1")]).await;
        assert!(matches!(words, [DONE, DONE | "wallet_blocked"]), "round {round}: {words:?}");
        tally.count(words);
        let after =
            "SELECT count(*) FROM entries JOIN wallets ON wallets.id = wallet_id WHERE entries.created_at > blocked_at";
        assert_eq!(instances.database.fetch(after).await, "0", "round {round}: what left, left before");
        let later = instances.race(round, [withdraw(1, "1"), withdraw(1, "1")]).await;
        assert_eq!(later, ["wallet_blocked"; 2], "round {round}");
        instances.race(round, [stand(1, Standing::Open)]).await;
    }
    instances.assert_right().await;
}

#[actix_rt::test]
async fn what_waits_for_funds_is_paid_or_ended_and_its_money_is_where_that_says() {
    let instances = Instances::start(ROUNDS as i64).await;
    let mut tally = Tally::default();
    for (round, wallet) in (1..=ROUNDS as i64).enumerate() {
        let first = instances.ask(when_funded(withdraw(wallet, "5"), Some(600))).await;
        let second = instances.ask(when_funded(withdraw(wallet, "3"), None)).await;
        let due = first.more().expires_at.expect("it was given a time");
        let expire = Request::Cancel { wallet: WalletId(wallet), original: first.id, cause: Cause::Expired { due } };
        // In turn, so that each of them is first in some rounds.
        let end = if round / 2 % 2 == 0 { cancel(wallet, first.id) } else { expire };
        let words = instances.race(round, [invoice(wallet, "6"), end]).await;
        let state = [instances.stored(first.id).await, instances.stored(second.id).await];
        let available = instances.database.available(wallet, "USD").await;
        let state = (words, state[0].as_str(), state[1].as_str(), available.as_str());
        assert!(
            matches!(
                state,
                // The credit came first: it paid the first in line, the second waits on.
                ([DONE, "transaction_final"], "Success", "Created", "1")
                // The first left before it, and made way for the second.
                | ([DONE, DONE], "Error cancelled" | "Error expired", "Success", "3")
            ),
            "round {round}: {state:?}"
        );
        tally.count(state);
    }
    instances.assert_right().await;
}

#[actix_rt::test]
async fn many_who_wait_are_paid_in_their_order_by_many_credits_at_once() {
    let instances = Instances::start(1).await;
    for round in 0..ROUNDS / 4 {
        let requests = [
            when_funded(withdraw(1, "4"), None),
            invoice(1, "5"),
            when_funded(withdraw(1, "6"), None),
            invoice(1, "5"),
            when_funded(withdraw(1, "5"), None),
            invoice(1, "5"),
        ];
        let words = instances.race(round, requests).await;
        assert!([words[1], words[3], words[5]].iter().all(|word| *word == DONE), "round {round}: {words:?}");
        let waiting = "SELECT count(*) FROM transactions WHERE status = 'Created'";
        assert_eq!(instances.database.fetch(waiting).await, "0", "round {round}: fifteen cover all three");
        assert_eq!(instances.database.available(1, "USD").await, "0", "round {round}");
    }
    // Who came later to the line was paid later.
    let overtaken = "WITH paid AS (
            SELECT transactions.created_at, seq
            FROM transactions
            JOIN entries ON transaction_id = id
            WHERE waiting_number IS NOT NULL
        )
        SELECT count(*) FROM paid AS earlier JOIN paid AS later
        ON earlier.created_at < later.created_at AND earlier.seq > later.seq";
    assert_eq!(instances.database.fetch(overtaken).await, "0");
    instances.assert_right().await;
}
