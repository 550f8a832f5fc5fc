//! The pure core against its rules (a table) and against a small model of itself (random histories). No server is needed.

#[path = "core/history.rs"]
mod history;
#[path = "core/model.rs"]
mod model;
#[allow(dead_code, reason = "shared with the integration tests, which use all of it")]
#[path = "it/support/operations.rs"]
mod operations;

use history::History;
use operations::operation;
use purser::ledger::Operation;

const MAX: &str = "9999999999999999999999999999";

/// From `before`, doing `sentence` leaves `after`, or is refused with the code `after` and changes nothing.
fn check(before: &str, sentence: &str, after: &str) {
    check_all(before, &[sentence], &[after]);
}

/// The same for operations one after the other, once as one batch and once each in a batch of its own.
fn check_all(before: &str, sentences: &[&str], after: &[&str]) {
    let operations: Vec<Operation> = sentences.iter().map(|sentence| operation(sentence)).collect();
    for batch_size in [operations.len(), 1] {
        let mut history = History::of(before);
        let mut last = before.to_owned();
        let mut outcomes = Vec::new();
        for batch in operations.chunks(batch_size) {
            outcomes.extend(history.post(batch));
        }
        for (outcome, expected) in outcomes.iter().zip(after) {
            match &outcome.result {
                Ok(_) => last = (*expected).to_owned(),
                Err(rejection) => {
                    assert_eq!(rejection.code(), *expected, "{before}: {sentences:?}")
                }
            }
        }
        assert_eq!(history.balances(), History::of(&last).balances(), "{before}: {sentences:?} in {batch_size}");
    }
}

#[test]
fn an_invoice_credits() {
    check("1 has 0 USD", "invoice 1 5 USD", "1 has 5 USD");
    check("1 has 0.10 USD", "invoice 1 0.20 USD", "1 has 0.30 USD");
    check("1 has 5 USD", "invoice 1 5 JPY", "1 has 5 USD, 1 has 5 JPY");
}

#[test]
fn a_withdraw_debits_what_is_there_and_no_more() {
    check("1 has 100 USD", "withdraw 1 100 USD", "1 has 0 USD");
    check("1 has 100 USD", "withdraw 1 100.01 USD", "insufficient_funds");
    check("1 has 100 USD", "withdraw 1 0.01 USD", "1 has 99.99 USD");
    check("1 has 0 USD", "withdraw 1 0.01 USD", "insufficient_funds");
    check("1 has 100 JPY", "withdraw 1 1 USD", "insufficient_funds");
    check("2 has 100 USD", "withdraw 1 1 USD", "insufficient_funds");
}

#[test]
fn a_transfer_moves() {
    check("1 has 100 USD", "transfer 1 2 30.50 USD", "1 has 69.50 USD, 2 has 30.50 USD");
    check("2 has 100 USD, 1 has 1 USD", "transfer 2 1 100 USD", "1 has 101 USD, 2 has 0 USD");
    check("1 has 100 USD", "transfer 1 2 100.01 USD", "insufficient_funds");
    check("1 has 100 USD, 2 has 100 JPY", "transfer 2 1 1 USD", "insufficient_funds");
}

#[test]
fn a_balance_is_read_and_nothing_changes() {
    check("1 has 100 USD", "balance 1", "1 has 100 USD");
    check("1 has 100 USD, 1 closed", "balance 1", "1 has 100 USD, 1 closed");
    check("", "balance 1", "");
    check("", "balance 9", "wallet_unknown");
}

