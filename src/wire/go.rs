//! How Go reads: the older systems are written in it, and their clients rely on what it lets pass and on what it says.
//!
//! JSON is here: names are matched without regard to case, the last of two equal names stands, unknown names are skipped, `null` leaves a field at
//! its zero value, and so does its absence. Unlike Go, nothing is read through a float.

mod duration;
mod query;
mod render;
mod syntax;
mod text;
mod validation;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::request::Value;
pub use duration::duration_seconds;
pub use query::Query;
pub use render::{render, time_to_millisecond};
pub use text::{integer, uuid};
pub use validation::Validation;

/// What Go says of what it cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    text: String,
    /// What it tells those who look closer.
    pub sort: Sort,
}

/// Which of Go's errors it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sort {
    /// It is no JSON.
    Syntax {
        /// How many bytes were read when it showed.
        offset: usize,
    },
    /// A value is not of its field's type.
    Type {
        /// The type in Go, without its package.
        expected: String,
        /// The type in JSON.
        got: String,
        /// The field's name; empty where it is the whole text.
        field: String,
        /// How many bytes were read when it showed.
        offset: usize,
    },
    /// Any other, such as a text that ends too early.
    Other,
}

/// A JSON object, read as Go reads one into a struct.
#[derive(Debug)]
pub struct Object<'a> {
    go_struct: &'static str,
    text: &'a str,
    fields: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Object<'a> {
    /// Reads one object and nothing after it, as Go's `Unmarshal`. `go_struct` is the name of the struct that Go names in its errors.
    pub fn parse(go_struct: &'static str, text: &'a str) -> Result<Self, Reason> {
        match serde_json::from_str(text) {
            Ok(Fields(fields)) => Ok(Self { go_struct, text, fields }),
            // To Go, `null` leaves everything as it is: at zero.
            Err(_) if text.trim_ascii() == "null" => Ok(Self { go_struct, text, fields: Vec::new() }),
            Err(error) => Err(parse_error(go_struct, text, &error)),
        }
    }

    /// Reads the first value of a text and nothing of what comes after it, as Go's `Decoder`.
    pub fn parse_first(go_struct: &'static str, text: &'a str) -> Result<Self, Reason> {
        if text.trim_ascii().is_empty() {
            return Err(Reason::other("EOF"));
        }
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        let end = values.next().and_then(Result::ok).map_or(text.len(), |_| values.byte_offset());
        Self::parse(go_struct, &text[..end]).map_err(|reason| match &*reason.text {
            "unexpected end of JSON input" => Reason::other("unexpected EOF"),
            _ => reason,
        })
    }

    /// Whether the field is there and not `null`.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A number without decimals; 0 if it is absent. `go_type` is the type that Go reads it into: `uint` takes no negative ones.
    pub fn integer(&self, name: &str, go_type: &str) -> Result<i64, Reason> {
        let Some(value) = self.get(name) else { return Ok(0) };
        let number = value.integer().filter(|number| *number >= 0 || !go_type.starts_with("uint"));
        number.ok_or_else(|| self.misfit(name, value, go_type))
    }

    /// A number's text, or what a string says; `None` if it is absent. An amount may be written either way.
    pub fn amount(&self, name: &str, go_type: &str) -> Result<Option<Cow<'a, str>>, Reason> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.number_or_string().map(Some).ok_or_else(|| self.misfit(name, value, go_type))
    }

    /// What Go says of an amount that turned out to be no number.
    pub fn no_number(&self, name: &str, go_type: &str) -> Reason {
        self.misfit(name, self.get(name).unwrap_or(Value::of("null")), go_type)
    }

    /// A string; empty if it is absent.
    pub fn string(&self, name: &str) -> Result<Cow<'a, str>, Reason> {
        let Some(value) = self.get(name) else { return Ok(Cow::Borrowed("")) };
        value.string().ok_or_else(|| self.misfit(name, value, "string"))
    }

    /// A `map[string]string`; `None` if it is absent. A `null` in it is an empty string.
    pub fn strings(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Reason> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let Ok(Fields(fields)) = serde_json::from_str(value.text()) else {
            return Err(self.misfit(name, value, "map[string]string"));
        };
        let string = |(key, value): (Cow<'_, str>, Value<'a>)| match value.kind() {
            "null" => Ok((key.into_owned(), String::new())),
            _ => {
                let string = value.string().ok_or_else(|| self.misfit(name, value, "string"))?;
                Ok((key.into_owned(), string.into_owned()))
            }
        };
        fields.into_iter().map(string).collect::<Result<_, _>>().map(Some)
    }

    /// A list of objects, each read into `go_struct`; empty if it is absent.
    pub fn objects(&self, name: &str, go_struct: &'static str) -> Result<Vec<Object<'a>>, Reason> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let items: Vec<&'a RawValue> =
            serde_json::from_str(value.text()).map_err(|_| self.misfit(name, value, &format!("[]{go_struct}")))?;
        items.into_iter().map(|item| Object::parse(go_struct, item.get())).collect()
    }

    fn get(&self, name: &str) -> Option<Value<'a>> {
        let fields = self.fields.iter().rev();
        let (_, value) =
            fields.into_iter().find(|(field, value)| field.eq_ignore_ascii_case(name) && value.kind() != "null")?;
        Some(*value)
    }

    fn misfit(&self, name: &str, value: Value<'_>, go_type: &str) -> Reason {
        // Values are parts of the text; one that is not, which there is none of, would count from its beginning.
        let start = value.text().as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        let start = if start < self.text.len() { start } else { 0 };
        Reason {
            text: type_error(self.go_struct, name, value, go_type),
            sort: Sort::Type {
                expected: go_type.to_owned(),
                got: got(value, go_type),
                field: name.to_owned(),
                offset: start + bytes_looked_at(value),
            },
        }
    }
}

