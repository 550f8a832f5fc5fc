//! The pure core against its rules (a table) and against a small model of itself (random histories). No server is needed.

#[path = "core/batches.rs"]
mod batches;
#[path = "core/history.rs"]
mod history;
#[path = "core/holds.rs"]
mod holds;
#[path = "core/keys.rs"]
mod keys;
#[path = "core/model.rs"]
mod model;
#[allow(dead_code, reason = "shared with the integration tests, which use all of it")]
#[path = "it/support/operations.rs"]
mod operations;
#[path = "core/random.rs"]
mod random;
#[path = "core/references.rs"]
mod references;
#[path = "core/reversals.rs"]
mod reversals;
#[path = "core/standings.rs"]
mod standings;
#[path = "core/units.rs"]
mod units;
#[path = "core/waiting.rs"]
mod waiting;

use std::collections::{BTreeMap, HashSet};

use history::History;
use operations::{Script, currency};
use purser::ledger::outcome::Replay;
use purser::ledger::{Operation, Refused, Request, TransactionId, WalletId};

const MAX: &str = "9999999999999999999999999999";

/// From `before`, doing `sentence` leaves `after`, or is refused with the code `after` and changes nothing.
#[track_caller]
fn check(before: &str, sentence: &str, after: &str) {
    check_all(before, &[(sentence, after)]);
}

/// The same for operations one after the other, once in as few batches as there can be and once each in a batch of its own.
///
/// What is left is said in the words of [`History::of`] and of named transactions: `1 has 5 USD, 1 blocked, h is Created`; of a line, first come
/// first: `1 USD waits h i`; of a reference: `r names h`, or `r names nothing`. A batch's refusal says which item it was: `insufficient_funds at 1`. A replay says `again` at its end.
#[track_caller]
fn check_all(before: &str, said: &[(&str, &str)]) {
    for batch_max in [usize::MAX, 1] {
        let mut script = Script::default();
        let operations: Vec<Operation> = said.iter().map(|(sentence, _)| script.say(sentence)).collect();
        let mut history = History::of(before);
        let mut left = before;
        let mut said = said.iter();
        for batch in batches(&operations, batch_max) {
            let mut last = None;
            for (outcome, (sentence, after)) in history.post(batch).iter().zip(said.by_ref()) {
                let expected = after.strip_suffix(" again").unwrap_or(after);
                let is_replay = outcome.replay == Replay::Replayed;
                assert_eq!(is_replay, after.ends_with(" again"), "{sentence} in {batch_max}: {outcome:?}");
                match &outcome.result {
                    Ok(_) => left = expected,
                    Err(refused) => assert_eq!(code(refused), expected, "{before}: {sentence} in {batch_max}"),
                }
                last = Some(sentence);
            }
            assert_left(&history, &script, left, &format!("{before}: {last:?} in {batch_max}"));
        }
    }
}

/// Splits operations so that each batch is as large as allowed.
fn batches(operations: &[Operation], batch_max: usize) -> Vec<&[Operation]> {
    let mut batches = Vec::new();
    let mut rest = operations;
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(batch_size(rest, batch_max));
        batches.push(batch);
        rest = after;
    }
    batches
}

/// How many of these can be one batch. None is about a transaction of the same batch: nobody knows an id before its batch is committed.
fn batch_size(operations: &[Operation], batch_max: usize) -> usize {
    let mut ids = HashSet::new();
    let is_next = |operation: &&Operation| {
        let is_known = operation.request.parts().filter_map(|part| part.original()).all(|id| !ids.contains(&id));
        ids.insert(operation.id);
        if let Request::Batch(batch) = &operation.request {
            ids.extend(batch.items().iter().map(|item| item.id));
        }
        is_known
    };
    operations.iter().take(batch_max).take_while(is_next).count()
}

fn code(refused: &Refused) -> String {
    let item = refused.item.map(|item| format!(" at {item}")).unwrap_or_default();
    format!("{}{item}", refused.rejection.code())
}

