//! Random histories of every operation, compared with the model and with themselves told otherwise.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use purser::ledger::outcome::Replay;
use purser::ledger::{
    Answer, Balance, Batch, Delta, Entry, Item, Kind, Lifetime, Operation, Outcome, Request, Standing, Status,
    Transaction, TransactionId,
};
use rust_decimal::Decimal;

use crate::batch_size;
use crate::history::{CURRENCIES, History, WALLETS, is_recorded};
use crate::model::{Model, Place};
use crate::operations::{Script, currency};
use crate::units::{DIGITS_28, Parts, known, parts, said, units};

/// Wallet 5 is closed, wallet 6 does not exist.
const BEFORE: &str = "5 closed";
const NO_WALLET: i64 = WALLETS + 1;

/// What a sentence is made of. Not every verb needs all of it.
#[derive(Clone, Debug)]
struct Draft {
    verb: &'static str,
    wallet: i64,
    to_wallet: i64,
    /// Which of [`CURRENCIES`], or none of them.
    currency: usize,
    minor: i128,
    terms: &'static str,
    /// Which of a few references it is to have.
    reference: Option<u8>,
    original: prop::sample::Index,
    /// How much of the original.
    part: Option<i128>,
    is_kept: bool,
    /// A decimal too many, a wallet that is not the original's, a service that is not there: what should not be.
    is_odd: bool,
}

#[derive(Clone, Debug)]
enum Line {
    One(Draft, Option<u8>),
    Batch(Vec<Draft>, Option<u8>),
    /// An earlier one, word for word.
    Again(prop::sample::Index),
}

/// A transaction that others may be about.
struct Made {
    name: String,
    wallet: i64,
    /// Who would pay it back.
    back: i64,
    currency: usize,
    /// How long it may wait.
    seconds: Option<&'static str>,
}

fn drafts() -> impl Strategy<Value = Draft> {
    let verb = prop::sample::select(
        [
            &["invoice"; 5][..],
            &["withdraw"; 7],
            &["transfer"; 4],
            &["confirm"; 6],
            &["cancel", "cancel", "expire", "extend", "extend"],
            &["reverse"; 4],
        ]
        .concat(),
    );
    let wallet = || prop_oneof![40 => 1..5_i64, 1 => Just(WALLETS), 1 => Just(NO_WALLET)];
    let currency = prop_oneof![40 => 0..3_usize, 1 => Just(3)];
    let minor = prop_oneof![
        50 => 1..1_000_i128,
        2 => DIGITS_28 / 2..DIGITS_28,
        1 => Just(DIGITS_28 - 1),
        1 => (1..10_i128).prop_map(|digit| digit * (DIGITS_28 / 10)),
    ];
    let terms =
        prop::sample::select(vec!["", "", " pending", " pending for 60", " pending for 90", " waits", " waits for 60"]);
    let part = prop::option::weighted(0.6, 1..600_i128);
    let rest = (any::<prop::sample::Index>(), part, prop::bool::weighted(0.7), prop::bool::weighted(0.04));
    let terms = (terms, prop::option::weighted(0.3, 0..12_u8));
    (verb, wallet(), wallet(), currency, minor, terms, rest).prop_map(
        |(verb, wallet, to_wallet, currency, minor, (terms, reference), (original, part, is_kept, is_odd))| Draft {
            verb,
            wallet,
            to_wallet,
            currency,
            minor,
            terms,
            reference,
            original,
            part,
            is_kept,
            is_odd,
        },
    )
}

fn lines() -> impl Strategy<Value = Line> {
    let key = || prop::option::weighted(0.3, 0..12_u8);
    let plain = prop::sample::select(vec!["balance", "balance", "block", "open", "open", "open", "close"]);
    let plain = (drafts(), plain).prop_map(|(draft, verb)| Draft { verb, ..draft });
    prop_oneof![
        24 => (drafts(), key()).prop_map(|(draft, key)| Line::One(draft, key)),
        3 => (plain, key()).prop_map(|(draft, key)| Line::One(draft, key)),
        4 => (prop::collection::vec(drafts(), 1..5), key()).prop_map(|(drafts, key)| Line::Batch(drafts, key)),
        6 => any::<prop::sample::Index>().prop_map(Line::Again),
    ]
}

