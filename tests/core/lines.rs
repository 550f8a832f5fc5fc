//! The line that an outcome tells: what its transaction wrote first in its wallet's history.

use purser::ledger::Outcome;

use crate::history::History;
use crate::operations::Script;

/// Posts sentences as one batch, and compares each one's line: `2: +5 = 8` is number, change, what can be spent; `-` is none.
fn check(script: &mut Script, history: &mut History, sentences: &[(&str, &str)]) {
    let operations: Vec<_> = sentences.iter().map(|(sentence, _)| script.say(sentence)).collect();
    let outcomes = history.post(&operations);
    for ((sentence, expected), outcome) in sentences.iter().zip(&outcomes) {
        assert_eq!(line(outcome), *expected, "{sentence}: {outcome:?}");
    }
}

fn line(outcome: &Outcome) -> String {
    outcome.line.as_ref().map_or("-".to_owned(), |line| format!("{}: {:+} = {}", line.seq, line.delta, line.available))
}

#[test]
fn an_outcome_tells_its_own_line() {
    let (mut script, mut history) = (Script::default(), History::of("1 has 0 USD"));
    let mut say = |sentences: &[(&str, &str)]| check(&mut script, &mut history, sentences);
    say(&[("invoice 1 5 USD reference a k", "1: +5 = 5"), ("withdraw 1 2 USD reference b", "2: -2 = 3")]);
    // What is refused has none, and what has nothing beside its money does not carry it.
    say(&[("withdraw 1 9 USD reference c", "-"), ("invoice 1 1 WEI", "-")]);
    // Given again, it is not written now, be it in the same batch or later.
    say(&[
        ("invoice 1 5 USD reference a k", "-"),
        ("invoice 1 5 JPY order o k2", "1: +5 = 5"),
        ("invoice 1 5 JPY order o k2", "-"),
    ]);
    // Of a transfer and of its reversal, the payer's.
    say(&[("transfer 1 2 3 USD order o as t", "3: -3 = 0")]);
    say(&[("reverse 2 @t 1 USD", "2: -1 = 2"), ("invoice 1 1 USD order o", "5: +1 = 2")]);
    say(&[("withdraw 1 2 USD pending as h", "6: -2 = 0")]);
    say(&[("confirm 1 @h 1 USD", "7: +1 = 1"), ("balance 1", "-")]);
    // Who waits has none yet; who pays for it tells its own.
    say(&[
        ("withdraw 1 4 USD waits", "-"),
        ("invoice 1 9 USD order o", "8: +9 = 10"),
        ("invoice 1 1 USD order o", "10: +1 = 7"),
    ]);
    // Nor has one that ends what stood before another one in the line, though that one is paid.
    say(&[("withdraw 1 8 USD waits as a", "-"), ("withdraw 1 7 USD waits", "-")]);
    say(&[("cancel 1 @a", "-"), ("invoice 1 1 USD order o", "12: +1 = 1")]);
    say(&[("batch: invoice 1 5 USD order o; withdraw 1 5 USD", "-"), ("block 1", "-")]);
}
