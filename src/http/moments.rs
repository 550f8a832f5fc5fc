//! Transactions in the order of their moments, read in that of their ids, for which there is an index.
//!
//! A transaction's id holds the moment of its receipt by the clock of the instance that received it, its `created_at` is the database's when it was
//! written, which is later. So one that was read can be followed in time only by such as were received before its moment: each waits here until the
//! ids have come past it, by as much as clocks may differ. Sorting all of them in the database would cost the whole table for each list, or an
//! index on the moment, which each posting would pay for; and a caller who reads slowly would hold a connection.

use std::collections::BTreeMap;
use std::mem;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How far an instance's clock may be ahead of the database's. Where it is more, transactions of that instance may come later than they should.
const CLOCK_AHEAD_MAX: Duration = Duration::seconds(10);
/// Where a UUIDv7 holds the milliseconds since 1970.
const MILLISECOND_SHIFT: u32 = 80;

/// How far a list has come: what was read and has to wait is as much as is written in `CLOCK_AHEAD_MAX`. `T` is what is made of a transaction.
#[derive(Debug, Default)]
pub struct Reading<T> {
    waiting: BTreeMap<(OffsetDateTime, Uuid), T>,
    last_id: Option<Uuid>,
}

impl<T> Reading<T> {
    /// After which id to read on.
    pub fn after(&self) -> Option<Uuid> {
        self.last_id
    }

    /// What is made of the transaction of the next id, which was written at this moment.
    pub fn add(&mut self, written_at: OffsetDateTime, id: Uuid, item: T) {
        self.last_id = Some(id);
        self.waiting.insert((written_at, id), item);
    }

    /// Those before which none can come any more; of one moment, by id.
    pub fn take(&mut self) -> Vec<T> {
        let Some(last_id) = self.last_id else { return Vec::new() };
        let still_waiting = self.waiting.split_off(&(received_at(last_id) - CLOCK_AHEAD_MAX, Uuid::nil()));
        mem::replace(&mut self.waiting, still_waiting).into_values().collect()
    }

    /// All that wait: there are no more ids.
    pub fn take_all(&mut self) -> Vec<T> {
        mem::take(&mut self.waiting).into_values().collect()
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

    /// Each transaction is the millisecond of its receipt and how much later it was written; what is taken after each is between `|`.
    #[track_caller]
    fn check(transactions: &[(i64, i64)], expected: &str) {
        let mut reading = Reading::default();
        let mut taken: Vec<String> = Vec::new();
        for (received, later) in transactions {
            reading.add(moment(received + later), id(*received), received.to_string());
            taken.push(reading.take().join(" "));
        }
        taken.push(reading.take_all().join(" "));
        assert_eq!(taken.join("|"), expected, "{transactions:?}");
        assert!(
            reading.after() == transactions.last().map(|(received, _)| id(*received)) && reading.take_all().is_empty()
        );
    }

    #[test]
    fn transactions_come_in_the_order_in_which_they_were_written() {
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
