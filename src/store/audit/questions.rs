//! What is asked of the books. Every statement gives rows `(invariant, detail)`, one for each breach.

mod history;
mod movements;
mod names;
mod originals;
mod references;
mod standings;
mod waiting;

/// One pass over the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The invariants it answers for, each as a sentence that is true when the books are right.
    pub invariants: &'static [&'static str],
    /// Gives the breaches.
    pub(super) sql: &'static str,
}

/// Every invariant of the books, group by group: histories, what moved them, what waits, what wallets may do, what belongs together, what is
/// named, what names it.
pub fn all() -> impl Iterator<Item = &'static Question> {
    let groups: [&'static [Question]; 7] = [
        &history::QUESTIONS,
        &movements::QUESTIONS,
        &waiting::QUESTIONS,
        &standings::QUESTIONS,
        &originals::QUESTIONS,
        &references::QUESTIONS,
        &names::QUESTIONS,
    ];
    groups.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invariant_is_named_in_its_own_statement() {
        for question in all() {
            for invariant in question.invariants {
                let quoted = format!("'{}'", invariant.replace('\'', "''"));
                assert!(question.sql.contains(&quoted), "{invariant}");
            }
        }
    }

    #[test]
    fn no_invariant_is_asked_for_twice() {
        let mut invariants: Vec<_> = all().flat_map(|question| question.invariants).collect();
        let count = invariants.len();
        invariants.sort_unstable();
        invariants.dedup();
        assert_eq!(invariants.len(), count);
    }
}
