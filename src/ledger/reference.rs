//! References: a caller's name for a transaction, unique over all wallets.
//!
//! **A reference names at most one transaction that is not Error.** It is taken by the transaction that is recorded under it, and free again
//! once that transaction ends with status Error. An idempotency key, by contrast, is unique per wallet only, is never free again, and gives
//! the first answer again where a reference refuses.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::{Rejection, TransactionId};

/// Longest reference, in characters.
pub const REFERENCE_CHARACTERS_MAX: usize = 255;

/// The caller's name for a transaction, unique over all wallets: 1 to [`REFERENCE_CHARACTERS_MAX`] characters without NUL. Compared byte by byte.
///
/// Dialects give it, for what their systems kept unique over everything. `/v1` and AMQP have no field for it yet: a field of either would go
/// into [`super::Terms`], as a dialect's does, and its refusals have their codes already.
// One word wide: every operation has room for one, nearly none has one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(Arc<Box<str>>);

impl Reference {
    /// Refuses an empty reference, one of more than [`REFERENCE_CHARACTERS_MAX`] characters, and the character NUL, which PostgreSQL cannot keep.
    pub fn new(reference: &str) -> Result<Self, Rejection> {
        if !(1..=REFERENCE_CHARACTERS_MAX).contains(&reference.chars().count()) || reference.contains('\0') {
            return Err(Rejection::ReferenceInvalid);
        }
        Ok(Self(Arc::new(Box::from(reference))))
    }

    /// The reference as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(formatter)
    }
}

/// What a batch does to the references, each of them once and by its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceChanges {
    /// Those that name a transaction now and named none.
    pub taken: Vec<(Reference, TransactionId)>,
    /// Those that name another transaction now, because the one that they named ended in the same batch.
    pub passed_on: Vec<(Reference, TransactionId)>,
    /// Those that name none now, with the transaction that they named.
    pub freed: Vec<(Reference, TransactionId)>,
}

impl ReferenceChanges {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.passed_on.is_empty() && self.freed.is_empty()
    }
}

/// What the references of a batch name, as far as the batch asks.
#[derive(Clone, Debug, Default)]
pub(super) struct References {
    stored: HashMap<Reference, TransactionId>,
    now: HashMap<Reference, TransactionId>,
    /// What each change replaced, in their order: to undo them.
    replaced: Vec<(Reference, Option<TransactionId>)>,
}

impl References {
    pub fn new(stored: impl IntoIterator<Item = (Reference, TransactionId)>) -> Self {
        let stored: HashMap<_, _> = stored.into_iter().collect();
        Self { now: stored.clone(), stored, replaced: Vec::new() }
    }

    pub fn find(&self, reference: &Reference) -> Option<TransactionId> {
        self.now.get(reference).copied()
    }

    /// From now on it names this transaction.
    pub fn take(&mut self, reference: &Reference, id: TransactionId) {
        let before = self.now.insert(reference.clone(), id);
        self.replaced.push((reference.clone(), before));
    }

    /// From now on it names nothing, if it named this transaction.
    pub fn free(&mut self, reference: &Reference, id: TransactionId) {
        if self.find(reference) == Some(id) {
            self.replaced.push((reference.clone(), self.now.remove(reference)));
        }
    }

    /// How many changes there were: where [`Self::undo`] goes back to.
    pub fn count(&self) -> usize {
        self.replaced.len()
    }

    /// Undoes all changes but the first so many.
    pub fn undo(&mut self, count: usize) {
        for (reference, before) in self.replaced.drain(count..).rev() {
            match before {
                Some(id) => self.now.insert(reference, id),
                None => self.now.remove(&reference),
            };
        }
    }

    pub fn changes(self) -> ReferenceChanges {
        let Self { stored, now, replaced } = self;
        let mut references: Vec<Reference> = replaced.into_iter().map(|(reference, _)| reference).collect();
        references.sort_unstable();
        references.dedup();
        let mut changes = ReferenceChanges::default();
        for reference in references {
            match (stored.get(&reference).copied(), now.get(&reference).copied()) {
                (None, Some(id)) => changes.taken.push((reference, id)),
                (Some(before), Some(id)) if before != id => changes.passed_on.push((reference, id)),
                (Some(before), None) => changes.freed.push((reference, before)),
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_1_to_255_characters_and_no_nul() {
        for good in ["a", " ", "line\nbreak", "ключ", &"я".repeat(REFERENCE_CHARACTERS_MAX)] {
            assert_eq!(Reference::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a\0b", &"r".repeat(REFERENCE_CHARACTERS_MAX + 1)] {
            assert_eq!(Reference::new(bad), Err(Rejection::ReferenceInvalid), "{bad:?}");
        }
    }

    /// After these steps the references differ so from `a` and `b`, which name 1 and 2: `+` taken, `>` passed on, `-` freed.
    fn check(steps: &str, expected: &str) {
        let id = |number: u128| TransactionId(uuid::Uuid::from_u128(number));
        let reference = |name: &str| Reference::new(name).unwrap();
        let mut references = References::new([(reference("a"), id(1)), (reference("b"), id(2))]);
        let mut counts = Vec::new();
        for step in steps.split_whitespace() {
            match step.split_once(':') {
                None if step == "keep" => counts.push(references.count()),
                None => references.undo(counts.pop().expect("kept before")),
                Some((name, number)) => match number.strip_prefix('-') {
                    Some(number) => references.free(&reference(name), id(number.parse().unwrap())),
                    None => references.take(&reference(name), id(number.parse().unwrap())),
                },
            }
        }
        let ReferenceChanges { taken, passed_on, freed } = references.changes();
        let words = |sign, list: Vec<(Reference, TransactionId)>| {
            let word = move |(reference, id): (Reference, TransactionId)| {
                format!("{}{sign}{}", reference.as_str(), id.0.as_u128())
            };
            list.into_iter().map(word).collect::<Vec<_>>()
        };
        let told = [words('+', taken), words('>', passed_on), words('-', freed)].concat();
        assert_eq!(told.join(" "), expected, "{steps}");
    }

    #[test]
    fn changes_are_what_is_left_of_all_steps() {
        check("", "");
        check("d:4 c:3", "c+3 d+4");
        check("a:-1", "a-1");
        check("a:-1 a:5", "a>5");
        check("a:-1 a:5 a:-5", "a-1");
        check("a:-1 a:1", "");
        check("c:3 c:-3", "");
        check("a:-9 c:-9", "");
        check("b:-2 a:-1 d:4 c:3 b:6", "c+3 d+4 b>6 a-1");
    }

    #[test]
    fn what_is_undone_leaves_nothing() {
        check("keep a:-1 a:5 c:3 undo", "");
        check("c:3 keep c:-3 a:-1 c:4 undo", "c+3");
        check("a:-1 keep a:5 a:-5 a:6 undo", "a-1");
        check("keep c:3 undo keep d:4 keep d:-4 undo", "d+4");
    }
}
