//! Money that waits: pending, confirm, cancel, expiry, extend.

use crate::{MAX, check, check_all};

#[test]
fn a_pending_withdraw_is_held_until_it_is_confirmed() {
    check("1 has 5 USD", "withdraw 1 5 USD pending as h", "1 holds 5 USD, h is Created");
    check("1 has 5 USD", "withdraw 1 2 USD pending for 60 as h", "1 has 3 USD, 1 holds 2 USD, h is Created");
    check("1 has 5 USD", "withdraw 1 5.01 USD pending", "insufficient_funds");
    check_all(
        "1 has 5 USD",
        &[
            ("withdraw 1 2 USD pending as h", "1 has 3 USD, 1 holds 2 USD"),
            ("withdraw 1 3.01 USD", "insufficient_funds"),
            ("confirm 1 @h", "1 has 3 USD, h is Success"),
        ],
    );
}

#[test]
fn a_pending_transfer_reaches_the_other_wallet_when_it_is_confirmed() {
    check_all(
        "1 has 5 USD",
        &[
            ("transfer 1 2 4 USD pending as h", "1 has 1 USD, 1 holds 4 USD, h is Created"),
            ("confirm 1 @h 3 USD", "1 has 2 USD, 2 has 3 USD, h is Success"),
        ],
    );
    // The receiver has no say in it.
    check_all(
        "1 has 5 USD",
        &[
            ("transfer 1 2 4 USD pending as h", "1 has 1 USD, 1 holds 4 USD"),
            ("confirm 2 @h", "transaction_unknown"),
            ("cancel 2 @h", "transaction_unknown"),
            ("extend 2 @h 60", "transaction_unknown"),
        ],
    );
}

#[test]
fn a_pending_invoice_is_announced_until_it_is_confirmed() {
    check("", "invoice 1 5 USD pending as h", "1 awaits 5 USD, h is Created");
    check_all(
        "",
        &[
            ("invoice 1 5 USD pending as h", "1 awaits 5 USD"),
            ("withdraw 1 1 USD", "insufficient_funds"),
            ("confirm 1 @h 2 USD keep", "1 has 2 USD, 1 awaits 3 USD, h is Created"),
            ("confirm 1 @h 1 USD", "1 has 3 USD, h is Success"),
        ],
    );
    check_all("", &[("invoice 1 5 USD pending as h", "1 awaits 5 USD"), ("cancel 1 @h", "h is Error cancelled")]);
}

#[test]
fn a_hold_is_confirmed_in_parts() {
    let hold = ("withdraw 1 5 USD pending as h", "1 has 5 USD, 1 holds 5 USD");
    let before = "1 has 10 USD";
    check_all(before, &[hold, ("confirm 1 @h 3 USD", "1 has 7 USD, h is Success")]);
    check_all(
        before,
        &[
            hold,
            ("confirm 1 @h 3 USD keep", "1 has 5 USD, 1 holds 2 USD, h is Created"),
            ("confirm 1 @h 1.99 USD keep", "1 has 5 USD, 1 holds 0.01 USD, h is Created"),
            ("confirm 1 @h 0.02 USD keep", "amount_exceeds_unconfirmed"),
            ("confirm 1 @h 0.01 USD keep", "1 has 5 USD, h is Success"),
            ("confirm 1 @h 0.01 USD keep", "transaction_final"),
        ],
    );
    // What is kept may be all there is: then there is nothing to wait for.
    check_all(before, &[hold, ("confirm 1 @h 5 USD keep", "1 has 5 USD, h is Success")]);
    check_all(before, &[hold, ("confirm 1 @h keep", "1 has 5 USD, h is Success")]);
    check_all(
        before,
        &[
            hold,
            ("confirm 1 @h 2 USD keep", "1 has 5 USD, 1 holds 3 USD"),
            ("confirm 1 @h", "1 has 5 USD, h is Success"),
        ],
    );
}

#[test]
fn no_more_is_confirmed_than_is_left() {
    let hold = ("withdraw 1 5 USD pending as h", "1 has 5 USD, 1 holds 5 USD");
    check_all("1 has 10 USD", &[hold, ("confirm 1 @h 5.01 USD", "amount_exceeds_unconfirmed")]);
    check_all("1 has 10 USD", &[hold, ("confirm 1 @h 5.01 USD keep", "amount_exceeds_unconfirmed")]);
    check_all(
        "1 has 10 USD",
        &[
            hold,
            ("confirm 1 @h 3 USD keep", "1 has 5 USD, 1 holds 2 USD"),
            ("confirm 1 @h 2.01 USD", "amount_exceeds_unconfirmed"),
            ("confirm 1 @h 3 USD", "amount_exceeds_unconfirmed"),
        ],
    );
}

