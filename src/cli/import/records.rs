//! A file, cut into records: a line each, or of CSV as many lines as its quotes hold together. No record is longer than [`RECORD_BYTES_MAX`].

use std::io::{BufRead, ErrorKind};

use crate::cli::failure::Failure;

/// The longest record that is read: 16 labels, a name and an external id of the longest, with every character written as two escapes (`\uXXXX`),
/// are 68 KiB. Whatever is longer is no wallet. Bytes.
pub const RECORD_BYTES_MAX: usize = 128 * 1024;
/// How the lines begin that `--refused` writes before each refused record. They are skipped.
pub const REMARK: &str = "# purser: ";

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated values with a header, as psql's \copy writes them
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// A record as it stands in the file.
#[derive(Debug)]
pub struct Record {
    /// The line that it begins in, counted from 1.
    pub number: u64,
    /// Without the line end.
    pub text: Result<String, Unreadable>,
}

/// Why a record's text is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Longer than [`RECORD_BYTES_MAX`].
    #[error("it is longer than {RECORD_BYTES_MAX} bytes")]
    TooLong,
    /// Other bytes than UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
}

/// Where in a CSV record a byte stands. JSON lines stay [`Place::Plain`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Plain,
    FieldStart,
    Quoted,
    /// Behind a quote inside quotes: the end of the field, or the first half of a doubled quote.
    QuoteSeen,
}

impl Place {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::FieldStart | Self::QuoteSeen, b'"') => Self::Quoted,
            (Self::Quoted, b'"') => Self::QuoteSeen,
            (Self::Quoted, _) => Self::Quoted,
            (_, b',') => Self::FieldStart,
            _ => Self::Plain,
        }
    }
}

/// The records of a file, one after the other.
pub struct Records<R> {
    reader: R,
    format: Format,
    lines_read: u64,
    bytes_read: u64,
}

impl<R: BufRead> Records<R> {
    pub fn new(reader: R, format: Format) -> Self {
        Self { reader, format, lines_read: 0, bytes_read: 0 }
    }

    /// How much of the file was read so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The next record that is not empty and no remark of Purser's. An error ends the reading.
    pub fn next(&mut self) -> anyhow::Result<Option<Record>> {
        while let Some(record) = self.read()? {
            let is_skipped =
                record.text.as_ref().is_ok_and(|text| text.trim_ascii().is_empty() || text.starts_with(REMARK));
            if !is_skipped {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn read(&mut self) -> anyhow::Result<Option<Record>> {
        let number = self.lines_read + 1;
        let mut text = Vec::new();
        let mut is_too_long = false;
        let mut is_at_end = true;
        let mut place = match self.format {
            Format::Csv => Place::FieldStart,
            Format::Jsonl => Place::Plain,
        };
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Failure::new(format!("line {number} cannot be read"), "").because(error).into());
                }
            };
            if buffer.is_empty() {
                break;
            }
            is_at_end = false;
            let mut end = None;
            for (position, byte) in buffer.iter().enumerate() {
                if *byte == b'\n' {
                    self.lines_read += 1;
                    if place != Place::Quoted {
                        end = Some(position);
                        break;
                    }
                } else if self.format == Format::Csv {
                    place = place.after(*byte);
                }
            }
            let taken = end.unwrap_or(buffer.len());
            is_too_long |= text.len() + taken > RECORD_BYTES_MAX;
            if !is_too_long {
                text.extend_from_slice(&buffer[..taken]);
            }
            let consumed = end.map_or(taken, |end| end + 1);
            self.reader.consume(consumed);
            self.bytes_read += consumed as u64;
            if is_too_long && place == Place::Quoted {
                return Err(never_closed(number, "within the longest record there may be"));
            }
            if end.is_some() {
                return Ok(Some(finished(number, text, is_too_long)));
            }
        }
        if is_at_end {
            return Ok(None);
        }
        // The last line need not have an end.
        self.lines_read += 1;
        if place == Place::Quoted {
            return Err(never_closed(number, "to the end of the file"));
        }
        Ok(Some(finished(number, text, is_too_long)))
    }
}