#[track_caller]
fn assert_left(history: &History, script: &Script, left: &str, context: &str) {
    let (mut state, mut lines) = (Vec::new(), BTreeMap::new());
    for words in left.split(", ") {
        match words.split(' ').collect::<Vec<_>>()[..] {
            [name, "is", ref status @ ..] => {
                let kept = history.find(script.id(name)).unwrap_or_else(|| panic!("{context}: {name} is not there"));
                let rejection = kept.rejection.map(|rejection| format!(" {}", rejection.code()));
                let is = format!("{}{}", kept.status.as_str(), rejection.unwrap_or_default());
                assert_eq!(is, status.join(" "), "{context}: {name}");
            }
            [wallet, code, "waits", ref names @ ..] => {
                let line: Vec<TransactionId> = names.iter().map(|name| script.id(name)).collect();
                lines.insert((WalletId(wallet.parse().expect("a wallet is a number")), currency(code)), line);
            }
            [reference, "names", name] => {
                let named = history.references.iter().find(|(kept, _)| kept.as_str() == reference).map(|(_, id)| *id);
                assert_eq!(named, (name != "nothing").then(|| script.id(name)), "{context}: {words}");
            }
            _ => state.push(words),
        }
    }
    let expected = History::of(&state.join(", "));
    assert_eq!(history.balances(), expected.balances(), "{context}");
    assert_eq!(history.standings(), expected.standings(), "{context}");
    for (place, line) in lines {
        assert_eq!(history.line(place.0, place.1), line, "{context}");
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
    check_all("", &[("invoice 1 5 USD", "1 has 5 USD"), ("withdraw 1 5 USD", "1 has 0 USD")]);
    check_all("", &[("withdraw 1 5 USD", "insufficient_funds"), ("invoice 1 5 USD", "1 has 5 USD")]);
    check_all(
        "1 has 5 USD",
        &[
            ("transfer 1 2 5 USD", "1 has 0 USD, 2 has 5 USD"),
            ("transfer 1 2 5 USD", "insufficient_funds"),
            ("transfer 2 3 4 USD", "1 has 0 USD, 2 has 1 USD, 3 has 4 USD"),
            ("withdraw 2 2 USD", "insufficient_funds"),
        ],
    );
}

#[test]
fn a_key_answers_again_and_does_nothing_again() {
    check_all("", &[("invoice 1 5 USD k", "1 has 5 USD"), ("invoice 1 5 USD k", "1 has 5 USD again")]);
    check_all("", &[("invoice 1 5 USD k", "1 has 5 USD"), ("invoice 1 5.00 USD k", "1 has 5 USD again")]);
    // A refusal that was recorded stays one, even when the money is there by now.
    check_all(
        "",
        &[
            ("withdraw 1 5 USD k", "insufficient_funds"),
            ("invoice 1 5 USD", "1 has 5 USD"),
            ("withdraw 1 5 USD k", "insufficient_funds again"),
        ],
    );
    // One that was not recorded is a new question.
    check_all("", &[("invoice 1 5 XXX k", "currency_unknown"), ("invoice 1 5 USD k", "1 has 5 USD")]);
    check_all(
        "1 has 5 USD",
        &[("transfer 1 9 5 USD k", "wallet_unknown"), ("transfer 1 2 5 USD k", "1 has 0 USD, 2 has 5 USD")],
    );
}

#[test]
fn a_key_names_one_request_of_one_wallet() {
    let reused = "idempotency_key_reused";
    check_all("", &[("invoice 1 5 USD k", "1 has 5 USD"), ("invoice 1 6 USD k", reused)]);
    check_all("", &[("invoice 1 5 USD k", "1 has 5 USD"), ("invoice 1 5 JPY k", reused)]);
    check_all("", &[("invoice 1 5 USD k", "1 has 5 USD"), ("withdraw 1 5 USD k", reused)]);
    check_all("", &[("invoice 1 5 USD k", "1 has 5 USD"), ("transfer 1 2 5 USD k", reused)]);
    check_all("", &[("invoice 1 5 USD k", "1 has 5 USD"), ("invoice 1 5 XXX k", reused)]);
    check_all("", &[("withdraw 1 5 USD k", "insufficient_funds"), ("withdraw 1 6 USD k", reused)]);
    check_all("", &[("invoice 1 5 USD k", "1 has 5 USD"), ("invoice 2 5 USD k", "1 has 5 USD, 2 has 5 USD")]);
    // The credited wallet's keys are its own.
    check_all(
        "1 has 9 USD",
        &[("transfer 1 2 5 USD k", "1 has 4 USD, 2 has 5 USD"), ("withdraw 2 1 USD k", "1 has 4 USD, 2 has 4 USD")],
    );
    check_all("1 has 9 USD", &[("transfer 1 2 5 USD k", "1 has 4 USD, 2 has 5 USD"), ("transfer 1 3 5 USD k", reused)]);
}

#[test]
fn operations_without_a_key_are_done_as_often_as_asked() {
    check_all("", &[("invoice 1 5 USD", "1 has 5 USD"), ("invoice 1 5 USD", "1 has 10 USD")]);
}