impl Reason {
    fn other(text: &str) -> Self {
        Self { text: text.to_owned(), sort: Sort::Other }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// What it says.
impl std::ops::Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.text
    }
}

/// What Go says of a text that it cannot read into a struct.
pub(super) fn parse_error(go_struct: &str, text: &str, error: &serde_json::Error) -> Reason {
    // Go looks whether all of it is JSON before it reads any of it.
    if let Some(error) = syntax::error(text) {
        let sort = error.offset.map_or(Sort::Other, |offset| Sort::Syntax { offset });
        return Reason { text: error.text, sort };
    }
    match error.classify() {
        Category::Data => {
            let value = Value::of(text.trim_ascii());
            let got = value.kind().to_owned();
            let text_of_it = format!("json: cannot unmarshal {got} into Go value of type {go_struct}");
            let offset = text.len() - text.trim_ascii_start().len() + bytes_looked_at(value);
            let sort = Sort::Type { expected: go_struct.to_owned(), got, field: String::new(), offset };
            Reason { text: text_of_it, sort }
        }
        // What Go lets pass and cannot be kept: a half of a surrogate pair in a name.
        Category::Syntax | Category::Io | Category::Eof => Reason::other(&format!("invalid JSON: {error}")),
    }
}

/// What Go says of a value that its field cannot hold.
pub(super) fn type_error(go_struct: &str, name: &str, value: Value<'_>, go_type: &str) -> String {
    let got = got(value, go_type);
    format!("json: cannot unmarshal {got} into Go struct field {go_struct}.{name} of type {go_type}")
}

fn got(value: Value<'_>, go_type: &str) -> String {
    match value.kind() {
        // Go shows the number where it is one of the wrong sort.
        "number" if go_type.contains("int") => format!("number {}", value.text()),
        kind => kind.to_owned(),
    }
}

/// How far into a value Go looks until it knows its type: to its first bracket, or to its end.
fn bytes_looked_at(value: Value<'_>) -> usize {
    match value.kind() {
        "object" | "array" => 1,
        _ => value.text().len(),
    }
}

