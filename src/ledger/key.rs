//! Idempotency keys: the caller's name for an operation.

use std::sync::Arc;

use super::Rejection;

/// Longest idempotency key, in bytes: what an AMQP `message_id` can hold, so one rule serves AMQP and HTTP.
pub const KEY_BYTES_MAX: usize = 255;

/// The caller's name for an operation, unique per wallet: 1 to 255 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// Refuses an empty key, one with control characters, and one of more than [`KEY_BYTES_MAX`] bytes.
    pub fn new(key: &str) -> Result<Self, Rejection> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX || key.chars().any(char::is_control) {
            return Err(Rejection::IdempotencyKeyInvalid);
        }
        Ok(Self(Arc::from(key)))
    }

    /// The key as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_printable() {
        for good in ["a", "6f1c", "ключ", &"k".repeat(KEY_BYTES_MAX)] {
            assert_eq!(IdempotencyKey::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a\0b", "line\nbreak", &"k".repeat(KEY_BYTES_MAX + 1), &"k".repeat(10_240)] {
            assert_eq!(IdempotencyKey::new(bad), Err(Rejection::IdempotencyKeyInvalid));
        }
    }
}
