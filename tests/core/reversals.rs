//! Reversals: what was done is undone by a new transaction, in full or in part.

use crate::{check, check_all};

#[test]
fn what_was_done_is_undone() {
    check_all("", &[("invoice 1 5 USD as t", "1 has 5 USD"), ("reverse 1 @t", "t is Success")]);
    check_all(
        "1 has 5 USD",
        &[("withdraw 1 2 USD as t", "1 has 3 USD"), ("reverse 1 @t", "1 has 5 USD, t is Success")],
    );
    check_all(
        "1 has 5 USD",
        &[("transfer 1 2 2 USD as t", "1 has 3 USD, 2 has 2 USD"), ("reverse 2 @t", "1 has 5 USD, t is Success")],
    );
}

#[test]
fn a_transfer_is_reversed_by_its_receiver() {
    let transfer = ("transfer 1 2 2 USD as t", "1 has 3 USD, 2 has 2 USD");
    check_all("1 has 5 USD", &[transfer, ("reverse 1 @t", "transaction_unknown")]);
    check_all("1 has 5 USD", &[transfer, ("reverse 3 @t", "transaction_unknown")]);
    check_all(
        "1 has 5 USD",
        &[
            transfer,
            ("withdraw 2 1.50 USD", "1 has 3 USD, 2 has 0.50 USD"),
            ("reverse 2 @t", "insufficient_funds"),
            ("reverse 2 @t 0.51 USD", "insufficient_funds"),
            ("reverse 2 @t 0.50 USD", "1 has 3.50 USD"),
        ],
    );
}

#[test]
fn reversals_in_parts_give_back_the_whole_and_not_a_cent_more() {
    let invoice = ("invoice 1 5 USD as t", "1 has 105 USD");
    check_all("1 has 100 USD", &[invoice, ("reverse 1 @t 5.01 USD", "amount_exceeds_original")]);
    check_all(
        "1 has 100 USD",
        &[
            invoice,
            ("reverse 1 @t 3 USD", "1 has 102 USD"),
            ("reverse 1 @t 2.01 USD", "amount_exceeds_original"),
            ("reverse 1 @t 1.99 USD", "1 has 100.01 USD"),
            ("reverse 1 @t 0.01 USD", "1 has 100 USD"),
            ("reverse 1 @t 0.01 USD", "amount_exceeds_original"),
            ("reverse 1 @t", "amount_exceeds_original"),
        ],
    );
    check_all(
        "1 has 100 USD",
        &[invoice, ("reverse 1 @t 3 USD", "1 has 102 USD"), ("reverse 1 @t", "1 has 100 USD, t is Success")],
    );
    // One that was refused gave nothing back.
    check_all(
        "",
        &[
            ("invoice 1 5 USD as t", "1 has 5 USD"),
            ("withdraw 1 5 USD", ""),
            ("reverse 1 @t", "insufficient_funds"),
            ("invoice 1 5 USD", "1 has 5 USD"),
            ("reverse 1 @t", ""),
        ],
    );
}

#[test]
fn of_a_hold_what_was_confirmed_is_reversed() {
    check_all(
        "1 has 5 USD",
        &[
            ("withdraw 1 5 USD pending as h", "1 holds 5 USD"),
            ("reverse 1 @h", "not_reversible"),
            ("confirm 1 @h 3 USD keep", "1 holds 2 USD"),
            ("reverse 1 @h 1 USD", "not_reversible"),
            ("confirm 1 @h 1 USD", "1 has 1 USD, h is Success"),
            ("reverse 1 @h 4.01 USD", "amount_exceeds_original"),
            ("reverse 1 @h 1 USD", "1 has 2 USD"),
            ("reverse 1 @h", "1 has 5 USD"),
        ],
    );
    check_all(
        "1 has 5 USD",
        &[
            ("transfer 1 2 5 USD pending as h", "1 holds 5 USD"),
            ("confirm 1 @h 3 USD", "1 has 2 USD, 2 has 3 USD"),
            ("reverse 1 @h", "transaction_unknown"),
            ("reverse 2 @h", "1 has 5 USD"),
        ],
    );
}