#[test]
fn a_cancel_gives_back_what_was_not_confirmed() {
    let hold = ("withdraw 1 5 USD pending as h", "1 has 5 USD, 1 holds 5 USD");
    check_all("1 has 10 USD", &[hold, ("cancel 1 @h", "1 has 10 USD, h is Error cancelled")]);
    // Money has moved, so it did not fail.
    check_all(
        "1 has 10 USD",
        &[
            hold,
            ("confirm 1 @h 2 USD keep", "1 has 5 USD, 1 holds 3 USD"),
            ("cancel 1 @h", "1 has 8 USD, h is Success"),
            ("cancel 1 @h", "transaction_final"),
            ("reverse 1 @h 2.01 USD", "amount_exceeds_original"),
            ("reverse 1 @h", "1 has 10 USD"),
        ],
    );
    check_all(
        "1 has 4 USD",
        &[
            ("transfer 1 2 4 USD pending as h", "1 holds 4 USD"),
            ("confirm 1 @h 1 USD keep", "1 holds 3 USD, 2 has 1 USD"),
            ("cancel 1 @h", "1 has 3 USD, 2 has 1 USD, h is Success"),
        ],
    );
}

#[test]
fn what_is_final_stays_as_it_is() {
    let hold = ("withdraw 1 5 USD pending for 60 as h", "1 holds 5 USD");
    for (last, left) in [
        ("confirm 1 @h", "h is Success"),
        ("cancel 1 @h", "1 has 5 USD, h is Error cancelled"),
        ("expire 1 @h 60", "1 has 5 USD, h is Error expired"),
    ] {
        for late in ["confirm 1 @h", "confirm 1 @h 9 USD", "cancel 1 @h", "expire 1 @h 60", "extend 1 @h 60"] {
            check_all("1 has 5 USD", &[hold, (last, left), (late, "transaction_final")]);
        }
    }
    for (done, left) in [
        ("invoice 1 1 USD as h", "1 has 2 USD"),
        ("withdraw 1 1 USD as h", ""),
        ("transfer 1 2 1 USD as h", "2 has 1 USD"),
    ] {
        for late in ["confirm 1 @h", "cancel 1 @h", "extend 1 @h 60"] {
            check_all("1 has 1 USD", &[(done, left), (late, "transaction_final")]);
        }
    }
    // What was refused on the record is final, too.
    check_all("", &[("withdraw 1 1 USD pending as h", "insufficient_funds"), ("confirm 1 @h", "transaction_final")]);
}

#[test]
fn what_expires_ends_at_the_time_that_was_set_last() {
    let hold = ("withdraw 1 5 USD pending for 60 as h", "1 holds 5 USD");
    check_all("1 has 5 USD", &[hold, ("expire 1 @h 60", "1 has 5 USD, h is Error expired")]);
    check_all(
        "1 has 5 USD",
        &[
            hold,
            ("extend 1 @h 90", "1 holds 5 USD, h is Created"),
            ("expire 1 @h 60", "not_expired"),
            ("expire 1 @h 90", "1 has 5 USD, h is Error expired"),
        ],
    );
    // Shorter, too.
    check_all(
        "1 has 5 USD",
        &[
            hold,
            ("extend 1 @h 30", "1 holds 5 USD"),
            ("expire 1 @h 60", "not_expired"),
            ("expire 1 @h 30", "1 has 5 USD, h is Error expired"),
        ],
    );
    check_all(
        "1 has 5 USD",
        &[
            ("withdraw 1 5 USD pending as h", "1 holds 5 USD"),
            ("expire 1 @h 60", "not_expired"),
            ("extend 1 @h 60", "1 holds 5 USD"),
            ("expire 1 @h 60", "1 has 5 USD, h is Error expired"),
        ],
    );
    check_all(
        "",
        &[
            ("invoice 1 5 USD pending for 60 as h", "1 awaits 5 USD"),
            ("confirm 1 @h 1 USD keep", "1 has 1 USD, 1 awaits 4 USD"),
            ("expire 1 @h 60", "1 has 1 USD, h is Success"),
        ],
    );
}