/// Where one record ends and the next begins is not known any more: to go on would be to guess.
fn never_closed(number: u64, until: &str) -> anyhow::Error {
    Failure::new(
        format!("line {number}: a quote is opened and not closed {until}; what came before it is done"),
        "mend that line and run the same again: what is there already is not booked twice",
    )
    .into()
}

fn finished(number: u64, mut text: Vec<u8>, is_too_long: bool) -> Record {
    if is_too_long {
        return Record { number, text: Err(Unreadable::TooLong) };
    }
    if text.last() == Some(&b'\r') {
        text.pop();
    }
    if number == 1 && text.starts_with("\u{feff}".as_bytes()) {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Record { number, text: String::from_utf8(text).map_err(|_| Unreadable::NotUtf8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, file: &[u8], expected: &[(u64, Result<&str, Unreadable>)]) {
        // A small buffer: records span several.
        for capacity in [1, 7, 8192] {
            let mut records = Records::new(std::io::BufReader::with_capacity(capacity, file), format);
            let mut found = Vec::new();
            while let Some(Record { number, text }) = records.next().unwrap() {
                found.push((number, text));
            }
            let found: Vec<_> =
                found.iter().map(|(number, text)| (*number, text.as_deref().map_err(|why| *why))).collect();
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(&file[..file.len().min(80)]));
            assert_eq!(records.bytes_read(), file.len() as u64);
        }
    }

    #[test]
    fn records_end_with_their_line_and_quotes_hold_lines_together() {
        let csv = "\u{feff}a,b\r\n\n1,\"x\ny\"\"\nz\",\n# purser: line 3: no\n2,a\"b\n\"\"\n 3,\"c\"d\"\n4";
        let expected = [
            (1, Ok("a,b")),
            (3, Ok("1,\"x\ny\"\"\nz\",")),
            (7, Ok("2,a\"b")),
            (8, Ok("\"\"")),
            (9, Ok(" 3,\"c\"d\"")),
            (10, Ok("4")),
        ];
        check(Format::Csv, csv.as_bytes(), &expected);
        check(
            Format::Jsonl,
            b"{\"a\":\"\n\"}\n# purser: x\n  \n{}",
            &[(1, Ok("{\"a\":\"")), (2, Ok("\"}")), (5, Ok("{}"))],
        );
        check(Format::Csv, b"", &[]);
        check(Format::Csv, b"a\n\xff\nb\n", &[(1, Ok("a")), (2, Err(Unreadable::NotUtf8)), (3, Ok("b"))]);
    }

    #[test]
    fn a_record_that_is_too_long_is_left_out_and_the_next_one_is_read() {
        let file = format!("a\n{}\nb\n", "x".repeat(RECORD_BYTES_MAX + 1));
        for format in [Format::Csv, Format::Jsonl] {
            check(format, file.as_bytes(), &[(1, Ok("a")), (2, Err(Unreadable::TooLong)), (3, Ok("b"))]);
        }
        let longest = "x".repeat(RECORD_BYTES_MAX);
        check(Format::Csv, longest.as_bytes(), &[(1, Ok(&longest))]);
    }

    #[test]
    fn a_quote_that_is_never_closed_ends_the_reading_with_its_line() {
        for rest in ["1\n2\n".to_owned(), "x\n".repeat(RECORD_BYTES_MAX)] {
            let file = format!("a\n\"{rest}");
            let mut records = Records::new(file.as_bytes(), Format::Csv);
            assert_eq!(records.next().unwrap().unwrap().number, 1);
            let error = records.next().unwrap_err().to_string();
            assert!(error.starts_with("line 2: a quote is opened and not closed"), "{error}");
        }
    }
}