#[test]
fn only_money_that_moved_is_reversed_and_only_once() {
    let invoice = ("invoice 1 5 USD as t", "1 has 5 USD");
    check_all("", &[invoice, ("reverse 1 @t as r", ""), ("reverse 1 @r", "reversal_of_reversal")]);
    check_all("", &[("withdraw 1 5 USD as t", "insufficient_funds"), ("reverse 1 @t", "not_reversible")]);
    let hold = ("withdraw 1 5 USD pending for 60 as h", "1 holds 5 USD");
    check_all("1 has 5 USD", &[hold, ("cancel 1 @h as c", "1 has 5 USD"), ("reverse 1 @h", "not_reversible")]);
    check_all("1 has 5 USD", &[hold, ("cancel 1 @h as c", "1 has 5 USD"), ("reverse 1 @c", "not_reversible")]);
    check_all("1 has 5 USD", &[hold, ("expire 1 @h 60 as c", "1 has 5 USD"), ("reverse 1 @h", "not_reversible")]);
    check_all("1 has 5 USD", &[hold, ("confirm 1 @h as c", ""), ("reverse 1 @c", "not_reversible")]);
    check_all("1 has 5 USD", &[hold, ("extend 1 @h 90 as e", "1 holds 5 USD"), ("reverse 1 @e", "not_reversible")]);
    check_all("", &[("batch as b: invoice 1 5 USD", "1 has 5 USD"), ("reverse 1 @b", "not_reversible")]);
    check_all("", &[("batch: invoice 1 5 USD as t", "1 has 5 USD"), ("reverse 1 @t", "")]);
}

#[test]
fn the_transaction_is_looked_at_before_the_wallets_before_the_amount() {
    let withdraw = ("withdraw 1 5 USD as t", "");
    let before = "1 has 5 USD";
    check_all(before, &[withdraw, ("close 1", "1 closed"), ("reverse 1 @t 9 USD", "wallet_closed")]);
    check_all(before, &[withdraw, ("close 1", "1 closed"), ("reverse 1 @none", "transaction_unknown")]);
    check_all(before, &[withdraw, ("reverse 1 @t 9.001 USD", "too_many_decimals")]);
    let transfer = ("transfer 1 2 5 USD as t", "2 has 5 USD");
    check_all(before, &[transfer, ("close 1", "2 has 5 USD, 1 closed"), ("reverse 2 @t", "wallet_closed")]);
    check_all(before, &[transfer, ("block 1", "2 has 5 USD, 1 blocked"), ("reverse 2 @t", "1 has 5 USD, 1 blocked")]);
    check_all(before, &[transfer, ("block 2", "2 has 5 USD, 2 blocked"), ("reverse 2 @t 9 USD", "wallet_blocked")]);
    check_all(before, &[transfer, ("withdraw 2 5 USD", ""), ("reverse 2 @t 5.01 USD", "amount_exceeds_original")]);
    check("9 closed", "reverse 9 @none", "transaction_unknown");
}

#[test]
fn what_was_reversed_is_kept_exactly_or_not_at_all() {
    let left = "1 has 10000000000 WEI, 2 has 90000000000 WEI";
    check_all(
        "1 has 100000000000 WEI",
        &[
            ("withdraw 1 100000000000 WEI as t", ""),
            ("reverse 1 @t 0.000000000000000001 WEI", "balance_too_large"),
            ("reverse 1 @t 90000000000 WEI", "1 has 90000000000 WEI"),
            ("transfer 1 2 90000000000 WEI", "2 has 90000000000 WEI"),
            ("reverse 1 @t 9999999999.999999999999999999 WEI", "balance_too_large"),
            ("reverse 1 @t", left),
        ],
    );
}
