//! Moments and lengths of time, as the ledger is told them: it has no clock.

use std::fmt;
use std::ops::Add;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Rejection;

/// Longest time a transaction may wait, in seconds: ten years. Beyond it a typing error is likelier than a wish.
pub const LIFETIME_SECONDS_MAX: u32 = 315_360_000;

/// A moment, UTC, to the microsecond, as PostgreSQL keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub OffsetDateTime);

/// How long a transaction may wait, in whole seconds: 1 to [`LIFETIME_SECONDS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(u32);

impl Timestamp {
    /// 1970-01-01 00:00:00 UTC.
    pub const EPOCH: Self = Self(OffsetDateTime::UNIX_EPOCH);
}

impl fmt::Display for Timestamp {
    /// RFC 3339, UTC.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.to_offset(time::UtcOffset::UTC).format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl Lifetime {
    /// Refuses zero and more than [`LIFETIME_SECONDS_MAX`].
    pub fn from_seconds(seconds: i64) -> Result<Self, Rejection> {
        u32::try_from(seconds)
            .ok()
            .filter(|seconds| (1..=LIFETIME_SECONDS_MAX).contains(seconds))
            .map(Self)
            .ok_or(Rejection::ExpiresInInvalid)
    }

    /// Whole seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl Add<Lifetime> for Timestamp {
    type Output = Self;

    fn add(self, lifetime: Lifetime) -> Self {
        Self(self.0 + time::Duration::seconds(lifetime.0.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_second_to_ten_years() {
        for good in [1, 600, i64::from(LIFETIME_SECONDS_MAX)] {
            assert_eq!(Lifetime::from_seconds(good).map(|lifetime| i64::from(lifetime.seconds())), Ok(good));
        }
        for bad in [0, -1, i64::from(LIFETIME_SECONDS_MAX) + 1, i64::MAX, i64::MIN] {
            assert_eq!(Lifetime::from_seconds(bad), Err(Rejection::ExpiresInInvalid));
        }
    }

    #[test]
    fn a_moment_is_written_as_rfc_3339() {
        let moment = Timestamp::EPOCH + Lifetime::from_seconds(90).unwrap();
        assert_eq!(moment.to_string(), "1970-01-01T00:01:30Z");
    }
}
