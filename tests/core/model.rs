//! Random histories against a model that is too simple to be wrong: a map of whole minor units.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use purser::ledger::outcome::Replay;
use purser::ledger::{Answer, Balance, Delta, Entry, Kind, Operation, Outcome, Rejection, Request, Status, WalletId};
use rust_decimal::Decimal;

use crate::history::{CURRENCIES, History, WALLETS};
use crate::operations::operation;

/// Wallet 5 is closed, wallet 6 does not exist.
const BEFORE: &str = "5 closed";
const NO_WALLET: i64 = WALLETS + 1;
const DIGITS_28: i128 = 10_i128.pow(28);

/// Balances in minor units of their currency, and what was answered under each key.
#[derive(Default)]
struct Model {
    balances: BTreeMap<(i64, &'static str), i128>,
    keys: HashMap<(i64, String), (Request, Result<(), Rejection>)>,
}

impl Model {
    fn apply(&mut self, operation: &Operation) -> (Result<(), Rejection>, Replay) {
        let wallet = operation.request.wallet().0;
        let Some(money) = operation.request.money() else {
            return (if wallet == NO_WALLET { Err(Rejection::WalletUnknown) } else { Ok(()) }, Replay::First);
        };
        let key = operation.idempotency_key.as_ref().map(|key| (wallet, key.as_str().to_owned()));
        if let Some((request, result)) = key.as_ref().and_then(|key| self.keys.get(key)) {
            let is_same = *request == operation.request;
            let reused = (Err(Rejection::IdempotencyKeyReused), Replay::First);
            return if is_same { (*result, Replay::Replayed) } else { reused };
        }
        let result = self.decide(&operation.request, &money.amount.to_string(), money.currency.as_str());
        let is_recorded = !matches!(result, Err(rejection) if !rejection.is_recorded());
        if let Some(key) = key.filter(|_| is_recorded) {
            self.keys.insert(key, (operation.request.clone(), result));
        }
        (result, Replay::First)
    }

    fn decide(&mut self, request: &Request, amount: &str, code: &str) -> Result<(), Rejection> {
        let wallets = [Some(request.wallet()), request.to_wallet()];
        if wallets[0] == wallets[1] {
            return Err(Rejection::SameWallet);
        }
        if wallets.contains(&Some(WalletId(NO_WALLET))) {
            return Err(Rejection::WalletUnknown);
        }
        if wallets.contains(&Some(WalletId(5))) {
            return Err(Rejection::WalletClosed);
        }
        let (code, scale) = *CURRENCIES.iter().find(|known| known.0 == code).ok_or(Rejection::CurrencyUnknown)?;
        let amount = minor(amount, scale).ok_or(Rejection::TooManyDecimals)?;
        let changes = match *request {
            Request::Invoice { wallet, .. } => vec![(wallet, amount)],
            Request::Withdraw { wallet, .. } => vec![(wallet, -amount)],
            Request::Transfer { wallet, to_wallet, .. } => vec![(wallet, -amount), (to_wallet, amount)],
            _ => unreachable!("it moves no money"),
        };
        let mut after = self.balances.clone();
        for (wallet, change) in changes {
            let balance = after.entry((wallet.0, code)).or_default();
            *balance += change;
            if *balance < 0 {
                return Err(Rejection::InsufficientFunds);
            }
            if !fits(*balance, scale) {
                return Err(Rejection::BalanceTooLarge);
            }
        }
        self.balances = after;
        Ok(())
    }
}

/// `1.5` with 2 decimals is 150; `None` if it has more decimals.
fn minor(amount: &str, scale: u32) -> Option<i128> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let missing = (scale as usize).checked_sub(fraction.len())?;
    format!("{whole}{fraction}{}", "0".repeat(missing)).parse().ok()
}

/// Whether a number needs at most 28 digits: zeros after the point cost none.
fn fits(mut units: i128, mut scale: u32) -> bool {
    while scale > 0 && units % 10 == 0 {
        units /= 10;
        scale -= 1;
    }
    units < DIGITS_28
}

/// A decimal in minor units; it must be exact.
fn units(value: Decimal, scale: u32) -> i128 {
    let value = value.normalize();
    assert!(value.scale() <= scale, "{value} has more than {scale} decimals");
    value.mantissa() * 10_i128.pow(scale - value.scale())
}

