//! How Go writes JSON, and times in it.

use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A value as Go's encoder writes it, which keeps markup out of what a browser might take for a page. Without the line end that it sets after it.
pub fn render(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("words and numbers are JSON");
    let is_plain = |character: char| !matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    if text.chars().all(is_plain) {
        return text;
    }
    // They stand in strings only.
    text.chars().fold(String::with_capacity(text.len() + 16), |mut escaped, character| {
        if is_plain(character) {
            escaped.push(character);
        } else {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        }
        escaped
    })
}

/// A time in UTC that was cut off to milliseconds: those that are zero at the end are left out.
pub fn time_to_millisecond(moment: OffsetDateTime) -> String {
    let utc = moment.checked_to_offset(UtcOffset::UTC).unwrap_or(moment);
    let utc = utc.replace_millisecond(utc.millisecond()).unwrap_or(utc);
    // Only a year beyond 9999 has no such text; the database was never given one.
    utc.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_cut_off_to_milliseconds() {
        let check = |text: &str, expected: &str| {
            let moment = OffsetDateTime::parse(text, &Rfc3339).expect("it is a time");
            assert_eq!(time_to_millisecond(moment), expected, "{text}");
        };
        check("2026-11-20T12:00:00.123999Z", "2026-11-20T12:00:00.123Z");
        check("2026-11-20T12:00:00.5+02:00", "2026-11-20T10:00:00.5Z");
        check("2026-11-20T12:00:00.000999Z", "2026-11-20T12:00:00Z");
    }

    #[test]
    fn json_is_written_as_go_writes_it() {
        assert_eq!(render(&"a<b> & \u{2028}\"c\""), r#""a\u003cb\u003e \u0026 \u2028\"c\"""#);
        assert_eq!(render(&["plain"]), r#"["plain"]"#);
    }
}