/// Wallets that are blocked and opened all the time, while money is waited for and comes.
fn restless_lines() -> impl Strategy<Value = Line> {
    let few = |draft: Draft| Draft { wallet: 1 + draft.wallet % 2, to_wallet: 1 + draft.to_wallet % 2, ..draft };
    let verb = prop::sample::select(vec!["block", "block", "block", "open", "open", "open", "open", "close"]);
    let stands = (drafts(), verb).prop_map(move |(draft, verb)| Line::One(few(Draft { verb, ..draft }), None));
    let waits = drafts().prop_map(move |draft| {
        // More than there is at first.
        let draft = Draft { verb: "withdraw", terms: " waits", minor: 600 + draft.minor % 400, ..few(draft) };
        Line::One(draft, None)
    });
    let moves = drafts().prop_map(move |draft| Line::One(few(draft), None));
    prop_oneof![5 => stands, 2 => waits, 4 => moves, 1 => lines()]
}

/// A history, and where its batches end: told in two ways.
#[derive(Clone, Debug)]
struct Story {
    sentences: Vec<String>,
    cuts: Vec<usize>,
    other_cuts: Vec<usize>,
}

fn stories() -> impl Strategy<Value = Story> {
    let cuts = || prop::collection::vec(1..30_usize, 7);
    let lines = prop_oneof![
        3 => prop::collection::vec(lines(), 1..100),
        1 => prop::collection::vec(restless_lines(), 1..60),
    ];
    (lines, cuts(), cuts()).prop_map(|(lines, cuts, other_cuts)| {
        // Everybody has a little to begin with.
        let everywhere = (1..WALLETS).flat_map(|wallet| CURRENCIES.map(|(code, scale)| (wallet, code, scale)));
        let first = |(wallet, code, scale)| format!("invoice {wallet} {} {code}", Decimal::new(700, scale));
        let (mut sentences, mut made): (Vec<String>, Vec<Made>) = (everywhere.map(first).collect(), Vec::new());
        let mut said = 0;
        for line in lines {
            let keyed = |key: Option<u8>| key.map(|key| format!(" key{key}")).unwrap_or_default();
            let sentence = match line {
                Line::Again(index) => index.get(&sentences).clone(),
                Line::One(draft, key) => draft.say(&mut made, &mut said, &keyed(key)),
                Line::Batch(drafts, key) => {
                    // Nobody knows the items before the batch is committed.
                    let mut items = Vec::new();
                    let words: Vec<String> = drafts
                        .iter()
                        .map(|draft| {
                            let known = made.len();
                            let words = draft.say(&mut made, &mut said, "");
                            items.extend(made.drain(known..));
                            words
                        })
                        .collect();
                    made.extend(items);
                    format!("batch{}: {}", keyed(key), words.join("; "))
                }
            };
            sentences.push(sentence);
        }
        Story { sentences, cuts, other_cuts }
    })
}

impl Draft {
    fn say(&self, made: &mut Vec<Made>, said: &mut usize, key: &str) -> String {
        let &Self { verb, mut wallet, mut to_wallet, currency, minor, terms, reference, is_odd, .. } = self;
        if wallet == to_wallet && !is_odd {
            to_wallet = wallet % (WALLETS - 1) + 1;
        }
        if ["balance", "block", "open", "close"].contains(&verb) {
            return format!("{verb} {wallet}{key}");
        }
        *said += 1;
        let name = format!("t{said}");
        let amount = |minor, currency| {
            let (code, scale) = CURRENCIES.get(currency).copied().unwrap_or(("XXX", 2));
            format!("{} {code}", Decimal::from_i128_with_scale(minor, scale + u32::from(is_odd)))
        };
        let (mut back, mut of, mut seconds) = (wallet, currency, None);
        let words = if ["invoice", "withdraw", "transfer"].contains(&verb) {
            let is_withdraw = verb == "withdraw";
            let terms = if is_withdraw || is_odd { terms } else { terms.split(" waits").next().unwrap_or("") };
            seconds = terms.rsplit_once(" for ").map(|(_, seconds)| seconds);
            let service = if minor % 50 == 1 { " service 8" } else { "" };
            let reference = reference.map(|number| format!(" reference r{number}")).unwrap_or_default();
            let to = if verb == "transfer" { format!(" {to_wallet}") } else { String::new() };
            back = if verb == "transfer" { to_wallet } else { wallet };
            format!("{verb} {wallet}{to} {}{terms}{service}{reference}", amount(minor, currency))
        } else {
            let original = (!made.is_empty()).then(|| self.original.get(made));
            if let Some(original) = original.filter(|_| !is_odd) {
                wallet = if verb == "reverse" { original.back } else { original.wallet };
                (back, of) = (wallet, original.currency);
            }
            let part = self.part.map(|part| format!(" {}", amount(part, of))).unwrap_or_default();
            let original_name = original.map_or("none", |original| &original.name);
            let due = original.and_then(|original| original.seconds).unwrap_or("90");
            match verb {
                "confirm" => {
                    format!("confirm {wallet} @{original_name}{part}{}", if self.is_kept { " keep" } else { "" })
                }
                "reverse" => format!("reverse {wallet} @{original_name}{part}"),
                "expire" => format!("expire {wallet} @{original_name} {due}"),
                "extend" => format!("extend {wallet} @{original_name} {}", if self.is_kept { 60 } else { 90 }),
                _ => format!("{verb} {wallet} @{original_name}"),
            }
        };
        let sentence = format!("{words}{key} as {name}");
        // What waits is what most is about, and little is about what was about another.
        let is_about = words.contains('@');
        let times = if words.contains(" pending") || words.contains(" waits") {
            4
        } else {
            usize::from(!is_about || minor % 8 == 0)
        };
        made.extend((0..times).map(|_| Made { name: name.clone(), wallet, back, currency: of, seconds }));
        sentence
    }
}

