//! `purser verify`: whatever is damaged in the books is found, and nothing else.

mod books;

use books::Books;

use super::run_on;
use crate::support::TestDatabase;

/// The invariants that `purser verify` finds broken, by their first words.
fn broken(database: &TestDatabase, code: i32) -> Vec<String> {
    let report = run_on(database, &["verify", "--json"]).expect(code, &[]).json_lines().remove(0);
    assert_eq!(report["is_right"], code == 0);
    let invariants = report["invariants"].as_array().expect("a list");
    let broken = invariants.iter().filter(|invariant| invariant["breaches"] != 0);
    broken.map(|invariant| invariant["invariant"].as_str().expect("a text").to_owned()).collect()
}

const NUMBERED: &str = "a wallet's entries are numbered";
const CONTINUED: &str = "each entry's balances are those of the entry before";
const LAST: &str = "each balance is what its wallet's last entry says";
const NEGATIVE: &str = "no part of a balance is ever below zero";
const COMPLETE: &str = "each transaction has exactly the entries";
const ORPHAN: &str = "no entry stands without a transaction";
const HELD: &str = "held and incoming of each balance";
const QUEUED: &str = "each balance says how many withdrawals wait";
const LINE: &str = "withdrawals wait for funds in the order";
const FUNDED: &str = "no withdrawal is first in its line while";
const CLOSED: &str = "each closed wallet is empty";
const STANDS: &str = "each wallet may do what the last operation on its standing";
const REOPENED: &str = "no wallet was opened or blocked after";
const CREATED: &str = "only money that is set aside or waits";
const FINISHED: &str = "what was set aside or waited is finished exactly when";
const ENDED_AS: &str = "what was set aside and confirmed in part succeeded";
const ABOUT: &str = "each confirm, cancel and extend is about";
const NAMES: &str = "each confirm, cancel, extend and reverse names";
const LEFT: &str = "each confirm, cancel, extend and reverse left";
const CONFIRMED: &str = "what was confirmed of each transaction";
const RETURNED: &str = "a cancel gives back exactly";
const ENDED_ONCE: &str = "what waited ended once";
const REVERSED: &str = "no more is reversed";
const BATCH: &str = "an atomic batch that succeeded";
const DECIMALS: &str = "each amount has no more decimals";
const WALLETS: &str = "each wallet that is named exists";
const CURRENCIES: &str = "each currency that is named exists";
const SERVICES: &str = "each service that is named exists";
const TRANSACTIONS: &str = "each transaction that is named exists";
const NAMELESS: &str = "each transaction that has a reference";
const STRAY: &str = "each reference names a transaction";
const TOTALS: &str = "for each currency, what came in";

