//! Moments: RFC 3339, always in UTC on the way out.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// The moment that a text names, if it is RFC 3339; in any zone.
pub fn parse(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)
}

/// A moment as text, in UTC: `2026-11-20T12:00:00.123456Z`.
pub fn render(moment: OffsetDateTime) -> String {
    let utc = moment.checked_to_offset(UtcOffset::UTC).unwrap_or(moment);
    // Only a year beyond 9999 has no such text; the database was never given one.
    utc.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_any_zone_and_given_in_utc() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(parse(text).map(render).as_deref(), expected, "{text}");
        };
        check("2026-11-20T12:00:00Z", Some("2026-11-20T12:00:00Z"));
        check("2026-11-20T12:00:00.5+02:00", Some("2026-11-20T10:00:00.5Z"));
        check("2026-11-20", None);
        check("2026-13-20T12:00:00Z", None);
        check("yesterday", None);
        check("9999-12-31T23:59:59-23:59", None);
    }
}
