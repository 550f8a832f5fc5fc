//! What Go's `encoding/json` says of text that is no JSON: the same character, the same words. After its `scanner.go`, state for state.

use std::iter::Peekable;
use std::str::Bytes;

/// What is wrong with a text as JSON.
#[derive(Debug)]
pub(super) struct Error {
    /// In Go's words.
    pub text: String,
    /// How many bytes were read when it showed, the wrong one included; `None` where the text ends too early.
    pub offset: Option<usize>,
}

/// What is wrong with a text as JSON; `None` if nothing is.
pub(super) fn error(text: &str) -> Option<Error> {
    let mut scanner = Scanner { bytes: text.bytes().peekable(), open: Vec::new() };
    let wrong = scanner.document().err()?;
    let read = text.len() - scanner.bytes.len();
    Some(match wrong {
        Wrong::End => Error { text: "unexpected end of JSON input".to_owned(), offset: None },
        Wrong::Byte(byte, context) => {
            Error { text: format!("invalid character {} {context}", quoted(byte)), offset: Some(read) }
        }
    })
}

enum Wrong {
    /// It ends too early.
    End,
    /// This byte does not belong here.
    Byte(u8, String),
}

type Scanned = Result<(), Wrong>;

/// What a value stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Object,
    Array,
}

struct Scanner<'a> {
    bytes: Peekable<Bytes<'a>>,
    /// The objects and lists around, the innermost last. A stack of its own: however deep the text is, the thread's is not used.
    open: Vec<Open>,
}