#[test]
fn wallets_are_looked_at_before_currencies_before_funds() {
    for kind in ["invoice", "withdraw"] {
        let sentence = |wallet: u8, amount: &str, code: &str| format!("{kind} {wallet} {amount} {code}");
        check("", &sentence(9, "0.001", "XXX"), "wallet_unknown");
        check("1 closed", &sentence(1, "0.001", "XXX"), "wallet_closed");
        check("1 closed", &sentence(1, "0.001", "USD"), "wallet_closed");
        check("", &sentence(1, "0.001", "XXX"), "currency_unknown");
        check("", &sentence(1, "0.001", "usd"), "currency_unknown");
        check("", &sentence(1, "0.001", "USD"), "too_many_decimals");
        check("", &sentence(1, "1.5", "JPY"), "too_many_decimals");
    }
    check("", "transfer 9 9 0.001 XXX", "same_wallet");
    check("1 closed", "transfer 1 1 1 USD", "same_wallet");
    check("", "transfer 9 1 0.001 XXX", "wallet_unknown");
    check("", "transfer 1 9 0.001 XXX", "wallet_unknown");
    check("1 has 5 USD, 2 closed", "transfer 1 2 0.001 XXX", "wallet_closed");
    check("1 has 5 USD, 1 closed", "transfer 1 2 5 USD", "wallet_closed");
    check("1 has 5 USD, 1 closed", "transfer 1 999 5 USD", "wallet_unknown");
    check("1 has 5 USD, 2 closed", "transfer 1 2 5 USD", "wallet_closed");
    check("", "transfer 1 2 0.001 XXX", "currency_unknown");
    check("", "transfer 1 2 0.001 USD", "too_many_decimals");
    check("", "withdraw 1 0.01 USD", "insufficient_funds");
}

#[test]
fn decimals_up_to_the_currencys_scale_are_kept_exactly() {
    check("", "invoice 1 3 JPY", "1 has 3 JPY");
    check("", "invoice 1 0.01 USD", "1 has 0.01 USD");
    check("", "invoice 1 1.10000 USD", "1 has 1.1 USD");
    check("", "invoice 1 0.000000000000000001 WEI", "1 has 0.000000000000000001 WEI");
    check("", "invoice 1 0.0000000000000000001 WEI", "too_many_decimals");
    check("1 has 9999999999 WEI", "withdraw 1 0.000000000000000001 WEI", "1 has 9999999998.999999999999999999 WEI");
}

#[test]
fn twenty_eight_digits_are_exact_and_the_twenty_ninth_is_refused() {
    let with = |amount: &str, code: &str| format!("1 has {amount} {code}");
    check("", &format!("invoice 1 {MAX} JPY"), &with(MAX, "JPY"));
    check(&with(MAX, "JPY"), "invoice 1 1 JPY", "balance_too_large");
    check(&with(MAX, "JPY"), &format!("withdraw 1 {MAX} JPY"), "1 has 0 JPY");
    check(
        &with("99999999999999999999999999.98", "USD"),
        "invoice 1 0.01 USD",
        &with("99999999999999999999999999.99", "USD"),
    );
    check(&with("99999999999999999999999999.98", "USD"), "invoice 1 0.03 USD", "balance_too_large");
    check(
        &with("9999999999.999999999999999998", "WEI"),
        "invoice 1 0.000000000000000001 WEI",
        &with("9999999999.999999999999999999", "WEI"),
    );
    check(&with(MAX, "WEI"), "invoice 1 0.000000000000000001 WEI", "balance_too_large");
    check(&with(MAX, "WEI"), "withdraw 1 0.000000000000000001 WEI", "balance_too_large");
    check(&format!("1 has 5 JPY, 2 has {MAX} JPY"), "transfer 1 2 1 JPY", "balance_too_large");
    check(&format!("1 has 0 JPY, 2 has {MAX} JPY"), "transfer 1 2 1 JPY", "insufficient_funds");
}

#[test]
fn a_round_sum_needs_few_digits_however_many_its_parts_have() {
    check("1 has 99999999999999999999999999.99 USD", "invoice 1 0.01 USD", "1 has 100000000000000000000000000 USD");
    check("1 has 9999999999.999999999999999999 WEI", "invoice 1 0.000000000000000001 WEI", "1 has 10000000000 WEI");
}

