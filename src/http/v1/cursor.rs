//! Cursors: where the next page begins. Opaque to callers; a row that is added never moves one.
//!
//! A cursor names the last row of its page by the values it is sorted by, not by its place, and carries a digest of the question it
//! belongs to: with other filters it is refused, instead of skipping rows.

use std::fmt::Write;

use sha2::{Digest, Sha256};

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
        let refuse = |detail: &'static str| Fault::CursorInvalid.because(detail);
        let bytes = bytes(cursor).ok_or_else(|| refuse("this is no cursor; take one from next_cursor"))?;
        let (digest, key) = bytes.split_at_checked(DIGEST_BYTES).ok_or_else(|| refuse("this is no whole cursor"))?;
        if digest != self.0 {
            return Err(refuse("the cursor belongs to other filters; ask with those, or from the start"));
        }
        String::from_utf8(key.to_vec()).map_err(|_| refuse("this is no cursor; take one from next_cursor"))
    }
}

/// A cursor that is whole and still names nothing.
pub fn meaningless() -> Problem {
    Fault::CursorInvalid.because("this is no cursor; take one from next_cursor")
}

fn bytes(cursor: &str) -> Option<Vec<u8>> {
    if cursor.len() > LENGTH_MAX || !cursor.bytes().all(|byte| byte.is_ascii_hexdigit()) {
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
        assert_eq!(other.code(), "cursor_invalid");
        for bad in ["", "x", "abc", "é", &cursor[..6], &"0".repeat(LENGTH_MAX + 2)] {
            assert_eq!(cursors.key(bad).unwrap_err().code(), "cursor_invalid", "{bad}");
        }
    }
}