/// An operation as a sentence. Amounts are small or close to the limit of 28 digits, sometimes with a decimal too many.
fn sentences() -> impl Strategy<Value = String> {
    let wallet = || prop_oneof![30 => 1..5_i64, 1 => Just(5), 1 => Just(NO_WALLET)];
    let code = || prop_oneof![30 => prop::sample::select(vec![0_usize, 1, 2]), 1 => Just(3)];
    let minor = || {
        prop_oneof![
            20 => 1..1_000_i128,
            4 => DIGITS_28 / 2..DIGITS_28,
            2 => Just(DIGITS_28 - 1),
            2 => (1..10_i128).prop_map(|digit| digit * (DIGITS_28 / 10)),
        ]
    };
    let one_decimal_too_many = prop::bool::weighted(0.03);
    let money = (code(), minor(), one_decimal_too_many).prop_map(|(index, minor, one_too_many)| {
        let (code, scale) = CURRENCIES.get(index).copied().unwrap_or(("XXX", 2));
        let scale = scale + u32::from(one_too_many);
        format!("{} {code}", Decimal::from_i128_with_scale(minor, scale))
    });
    let key = prop::option::weighted(0.5, 0..6_u8);
    let kind = prop::sample::select(vec![Kind::Invoice, Kind::Invoice, Kind::Withdraw, Kind::Transfer, Kind::Balance]);
    (kind, wallet(), wallet(), money, key).prop_map(|(kind, wallet, to_wallet, money, key)| {
        let key = key.map(|key| format!(" key{key}")).unwrap_or_default();
        match kind {
            Kind::Transfer => format!("transfer {wallet} {to_wallet} {money}{key}"),
            Kind::Balance => format!("balance {wallet}{key}"),
            _ => format!("{kind} {wallet} {money}{key}"),
        }
    })
}

/// A history: operations, of which some come again word for word, and where its batches end.
fn histories() -> impl Strategy<Value = (Vec<Operation>, Vec<usize>, Vec<usize>)> {
    let again = prop::option::weighted(0.2, any::<prop::sample::Index>());
    let sentences = prop::collection::vec((sentences(), again), 1..120);
    let cuts = || prop::collection::vec(1..30_usize, 120);
    (sentences, cuts(), cuts()).prop_map(|(sentences, cuts, other_cuts)| {
        let mut said: Vec<String> = Vec::new();
        for (sentence, again) in sentences {
            let repeated = again.filter(|_| !said.is_empty()).map(|index| index.get(&said).clone());
            said.push(repeated.unwrap_or(sentence));
        }
        (said.iter().map(|sentence| operation(sentence)).collect(), cuts, other_cuts)
    })
}

fn post_in_batches(history: &mut History, operations: &[Operation], cuts: &[usize]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut rest = operations;
    for cut in cuts {
        let (batch, after) = rest.split_at((*cut).min(rest.len()));
        outcomes.extend(history.post(batch));
        rest = after;
    }
    assert_eq!(outcomes.len(), operations.len());
    outcomes
}

fn assert_as_the_model(operations: &[Operation], outcomes: &[Outcome], history: &History) {
    let mut model = Model::default();
    for (operation, outcome) in operations.iter().zip(outcomes) {
        let (result, replay) = model.apply(operation);
        let got = outcome.result.as_ref().map(|_| ()).map_err(|refused| refused.rejection);
        assert_eq!((got, outcome.replay), (result, replay), "{operation:?}");
        assert_eq!(outcome.kind, operation.request.kind());
        if let Ok(Answer::Balances(lines)) = &outcome.result {
            let wallet = operation.request.wallet().0;
            for (code, scale) in CURRENCIES {
                let line = lines.iter().find(|line| line.currency.as_str() == code);
                let read = line.map_or(0, |line| units(line.balance.available, scale));
                assert_eq!(read, model.balances.get(&(wallet, code)).copied().unwrap_or(0), "{operation:?}");
            }
        }
    }
    let kept: BTreeMap<_, _> = history
        .balances()
        .into_iter()
        .map(|((wallet, currency), balance)| {
            let (code, scale) = *CURRENCIES.iter().find(|known| known.0 == currency.as_str()).unwrap();
            assert_eq!((balance.held, balance.incoming), (Decimal::ZERO, Decimal::ZERO));
            ((wallet.0, code), units(balance.available, scale))
        })
        .collect();
    model.balances.retain(|_, units| *units != 0);
    assert_eq!(kept, model.balances);
}

/// 1, 2, 3 ... per wallet and currency, each balance the one before it plus the delta, none below zero.
fn assert_entries_chain(entries: &[Entry]) {
    let mut last: HashMap<_, (i64, Balance)> = HashMap::new();
    for entry in entries {
        let (seq, balance) = last.entry((entry.wallet, entry.currency)).or_default();
        assert_eq!(entry.seq, *seq + 1, "{entry:?}");
        let Delta { available, held, incoming } = entry.delta;
        assert_eq!(entry.after.available, balance.available + available, "{entry:?}");
        assert_eq!(entry.after.held, balance.held + held, "{entry:?}");
        assert_eq!(entry.after.incoming, balance.incoming + incoming, "{entry:?}");
        assert!(entry.after.available >= Decimal::ZERO, "{entry:?}");
        (*seq, *balance) = (entry.seq, entry.after);
    }
}

