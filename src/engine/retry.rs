//! What to do when a part of a batch was not posted. Pure: the table needs no database to be tested.

use std::time::Duration;

use crate::store::Trouble;

/// First pause when the database is away.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(100);
/// First pause when others are in the way: about the time of two small batches.
const CONFLICT_PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest pause when others are in the way.
const CONFLICT_PAUSE_MAX: Duration = Duration::from_millis(500);

/// Why a part was not posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setback {
    /// The database's trouble.
    Store(Trouble),
    /// Posting it panicked: a bug that one of its operations brought out.
    Panic,
    /// It was not tried: an operation of one of its wallets has to go first, and is to be tried later.
    HeldUp,
    /// It was not tried: the stop has run out of time.
    OutOfTime,
}

/// How many operations a part has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    One,
    Several,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The same again, after a pause of about this.
    Retry(Duration),
    /// Its halves, each by itself, in their order.
    Split,
    /// The operation goes back to the head of its wallet's line.
    Later,
    /// Every caller of it is told that it failed.
    GiveUp,
}

/// The limits of trying again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub conflict_retries_max: u32,
    pub reconnect_pause_max: Duration,
}

impl Policy {
    /// What to do about a setback. `tries` is how often the part has met it, this time included: 1 or more.
    pub fn step(&self, setback: Setback, tries: u32, size: Size) -> Step {
        use Setback::{HeldUp, OutOfTime, Panic, Store};
        match (setback, size) {
            (OutOfTime, _) => Step::GiveUp,
            // No operation is to blame, so there is nothing to split.
            (Store(Trouble::Away), _) => Step::Retry(doubled(RECONNECT_PAUSE_MIN, tries, self.reconnect_pause_max)),
            (Store(Trouble::Conflict), _) if tries <= self.conflict_retries_max => {
                Step::Retry(doubled(CONFLICT_PAUSE_MIN, tries, CONFLICT_PAUSE_MAX))
            }
            // One of them is in the way or at fault; the others are not to suffer for it.
            (Store(_) | Panic | HeldUp, Size::Several) => Step::Split,
            (Store(Trouble::Conflict | Trouble::Locked) | HeldUp, Size::One) => Step::Later,
            (Store(Trouble::Refused) | Panic, Size::One) => Step::GiveUp,
        }
    }
}

/// How often a part met what is tried again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tries {
    away: u32,
    conflict: u32,
}

impl Tries {
    /// Counts a setback; says how often it was met.
    pub fn count(&mut self, setback: Setback) -> u32 {
        let met = match setback {
            Setback::Store(Trouble::Away) => &mut self.away,
            Setback::Store(Trouble::Conflict) => &mut self.conflict,
            _ => return 1,
        };
        *met = met.saturating_add(1);
        *met
    }
}

/// `first`, then twice as long each time, up to `max`; never less than `first`, which would be a spin.
fn doubled(first: Duration, tries: u32, max: Duration) -> Duration {
    first.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(max.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done about the `tries`-th such setback, for a part of one operation and for a part of several.
    fn check(setback: Setback, tries: u32, with_one: &str, with_several: &str) {
        let policy = Policy { conflict_retries_max: 8, reconnect_pause_max: Duration::from_secs(2) };
        for (size, expected) in [(Size::One, with_one), (Size::Several, with_several)] {
            let step = match policy.step(setback, tries, size) {
                Step::Retry(pause) => format!("retry after {} ms", pause.as_millis()),
                Step::Split => "split".to_owned(),
                Step::Later => "later".to_owned(),
                Step::GiveUp => "give up".to_owned(),
            };
            assert_eq!(step, expected, "{setback:?} {tries} {size:?}");
        }
    }

    #[test]
    fn every_setback_has_its_step() {
        let away = Setback::Store(Trouble::Away);
        check(away, 1, "retry after 100 ms", "retry after 100 ms");
        check(away, 2, "retry after 200 ms", "retry after 200 ms");
        check(away, 5, "retry after 1600 ms", "retry after 1600 ms");
        check(away, 6, "retry after 2000 ms", "retry after 2000 ms");
        check(away, u32::MAX, "retry after 2000 ms", "retry after 2000 ms");
        let conflict = Setback::Store(Trouble::Conflict);
        check(conflict, 1, "retry after 10 ms", "retry after 10 ms");
        check(conflict, 7, "retry after 500 ms", "retry after 500 ms");
        check(conflict, 8, "retry after 500 ms", "retry after 500 ms");
        check(conflict, 9, "later", "split");
        check(Setback::Store(Trouble::Locked), 1, "later", "split");
        check(Setback::HeldUp, 1, "later", "split");
        check(Setback::Store(Trouble::Refused), 1, "give up", "split");
        check(Setback::Panic, 1, "give up", "split");
        check(Setback::OutOfTime, 1, "give up", "give up");
    }

    #[test]
    fn each_kind_of_trouble_is_counted_by_itself() {
        let (away, conflict) = (Setback::Store(Trouble::Away), Setback::Store(Trouble::Conflict));
        let mut tries = Tries::default();
        let met = [away, away, conflict, away, conflict, Setback::Panic, Setback::Panic].map(|met| tries.count(met));
        assert_eq!(met, [1, 2, 1, 3, 2, 1, 1]);
    }
}
