//! `purser verify`: whatever is damaged in the books is found, and nothing else.

use super::run_on;
use crate::support::TestDatabase;

/// Books with one transaction of each kind, one refused, and constraints out of the way of damage.
async fn books() -> TestDatabase {
    let database = TestDatabase::create().await;
    for table in ["balances", "entries"] {
        for column in ["available", "held", "incoming"] {
            database.execute(format!("ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_check")).await;
        }
    }
    database
        .execute(
            "INSERT INTO transactions (id, wallet_id, to_wallet_id, kind, status, rejection, currency, amount, created_at)
             VALUES
                 ('00000000-0000-0000-0000-000000000001', 1, NULL, 'invoice', 'Success', NULL, 'USD', 10.50, now()),
                 ('00000000-0000-0000-0000-000000000002', 1, NULL, 'withdraw', 'Success', NULL, 'USD', 2, now()),
                 ('00000000-0000-0000-0000-000000000003', 1, 2, 'transfer', 'Success', NULL, 'USD', 3, now()),
                 ('00000000-0000-0000-0000-000000000004', 2, NULL, 'withdraw', 'Error', 'insufficient_funds', 'USD', 9, now())",
        )
        .await;
    database
        .execute(
            "INSERT INTO entries
             VALUES
                 (1, 'USD', 1, '00000000-0000-0000-0000-000000000001', 10.50, 0, 0, 10.50, 0, 0, now()),
                 (1, 'USD', 2, '00000000-0000-0000-0000-000000000002', -2, 0, 0, 8.50, 0, 0, now()),
                 (1, 'USD', 3, '00000000-0000-0000-0000-000000000003', -3, 0, 0, 5.50, 0, 0, now()),
                 (2, 'USD', 1, '00000000-0000-0000-0000-000000000003', 3, 0, 0, 3, 0, 0, now())",
        )
        .await;
    database
        .execute(
            "INSERT INTO balances VALUES (1, 'USD', 5.50, 0, 0, 3), (2, 'USD', 3, 0, 0, 1), (3, 'EUR', 0, 0, 0, 0)",
        )
        .await;
    database
}

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
const COMPLETE: &str = "each transaction with status Success has exactly";
const ORPHAN: &str = "no entry stands without a transaction";
const CREATED: &str = "no transaction has status Created";
const DECIMALS: &str = "each amount has no more decimals";
const WALLETS: &str = "each wallet that is named exists";
const CURRENCIES: &str = "each currency that is named exists";
const TOTALS: &str = "for each currency, what came in";

/// Damages the books and expects exactly these invariants to be found broken.
async fn check_found(damage: &[&str], expected: &[&str]) {
    let database = books().await;
    for statement in damage {
        assert_ne!(database.execute(*statement).await, 0, "{statement} damages nothing");
    }
    let broken = broken(&database, 1);
    let matches =
        broken.len() == expected.len() && broken.iter().zip(expected).all(|(got, want)| got.starts_with(want));
    assert!(matches, "{damage:?}: found {broken:?}, not {expected:?}");
}

#[tokio::test]
async fn books_that_are_right_pass() {
    let database = books().await;
    assert_eq!(broken(&database, 0), [""; 0]);
    let said = run_on(&database, &["verify"]).expect(0, &["the books are right", "4 transactions", "4 entries"]);
    let row = said.stdout.lines().find(|line| line.starts_with("USD")).expect("a row of totals");
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["USD", "10.5", "2", "8.5", "0", "0"]);
}

