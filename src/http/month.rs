//! The month of a report: it begins and ends in UTC, as everywhere in Purser.

use time::{Date, Month, OffsetDateTime};

/// A month of the years 1900 to 2199.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalendarMonth {
    year: i32,
    month: Month,
}

impl CalendarMonth {
    /// The month of these numbers.
    ///
    /// # Errors
    /// What is wrong about them: `"month"` or `"year"`.
    pub fn new(year: i64, month: i64) -> Result<Self, &'static str> {
        let month = u8::try_from(month).ok().and_then(|number| Month::try_from(number).ok()).ok_or("month")?;
        let year = i32::try_from(year).ok().filter(|year| (1900..2200).contains(year)).ok_or("year")?;
        Ok(Self { year, month })
    }

    /// Its numbers: the year, and 1 to 12.
    pub fn numbers(self) -> (i32, u8) {
        (self.year, self.month.into())
    }

    /// Where it begins, and where the next one does.
    pub fn bounds(self) -> [OffsetDateTime; 2] {
        let year_of_next = if self.month == Month::December { self.year + 1 } else { self.year };
        [(self.year, self.month), (year_of_next, self.month.next())].map(|(year, month)| {
            let first = Date::from_calendar_date(year, month, 1).expect("every month of these years has a first day");
            first.midnight().assume_utc()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let check = |year: i64, month: i64, expected: &str| {
            let got = CalendarMonth::new(year, month).map_or_else(str::to_owned, |month| {
                let ((year, number), [first, next]) = (month.numbers(), month.bounds());
                format!("{year}/{number} {first} {next}")
            });
            assert_eq!(got, expected, "{year} {month}");
        };
        check(2026, 2, "2026/2 2026-02-01 0:00:00.0 +00:00:00 2026-03-01 0:00:00.0 +00:00:00");
        check(2026, 12, "2026/12 2026-12-01 0:00:00.0 +00:00:00 2027-01-01 0:00:00.0 +00:00:00");
        check(2199, 12, "2199/12 2199-12-01 0:00:00.0 +00:00:00 2200-01-01 0:00:00.0 +00:00:00");
        for month in [i64::MIN, -1, 0, 13, 268, i64::MAX] {
            check(2026, month, "month");
        }
        for year in [i64::MIN, -1, 0, 1899, 2200, i64::MAX] {
            check(year, 1, "year");
        }
    }
}
