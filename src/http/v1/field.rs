//! Fields of bodies: text within limits, and the difference between a field that is null and one that is not there.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::http::error::{Fault, Problem};

/// Longest name and external id, in characters.
pub const TEXT_LENGTH_MAX: usize = 255;

/// Checks a text: 1 to `length_max` characters, no NUL.
pub fn text(name: &str, value: &str, length_max: usize) -> Result<(), Problem> {
    if value.is_empty() || value.chars().count() > length_max || value.contains('\0') {
        let detail = format!("{name} must have 1 to {length_max} characters and no NUL among them");
        return Err(Fault::BodyInvalid.because(detail));
    }
    Ok(())
}

/// For `#[serde(default, deserialize_with)]`: a field that is there is `Some`, also when it is null.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// For `deserialize_with`: a whole number. JSON knows one sort of number, so `2.0` is a 2. Read from its text: through a float, a long one would
/// become another.
pub fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = Box::<RawValue>::deserialize(deserializer)?;
    let text = value.get();
    let exact = || Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok();
    let whole = || exact().filter(Decimal::is_integer)?.to_i64();
    text.parse().ok().or_else(whole).ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        D::Error::custom(format!("{shown} is no integer of at most 64 bits"))
    })
}

/// The same for `#[serde(default, deserialize_with)]`: one that may be left out, but not be null.
pub fn integer_if_given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    integer(deserializer).map(Some)
}

/// For `#[serde(default, deserialize_with)]`: a field that may be left out, but not be null.
pub fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// For `#[serde(default, deserialize_with)]`: a number or a string as it stands in the text. It may be left out, but be nothing else.
pub fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    let value = Box::<RawValue>::deserialize(deserializer)?;
    match value.get().as_bytes().first() {
        Some(b'"' | b'-' | b'0'..=b'9') => Ok(Some(value)),
        _ => Err(D::Error::custom("it must be a number or a string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Body {
        #[serde(deserialize_with = "integer")]
        id: i64,
    }

    #[track_caller]
    fn check(text: &str, expected: Option<i64>) {
        let read = serde_json::from_str::<Body>(&format!(r#"{{"id":{text}}}"#)).map(|body| body.id);
        assert_eq!(read.ok(), expected, "{text}");
    }

    #[test]
    fn a_whole_number_is_read_exactly_however_it_is_written() {
        check("7", Some(7));
        check("-7.0", Some(-7));
        check("2048090198735371.0", Some(2_048_090_198_735_371));
        check("9223372036854775807.0", Some(i64::MAX));
        check("2.5e1", Some(25));
        for bad in ["7.5", "9223372036854775808", "1e400", "1e-1", "\"7\"", "null", "true", "[7]", "{}"] {
            check(bad, None);
        }
    }
}
