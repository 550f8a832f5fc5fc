//! How Go reads JSON: the older systems are written in it, and their clients rely on what it lets pass and on what it says.
//!
//! Names are matched without regard to case, the last of two equal names stands, unknown names are skipped, `null` leaves a field at its zero
//! value, and so does its absence. Unlike Go, nothing is read through a float.

mod syntax;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::request::Value;

/// What Go says of JSON that it cannot read.
pub type Reason = String;

/// A JSON object, read as Go reads one into a struct.
#[derive(Debug)]
pub struct Object<'a> {
    go_struct: &'static str,
    fields: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Object<'a> {
    /// Reads one object and nothing after it. `go_struct` is the name of the struct that Go names in its errors.
    pub fn parse(go_struct: &'static str, text: &'a str) -> Result<Self, Reason> {
        match serde_json::from_str(text) {
            Ok(Fields(fields)) => Ok(Self { go_struct, fields }),
            // To Go, `null` leaves everything as it is: at zero.
            Err(_) if text.trim_ascii() == "null" => Ok(Self { go_struct, fields: Vec::new() }),
            Err(error) => Err(parse_error(go_struct, text, &error)),
        }
    }

    /// Whether the field is there and not `null`.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A number without decimals; 0 if it is absent. `go_type` is the type that Go reads it into: `uint` takes no negative ones.
    pub fn integer(&self, name: &str, go_type: &str) -> Result<i64, Reason> {
        let Some(value) = self.get(name) else { return Ok(0) };
        let number = value.integer().filter(|number| *number >= 0 || !go_type.starts_with("uint"));
        number.ok_or_else(|| type_error(self.go_struct, name, value, go_type))
    }

    /// A number's text, or what a string says; `None` if it is absent. An amount may be written either way.
    pub fn amount(&self, name: &str, go_type: &str) -> Result<Option<Cow<'a, str>>, Reason> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.number_or_string().map(Some).ok_or_else(|| type_error(self.go_struct, name, value, go_type))
    }

    /// A string; empty if it is absent.
    pub fn string(&self, name: &str) -> Result<Cow<'a, str>, Reason> {
        let Some(value) = self.get(name) else { return Ok(Cow::Borrowed("")) };
        value.string().ok_or_else(|| type_error(self.go_struct, name, value, "string"))
    }

    /// A `map[string]string`; `None` if it is absent.
    pub fn strings(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Reason> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let strings = serde_json::from_str(value.text()).ok();
        strings.map(Some).ok_or_else(|| match value.kind() {
            "object" => type_error(self.go_struct, name, value, "string"),
            _ => type_error(self.go_struct, name, value, "map[string]string"),
        })
    }

    /// A list of objects, each read into `go_struct`; empty if it is absent.
    pub fn objects(&self, name: &str, go_struct: &'static str) -> Result<Vec<Object<'a>>, Reason> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let items: Vec<&'a RawValue> = serde_json::from_str(value.text())
            .map_err(|_| type_error(self.go_struct, name, value, &format!("[]{go_struct}")))?;
        items.into_iter().map(|item| Object::parse(go_struct, item.get())).collect()
    }

    fn get(&self, name: &str) -> Option<Value<'a>> {
        let fields = self.fields.iter().rev();
        let (_, value) =
            fields.into_iter().find(|(field, value)| field.eq_ignore_ascii_case(name) && value.kind() != "null")?;
        Some(*value)
    }
}

/// What Go says of a text that it cannot read into a struct.
pub(super) fn parse_error(go_struct: &str, text: &str, error: &serde_json::Error) -> Reason {
    // Go looks whether all of it is JSON before it reads any of it.
    syntax::error(text).unwrap_or_else(|| match error.classify() {
        Category::Data => {
            let kind = Value::of(text.trim_ascii()).kind();
            format!("json: cannot unmarshal {kind} into Go value of type {go_struct}")
        }
        // What Go lets pass and cannot be kept: a half of a surrogate pair in a name.
        Category::Syntax | Category::Io | Category::Eof => format!("invalid JSON: {error}"),
    })
}

/// What Go says of a value that its field cannot hold.
pub(super) fn type_error(go_struct: &str, name: &str, value: Value<'_>, go_type: &str) -> Reason {
    let got = match value.kind() {
        // Go shows the number where it is one of the wrong sort.
        "number" if go_type.contains("int") => format!("number {}", value.text()),
        kind => kind.to_owned(),
    };
    format!("json: cannot unmarshal {got} into Go struct field {go_struct}.{name} of type {go_type}")
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
            assert_eq!(Object::parse("Request", text).map(|_| ()), Err(expected.to_owned()), "{text}")
        };
        check("", "unexpected end of JSON input");
        check(r#"{"a":1"#, "unexpected end of JSON input");
        check("[]", "json: cannot unmarshal array into Go value of type Request");
        check("x", "invalid character 'x' looking for beginning of value");
        let read = object(r#"{"id":"1","user_id":-1,"half":1.5,"name":7,"labels":{"a":1},"services":{}}"#);
        let said = |result: Result<(), Reason>, expected: &str| {
            assert_eq!(result, Err(format!("json: cannot unmarshal {expected}")));
        };
        said(read.integer("id", "int").map(drop), "string into Go struct field Request.id of type int");
        said(read.integer("user_id", "uint").map(drop), "number -1 into Go struct field Request.user_id of type uint");
        said(read.integer("half", "int").map(drop), "number 1.5 into Go struct field Request.half of type int");
        said(read.string("name").map(drop), "number into Go struct field Request.name of type string");
        said(read.strings("labels").map(drop), "object into Go struct field Request.labels of type string");
        said(read.strings("id").map(drop), "string into Go struct field Request.id of type map[string]string");
        said(
            read.objects("services", "Service").map(drop),
            "object into Go struct field Request.services of type []Service",
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