#[test]
fn too_little_money_is_too_little_however_many_digits_are_asked_for() {
    check("1 has 0.01 USD", &format!("withdraw 1 {MAX} USD"), "insufficient_funds");
    check("1 has 0.01 USD", &format!("transfer 1 2 {MAX} USD"), "insufficient_funds");
    check("1 has 0.000000000000000001 WEI", &format!("withdraw 1 {MAX} WEI"), "insufficient_funds");
}

#[test]
fn operations_of_a_batch_see_those_before_them() {
    check_all("", &["invoice 1 5 USD", "withdraw 1 5 USD"], &["1 has 5 USD", "1 has 0 USD"]);
    check_all("", &["withdraw 1 5 USD", "invoice 1 5 USD"], &["insufficient_funds", "1 has 5 USD"]);
    check_all(
        "1 has 5 USD",
        &["transfer 1 2 5 USD", "transfer 1 2 5 USD", "transfer 2 3 4 USD", "withdraw 2 2 USD"],
        &[
            "1 has 0 USD, 2 has 5 USD",
            "insufficient_funds",
            "1 has 0 USD, 2 has 1 USD, 3 has 4 USD",
            "insufficient_funds",
        ],
    );
}

#[test]
fn a_key_answers_again_and_does_nothing_again() {
    check_all("", &["invoice 1 5 USD k", "invoice 1 5 USD k"], &["1 has 5 USD", "1 has 5 USD"]);
    check_all("", &["invoice 1 5 USD k", "invoice 1 5.00 USD k"], &["1 has 5 USD", "1 has 5 USD"]);
    // A refusal that was recorded stays one, even when the money is there by now.
    check_all(
        "",
        &["withdraw 1 5 USD k", "invoice 1 5 USD", "withdraw 1 5 USD k"],
        &["insufficient_funds", "1 has 5 USD", "insufficient_funds"],
    );
    // One that was not recorded is a new question.
    check_all("", &["invoice 1 5 XXX k", "invoice 1 5 USD k"], &["currency_unknown", "1 has 5 USD"]);
    check_all(
        "1 has 5 USD",
        &["transfer 1 9 5 USD k", "transfer 1 2 5 USD k"],
        &["wallet_unknown", "1 has 0 USD, 2 has 5 USD"],
    );
}

#[test]
fn a_key_names_one_request_of_one_wallet() {
    let reused = "idempotency_key_reused";
    check_all("", &["invoice 1 5 USD k", "invoice 1 6 USD k"], &["1 has 5 USD", reused]);
    check_all("", &["invoice 1 5 USD k", "invoice 1 5 JPY k"], &["1 has 5 USD", reused]);
    check_all("", &["invoice 1 5 USD k", "withdraw 1 5 USD k"], &["1 has 5 USD", reused]);
    check_all("", &["invoice 1 5 USD k", "transfer 1 2 5 USD k"], &["1 has 5 USD", reused]);
    check_all("", &["invoice 1 5 USD k", "invoice 1 5 XXX k"], &["1 has 5 USD", reused]);
    check_all("", &["withdraw 1 5 USD k", "withdraw 1 6 USD k"], &["insufficient_funds", reused]);
    check_all("", &["invoice 1 5 USD k", "invoice 2 5 USD k"], &["1 has 5 USD", "1 has 5 USD, 2 has 5 USD"]);
    // The credited wallet's keys are its own.
    check_all(
        "1 has 9 USD",
        &["transfer 1 2 5 USD k", "withdraw 2 1 USD k"],
        &["1 has 4 USD, 2 has 5 USD", "1 has 4 USD, 2 has 4 USD"],
    );
    check_all("1 has 9 USD", &["transfer 1 2 5 USD k", "transfer 1 3 5 USD k"], &["1 has 4 USD, 2 has 5 USD", reused]);
}

#[test]
fn operations_without_a_key_are_done_as_often_as_asked() {
    check_all("", &["invoice 1 5 USD", "invoice 1 5 USD"], &["1 has 5 USD", "1 has 10 USD"]);
}