impl Story {
    fn operations(&self) -> Vec<Operation> {
        let mut script = Script::default();
        self.sentences.iter().map(|sentence| script.say(sentence)).collect()
    }
}

/// Posts a history in batches that end where the cuts say, or earlier; calls `look` after each.
fn post(
    history: &mut History,
    operations: &[Operation],
    cuts: &[usize],
    mut look: impl FnMut(&History, &[Operation], &[Outcome]),
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut rest = operations;
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (batch, after) = rest.split_at(batch_size(rest, *cut));
        let told = history.post(batch);
        look(history, batch, &told);
        outcomes.extend(told);
        rest = after;
    }
    outcomes
}

fn assert_as_the_model(model: &Model, history: &History) {
    let empty = |_: &Place, parts: &mut Parts| *parts != Parts::default();
    let mut expected = model.places.clone();
    expected.retain(empty);
    let kept: BTreeMap<Place, Parts> = history
        .balances()
        .into_iter()
        .map(|((wallet, currency), balance)| {
            let (code, scale) = known(currency.as_str()).unwrap();
            ((wallet.0, code), parts(balance, scale))
        })
        .collect();
    assert_eq!(kept, expected);
    let standings: BTreeMap<i64, Standing> =
        history.standings().iter().map(|(id, standing)| (id.0, *standing)).collect();
    assert_eq!(standings, model.standings);
    for ((wallet, code), line) in &model.lines {
        assert_eq!(history.line(purser::ledger::WalletId(*wallet), currency(code)), *line, "{wallet} {code}");
    }
    assert_eq!(history.transactions.len(), model.records.len());
    for (reference, id) in &history.references {
        assert_eq!(model.named(reference), [*id], "{reference:?}");
    }
    for kept in &history.transactions {
        let record = &model.records[&kept.id];
        let waits = kept.status == Status::Created;
        assert_eq!((kept.kind, kept.status), (record.kind, record.status), "{kept:?}");
        assert_eq!(kept.more().reference, record.reference, "{kept:?}");
        if record.rejection.is_some() {
            assert_eq!(kept.rejection, record.rejection, "{kept:?}");
        }
        if waits {
            assert_eq!(kept.more().expires_at, record.due, "{kept:?}");
        }
    }
}

