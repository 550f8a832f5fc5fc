//! Withdrawals that wait for funds: first in, first out, paid by the credit that makes it possible.

use crate::{MAX, check, check_all};

#[test]
fn what_can_be_paid_does_not_wait() {
    check("1 has 5 USD", "withdraw 1 5 USD waits as w", "w is Success");
    check("1 has 5 USD", "withdraw 1 5 USD waits for 60 as w", "w is Success");
    check("1 has 5 USD", "withdraw 1 5.01 USD waits as w", "1 has 5 USD, w is Created, 1 USD waits w");
    check("", "withdraw 1 1 USD waits as w", "w is Created, 1 USD waits w");
}

#[test]
fn whatever_brings_enough_pays() {
    let wait = ("withdraw 1 5 USD waits as w", "1 has 3 USD, w is Created");
    let paid = "1 has 1 USD, w is Success, 1 USD waits";
    check_all("1 has 3 USD", &[wait, ("invoice 1 3 USD", paid)]);
    check_all(
        "1 has 3 USD",
        &[wait, ("invoice 1 1.99 USD", "1 has 4.99 USD, w is Created"), ("invoice 1 1.01 USD", paid)],
    );
    check_all(
        "1 has 3 USD, 2 has 3 USD",
        &[("withdraw 1 5 USD waits as w", "1 has 3 USD, 2 has 3 USD"), ("transfer 2 1 3 USD", paid)],
    );
    check_all(
        "1 has 3 USD",
        &[wait, ("invoice 1 3 USD pending as h", "1 has 3 USD, 1 awaits 3 USD, w is Created"), ("confirm 1 @h", paid)],
    );
    check_all("1 has 6 USD", &[("withdraw 1 3 USD as t", "1 has 3 USD"), wait, ("reverse 1 @t", paid)]);
    for release in ["cancel 1 @h", "expire 1 @h 60"] {
        check_all(
            "1 has 6 USD",
            &[
                ("withdraw 1 3 USD pending for 60 as h", "1 has 3 USD, 1 holds 3 USD"),
                ("withdraw 1 5 USD waits as w", "1 has 3 USD, 1 holds 3 USD, w is Created"),
                (release, paid),
            ],
        );
    }
    check_all(
        "1 has 6 USD",
        &[
            ("transfer 1 2 3 USD pending as h", "1 has 3 USD, 1 holds 3 USD"),
            ("withdraw 1 5 USD waits as w", "1 has 3 USD, 1 holds 3 USD, w is Created"),
            ("confirm 1 @h 1 USD", "2 has 1 USD, w is Success"),
        ],
    );
    // Money of another currency, and of another wallet, does not.
    check_all("1 has 3 USD", &[wait, ("invoice 1 9 JPY", "1 has 3 USD, 1 has 9 JPY, w is Created")]);
    check_all("1 has 3 USD", &[wait, ("invoice 2 9 USD", "1 has 3 USD, 2 has 9 USD, w is Created")]);
}

#[test]
fn who_comes_later_does_not_overtake() {
    let first = ("withdraw 1 5 USD waits as v", "1 has 3 USD, v is Created");
    let second = ("withdraw 1 1 USD waits as w", "1 has 3 USD, v is Created, w is Created, 1 USD waits v w");
    check_all("1 has 3 USD", &[first, second, ("invoice 1 1 USD", "1 has 4 USD, 1 USD waits v w")]);
    check_all("1 has 3 USD", &[first, second, ("invoice 1 2 USD", "v is Success, w is Created, 1 USD waits w")]);
    check_all("1 has 3 USD", &[first, second, ("invoice 1 3 USD", "v is Success, w is Success, 1 USD waits")]);
    // A line is of one currency.
    check_all(
        "1 has 3 USD, 1 has 3 JPY",
        &[
            ("withdraw 1 5 USD waits as v", "1 has 3 USD, 1 has 3 JPY"),
            ("withdraw 1 1 JPY waits as w", "1 has 3 USD, 1 has 2 JPY, w is Success"),
        ],
    );
}

#[test]
fn a_plain_withdraw_and_a_hold_are_not_held_up() {
    let wait = ("withdraw 1 5 USD waits as w", "1 has 3 USD, w is Created");
    check_all("1 has 3 USD", &[wait, ("withdraw 1 3 USD", "w is Created"), ("withdraw 1 1 USD", "insufficient_funds")]);
    check_all("1 has 3 USD", &[wait, ("withdraw 1 3 USD pending", "1 holds 3 USD, w is Created")]);
    check_all("1 has 3 USD", &[wait, ("transfer 1 2 3 USD", "2 has 3 USD, w is Created")]);
}

#[test]
fn one_credit_pays_as_many_as_it_can() {
    check_all(
        "",
        &[
            ("withdraw 1 1 USD waits as u", ""),
            ("withdraw 1 2 USD waits as v", ""),
            ("withdraw 1 3 USD waits as w", "1 USD waits u v w"),
            ("invoice 1 5 USD", "1 has 2 USD, u is Success, v is Success, w is Created, 1 USD waits w"),
            ("withdraw 1 1 USD waits as x", "1 has 2 USD, 1 USD waits w x"),
            ("invoice 1 2 USD", "w is Success, x is Success, 1 USD waits"),
        ],
    );
}