/// What came in minus what went out is what the wallets have.
fn assert_money_is_conserved(history: &History) {
    for (code, scale) in CURRENCIES {
        let net: i128 = history
            .transactions
            .iter()
            .filter(|transaction| {
                transaction.status == Status::Success && transaction.money.unwrap().currency.as_str() == code
            })
            .map(|transaction| match transaction.kind {
                Kind::Invoice => units(transaction.money.unwrap().amount.value(), scale),
                Kind::Withdraw => -units(transaction.money.unwrap().amount.value(), scale),
                _ => 0,
            })
            .sum();
        let balances = history.balances();
        let here = balances.iter().filter(|((_, currency), _)| currency.as_str() == code);
        assert_eq!(net, here.map(|(_, balance)| units(balance.available, scale)).sum::<i128>(), "{code}");
    }
}

/// Whether an outcome is kept: that of an operation that reached a balance.
fn is_recorded(outcome: &Outcome) -> bool {
    match &outcome.result {
        Ok(answer) => matches!(answer, Answer::Transaction(_)),
        Err(refused) => refused.transaction.is_some(),
    }
}

/// A new delivery of the same message: everything but the id is the same.
fn delivered_again(operation: &Operation) -> Operation {
    Operation { id: purser::ledger::TransactionId(uuid::Uuid::now_v7()), ..operation.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_what_the_model_says((operations, cuts, _) in histories()) {
        let mut history = History::of(BEFORE);
        let outcomes = post_in_batches(&mut history, &operations, &cuts);
        assert_as_the_model(&operations, &outcomes, &history);
        assert_entries_chain(&history.entries);
        assert_money_is_conserved(&history);
    }

    #[test]
    fn where_batches_end_makes_no_difference((operations, cuts, other_cuts) in histories()) {
        let mut history = History::of(BEFORE);
        let outcomes = post_in_batches(&mut history, &operations, &cuts);
        let mut other = History::of(BEFORE);
        let other_outcomes = post_in_batches(&mut other, &operations, &other_cuts);
        prop_assert_eq!(outcomes, other_outcomes);
        prop_assert_eq!(history.balances(), other.balances());
        prop_assert_eq!(history.transactions, other.transactions);
        prop_assert_eq!(history.entries, other.entries);
    }

    #[test]
    fn a_history_told_again_changes_nothing((operations, cuts, other_cuts) in histories()) {
        let mut history = History::of(BEFORE);
        let outcomes = post_in_batches(&mut history, &operations, &cuts);
        let (books, before) = (history.balances(), history.transactions.len());

        let keyed: Vec<(&Operation, &Outcome)> = operations
            .iter()
            .zip(&outcomes)
            .filter(|(operation, outcome)| operation.idempotency_key.is_some() && is_recorded(outcome))
            .collect();
        let again: Vec<Operation> = keyed.iter().map(|(operation, _)| delivered_again(operation)).collect();
        for (outcome, (_, first)) in post_in_batches(&mut history, &again, &other_cuts).iter().zip(&keyed) {
            prop_assert_eq!(&outcome.result, &first.result);
            prop_assert_eq!(outcome.replay, Replay::Replayed);
        }
        prop_assert_eq!(history.balances(), books);
        prop_assert_eq!(history.transactions.len(), before);
    }

    #[test]
    fn a_batch_whose_commit_was_not_heard_of_is_answered_alike_and_not_done_twice((operations, cuts, _) in histories()) {
        let mut history = History::of(BEFORE);
        let (before, batch) = operations.split_at(cuts[0].min(operations.len()));
        history.post(before);
        let (mut unheard, mut never_kept) = (history.clone(), history);

        let outcomes = unheard.post(batch);
        let books = (unheard.balances(), unheard.transactions.len(), unheard.entries.len());
        let again = unheard.post_again(batch);
        prop_assert_eq!((unheard.balances(), unheard.transactions.len(), unheard.entries.len()), books);
        for (operation, (first, second)) in batch.iter().zip(outcomes.iter().zip(&again)) {
            // Balances are read anew. A refusal that was not recorded is decided anew: the key may name a later operation of
            // the batch by now. It is a refusal still, and the caller has not heard the other one.
            let is_recorded = is_recorded(first);
            let is_alike = if is_recorded { first == second } else { first.result.is_ok() == second.result.is_ok() };
            prop_assert!(is_alike, "{:?}: {:?}, then {:?}", operation, first, second);
        }

        prop_assert_eq!(never_kept.post_again(batch), outcomes);
    }
}
