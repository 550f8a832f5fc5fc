//! How Go reads a duration: its `time.ParseDuration`.

const NANOSECONDS_PER_SECOND: u128 = 1_000_000_000;
/// Go's units, with their lengths in nanoseconds. The two signs of micro are two characters.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", NANOSECONDS_PER_SECOND),
    ("m", 60 * NANOSECONDS_PER_SECOND),
    ("h", 3600 * NANOSECONDS_PER_SECOND),
];
/// Digits behind the point that are looked at: more than any unit can be divided into.
const FRACTION_DIGITS_MAX: usize = 18;

/// The length of a duration in seconds, rounded up; a number alone is seconds. `None` for what is no duration, and for a negative one.
pub fn duration_seconds(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut nanoseconds = 0_u128;
    while !rest.is_empty() {
        let is_number = |char: char| char.is_ascii_digit() || char == '.';
        let (number, after) = rest.split_at(rest.find(|char| !is_number(char))?);
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let (_, length) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        nanoseconds = nanoseconds.checked_add(count(number, length)?)?;
        rest = after;
    }
    u64::try_from(nanoseconds.div_ceil(NANOSECONDS_PER_SECOND)).ok()
}

/// So many times `length`: `1.5`, `1.` or `.5`, with digits on at least one side.
fn count(number: &str, length: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || whole.len() + fraction.len() == 0 {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok().map(u128::from) };
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS_MAX)];
    let parts = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    Some(digits(whole)? * length + (digits(fraction)? * length).div_ceil(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_go_reads_it() {
        let check = |text: &str, expected| assert_eq!(duration_seconds(text), expected, "{text}");
        check("30s", Some(30));
        check("5m", Some(300));
        check("1h30m", Some(5400));
        check("1h0m0.5s", Some(3601));
        check("1.5h", Some(5400));
        check(".5m", Some(30));
        check("1.m", Some(60));
        check("+2s", Some(2));
        check("1500ms", Some(2));
        check("1ns", Some(1));
        check("7us8\u{b5}s9\u{3bc}s", Some(1));
        check("0.00000000000000000000001h", Some(0));
        check("0s", Some(0));
        check("0", Some(0));
        check("45", Some(45));
        for bad in
            ["", "s", ".s", "5 m", "-5s", "5d", "1.2.3s", "5S", "5m3", "1h-1m", "\u{662}s", "18446744073709551616h"]
        {
            check(bad, None);
        }
        check("99999999999999999999", None);
        check("18446744073709551615h", None);
    }
}
