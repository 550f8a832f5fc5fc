//! References: names that are unique over all wallets.

use crate::{check, check_all};

const TAKEN: &str = "reference_taken";

#[test]
fn a_reference_names_one_transaction_over_all_wallets() {
    let first = ("invoice 1 5 USD reference r as t", "1 has 5 USD, r names t");
    for second in [
        "invoice 1 5 USD reference r",
        "invoice 2 7 JPY reference r",
        "invoice 2 5 USD pending reference r",
        "withdraw 1 5 USD reference r",
        "withdraw 1 5 USD pending for 60 reference r",
        "withdraw 3 5 USD waits reference r",
        "transfer 1 2 5 USD reference r k",
        "transfer 1 2 5 USD pending reference r",
    ] {
        check_all("", &[first, (second, TAKEN), ("balance 1", "1 has 5 USD, r names t")]);
    }
    let both = "1 has 10 USD, r names t, R names u";
    check_all("", &[first, ("invoice 1 5 USD reference R as u", both)]);
    // Which key the second has makes no difference; neither has the order.
    check_all("", &[("invoice 1 5 USD reference r key", "1 has 5 USD"), ("invoice 2 5 USD reference r key", TAKEN)]);
    check_all(
        "",
        &[("invoice 1 5 USD order r", "1 has 5 USD"), ("invoice 2 5 USD reference r", "1 has 5 USD, 2 has 5 USD")],
    );
}

#[test]
fn every_kind_of_movement_takes_its_reference() {
    for (before, sentence, left) in [
        ("", "invoice 1 5 USD reference r as t", "1 has 5 USD"),
        ("", "invoice 1 5 USD pending reference r as t", "1 awaits 5 USD"),
        ("1 has 5 USD", "withdraw 1 5 USD reference r as t", "1 has 0 USD"),
        ("1 has 5 USD", "withdraw 1 5 USD pending reference r as t", "1 holds 5 USD"),
        ("", "withdraw 1 5 USD waits reference r as t", "1 USD waits t"),
        ("1 has 5 USD", "transfer 1 2 5 USD reference r as t", "2 has 5 USD"),
        ("1 has 5 USD", "transfer 1 2 5 USD pending reference r as t", "1 holds 5 USD"),
    ] {
        check_all(before, &[(sentence, &format!("{left}, r names t")), ("invoice 4 1 USD reference r", TAKEN)]);
    }
}

#[test]
fn whether_a_reference_is_free_is_asked_last() {
    let (before, left) = ("1 closed, 3 blocked", "1 closed, 3 blocked, 4 has 5 USD, r names t");
    let first = ("invoice 4 5 USD reference r as t", left);
    for (second, rejection) in [
        ("invoice 9 0.001 XXX reference r", "wallet_unknown"),
        ("invoice 1 0.001 XXX reference r", "wallet_closed"),
        ("invoice 2 0.001 XXX reference r", "currency_unknown"),
        ("invoice 2 0.001 USD reference r", "too_many_decimals"),
        ("invoice 2 1 USD service 8 reference r", "service_unknown"),
        ("withdraw 3 1 USD reference r", "wallet_blocked"),
        ("withdraw 2 1 USD reference r", "insufficient_funds"),
        ("withdraw 2 1 USD pending reference r", "insufficient_funds"),
        ("transfer 2 2 1 USD reference r", "same_wallet"),
        ("transfer 2 4 1 USD reference r", "insufficient_funds"),
        ("transfer 4 2 1 USD reference r", TAKEN),
    ] {
        check_all(before, &[first, (second, rejection)]);
    }
    let most = format!("invoice 4 {} USD reference r", "9".repeat(28));
    check_all(before, &[first, (&most, "balance_too_large")]);
    let wait = "withdraw 2 1 USD waits";
    check_all(
        before,
        &[first, (wait, left), (wait, left), (wait, left), ("withdraw 2 1 USD waits reference r", "waiting_line_full")],
    );
}

#[test]
fn what_is_refused_takes_no_reference() {
    for (refused, rejection) in [
        ("withdraw 1 5 USD reference r", "insufficient_funds"),
        ("withdraw 1 5 USD pending reference r k", "insufficient_funds"),
        ("transfer 1 2 5 USD reference r", "insufficient_funds"),
        ("invoice 9 5 USD reference r", "wallet_unknown"),
        ("invoice 1 5 XXX reference r", "currency_unknown"),
    ] {
        check_all("", &[(refused, rejection), ("invoice 1 5 USD reference r as t", "1 has 5 USD, r names t")]);
    }
    // Who was refused because of another does not stand in the way of a third.
    check_all(
        "1 has 5 USD",
        &[
            ("withdraw 1 5 USD pending reference r as h", "1 holds 5 USD, r names h"),
            ("invoice 2 5 USD reference r", TAKEN),
            ("cancel 1 @h", "1 has 5 USD, r names nothing"),
            ("invoice 3 5 USD reference r as t", "1 has 5 USD, 3 has 5 USD, r names t"),
        ],
    );
}

