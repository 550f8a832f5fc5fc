//! Cursors: where the next page begins. Opaque to callers; a row that is added never moves one.
//!
//! A cursor names the last row of its page by the values it is sorted by, not by its place, and carries a digest of the question it
//! belongs to: with other filters it is unknown, instead of skipping rows.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::query::invalid;
use crate::http::error::{Fault, Problem};

/// Longest cursor that is looked at, in characters.
pub const LENGTH_MAX: usize = 512;
/// Bytes of the question's digest: enough to notice another question; nothing is guarded by it.
const DIGEST_BYTES: usize = 6;

/// Makes and reads the cursors of one question.
#[derive(Clone, Copy, Debug)]
pub struct Cursors([u8; DIGEST_BYTES]);

impl Cursors {
    /// Of the question that is written as `question`: the route and every filter, without the limit.
    pub fn of(question: &str) -> Self {
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&Sha256::digest(question)[..DIGEST_BYTES]);
        Self(digest)
    }

    /// The cursor after the row with this key.
    pub fn render(&self, key: &str) -> String {
        self.0.iter().chain(key.as_bytes()).fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes everything");
            text
        })
    }

    /// The key in a cursor.
    pub fn key(&self, cursor: &str) -> Result<String, Problem> {
        let bytes = bytes(cursor).ok_or_else(|| invalid("cursor must be a next_cursor as it was given"))?;
        let key = bytes.strip_prefix(&self.0).and_then(|key| std::str::from_utf8(key).ok());
        key.map(str::to_owned).ok_or_else(unknown)
    }
}

/// No page begins there.
pub fn unknown() -> Problem {
    Fault::CursorUnknown
        .because("no page of this list begins here; ask with the filters that the cursor was given for, or without it")
}

fn bytes(cursor: &str) -> Option<Vec<u8>> {
    if cursor.is_empty() || cursor.len() > LENGTH_MAX || !cursor.bytes().all(|byte| b"0123456789abcdef".contains(&byte))
    {
        return None;
    }
    let (pairs, []) = cursor.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_for_its_own_question_only() {
        let cursors = Cursors::of("transactions wallet=1");
        let cursor = cursors.render("12.5 7");
        assert_eq!(cursors.key(&cursor).unwrap(), "12.5 7");
        let other = Cursors::of("transactions wallet=2").key(&cursor).unwrap_err();
        assert_eq!(other.code(), "cursor_unknown");
        assert_eq!(cursors.key(&cursor[..6]).unwrap_err().code(), "cursor_unknown");
        for bad in ["", "x", "abc", "é", "AB", &"0".repeat(LENGTH_MAX + 2)] {
            assert_eq!(cursors.key(bad).unwrap_err().code(), "parameter_invalid", "{bad}");
        }
    }
}