/// Damages the books in one way after the other and expects exactly these invariants to be found broken, each time.
async fn check_found(cases: &[(&[&str], &[&str])]) {
    let books = Books::write().await;
    let mut wrong = Vec::new();
    for (damage, expected) in cases {
        for statement in *damage {
            assert_ne!(books.database.execute(*statement).await, 0, "{statement} damages nothing");
        }
        let broken = broken(&books.database, 1);
        if broken.len() != expected.len() || !broken.iter().zip(*expected).all(|(got, want)| got.starts_with(want)) {
            wrong.push(format!("{damage:?}: found {broken:#?}, not {expected:#?}"));
        }
        books.restore().await;
    }
    assert_eq!(broken(&books.database, 0), [""; 0], "all damage is taken back");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn books_that_are_right_pass() {
    let Books { database } = Books::write().await;
    assert_eq!(broken(&database, 0), [""; 0]);
    let said = run_on(&database, &["verify"]).expect(0, &["the books are right", "40 transactions", "36 entries"]);
    let row = said.stdout.lines().find(|line| line.starts_with("USD")).expect("a row of totals");
    let row: Vec<_> = row.split_whitespace().collect();
    // In: 1000.50 + 12 + 5 + 5.50 + 5 + 3 + 0.01. Out: 2 + 4 + 2 + 5.
    assert_eq!(row, ["USD", "1,031.01", "0.25", "13.00", "1.75", "1,013.51", "6.00", "8.00", "16.00"]);
}

#[tokio::test]
async fn every_kind_of_damage_to_entries_is_found() {
    check_found(&[
        (&["UPDATE entries SET seq = 70 WHERE wallet_id = 2 AND seq = 3"], &[NUMBERED, CONTINUED, LAST]),
        (&["UPDATE entries SET available = 8 WHERE wallet_id = 1 AND seq = 2"], &[CONTINUED]),
        (&["UPDATE entries SET held_delta = 1 WHERE wallet_id = 7"], &[CONTINUED, COMPLETE]),
        (&["UPDATE entries SET incoming = 1 WHERE wallet_id = 7"], &[CONTINUED, LAST]),
        (&["DELETE FROM entries WHERE wallet_id = 7"], &[LAST, COMPLETE]),
        (
            &["INSERT INTO entries SELECT 7, 'USD', 2, transaction_id, 0, 0, 0, 1, 0, 0, now() FROM entries WHERE wallet_id = 7"],
            &[LAST, COMPLETE],
        ),
        (
            &[
                "INSERT INTO entries VALUES (7, 'USD', 2, tx(55), -1, 0, 0, 0, 0, 0, now())",
                "UPDATE balances SET available = 0, seq = 2 WHERE wallet_id = 7",
            ],
            &[ORPHAN, TOTALS],
        ),
        (&["UPDATE entries SET transaction_id = tx(99) WHERE wallet_id = 7"], &[COMPLETE, ORPHAN]),
        // Money that a hold, a confirm, a cancel, a reverse or a line moves is asked for as exactly.
        (&["UPDATE entries SET transaction_id = tx(11) WHERE transaction_id = tx(10)"], &[COMPLETE]),
        (&["UPDATE entries SET transaction_id = tx(16) WHERE transaction_id = tx(18)"], &[COMPLETE]),
        (&["UPDATE entries SET transaction_id = tx(44) WHERE transaction_id = tx(46)"], &[COMPLETE]),
        (&["UPDATE entries SET transaction_id = tx(40) WHERE transaction_id = tx(44)"], &[COMPLETE, ORPHAN]),
        (&["UPDATE entries SET transaction_id = tx(43) WHERE transaction_id = tx(44)"], &[COMPLETE, ORPHAN]),
        (&["UPDATE entries SET transaction_id = tx(50) WHERE transaction_id = tx(51)"], &[COMPLETE, ORPHAN]),
        (&["UPDATE entries SET transaction_id = tx(12) WHERE transaction_id = tx(11)"], &[COMPLETE, ORPHAN]),
    ])
    .await;
}

#[tokio::test]
async fn every_kind_of_damage_to_balances_and_wallets_is_found() {
    check_found(&[
        (&["UPDATE balances SET available = 4 WHERE wallet_id = 7"], &[LAST, TOTALS]),
        (&["UPDATE balances SET held = 1 WHERE wallet_id = 3"], &[LAST, HELD, TOTALS]),
        (&["UPDATE balances SET incoming = 9 WHERE wallet_id = 2"], &[LAST, HELD]),
        (&["UPDATE balances SET seq = 9 WHERE wallet_id = 7"], &[LAST]),
        (&["DELETE FROM balances WHERE wallet_id = 7"], &[LAST, TOTALS]),
        (&["UPDATE balances SET incoming = -1 WHERE wallet_id = 3"], &[LAST, NEGATIVE, HELD]),
        (&["UPDATE balances SET waiting = 1 WHERE wallet_id = 4"], &[QUEUED]),
        (&["UPDATE balances SET waiting = 1 WHERE wallet_id = 7"], &[QUEUED]),
        (
            &[
                "UPDATE entries SET available_delta = -1, available = -1 WHERE wallet_id = 7",
                "UPDATE balances SET available = -1 WHERE wallet_id = 7",
            ],
            &[NEGATIVE, COMPLETE, TOTALS],
        ),
        (&["UPDATE wallets SET closed_at = now() WHERE id = 7"], &[CLOSED]),
        (&["UPDATE wallets SET closed_at = now() WHERE id = 4"], &[CLOSED]),
        (&["UPDATE wallets SET blocked_at = NULL WHERE id = 8"], &[FUNDED, STANDS]),
        (&["DELETE FROM wallets WHERE id = 7"], &[WALLETS]),
        (&["DELETE FROM currencies WHERE code = 'EUR'"], &[CURRENCIES]),
        (&["DELETE FROM services"], &[SERVICES]),
    ])
    .await;
}

#[tokio::test]
async fn every_kind_of_damage_to_standings_is_found() {
    check_found(&[
        (&["UPDATE wallets SET closed_at = NULL WHERE id = 9"], &[STANDS]),
        (&["UPDATE wallets SET blocked_at = now() WHERE id = 3"], &[STANDS]),
        (&["UPDATE wallets SET closed_at = now() WHERE id = 11"], &[STANDS]),
        (&["UPDATE wallets SET closed_at = closed_at - INTERVAL '1 s' WHERE id = 10"], &[STANDS]),
        (&["UPDATE wallets SET blocked_at = NULL WHERE id = 11"], &[STANDS]),
        (&["UPDATE standings SET standing = 'open' WHERE id = tx(61)"], &[STANDS]),
        (&["UPDATE standings SET wallet_id = 8 WHERE id = tx(63)"], &[STANDS]),
        (&["UPDATE standings SET created_at = now() WHERE id = tx(67)"], &[STANDS]),
        (&["DELETE FROM standings WHERE id IN (tx(67), tx(68))"], &[STANDS]),
        (&["UPDATE standings SET standing = 'closed' WHERE id = tx(65)"], &[REOPENED]),
        (&["UPDATE standings SET standing = 'open' WHERE id = tx(68)"], &[STANDS, REOPENED]),
        (&["UPDATE standings SET wallet_id = 77 WHERE id = tx(61)"], &[WALLETS]),
    ])
    .await;
}

#[tokio::test]
async fn every_kind_of_damage_to_movements_is_found() {
    check_found(&[
        (&["UPDATE transactions SET amount = 1001 WHERE id = tx(1)"], &[COMPLETE, TOTALS]),
        (&["UPDATE transactions SET to_wallet_id = 3 WHERE id = tx(52)"], &[COMPLETE, ORPHAN]),
        (&["DELETE FROM transactions WHERE id = tx(49)"], &[ORPHAN, TOTALS]),
        (&["UPDATE transactions SET status = 'Created' WHERE id = tx(49)"], &[ORPHAN, CREATED, TOTALS]),
        (
            &["UPDATE transactions SET status = 'Error', rejection = 'wallet_closed' WHERE id = tx(49)"],
            &[ORPHAN, TOTALS],
        ),
        (&["UPDATE transactions SET finished_at = created_at WHERE id = tx(49)"], &[CREATED]),
        (&["UPDATE transactions SET expires_at = created_at WHERE id = tx(49)"], &[CREATED]),
        (&["UPDATE transactions SET rejection = 'expired' WHERE id = tx(4)"], &[CREATED]),
        (&["UPDATE transactions SET wallet_id = 77 WHERE id = tx(4)"], &[WALLETS]),
        (&["UPDATE transactions SET currency = 'XXX' WHERE id = tx(4)"], &[CURRENCIES]),
        (&["UPDATE transactions SET amount = 9.001 WHERE id = tx(4)"], &[DECIMALS]),
        (&["UPDATE transactions SET service_id = 7 WHERE id = tx(4)"], &[SERVICES]),
        (&["UPDATE transactions SET batch_id = tx(99) WHERE id = tx(4)"], &[BATCH, TRANSACTIONS]),
        // Batches.
        (&["UPDATE transactions SET batch_id = tx(53) WHERE batch_id = tx(50)"], &[BATCH]),
        (&["UPDATE transactions SET failed_item = NULL WHERE id = tx(53)"], &[BATCH]),
        (&["UPDATE transactions SET failed_item = 0 WHERE id = tx(50)"], &[BATCH]),
        (&["UPDATE transactions SET failed_item = 0 WHERE id = tx(4)"], &[BATCH]),
        (&["UPDATE transactions SET batch_id = tx(1) WHERE id = tx(2)"], &[BATCH]),
        (&["UPDATE transactions SET batch_id = tx(50) WHERE id = tx(4)"], &[BATCH]),
        (&["UPDATE transactions SET batch_id = NULL WHERE batch_id = tx(50)"], &[BATCH]),
        (&["DELETE FROM transactions WHERE id = tx(50)"], &[BATCH, TRANSACTIONS]),
        // Lines.
        (&["UPDATE transactions SET waiting_number = 1 WHERE id = tx(41)"], &[LINE]),
        (&["UPDATE transactions SET waiting_number = 3 WHERE id = tx(40)"], &[LINE]),
        (&["UPDATE transactions SET waiting_number = 0 WHERE id = tx(40)"], &[LINE]),
        (&["UPDATE transactions SET waiting_number = NULL WHERE id = tx(40)"], &[QUEUED, CREATED]),
        (&["DELETE FROM transactions WHERE id = tx(40)"], &[QUEUED]),
        (
            &["UPDATE transactions SET status = 'Success', finished_at = now() WHERE id = tx(40)"],
            &[COMPLETE, QUEUED, TOTALS],
        ),
        (
            &["UPDATE transactions SET status = 'Created', finished_at = NULL WHERE id = tx(44)"],
            &[ORPHAN, QUEUED, ABOUT, REVERSED, TOTALS],
        ),
        (
            &["UPDATE transactions SET status = 'Error', rejection = 'expired' WHERE id = tx(44)"],
            &[ORPHAN, ENDED_AS, ABOUT, ENDED_ONCE, REVERSED, TOTALS],
        ),
    ])
    .await;
}

#[tokio::test]
async fn every_kind_of_damage_to_holds_is_found() {
    check_found(&[
        (&["UPDATE transactions SET confirmed = 5 WHERE id = tx(10)"], &[HELD, CONFIRMED, TOTALS]),
        (&["UPDATE transactions SET confirmed = NULL WHERE id = tx(10)"], &[ORPHAN, HELD, CREATED, ABOUT, CONFIRMED, TOTALS]),
        (&["UPDATE transactions SET amount = 11 WHERE id = tx(10)"], &[COMPLETE, HELD]),
        (&["UPDATE transactions SET waiting_number = 1 WHERE id = tx(10)"], &[QUEUED, FUNDED, CREATED]),
        (&["UPDATE transactions SET finished_at = now() WHERE id = tx(10)"], &[FINISHED]),
        (&["UPDATE transactions SET finished_at = NULL WHERE id = tx(13)"], &[FINISHED]),
        (&["UPDATE transactions SET finished_at = created_at - INTERVAL '1 s' WHERE id = tx(13)"], &[FINISHED, ENDED_ONCE]),
        (
            &["UPDATE transactions SET status = 'Success', finished_at = now() WHERE id = tx(10)"],
            &[HELD, ENDED_ONCE],
        ),
        (
            &["UPDATE transactions SET status = 'Created', finished_at = NULL WHERE id = tx(13)"],
            &[HELD, ABOUT, ENDED_ONCE, REVERSED],
        ),
        (
            &["UPDATE transactions SET status = 'Created', rejection = NULL, finished_at = NULL WHERE id = tx(19)"],
            &[HELD, ENDED_ONCE, NAMELESS],
        ),
        (&["UPDATE transactions SET status = 'Success', rejection = NULL WHERE id = tx(19)"], &[ENDED_AS, ENDED_ONCE, NAMELESS]),
        (&["UPDATE transactions SET status = 'Error', rejection = 'cancelled' WHERE id = tx(16)"], &[ENDED_AS, ENDED_ONCE]),
        (&["UPDATE transactions SET rejection = 'expired' WHERE id = tx(19)"], &[ENDED_AS]),
        (&["UPDATE transactions SET rejection = 'insufficient_funds' WHERE id = tx(19)"], &[ENDED_AS]),
        (&["UPDATE transactions SET status = 'Error', rejection = 'expired' WHERE id = tx(30)"], &[HELD, FINISHED, ENDED_AS, ENDED_ONCE]),
        // What is about them.
        (&["DELETE FROM transactions WHERE id = tx(11)"], &[ORPHAN, CONFIRMED]),
        (&["UPDATE transactions SET amount = 5 WHERE id = tx(11)"], &[COMPLETE, CONFIRMED]),
        (&["UPDATE transactions SET status = 'Error', rejection = 'balance_too_large' WHERE id = tx(11)"], &[ORPHAN, CONFIRMED]),
        (&["UPDATE transactions SET amount = 1 WHERE id = tx(18)"], &[COMPLETE, RETURNED]),
        (&["UPDATE transactions SET original_status = 'Success' WHERE id = tx(11)"], &[COMPLETE, CREATED, ENDED_ONCE]),
        (&["UPDATE transactions SET original_status = 'Created' WHERE id = tx(14)"], &[COMPLETE, ENDED_ONCE]),
        (&["UPDATE transactions SET original_status = 'Error' WHERE id = tx(18)"], &[ENDED_ONCE]),
        (&["UPDATE transactions SET original_status = 'Error' WHERE id = tx(12)"], &[CREATED, LEFT]),
        (&["UPDATE transactions SET original_status = 'Created' WHERE id = tx(18)"], &[LEFT, ENDED_ONCE]),
        (&["UPDATE transactions SET created_at = created_at - INTERVAL '1 h' WHERE id = tx(12)"], &[LEFT]),
        (&["UPDATE transactions SET original_id = tx(19) WHERE id = tx(12)"], &[LEFT]),
        (
            &["UPDATE transactions SET original_id = tx(13), created_at = created_at + INTERVAL '1 h' WHERE id = tx(12)"],
            &[ENDED_ONCE],
        ),
        (&["UPDATE transactions SET original_id = tx(1) WHERE id = tx(12)"], &[ABOUT]),
        (&["UPDATE transactions SET original_id = tx(99) WHERE id = tx(12)"], &[TRANSACTIONS]),
        (&["UPDATE transactions SET wallet_id = 2 WHERE id = tx(12)"], &[NAMES]),
        (&["UPDATE transactions SET currency = 'USD', amount = 1 WHERE id = tx(12)"], &[NAMES]),
        (&["UPDATE transactions SET currency = 'RUB' WHERE id = tx(18)"], &[COMPLETE, ORPHAN, NAMES]),
        (&["UPDATE transactions SET original_status = NULL WHERE id = tx(12)"], &[CREATED, LEFT]),
        (&["UPDATE transactions SET rejection = NULL WHERE id = tx(19)"], &[ENDED_AS]),
        (&["UPDATE transactions SET to_wallet_id = 7 WHERE id = tx(18)"], &[NAMES]),
        (&["UPDATE transactions SET to_wallet_id = NULL WHERE id = tx(14)"], &[ORPHAN, NAMES]),
        (
            &["INSERT INTO transactions (id, wallet_id, kind, status, currency, amount, original_id, original_status, created_at)
               SELECT tx(98), wallet_id, kind, status, currency, amount, original_id, original_status, created_at
               FROM transactions WHERE id = tx(43)"],
            &[RETURNED, ENDED_ONCE],
        ),
    ])
    .await;
}

#[tokio::test]
async fn every_kind_of_damage_to_reversals_is_found() {
    check_found(&[
        (&["UPDATE transactions SET amount = 1 WHERE id = tx(5)"], &[COMPLETE, TOTALS]),
        (&["UPDATE transactions SET amount = 2.01 WHERE id = tx(6)"], &[COMPLETE, REVERSED, TOTALS]),
        (&["UPDATE transactions SET amount = 3.01 WHERE id = tx(7)"], &[COMPLETE, REVERSED]),
        (&["UPDATE transactions SET amount = 5.01 WHERE id = tx(15)"], &[COMPLETE, REVERSED]),
        (&["UPDATE transactions SET original_id = tx(5) WHERE id = tx(6)"], &[COMPLETE, ABOUT, REVERSED, TOTALS]),
        (&["UPDATE transactions SET original_id = tx(4) WHERE id = tx(46)"], &[ABOUT, NAMES, REVERSED]),
        (&["UPDATE transactions SET original_status = 'Created' WHERE id = tx(6)"], &[LEFT]),
        (&["UPDATE transactions SET to_wallet_id = 3 WHERE id = tx(7)"], &[COMPLETE, ORPHAN, NAMES]),
        (&["UPDATE transactions SET wallet_id = 1 WHERE id = tx(7)"], &[COMPLETE, ORPHAN, NAMES]),
        (&["DELETE FROM transactions WHERE id = tx(2)"], &[ORPHAN, TRANSACTIONS, STRAY, TOTALS]),
    ])
    .await;
}

#[tokio::test]
async fn every_kind_of_damage_to_references_is_found() {
    check_found(&[
        (&["DELETE FROM transaction_references WHERE reference = 'done'"], &[NAMELESS]),
        (&["DELETE FROM transaction_references WHERE reference = 'held'"], &[NAMELESS]),
        (&["UPDATE transaction_references SET transaction_id = tx(3) WHERE reference = 'done'"], &[NAMELESS, STRAY]),
        (&["UPDATE transaction_references SET reference = 'Done' WHERE reference = 'done'"], &[NAMELESS, STRAY]),
        (&["INSERT INTO transaction_references VALUES ('refused', tx(4))"], &[STRAY]),
        (&["INSERT INTO transaction_references VALUES ('freed', tx(19))"], &[STRAY]),
        (&["INSERT INTO transaction_references VALUES ('new', tx(1))"], &[STRAY]),
        (&["INSERT INTO transaction_references VALUES ('new', tx(99))"], &[STRAY]),
        (&["UPDATE transactions SET reference = NULL WHERE id = tx(10)"], &[STRAY]),
        (&["UPDATE transactions SET reference = 'done' WHERE id = tx(1)"], &[NAMELESS]),
        (&["UPDATE transactions SET reference = 'held' WHERE id = tx(2)"], &[NAMELESS, STRAY]),
    ])
    .await;
}

#[tokio::test]
async fn breaches_are_counted_all_and_listed_up_to_twenty() {
    let Books { database } = Books::write().await;
    database
        .execute(
            "INSERT INTO balances (wallet_id, currency, available, held, incoming, seq)
             SELECT id, 'USD', 1, 0, 0, 0 FROM generate_series(100, 129) AS id",
        )
        .await;
    run_on(&database, &["verify"]).expect(1, &["THE BOOKS ARE WRONG", "30 breaches", "and 10 more", "wallet 100 USD"]);
    let report = run_on(&database, &["verify", "--json"]).expect(1, &[]).json_lines().remove(0);
    let last = &report["invariants"].as_array().expect("a list")[2];
    assert_eq!((&last["breaches"], last["listed"].as_array().map(Vec::len)), (&30.into(), Some(20)));
}