/// An object's fields in their order, whatever they are called.
struct Fields<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            fields.push((name, Value::of(map.next_value::<&'de RawValue>()?.get())));
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object<'_> {
        Object::parse("Request", text).unwrap_or_else(|reason| panic!("{text}: {reason}"))
    }

    #[test]
    fn names_are_matched_as_go_matches_them() {
        let read = object(r#"{"CurrencyId":1,"NAME":"first","name":"second","else":{"a":[1]},"amount":null}"#);
        assert_eq!(read.integer("CurrencyID", "int"), Ok(1));
        assert_eq!(read.string("Name").as_deref(), Ok("second"));
        assert_eq!(read.amount("Amount", "float32"), Ok(None));
        assert_eq!((read.integer("absent", "int"), read.string("absent").as_deref()), (Ok(0), Ok("")));
        assert!(read.has("else") && !read.has("amount") && !read.has("absent"));
        assert!(!object("null").has("name"));
    }

    #[test]
    fn an_amount_keeps_every_digit() {
        let read = object(r#"{"a":0.1000000000000000055,"b":"250.00000001","c":1e2}"#);
        let amount = |name| read.amount(name, "float64").map(|amount| amount.map(Cow::into_owned));
        assert_eq!(amount("a"), Ok(Some("0.1000000000000000055".to_owned())));
        assert_eq!(amount("b"), Ok(Some("250.00000001".to_owned())));
        assert_eq!(amount("c"), Ok(Some("1e2".to_owned())));
    }

    #[test]
    fn go_says_what_it_cannot_read() {
        let check = |text, expected: &str| {
            assert_eq!(
                Object::parse("Request", text).map(|_| ()).map_err(String::from),
                Err(expected.to_owned()),
                "{text}"
            )
        };
        check("", "unexpected end of JSON input");
        check(r#"{"a":1"#, "unexpected end of JSON input");
        check("[]", "json: cannot unmarshal array into Go value of type Request");
        check("x", "invalid character 'x' looking for beginning of value");
        let read = object(r#"{"id":"1","user_id":-1,"half":1.5,"name":7,"labels":{"a":1},"services":{}}"#);
        let said = |result: Result<(), Reason>, expected: &str| {
            assert_eq!(result.map_err(String::from), Err(format!("json: cannot unmarshal {expected}")));
        };
        said(read.integer("id", "int").map(drop), "string into Go struct field Request.id of type int");
        said(read.integer("user_id", "uint").map(drop), "number -1 into Go struct field Request.user_id of type uint");
        said(read.integer("half", "int").map(drop), "number 1.5 into Go struct field Request.half of type int");
        said(read.string("name").map(drop), "number into Go struct field Request.name of type string");
        said(read.strings("labels").map(drop), "number into Go struct field Request.labels of type string");
        said(read.strings("id").map(drop), "string into Go struct field Request.id of type map[string]string");
        said(
            read.objects("services", "Service").map(drop),
            "object into Go struct field Request.services of type []Service",
        );
    }

    #[test]
    fn go_says_where_it_stopped() {
        let read = object(r#" {"id": "text" ,"labels":{"a":17},"list":[1]}"#);
        let offset = |reason: Reason| match reason.sort {
            Sort::Syntax { offset } | Sort::Type { offset, .. } => Some(offset),
            Sort::Other => None,
        };
        assert_eq!(read.integer("id", "int").map_err(offset), Err(Some(14)));
        assert_eq!(read.strings("labels").map_err(offset), Err(Some(32)));
        assert_eq!(read.string("list").map_err(offset), Err(Some(42)));
        let whole = |text| Object::parse("Request", text).map(drop).map_err(offset);
        assert_eq!((whole(" []"), whole("x"), whole("{")), (Err(Some(2)), Err(Some(1)), Err(None)));
    }

    #[test]
    fn a_decoder_reads_the_first_value_only() {
        let first = |text| Object::parse_first("Request", text).map(|read| read.string("a").unwrap().into_owned());
        assert_eq!(first(r#" {"a":"b"} and so on"#).as_deref(), Ok("b"));
        assert_eq!(first(r#"{"a":"b"}{"a":"c"}"#).as_deref(), Ok("b"));
        assert_eq!(first("null x").as_deref(), Ok(""));
        for (text, expected) in [
            (" ", "EOF"),
            (r#"{"a":"#, "unexpected EOF"),
            ("{]", "invalid character ']' looking for beginning of object key string"),
        ] {
            assert_eq!(first(text).map_err(String::from), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_null_among_strings_is_an_empty_one() {
        let labels = object(r#"{"labels":{"a":null,"b":"c"}}"#).strings("labels").unwrap().unwrap();
        assert_eq!(
            labels.into_iter().collect::<Vec<_>>(),
            [("a".to_owned(), String::new()), ("b".to_owned(), "c".to_owned())]
        );
    }

    #[test]
    fn lists_hold_objects() {
        let read = object(r#"{"services":[{"id":1,"name":"a"},null,{"ID":2}]}"#);
        let services = read.objects("services", "Service").unwrap();
        let ids: Vec<_> = services.iter().map(|service| service.integer("id", "uint")).collect();
        assert_eq!(ids, [Ok(1), Ok(0), Ok(2)]);
    }
}
