//! What Go's libraries read out of a piece of text, such as a part of a path, and what they say if they cannot.

use std::num::{IntErrorKind, ParseIntError};

use uuid::Uuid;

use super::Reason;

/// An integer of 64 bits, as `strconv.Atoi` reads it.
pub fn integer(text: &str) -> Result<i64, Reason> {
    text.parse().map_err(|error: ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Reason::other(&format!("strconv.Atoi: parsing {text:?}: {why}"))
    })
}

/// A UUID in its usual form, with the hyphens and nothing around it; in the words of google's `uuid`.
pub fn uuid(text: &str) -> Result<Uuid, Reason> {
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(Reason::other(&format!("invalid UUID length: {}", text.len())));
    }
    Uuid::try_parse(text).map_err(|_| Reason::other("invalid UUID format"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_read_as_go_reads_it() {
        let check = |text: &str, expected: Result<i64, &str>| {
            assert_eq!(integer(text).map_err(String::from), expected.map_err(str::to_owned), "{text}");
        };
        check("7", Ok(7));
        check("+7", Ok(7));
        check("-9223372036854775808", Ok(i64::MIN));
        check("9223372036854775808", Err(r#"strconv.Atoi: parsing "9223372036854775808": value out of range"#));
        check("-9223372036854775809", Err(r#"strconv.Atoi: parsing "-9223372036854775809": value out of range"#));
        check("", Err(r#"strconv.Atoi: parsing "": invalid syntax"#));
        check("a\"b", Err(r#"strconv.Atoi: parsing "a\"b": invalid syntax"#));
        check("1.0", Err(r#"strconv.Atoi: parsing "1.0": invalid syntax"#));
    }

    #[test]
    fn a_uuid_is_read_in_its_usual_form() {
        let check = |text: &str, expected: Result<u128, &str>| {
            let read = uuid(text).map(|uuid| uuid.as_u128()).map_err(String::from);
            assert_eq!(read, expected.map_err(str::to_owned), "{text}");
        };
        check("00000000-0000-4000-8000-00000000000A", Ok(0x4000_8000_0000_0000_000a));
        check("z0000000-0000-4000-8000-000000000000", Err("invalid UUID format"));
        check("000000000000400080000000000000000000", Err("invalid UUID format"));
        check("00000000000040008000000000000000", Err("invalid UUID length: 32"));
        check("", Err("invalid UUID length: 0"));
    }
}
