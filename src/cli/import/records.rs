//! A file, cut into records: a line each, in CSV too. A quote that is opened in one line and closed in another is either a slip, which would swallow the
//! lines between, or a text with line ends in it, which could look like lines of its own that give somebody money. Which of both is not to be known
//! from the file, so that all lines that such a quote touches are told apart, to be refused: none is left out without a word, and none is believed.

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
    /// Which line it is, counted from 1.
    pub number: u64,
    /// Without the line end.
    pub text: Result<String, Unreadable>,
    /// The line in which a quote was opened that is not closed there, if this line or a part of it stands within that quote.
    pub quote_opened_in: Option<u64>,
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

/// A quote that was not closed in its line.
#[derive(Clone, Copy)]
struct OpenQuote {
    line: u64,
    /// How much was read since that line began.
    bytes: usize,
}

/// The records of a file, one after the other.
pub struct Records<R> {
    reader: R,
    format: Format,
    lines_read: u64,
    bytes_read: u64,
    open_quote: Option<OpenQuote>,
}

impl<R: BufRead> Records<R> {
    pub fn new(reader: R, format: Format) -> Self {
        Self { reader, format, lines_read: 0, bytes_read: 0, open_quote: None }
    }

    /// How much of the file was read so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The next record that is not empty and no remark of Purser's. An error ends the reading.
    pub fn next(&mut self) -> anyhow::Result<Option<Record>> {
        while let Some(record) = self.read()? {
            let is_skipped =
                record.text.as_ref().is_ok_and(|text| text.trim_ascii().is_empty() || is_remark(text.as_bytes()));
            if !is_skipped {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn read(&mut self) -> anyhow::Result<Option<Record>> {
        let number = self.lines_read + 1;
        let mut text = Vec::new();
        let mut line_bytes = 0;
        let mut place = match (self.format, self.open_quote) {
            (Format::Csv, Some(_)) => Place::Quoted,
            (Format::Csv, None) => Place::FieldStart,
            (Format::Jsonl, _) => Place::Plain,
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
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            if self.format == Format::Csv {
                place = part.iter().fold(place, |place, byte| place.after(*byte));
            }
            line_bytes += part.len();
            if line_bytes <= RECORD_BYTES_MAX {
                text.extend_from_slice(part);
            }
            let consumed = part.len() + usize::from(end.is_some());
            self.reader.consume(consumed);
            self.bytes_read += consumed as u64;
            let opened = self.open_quote.unwrap_or(OpenQuote { line: number, bytes: 0 });
            if (place == Place::Quoted || self.open_quote.is_some()) && opened.bytes + line_bytes > RECORD_BYTES_MAX {
                return Err(never_closed(opened.line));
            }
            if end.is_some() {
                return Ok(Some(self.finished(number, text, line_bytes, place)));
            }
        }
        // The last line need not have an end.
        Ok((line_bytes > 0).then(|| self.finished(number, text, line_bytes, place)))
    }

    fn finished(&mut self, number: u64, text: Vec<u8>, line_bytes: usize, place: Place) -> Record {
        self.lines_read = number;
        let before = self.open_quote;
        // What Purser itself wrote between the lines is no part of what they quote. It has no quotes.
        if before.is_none() || !is_remark(&text) {
            let opened = before.unwrap_or(OpenQuote { line: number, bytes: 0 });
            self.open_quote =
                (place == Place::Quoted).then(|| OpenQuote { bytes: opened.bytes + line_bytes, ..opened });
        }
        let quote_opened_in = before.or(self.open_quote).map(|quote| quote.line);
        let text = if quote_opened_in.is_some() {
            // Nobody believes it; but where it is kept, its quotes must not be missing.
            text_of(number, String::from_utf8_lossy(&text).into_owned().into_bytes(), line_bytes)
        } else {
            text_of(number, text, line_bytes)
        };
        Record { number, text, quote_opened_in }
    }
}

fn is_remark(text: &[u8]) -> bool {
    text.starts_with(REMARK.as_bytes()) && !text.contains(&b'"')
}

/// Where that quote ends is not known any more: to go on would be to guess.
fn never_closed(number: u64) -> anyhow::Error {
    Failure::new(
        format!(
            "line {number}: a quote is opened and not closed within the longest record there may be; what came before \
             it is done"
        ),
        "mend that line and run the same again: what is there already is not booked twice",
    )
    .into()
}

fn text_of(number: u64, mut text: Vec<u8>, line_bytes: usize) -> Result<String, Unreadable> {
    if line_bytes > RECORD_BYTES_MAX {
        return Err(Unreadable::TooLong);
    }
    if text.last() == Some(&b'\r') {
        text.pop();
    }
    if number == 1 && text.starts_with("\u{feff}".as_bytes()) {
        text.drain(..'\u{feff}'.len_utf8());
    }
    String::from_utf8(text).map_err(|_| Unreadable::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record's number, its text, and the line of an open quote or 0.
    type Expected<'a> = (u64, Result<&'a str, Unreadable>, u64);

    #[track_caller]
    fn check(format: Format, file: &[u8], expected: &[Expected<'_>]) {
        // A small buffer: records span several.
        for capacity in [1, 7, 8192] {
            let mut records = Records::new(std::io::BufReader::with_capacity(capacity, file), format);
            let mut found = Vec::new();
            while let Some(record) = records.next().unwrap() {
                found.push((record.number, record.text, record.quote_opened_in.unwrap_or(0)));
            }
            let found: Vec<_> = found
                .iter()
                .map(|(number, text, opened_in)| (*number, text.as_deref().map_err(|why| *why), *opened_in))
                .collect();
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(&file[..file.len().min(80)]));
            assert_eq!(records.bytes_read(), file.len() as u64);
        }
    }

    #[test]
    fn a_record_is_a_line() {
        let csv = "\u{feff}a,b\r\n\n1,\"x,\"\"\"\r\n# purser: line 3: no\n2,a\"b\n\"\"\n 3,\"c\"d\"\n4";
        let expected = [
            (1, Ok("a,b"), 0),
            (3, Ok("1,\"x,\"\"\""), 0),
            (5, Ok("2,a\"b"), 0),
            (6, Ok("\"\""), 0),
            (7, Ok(" 3,\"c\"d\""), 0),
            (8, Ok("4"), 0),
        ];
        check(Format::Csv, csv.as_bytes(), &expected);
        check(
            Format::Jsonl,
            b"{\"a\":\"\n\"}\n# purser: x\n  \n{}",
            &[(1, Ok("{\"a\":\""), 0), (2, Ok("\"}"), 0), (5, Ok("{}"), 0)],
        );
        check(Format::Csv, b"", &[]);
        check(Format::Csv, b"\n", &[]);
        check(Format::Csv, b"a\n\xff\nb\n", &[(1, Ok("a"), 0), (2, Err(Unreadable::NotUtf8), 0), (3, Ok("b"), 0)]);
    }

    #[test]
    fn every_line_that_an_open_quote_touches_is_told_apart_until_it_is_closed() {
        check(
            Format::Csv,
            b"1,\"a\nb,1\n2,c,1\n3,\"d\",1\n4,e,1\n",
            &[
                (1, Ok("1,\"a"), 1),
                (2, Ok("b,1"), 1),
                (3, Ok("2,c,1"), 1),
                (4, Ok("3,\"d\",1"), 1),
                (5, Ok("4,e,1"), 0),
            ],
        );
        // One quote is closed and the next one opened: still nothing between is believed.
        check(
            Format::Csv,
            b"1,\"a\r\n\r\n9,\"\",9\nb\",\"c\n9,,9\n\"\n2,,2",
            &[
                (1, Ok("1,\"a"), 1),
                (3, Ok("9,\"\",9"), 1),
                (4, Ok("b\",\"c"), 1),
                (5, Ok("9,,9"), 1),
                (6, Ok("\""), 1),
                (7, Ok("2,,2"), 0),
            ],
        );
        // Purser's own remarks between such lines change nothing; what only looks like one does.
        check(
            Format::Csv,
            b"1,\"a\n# purser: line 2: no\nb\",1\n2,\"x\n# purser: \",\n3,,",
            &[
                (1, Ok("1,\"a"), 1),
                (3, Ok("b\",1"), 1),
                (4, Ok("2,\"x"), 4),
                (5, Ok("# purser: \","), 4),
                (6, Ok("3,,"), 0),
            ],
        );
        check(
            Format::Csv,
            b"1,\"\xff\n9,,9\n\"\n2",
            &[(1, Ok("1,\"\u{fffd}"), 1), (2, Ok("9,,9"), 1), (3, Ok("\""), 1), (4, Ok("2"), 0)],
        );
        check(Format::Csv, b"a\n\"1\n2", &[(1, Ok("a"), 0), (2, Ok("\"1"), 2), (3, Ok("2"), 2)]);
    }

    #[test]
    fn a_record_that_is_too_long_is_left_out_and_the_next_one_is_read() {
        let file = format!("a\n{}\nb\n", "x".repeat(RECORD_BYTES_MAX + 1));
        for format in [Format::Csv, Format::Jsonl] {
            check(format, file.as_bytes(), &[(1, Ok("a"), 0), (2, Err(Unreadable::TooLong), 0), (3, Ok("b"), 0)]);
        }
        let longest = "x".repeat(RECORD_BYTES_MAX);
        check(Format::Csv, longest.as_bytes(), &[(1, Ok(&longest), 0)]);
    }

    #[test]
    fn a_quote_that_stays_open_for_longer_than_a_record_ends_the_reading_with_its_line() {
        for rest in [
            "x".repeat(RECORD_BYTES_MAX),
            "x\n".repeat(RECORD_BYTES_MAX),
            format!("\n\",{}", "x".repeat(RECORD_BYTES_MAX)),
        ] {
            let file = format!("a\n\"{rest}");
            let mut records = Records::new(file.as_bytes(), Format::Csv);
            assert_eq!(records.next().unwrap().unwrap().number, 1);
            let error = std::iter::from_fn(|| match records.next() {
                Ok(Some(record)) => Some(Ok(record)),
                Ok(None) => None,
                Err(error) => Some(Err(error)),
            });
            let error = error.filter_map(Result::err).next().expect("it ends with an error").to_string();
            assert!(error.starts_with("line 2: a quote is opened and not closed"), "{error}");
        }
    }
}