#[tokio::test]
async fn every_kind_of_damage_to_entries_is_found() {
    check_found(&["UPDATE entries SET seq = 7 WHERE wallet_id = 1 AND seq = 3"], &[NUMBERED, LAST]).await;
    check_found(&["UPDATE entries SET available = 8 WHERE wallet_id = 1 AND seq = 2"], &[CONTINUED]).await;
    check_found(&["UPDATE entries SET held_delta = 1 WHERE wallet_id = 2"], &[CONTINUED, COMPLETE]).await;
    check_found(&["UPDATE entries SET incoming = 1 WHERE wallet_id = 2"], &[CONTINUED, LAST]).await;
    check_found(&["DELETE FROM entries WHERE wallet_id = 2"], &[LAST, COMPLETE]).await;
    check_found(
        &["INSERT INTO entries SELECT 1, 'USD', 4, transaction_id, 0, 0, 0, 5.50, 0, 0, now() FROM entries WHERE wallet_id = 2"],
        &[LAST, COMPLETE],
    )
    .await;
    check_found(
        &[
            "INSERT INTO entries VALUES (2, 'USD', 2, '00000000-0000-0000-0000-000000000004', -1, 0, 0, 2, 0, 0, now())",
            "UPDATE balances SET available = 2, seq = 2 WHERE wallet_id = 2",
        ],
        &[ORPHAN, TOTALS],
    )
    .await;
    check_found(
        &["UPDATE entries SET transaction_id = '00000000-0000-0000-0000-00000000000f' WHERE wallet_id = 2"],
        &[COMPLETE, ORPHAN],
    )
    .await;
}

#[tokio::test]
async fn every_kind_of_damage_to_balances_is_found() {
    check_found(&["UPDATE balances SET available = 4 WHERE wallet_id = 2"], &[LAST, TOTALS]).await;
    check_found(&["UPDATE balances SET held = 1 WHERE wallet_id = 3"], &[LAST, TOTALS]).await;
    check_found(&["UPDATE balances SET seq = 9 WHERE wallet_id = 2"], &[LAST]).await;
    check_found(&["DELETE FROM balances WHERE wallet_id = 2"], &[LAST, TOTALS]).await;
    check_found(&["UPDATE balances SET incoming = -1 WHERE wallet_id = 3"], &[LAST, NEGATIVE]).await;
    check_found(
        &[
            "UPDATE entries SET available_delta = -10.50, available = -10.50 WHERE wallet_id = 1 AND seq = 1",
            "UPDATE entries SET available = available - 21 WHERE wallet_id = 1 AND seq > 1",
            "UPDATE balances SET available = available - 21 WHERE wallet_id = 1",
        ],
        &[NEGATIVE, COMPLETE, TOTALS],
    )
    .await;
}

#[tokio::test]
async fn every_kind_of_damage_to_transactions_is_found() {
    check_found(&["UPDATE transactions SET amount = 11 WHERE kind = 'invoice'"], &[COMPLETE, TOTALS]).await;
    check_found(&["UPDATE transactions SET to_wallet_id = 3 WHERE kind = 'transfer'"], &[COMPLETE, ORPHAN]).await;
    check_found(&["DELETE FROM transactions WHERE kind = 'transfer'"], &[ORPHAN]).await;
    check_found(&["UPDATE transactions SET status = 'Created' WHERE kind = 'invoice'"], &[ORPHAN, CREATED, TOTALS])
        .await;
    check_found(
        &["UPDATE transactions SET status = 'Error', rejection = 'wallet_closed' WHERE kind = 'transfer'"],
        &[ORPHAN],
    )
    .await;
    check_found(&["UPDATE transactions SET wallet_id = 77 WHERE status = 'Error'"], &[WALLETS]).await;
    check_found(&["UPDATE transactions SET currency = 'XXX' WHERE status = 'Error'"], &[CURRENCIES]).await;
    check_found(&["UPDATE transactions SET amount = 9.001 WHERE status = 'Error'"], &[DECIMALS]).await;
    check_found(&["DELETE FROM wallets WHERE id = 2"], &[WALLETS]).await;
    check_found(&["DELETE FROM currencies WHERE code = 'EUR'"], &[CURRENCIES]).await;
}

#[tokio::test]
async fn breaches_are_counted_all_and_listed_up_to_twenty() {
    let database = books().await;
    database.execute("INSERT INTO balances SELECT id, 'USD', 1, 0, 0, 0 FROM generate_series(100, 129) AS id").await;
    run_on(&database, &["verify"]).expect(1, &["THE BOOKS ARE WRONG", "30 breaches", "and 10 more", "wallet 100 USD"]);
    let report = run_on(&database, &["verify", "--json"]).expect(1, &[]).json_lines().remove(0);
    let last = &report["invariants"].as_array().expect("a list")[2];
    assert_eq!((&last["breaches"], last["listed"].as_array().map(Vec::len)), (&30.into(), Some(20)));
}
