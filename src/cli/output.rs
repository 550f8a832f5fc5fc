//! Answers, on stdout. A reader that has gone (`purser verify | head -1`) is no bug: the command ends quietly.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line.
pub fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes bytes as they are.
pub fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Whether a command failed only because nobody reads its answer any more.
pub fn is_reader_gone(error: &anyhow::Error) -> bool {
    // The outermost one only: a broken connection to a server is a broken pipe too, but never without words around it.
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A count with its noun: `1 entry`, `9 entries`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// A number with its thousands apart: `1,234,567`.
pub fn grouped(number: u64) -> String {
    group(&number.to_string())
}

/// Digits, however many, with their thousands apart.
pub fn group(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(counted(1, "entry", "entries"), "1 entry");
        assert_eq!(counted(2_000, "entry", "entries"), "2,000 entries");
    }

    #[test]
    fn only_a_bare_broken_pipe_is_a_reader_that_has_gone() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_reader_gone(&broken().into()));
        assert!(!is_reader_gone(&io::Error::from(io::ErrorKind::NotFound).into()));
        assert!(!is_reader_gone(&super::super::failure::Failure::new("no", "").because(broken()).into()));
    }
}
