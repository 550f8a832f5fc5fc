//! Payments in the order of their timestamps, read in that of their ids, for which there is an index.
//!
//! A payment's id holds the moment of its receipt by the clock of the instance that received it, its timestamp is the database's when it was written,
//! which is later. So a payment that was read can be followed in time only by such as were received before its timestamp: each waits here until the
//! ids have come past it, by as much as clocks may differ. Sorting all of them in the database would cost the whole table for each list, or an
//! index on the timestamp, which each posting would pay for; and a caller who reads slowly would hold a connection.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How far an instance's clock may be ahead of the database's. Where it is more, payments of that instance may come later in the list than they should.
const CLOCK_AHEAD_MAX: Duration = Duration::seconds(10);
/// Where a UUIDv7 holds the milliseconds since 1970.
const MILLISECOND_SHIFT: u32 = 80;

/// How far a list has come: what was read and has to wait is as much as is paid in [`CLOCK_AHEAD_MAX`].
#[derive(Debug, Default)]
pub struct Reading {
    /// By timestamp, then by id.
    waiting: BinaryHeap<Reverse<(OffsetDateTime, Uuid, String)>>,
    last_id: Option<Uuid>,
}

impl Reading {
    /// After which id to read on.
    pub fn after(&self) -> Option<Uuid> {
        self.last_id
    }

    /// The payment of the next id, with its timestamp, as it is written.
    pub fn add(&mut self, written_at: OffsetDateTime, id: Uuid, item: String) {
        self.last_id = Some(id);
        self.waiting.push(Reverse((written_at, id, item)));
    }

    /// Those before which none can come any more.
    pub fn take(&mut self) -> Vec<String> {
        let until = self.last_id.map(|id| received_at(id) - CLOCK_AHEAD_MAX);
        self.take_while(|written_at| until.is_some_and(|until| written_at < until))
    }

    /// All that wait: there are no more ids.
    pub fn take_all(&mut self) -> Vec<String> {
        self.take_while(|_| true)
    }

    fn take_while(&mut self, is_due: impl Fn(OffsetDateTime) -> bool) -> Vec<String> {
        let mut items = Vec::new();
        while let Some(Reverse((written_at, ..))) = self.waiting.peek()
            && is_due(*written_at)
        {
            items.extend(self.waiting.pop().map(|Reverse((.., item))| item));
        }
        items
    }
}

fn received_at(id: Uuid) -> OffsetDateTime {
    let milliseconds = i64::try_from(id.as_u128() >> MILLISECOND_SHIFT).expect("48 bits fit");
    // 48 bits of milliseconds reach beyond the years that the type has: what is so late is later than everything.
    let milliseconds = Duration::milliseconds(milliseconds);
    OffsetDateTime::UNIX_EPOCH.checked_add(milliseconds).unwrap_or(time::macros::datetime!(9999-12-31 0:00 UTC))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN_MS: i64 = 1_800_000_000_000;

    fn moment(milliseconds: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(BEGIN_MS + milliseconds)
    }

    fn id(milliseconds: i64) -> Uuid {
        let milliseconds = (BEGIN_MS + milliseconds).cast_unsigned();
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &[0; 10]).into_uuid()
    }

    /// Each payment is the millisecond of its receipt and how much later it was written; what is taken after each is between `|`.
    #[track_caller]
    fn check(payments: &[(i64, i64)], expected: &str) {
        let mut reading = Reading::default();
        let mut taken: Vec<String> = Vec::new();
        for (received, later) in payments {
            reading.add(moment(received + later), id(*received), received.to_string());
            taken.push(reading.take().join(" "));
        }
        taken.push(reading.take_all().join(" "));
        assert_eq!(taken.join("|"), expected, "{payments:?}");
        assert!(reading.after() == payments.last().map(|(received, _)| id(*received)) && reading.take_all().is_empty());
    }

    #[test]
    fn payments_come_in_the_order_in_which_they_were_written() {
        check(&[], "");
        check(&[(1, 5), (2, 1), (3, 9)], "|||2 1 3");
        // Of one moment, by id.
        check(&[(1, 3), (2, 2)], "||1 2");
        // As soon as nothing can come before them.
        check(&[(1, 5), (2, 1), (10_004, 0), (10_007, 0)], "||2|1|10004 10007");
    }

    #[test]
    fn one_that_waited_long_comes_in_its_place() {
        check(&[(0, 3_600_000), (5, 0), (60_000, 0), (3_660_000, 0)], "||5|60000 0|3660000");
    }

    #[test]
    fn a_clock_that_is_ahead_changes_nothing() {
        // The second was received at 9000 by a clock that is nine seconds ahead, and written at 0.
        check(&[(1, 0), (9_000, -9_000), (9_001, 0)], "|||9000 1 9001");
    }
}
