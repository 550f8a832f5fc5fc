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

    /// The keys of a batch's operations that have none of their own: this one, `/` and the position, counted from 0. Refused for all of them when
    /// the longest is too long, so that none is carried out without the others.
    pub fn of_operations(&self, count: usize) -> Result<impl Fn(usize) -> Self + use<>, Rejection> {
        let Self(key) = self.clone();
        let of = move |position: usize| Self(Arc::from(format!("{key}/{position}")));
        Self::new(of(count.saturating_sub(1)).as_str())?;
        Ok(of)
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

    #[test]
    fn a_batch_has_keys_for_all_of_its_operations_or_for_none() {
        let of = |bytes: usize, count: usize| {
            let keys = IdempotencyKey::new(&"k".repeat(bytes)).unwrap().of_operations(count)?;
            Ok((0..count).map(|position| keys(position).as_str().len()).max().unwrap_or_default())
        };
        assert_eq!(of(1, 3), Ok(3));
        assert_eq!(of(KEY_BYTES_MAX - 2, 10), Ok(KEY_BYTES_MAX));
        assert_eq!(of(KEY_BYTES_MAX - 2, 11), Err(Rejection::IdempotencyKeyInvalid));
    }
}