/// Where money is must be explained by what is on record, and the first of a line waits because it must.
fn assert_sound(model: &Model, history: &History) {
    let kinds: HashMap<TransactionId, Kind> = history.transactions.iter().map(|kept| (kept.id, kept.kind)).collect();
    let original = |kept: &Transaction| kept.more().original.map(|original| original.id);
    for (code, scale) in CURRENCIES {
        let of_code = |kept: &&Transaction| kept.money.is_some_and(|money| money.currency.as_str() == code);
        let amount = |kept: &Transaction| units(kept.money.unwrap().amount.value(), scale);
        let done = || history.transactions.iter().filter(of_code).filter(|kept| kept.status == Status::Success);
        let direction = |kind: Kind| match kind {
            Kind::Invoice => 1,
            Kind::Withdraw => -1,
            _ => 0,
        };
        let came: i128 = done()
            .map(|kept| match kept.kind {
                Kind::Invoice | Kind::Withdraw if kept.more().confirmed.is_none() => {
                    direction(kept.kind) * amount(kept)
                }
                Kind::Confirm => direction(kinds[&original(kept).unwrap()]) * amount(kept),
                Kind::Reverse => -direction(kinds[&original(kept).unwrap()]) * amount(kept),
                _ => 0,
            })
            .sum();
        let balances = history.balances();
        let here: Vec<Parts> = balances
            .iter()
            .filter(|((_, currency), _)| currency.as_str() == code)
            .map(|(_, balance)| parts(*balance, scale))
            .collect();
        assert_eq!(came, here.iter().map(|parts| parts.available + parts.held).sum::<i128>(), "{code} is conserved");

        let unconfirmed = |is_wanted: fn(Kind) -> bool| -> i128 {
            let holds = history.transactions.iter().filter(of_code).filter(|kept| {
                kept.status == Status::Created && kept.more().confirmed.is_some() && is_wanted(kept.kind)
            });
            let left = |hold: &Transaction| {
                let confirms = done().filter(|kept| kept.kind == Kind::Confirm && original(kept) == Some(hold.id));
                amount(hold) - confirms.map(amount).sum::<i128>()
            };
            holds.map(left).sum()
        };
        assert_eq!(here.iter().map(|parts| parts.held).sum::<i128>(), unconfirmed(|kind| kind != Kind::Invoice));
        assert_eq!(here.iter().map(|parts| parts.incoming).sum::<i128>(), unconfirmed(|kind| kind == Kind::Invoice));

        for wallet in history.standings().iter().filter(|(_, standing)| **standing == Standing::Open).map(|(id, _)| *id)
        {
            let Some(first) = history.line(wallet, currency(code)).first().and_then(|id| history.find(*id)) else {
                continue;
            };
            let available =
                balances.get(&(wallet, currency(code))).map_or(0, |balance| units(balance.available, scale));
            let is_due = available >= amount(first) && !model.crowded.contains(&(wallet.0, code));
            assert!(!is_due, "{first:?} could be paid from {available}");
        }
    }
}

/// 1, 2, 3 ... per wallet and currency, each balance the one before it plus the delta, none below zero.
fn assert_entries_chain(history: &History) {
    let mut last: HashMap<_, (i64, Balance)> = HashMap::new();
    for entry in &history.entries {
        let (seq, balance) = last.entry((entry.wallet, entry.currency)).or_default();
        assert_eq!(entry.seq, *seq + 1, "{entry:?}");
        let Entry { delta: Delta { available, held, incoming }, after, .. } = *entry;
        assert_eq!(after.available, balance.available + available, "{entry:?}");
        assert_eq!(after.held, balance.held + held, "{entry:?}");
        assert_eq!(after.incoming, balance.incoming + incoming, "{entry:?}");
        assert!([after.available, after.held, after.incoming].iter().all(|part| *part >= Decimal::ZERO), "{entry:?}");
        assert!(history.find(entry.transaction).is_some(), "{entry:?} has its transaction");
        (*seq, *balance) = (entry.seq, after);
    }
    let replayed: BTreeMap<_, _> = last.into_iter().map(|(place, (_, balance))| (place, balance)).collect();
    let kept = history.balances();
    assert!(kept.iter().all(|(place, balance)| replayed.get(place) == Some(balance)));
    assert!(replayed.iter().all(|(place, balance)| *balance == Balance::default() || kept.contains_key(place)));
}