#[test]
fn who_leaves_lets_the_next_be_paid() {
    let first = ("withdraw 1 5 USD waits for 60 as v", "1 has 3 USD");
    let second = ("withdraw 1 2 USD waits as w", "1 has 3 USD, 1 USD waits v w");
    for (leave, why) in [("cancel 1 @v", "cancelled"), ("expire 1 @v 60", "expired")] {
        let left = format!("1 has 1 USD, v is Error {why}, w is Success, 1 USD waits");
        check_all("1 has 3 USD", &[first, second, (leave, &left)]);
    }
    check_all("1 has 3 USD", &[first, second, ("cancel 1 @w", "1 has 3 USD, w is Error cancelled, 1 USD waits v")]);
    check_all(
        "1 has 3 USD",
        &[
            first,
            ("extend 1 @v 90", "1 has 3 USD, v is Created, 1 USD waits v"),
            ("expire 1 @v 60", "not_expired"),
            ("expire 1 @v 90", "1 has 3 USD, v is Error expired, 1 USD waits"),
        ],
    );
    // A place that was left is not taken before those behind it.
    check_all(
        "",
        &[
            ("withdraw 1 5 USD waits as u", ""),
            ("withdraw 1 4 USD waits as v", "1 USD waits u v"),
            ("cancel 1 @v", "1 USD waits u"),
            ("withdraw 1 3 USD waits as w", "1 USD waits u w"),
            ("cancel 1 @u", "1 USD waits w"),
            ("withdraw 1 2 USD waits as x", "1 USD waits w x"),
            ("invoice 1 2 USD", "1 has 2 USD, 1 USD waits w x"),
        ],
    );
}

#[test]
fn what_waits_is_neither_confirmed_nor_reversed() {
    let wait = ("withdraw 1 5 USD waits as w", "w is Created");
    check_all("", &[wait, ("confirm 1 @w", "transaction_waiting")]);
    check_all("", &[wait, ("confirm 1 @w 9.001 USD keep", "transaction_waiting")]);
    check_all("", &[wait, ("block 1", "w is Created, 1 blocked"), ("confirm 1 @w", "transaction_waiting")]);
    check_all("", &[wait, ("reverse 1 @w", "not_reversible")]);
    check_all("", &[wait, ("cancel 2 @w", "transaction_unknown")]);
    check_all(
        "",
        &[
            wait,
            ("invoice 1 5 USD", "w is Success"),
            ("confirm 1 @w", "transaction_final"),
            ("cancel 1 @w", "transaction_final"),
            ("reverse 1 @w 5.01 USD", "amount_exceeds_original"),
            ("reverse 1 @w", "1 has 5 USD"),
        ],
    );
}

#[test]
fn a_line_has_an_end() {
    check_all(
        "1 has 1 USD",
        &[
            ("withdraw 1 5 USD waits as u", "1 has 1 USD"),
            ("withdraw 1 5 USD waits as v", "1 has 1 USD"),
            ("withdraw 1 5 USD waits as w", "1 has 1 USD, 1 USD waits u v w"),
            ("withdraw 1 1 USD waits k", "waiting_line_full"),
            ("withdraw 1 5 JPY waits as x", "1 has 1 USD, 1 USD waits u v w, 1 JPY waits x"),
            ("cancel 1 @v", "1 has 1 USD, 1 USD waits u w"),
            ("withdraw 1 1 USD waits k", "waiting_line_full again"),
            ("withdraw 1 1 USD waits as y", "1 has 1 USD, 1 USD waits u w y"),
        ],
    );
}

#[test]
fn a_blocked_wallet_pays_nobody_until_it_is_opened() {
    let wait = ("withdraw 1 5 USD waits as w", "w is Created");
    check_all(
        "",
        &[
            wait,
            ("withdraw 1 1 JPY waits as x", "x is Created"),
            ("block 1", "1 blocked"),
            ("invoice 1 6 USD", "1 has 6 USD, 1 blocked, w is Created"),
            ("invoice 1 1 JPY", "1 has 6 USD, 1 has 1 JPY, 1 blocked, x is Created"),
            ("open 1", "1 has 1 USD, w is Success, x is Success"),
        ],
    );
    check_all("1 blocked", &[("withdraw 1 5 USD waits", "wallet_blocked")]);
    check_all("", &[wait, ("block 1", "1 blocked, w is Created"), ("cancel 1 @w", "1 blocked, w is Error cancelled")]);
    check_all(
        "",
        &[
            wait,
            ("withdraw 1 1 USD waits as x", "1 USD waits w x"),
            ("invoice 1 1 USD", "1 has 1 USD, 1 USD waits w x"),
            ("block 1", "1 has 1 USD, 1 blocked"),
            ("cancel 1 @w", "1 has 1 USD, 1 blocked, 1 USD waits x"),
            ("open 1", "x is Success, 1 USD waits"),
        ],
    );
}

#[test]
fn only_a_withdrawal_waits_for_funds() {
    for sentence in
        ["invoice 1 5 USD waits", "transfer 1 2 5 USD waits", "invoice 9 5.001 XXX waits", "transfer 9 8 5 XXX waits"]
    {
        check("1 has 9 USD", sentence, "wait_for_funds_invalid");
    }
    check("", "transfer 1 1 5 USD waits", "same_wallet");
}

#[test]
fn a_payment_that_would_leave_too_many_digits_waits_on() {
    let all = format!("1 has {MAX} WEI, w is Created, 1 WEI waits w");
    check_all(
        "",
        &[
            ("withdraw 1 0.000000000000000001 WEI waits as w", "w is Created"),
            (&format!("invoice 1 {MAX} WEI"), &all),
            ("withdraw 1 0.000000000000000001 WEI", "balance_too_large"),
            ("withdraw 1 9999999999999999999999999998 WEI", "1 has 1 WEI"),
            ("invoice 1 1 WEI", "1 has 1.999999999999999999 WEI, w is Success"),
        ],
    );
}