#[test]
fn a_transaction_is_found_in_its_wallets_queue_only() {
    for sentence in ["confirm 1 @none", "cancel 1 @none", "expire 1 @none 60", "extend 1 @none 60", "reverse 1 @none"] {
        check("1 has 5 USD", sentence, "transaction_unknown");
        check("", &sentence.replacen('1', "9", 1), "wallet_unknown");
    }
    for other in ["confirm 2 @h", "cancel 2 @h", "expire 2 @h 60", "extend 2 @h 60", "reverse 2 @h"] {
        check_all(
            "1 has 5 USD",
            &[
                ("withdraw 1 5 USD pending for 60 as h", "1 holds 5 USD"),
                (other, "transaction_unknown"),
                (&other.replacen('2', "9", 1), "wallet_unknown"),
            ],
        );
    }
}

#[test]
fn a_transaction_is_looked_at_before_wallets_before_amounts() {
    let hold = ("withdraw 1 5 USD pending as h", "1 holds 5 USD");
    let blocked = ("block 1", "1 holds 5 USD, 1 blocked");
    check_all("1 has 5 USD", &[hold, blocked, ("confirm 1 @h 5.001 USD", "wallet_blocked")]);
    check_all("1 has 5 USD", &[hold, ("confirm 1 @h 5.001 USD", "too_many_decimals")]);
    check_all(
        "1 has 5 USD",
        &[
            hold,
            ("cancel 1 @h", "1 has 5 USD"),
            ("block 1", "1 has 5 USD, 1 blocked"),
            ("confirm 1 @h", "transaction_final"),
        ],
    );
    check_all(
        "1 has 5 USD",
        &[
            ("transfer 1 2 5 USD pending as h", "1 holds 5 USD"),
            ("close 2", "1 holds 5 USD, 2 closed"),
            ("block 1", "1 holds 5 USD, 1 blocked, 2 closed"),
            ("confirm 1 @h 9 USD", "wallet_closed"),
            ("open 1", "1 holds 5 USD, 2 closed"),
            ("confirm 1 @h 9 USD", "wallet_closed"),
            // Nobody but the sender is needed for this.
            ("cancel 1 @h", "1 has 5 USD, 2 closed"),
        ],
    );
}

#[test]
fn what_waits_is_kept_exactly_or_not_at_all() {
    let all = format!("1 has {MAX} WEI");
    let hold = (&*format!("withdraw 1 {MAX} WEI pending as h"), &*format!("1 holds {MAX} WEI"));
    let atom = "0.000000000000000001 WEI";
    // What would be left has more digits than are kept exactly, be it held or given back.
    check_all(&all, &[hold, (&format!("confirm 1 @h {atom}"), "balance_too_large")]);
    check_all(&all, &[hold, (&format!("confirm 1 @h {atom} keep"), "balance_too_large")]);
    check_all(&all, &[hold, ("confirm 1 @h 9999999999999999999999999998 WEI", "1 has 1 WEI, h is Success")]);
    // So would what was confirmed in all.
    check_all(
        "1 has 100000000000 WEI",
        &[
            ("withdraw 1 100000000000 WEI pending as h", "1 holds 100000000000 WEI"),
            ("confirm 1 @h 90000000000 WEI keep", "1 holds 10000000000 WEI"),
            ("confirm 1 @h 9999999999.999999999999999999 WEI keep", "balance_too_large"),
            ("confirm 1 @h", "h is Success"),
        ],
    );
    // Money that came meanwhile leaves no room for what would come back.
    check_all(
        &format!("1 has {MAX} JPY"),
        &[
            ("withdraw 1 1 JPY pending as h", "1 has 9999999999999999999999999998 JPY, 1 holds 1 JPY"),
            ("invoice 1 1 JPY", &format!("1 has {MAX} JPY, 1 holds 1 JPY")),
            ("cancel 1 @h", "balance_too_large"),
            ("confirm 1 @h", &format!("1 has {MAX} JPY, h is Success")),
        ],
    );
    check_all(
        &format!("1 has {MAX} JPY"),
        &[
            ("invoice 1 1 JPY pending as h", &format!("1 has {MAX} JPY, 1 awaits 1 JPY")),
            ("confirm 1 @h", "balance_too_large"),
            ("invoice 1 9999999999999999999999999999 JPY pending", "balance_too_large"),
            ("withdraw 1 1 JPY", "1 has 9999999999999999999999999998 JPY, 1 awaits 1 JPY"),
            ("confirm 1 @h", &format!("1 has {MAX} JPY, h is Success")),
        ],
    );
}