/// A new delivery of the same message: everything but the ids is the same.
fn delivered_again(operation: &Operation) -> Operation {
    let new_id = || TransactionId(uuid::Uuid::now_v7());
    let request = match &operation.request {
        Request::Batch(batch) => {
            let items = batch.items().iter().map(|item| Item { id: new_id(), request: item.request.clone() });
            Request::Batch(Batch::new(items.collect()).expect("it was one before"))
        }
        request => request.clone(),
    };
    Operation { id: new_id(), request, ..operation.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_what_the_model_says(story in stories()) {
        let mut history = History::of(BEFORE);
        let mut model = Model::new();
        post(&mut history, &story.operations(), &story.cuts, |history, batch, outcomes| {
            for (operation, outcome) in batch.iter().zip(outcomes) {
                assert_eq!((said(outcome), outcome.replay), model.apply(operation), "{operation:?}");
                assert_eq!(outcome.kind, operation.request.kind());
            }
            assert_as_the_model(&model, history);
            assert_sound(&model, history);
        });
        assert_entries_chain(&history);
    }

    #[test]
    fn where_batches_end_makes_no_difference(story in stories()) {
        let operations = story.operations();
        let mut history = History::of(BEFORE);
        let outcomes = post(&mut history, &operations, &story.cuts, |_, _, _| {});
        for cuts in [&story.other_cuts[..], &[1]] {
            let mut other = History::of(BEFORE);
            prop_assert_eq!(&outcomes, &post(&mut other, &operations, cuts, |_, _, _| {}));
            prop_assert_eq!(history.balances(), other.balances());
            prop_assert_eq!(history.standings(), other.standings());
            prop_assert_eq!(&history.transactions, &other.transactions);
            prop_assert_eq!(&history.entries, &other.entries);
            prop_assert_eq!(&history.references, &other.references);
        }
    }

    #[test]
    fn a_history_told_again_changes_nothing(story in stories()) {
        let operations = story.operations();
        let mut history = History::of(BEFORE);
        let outcomes = post(&mut history, &operations, &story.cuts, |_, _, _| {});
        let keyed: Vec<(&Operation, &Outcome)> = operations
            .iter()
            .zip(&outcomes)
            .filter(|(operation, outcome)| operation.idempotency_key.is_some() && is_recorded(outcome))
            .collect();
        let again: Vec<Operation> = keyed.iter().map(|(operation, _)| delivered_again(operation)).collect();
        history.pass(Lifetime::from_seconds(1000).unwrap());
        let before = history.clone();
        let told = post(&mut history, &again, &story.other_cuts, |_, _, _| {});
        for (outcome, (operation, first)) in told.iter().zip(&keyed) {
            prop_assert_eq!(&outcome.result, &first.result, "{:?}", operation);
            prop_assert_eq!(outcome.replay, Replay::Replayed);
        }
        prop_assert_eq!(history.balances(), before.balances());
        prop_assert_eq!(history.standings(), before.standings());
        prop_assert_eq!(history.transactions, before.transactions);
        prop_assert_eq!(history.entries, before.entries);
        prop_assert_eq!(history.references, before.references);
    }

    #[test]
    fn a_batch_whose_commit_was_not_heard_of_is_answered_alike_and_not_done_twice(
        story in stories(),
        at in any::<prop::sample::Index>(),
        is_alone in any::<bool>(),
    ) {
        let operations = story.operations();
        let (before, rest) = operations.split_at(at.index(operations.len()));
        let (batch, rest) = rest.split_at(batch_size(rest, story.other_cuts[0]));
        // What another instance posts before the second try.
        let between = if is_alone { &[] } else { &rest[..batch_size(rest, story.other_cuts[1])] };
        let mut history = History::of(BEFORE);
        post(&mut history, before, &story.cuts, |_, _, _| {});
        let (mut unheard, mut never_kept) = (history.clone(), history);

        let outcomes = unheard.post(batch);
        unheard.pass(Lifetime::from_seconds(1000).unwrap());
        unheard.post(between);
        let kept = unheard.clone();
        unheard.pass(Lifetime::from_seconds(1000).unwrap());
        let again = unheard.post_again(batch);
        // Balances are read anew. A refusal that was not recorded is decided anew, and the caller has not heard the other one.
        let mut is_same = true;
        for (operation, (first, second)) in batch.iter().zip(outcomes.iter().zip(&again)) {
            if is_recorded(first) || matches!(first.result, Ok(Answer::Standing(_))) {
                // But for the line: by then it is one that was written earlier.
                prop_assert_eq!(&Outcome { line: None, ..first.clone() }, second, "{:?}", operation);
            } else if operation.request.is_write() {
                is_same &= !is_recorded(second) && second.result.is_err();
            }
        }
        if is_same {
            prop_assert_eq!(unheard.balances(), kept.balances());
            prop_assert_eq!(unheard.standings(), kept.standings());
            prop_assert_eq!(unheard.standing_records, kept.standing_records);
            prop_assert_eq!(unheard.transactions, kept.transactions);
            prop_assert_eq!(unheard.entries, kept.entries);
            prop_assert_eq!(unheard.references, kept.references);
        }
        prop_assert_eq!(never_kept.post_again(batch), outcomes);
    }
}