impl Scanner<'_> {
    fn document(&mut self) -> Scanned {
        self.value()?;
        while let Some(open) = self.open.last().copied() {
            // A value has ended; what may follow it depends on what it stands in.
            match (open, self.next_but_space()?) {
                (Open::Object, b',') => {
                    let byte = self.next_but_space()?;
                    self.pair(byte)?;
                }
                (Open::Array, b',') => self.value()?,
                (Open::Object, b'}') | (Open::Array, b']') => drop(self.open.pop()),
                (Open::Object, byte) => return wrong(byte, "after object key:value pair"),
                (Open::Array, byte) => return wrong(byte, "after array element"),
            }
        }
        match self.skip_space() {
            None => Ok(()),
            Some(byte) => wrong(byte, "after top-level value"),
        }
    }

    /// A value that is no object or list, or the beginning of one up to its first value's end; an empty one whole.
    fn value(&mut self) -> Scanned {
        loop {
            let byte = self.next_but_space()?;
            match byte {
                b'{' => {
                    self.open.push(Open::Object);
                    match self.next_but_space()? {
                        b'}' => drop(self.open.pop()),
                        byte => {
                            self.key(byte)?;
                            continue;
                        }
                    }
                }
                b'[' => {
                    self.open.push(Open::Array);
                    if self.skip_space() != Some(b']') {
                        continue;
                    }
                    self.bytes.next();
                    self.open.pop();
                }
                b'"' => self.string()?,
                b'-' | b'0'..=b'9' => self.number(byte)?,
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                byte => return wrong(byte, "looking for beginning of value"),
            }
            return Ok(());
        }
    }

    /// A key that begins with `byte`, and its value.
    fn pair(&mut self, byte: u8) -> Scanned {
        self.key(byte)?;
        self.value()
    }

    fn key(&mut self, byte: u8) -> Scanned {
        if byte != b'"' {
            return wrong(byte, "looking for beginning of object key string");
        }
        self.string()?;
        match self.next_but_space()? {
            b':' => Ok(()),
            byte => wrong(byte, "after object key"),
        }
    }

    /// The rest of a string whose first quote was read.
    fn string(&mut self) -> Scanned {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => {
                        for _ in 0..4 {
                            match self.next()? {
                                byte if byte.is_ascii_hexdigit() => {}
                                byte => return wrong(byte, "in \\u hexadecimal character escape"),
                            }
                        }
                    }
                    byte => return wrong(byte, "in string escape code"),
                },
                byte if byte < b' ' => return wrong(byte, "in string literal"),
                _ => {}
            }
        }
    }

    /// The rest of a number whose first character was read. What follows it is looked at by whoever asked for it.
    fn number(&mut self, first: u8) -> Scanned {
        let first = match first {
            b'-' => self.digit("in numeric literal")?,
            first => first,
        };
        if first != b'0' {
            self.digits();
        }
        if self.bytes.next_if_eq(&b'.').is_some() {
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if self.bytes.next_if(|byte| matches!(byte, b'e' | b'E')).is_some() {
            self.bytes.next_if(|byte| matches!(byte, b'+' | b'-'));
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }

    fn digit(&mut self, context: &str) -> Result<u8, Wrong> {
        match self.next()? {
            byte if byte.is_ascii_digit() => Ok(byte),
            byte => Err(Wrong::Byte(byte, context.to_owned())),
        }
    }

    fn digits(&mut self) {
        while self.bytes.next_if(u8::is_ascii_digit).is_some() {}
    }

    /// The rest of a word whose first character was read.
    fn literal(&mut self, word: &str) -> Scanned {
        for expected in word.bytes().skip(1) {
            let byte = self.next()?;
            if byte != expected {
                return wrong(byte, &format!("in literal {word} (expecting {})", quoted(expected)));
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<u8, Wrong> {
        self.bytes.next().ok_or(Wrong::End)
    }

    fn next_but_space(&mut self) -> Result<u8, Wrong> {
        self.skip_space();
        self.next()
    }

    /// Goes to what is no space, and gives it without reading it.
    fn skip_space(&mut self) -> Option<u8> {
        while self.bytes.next_if(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).is_some() {}
        self.bytes.peek().copied()
    }
}

fn wrong(byte: u8, context: &str) -> Scanned {
    Err(Wrong::Byte(byte, context.to_owned()))
}

/// Go takes the byte for a character of that number, whatever it is a part of, and quotes it as `strconv.Quote` does.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        0x07 => r"'\a'".to_owned(),
        0x08 => r"'\b'".to_owned(),
        0x0b => r"'\v'".to_owned(),
        0x0c => r"'\f'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        // The control characters; the two that Latin-1 does not print are written like those beyond ASCII.
        0..0x20 | 0x7f => format!(r"'\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!(r"'\u{byte:04x}'"),
        byte => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let error = error(text).map(|error| error.text);
        assert_eq!(error.as_deref().unwrap_or("fine"), expected, "{text:.200}");
    }

    #[test]
    fn what_is_json_is_fine() {
        for text in [
            "0",
            " -0.5e+10 ",
            "null",
            "\"\\u12aF\\n\u{1f600}\"",
            "[]",
            "[ ]",
            "{}",
            "{ }",
            "[[],{},[{\"a\":[1 , 2]}]]",
            r#"{"a":{"b":[true,false,null]},"c":"d"}"#,
        ] {
            check(text, "fine");
            assert!(serde_json::from_str::<&serde_json::value::RawValue>(text.trim()).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_ends_early_is_an_unexpected_end() {
        let whole = r#"{"a":[1.5e+3,true,"b\u00e9"],"c":{}}"#;
        for end in 0..whole.len() {
            check(&whole[..end], "unexpected end of JSON input");
        }
    }

    #[test]
    fn the_character_and_what_was_looked_for_are_named() {
        check("x", "invalid character 'x' looking for beginning of value");
        check("nonsense", "invalid character 'o' in literal null (expecting 'u')");
        check("trae", "invalid character 'a' in literal true (expecting 'u')");
        check("[falsy]", "invalid character 'y' in literal false (expecting 'e')");
        check("{x", "invalid character 'x' looking for beginning of object key string");
        check(r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string");
        check("{'a':1}", r"invalid character '\'' looking for beginning of object key string");
        check(r#"{"a" 1}"#, "invalid character '1' after object key");
        check(r#"{"a":}"#, "invalid character '}' looking for beginning of value");
        check(r#"{"a":1 "b":2}"#, r#"invalid character '"' after object key:value pair"#);
        check(r#"{"a":01}"#, "invalid character '1' after object key:value pair");
        check("[1,]", "invalid character ']' looking for beginning of value");
        check("[1 2]", "invalid character '2' after array element");
        check("[1}", "invalid character '}' after array element");
        check("{}x", "invalid character 'x' after top-level value");
        check("1 2", "invalid character '2' after top-level value");
        check("-x", "invalid character 'x' in numeric literal");
        check("+1", "invalid character '+' looking for beginning of value");
        check("1.x", "invalid character 'x' after decimal point in numeric literal");
        check("1ex", "invalid character 'x' in exponent of numeric literal");
        check("1e+x", "invalid character 'x' in exponent of numeric literal");
        check("\"a\nb\"", r"invalid character '\n' in string literal");
        check("\"a\u{1}\"", r"invalid character '\x01' in string literal");
        check(r#""\x""#, "invalid character 'x' in string escape code");
        check(r#""\u12g4""#, r"invalid character 'g' in \u hexadecimal character escape");
        // Go looks at bytes: of a letter that has two, at the first.
        check("ж", "invalid character 'Ð' looking for beginning of value");
        check("\u{feff}{}", "invalid character 'ï' looking for beginning of value");
        check("\\", r"invalid character '\\' looking for beginning of value");
    }

    #[test]
    fn the_wrong_byte_is_counted() {
        let offset = |text| error(text).and_then(|error| error.offset);
        assert_eq!((offset("x"), offset(" nonsense"), offset(r#"{"a":01}"#)), (Some(1), Some(3), Some(7)));
        assert_eq!((offset(r#"{"a":1"#), offset("[]")), (None, None));
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        check(&"[".repeat(1_000_000), "unexpected end of JSON input");
        check(
            &format!("{}1{}x", "{\"a\":[".repeat(100_000), "]}".repeat(100_000)),
            "invalid character 'x' after top-level value",
        );
    }
}
