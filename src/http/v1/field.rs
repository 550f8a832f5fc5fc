//! Fields of bodies: text within limits, and the difference between a field that is null and one that is not there.

use serde::{Deserialize, Deserializer};

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

/// For `#[serde(default, deserialize_with)]`: a field that may be left out, but not be null.
pub fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