#[test]
fn a_transaction_that_ends_with_error_gives_its_reference_free() {
    let hold = ("withdraw 1 5 USD pending for 60 reference r as h", "1 holds 5 USD, r names h");
    let again = ("withdraw 2 3 USD waits reference r as w", "1 has 5 USD, 2 USD waits w, r names w");
    for end in ["cancel 1 @h", "expire 1 @h 60", "batch: extend 1 @h 90; cancel 1 @h"] {
        check_all("1 has 5 USD", &[hold, (end, "1 has 5 USD, r names nothing")]);
        check_all("1 has 5 USD", &[hold, (end, "1 has 5 USD"), again, ("invoice 3 1 USD reference r", TAKEN)]);
        // It names the next one alone: that the first has ended changes nothing any more.
        check_all(
            "1 has 5 USD",
            &[hold, (end, "1 has 5 USD"), again, ("cancel 1 @h", "transaction_final"), ("balance 1", again.1)],
        );
    }
    let wait = ("withdraw 2 3 USD waits for 60 reference r as w", "2 USD waits w, r names w");
    check_all("", &[wait, ("cancel 2 @w", "2 USD waits, r names nothing")]);
    check_all("", &[wait, ("expire 2 @w 60", "2 USD waits, r names nothing")]);
    // Taken and given back and taken, all by transactions that are known to one batch.
    check_all(
        "1 has 5 USD",
        &[
            hold,
            ("cancel 1 @h", "1 has 5 USD, r names nothing"),
            ("withdraw 1 5 USD pending reference r as i", "1 holds 5 USD, r names i"),
            ("cancel 1 @i", "1 has 5 USD, r names nothing"),
            ("invoice 1 5 USD reference r as t", "1 has 10 USD, r names t"),
        ],
    );
}

#[test]
fn a_transaction_that_succeeds_keeps_its_reference() {
    let hold = ("withdraw 1 5 USD pending for 60 reference r as h", "1 holds 5 USD, r names h");
    let kept = ("confirm 1 @h 2 USD keep", "1 holds 3 USD, h is Created, r names h");
    let gone = ("confirm 1 @h", "1 has 0 USD, h is Success, r names h");
    let taken = ("invoice 2 1 USD reference r", TAKEN);
    let part = "1 has 3 USD, h is Success, r names h";
    check_all("1 has 5 USD", &[hold, gone, taken]);
    check_all("1 has 5 USD", &[hold, ("confirm 1 @h 2 USD", part), taken]);
    check_all("1 has 5 USD", &[hold, kept, ("cancel 1 @h", part), taken]);
    check_all("1 has 5 USD", &[hold, kept, ("expire 1 @h 60", part), taken]);
    check_all("1 has 5 USD", &[hold, gone, ("reverse 1 @h", "1 has 5 USD, h is Success, r names h"), taken]);
    check_all(
        "",
        &[
            ("withdraw 2 3 USD waits reference r as w", "2 USD waits w, r names w"),
            ("invoice 2 3 USD", "w is Success, r names w"),
            ("invoice 2 3 USD reference r", TAKEN),
        ],
    );
}

#[test]
fn items_take_and_free_references_together_or_not_at_all() {
    check(
        "",
        "batch: invoice 1 5 USD reference r as t; invoice 2 5 USD reference q as u",
        "1 has 5 USD, 2 has 5 USD, r names t, q names u",
    );
    check("", "batch: invoice 1 5 USD reference r; invoice 2 5 USD reference r", "reference_taken at 1");
    let hold = ("withdraw 1 5 USD pending reference r as h", "1 holds 5 USD, r names h");
    check_all(
        "1 has 5 USD",
        &[
            hold,
            ("batch: invoice 3 1 USD; invoice 2 1 USD reference r", "reference_taken at 1"),
            ("batch: cancel 1 @h; invoice 2 1 USD reference r as t", "1 has 5 USD, 2 has 1 USD, r names t"),
            ("invoice 2 1 USD reference r", TAKEN),
        ],
    );
    // A batch that failed has given nothing free and taken nothing.
    check_all(
        "1 has 5 USD",
        &[
            hold,
            (
                "batch: cancel 1 @h; invoice 2 1 USD reference r; invoice 2 1 USD reference q; withdraw 4 1 USD",
                "insufficient_funds at 3",
            ),
            ("invoice 2 1 USD reference r", TAKEN),
            ("invoice 2 1 USD reference q as t", "1 holds 5 USD, 2 has 1 USD, r names h, q names t"),
            ("cancel 1 @h", "1 has 5 USD, 2 has 1 USD, r names nothing, q names t"),
        ],
    );
}

#[test]
fn a_key_comes_before_its_reference() {
    let first = ("invoice 1 5 USD reference r k as t", "1 has 5 USD, r names t");
    check_all("", &[first, ("invoice 1 5 USD reference r k", "1 has 5 USD again")]);
    check_all("", &[first, ("invoice 1 5 USD reference q k", "idempotency_key_reused")]);
    check_all("", &[first, ("invoice 1 5 USD k", "idempotency_key_reused")]);
    // A refusal is recorded under its key, and given again when the reference is free.
    let late = "withdraw 2 1 USD waits reference r k";
    check_all(
        "1 has 5 USD",
        &[
            ("withdraw 1 5 USD pending reference r as h", "1 holds 5 USD"),
            (late, TAKEN),
            ("cancel 1 @h", "1 has 5 USD, r names nothing"),
            (late, "reference_taken again"),
            ("withdraw 2 1 USD waits reference r as w", "1 has 5 USD, 2 USD waits w, r names w"),
        ],
    );
}
