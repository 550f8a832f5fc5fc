//! The query's parameters. Every one must be known: a filter that is misspelt must not quietly find everything.

use std::collections::BTreeMap;
use std::fmt::Display;

use actix_web::HttpRequest;
use percent_encoding::percent_decode_str;
use time::OffsetDateTime;

use super::labels::{self, Labels};
use super::moment;
use crate::http::error::{Fault, Problem};
use crate::ledger::CurrencyCode;

/// Pairs in a query at most.
const PARAMETERS_MAX: usize = 64;
/// What the names of label filters start with: `label.k=v`.
const LABEL: &str = "label.";
/// Largest wallet and service id that is looked for: what a 64-bit integer holds.
pub const ID_MAX: i64 = i64::MAX;

/// A query, taken apart. Each parameter is taken once; what [`Self::finish`] finds left over is unknown.
#[derive(Debug)]
pub struct Query {
    pairs: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl Query {
    /// Reads the query. Refuses what is no UTF-8, holds a NUL, or is given twice.
    pub fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let mut pairs = BTreeMap::new();
        for pair in request.query_string().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if pairs.len() == PARAMETERS_MAX {
                return Err(invalid(format!("a query has at most {PARAMETERS_MAX} parameters")));
            }
            if pairs.insert(name.clone(), value).is_some() {
                return Err(invalid(format!("{name} is given twice")));
            }
        }
        Ok(Self { pairs, known: Vec::new() })
    }

    /// A parameter as it stands.
    pub fn text(&mut self, name: &'static str, length_max: usize) -> Result<Option<String>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        if value.is_empty() || value.chars().count() > length_max {
            return Err(invalid(format!("{name} must have 1 to {length_max} characters")));
        }
        Ok(Some(value))
    }

    /// A positive integer, at most `most`.
    pub fn number(&mut self, name: &'static str, most: i64) -> Result<Option<i64>, Problem> {
        self.parsed(name, format_args!("an integer from 1 to {most}"), |text| positive(text, most))
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.parsed(name, format_args!("one of {}", names.join(", ")), |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
        })
    }

    /// A moment: RFC 3339.
    pub fn moment(&mut self, name: &'static str) -> Result<Option<OffsetDateTime>, Problem> {
        self.parsed(name, "a time as RFC 3339 has it, such as 2026-11-20T12:00:00Z", moment::parse)
    }

    /// A decimal number, zero or above, of at most 28 digits on either side of its point. As text: the database compares exactly.
    pub fn decimal(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        let is_digits = |part: &str| (1..=28).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        self.parsed(name, "a decimal number, 0 or above, such as 12.50", |text| {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            (is_digits(whole) && is_digits(fraction)).then(|| text.to_owned())
        })
    }

    /// A currency's code; that there is such a currency is not asked.
    pub fn currency(&mut self, name: &'static str) -> Result<Option<CurrencyCode>, Problem> {
        self.parsed(name, "a currency's code", CurrencyCode::new)
    }

    /// Anything that `parse` reads.
    pub fn parsed<T>(
        &mut self,
        name: &'static str,
        expected: impl Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        parse(&value).map(Some).ok_or_else(|| invalid(format!("{name} must be {expected}")))
    }

    /// Every `label.k=v`.
    pub fn labels(&mut self) -> Result<Labels, Problem> {
        self.known.push("label.NAME");
        let (labels, rest) = std::mem::take(&mut self.pairs).into_iter().partition(|(name, _)| name.starts_with(LABEL));
        self.pairs = rest;
        let pairs: BTreeMap<String, String> = labels;
        labels::fitting(pairs.into_iter().map(|(name, value)| (name[LABEL.len()..].to_owned(), value)).collect())
            .map_err(invalid)
    }

    /// Refuses what nobody took, naming it.
    pub fn finish(self) -> Result<(), Problem> {
        let Some(unknown) = self.pairs.keys().next() else { return Ok(()) };
        let known = match self.known.as_slice() {
            [] => "none here".to_owned(),
            known => known.join(", "),
        };
        let name: String = unknown.chars().take(64).collect();
        Err(Fault::ParameterUnknown.because(format!("there is no parameter {name:?}; known: {known}")))
    }

    fn take(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.pairs.remove(name)
    }
}

/// A parameter that cannot be read.
pub fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Fault::ParameterInvalid.because(detail)
}

/// A positive integer in the path.
pub fn path_number(text: &str, name: &str) -> Result<i64, Problem> {
    positive(text, ID_MAX).ok_or_else(|| invalid(format!("{name} in the path must be an integer from 1 to {ID_MAX}")))
}

/// A positive integer. JSON knows one sort of number, so to an OpenAPI document `2.0` is an integer, too.
fn positive(text: &str, most: i64) -> Option<i64> {
    let digits = text.strip_suffix(".0").unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten().filter(|number| (1..=most).contains(number))
}

fn decoded(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => Err(invalid("the query must be UTF-8 text without NUL characters")),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn query(text: &str) -> Result<Query, Problem> {
        Query::of(&TestRequest::with_uri(&format!("/x?{text}")).to_http_request())
    }

    fn check<T: std::fmt::Debug>(text: &str, read: impl FnOnce(&mut Query) -> Result<T, Problem>, expected: &str) {
        let got = query(text).and_then(|mut query| {
            let value = read(&mut query)?;
            query.finish()?;
            Ok(value)
        });
        let got = got.map_or_else(|problem| problem.code().to_owned(), |value| format!("{value:?}"));
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn parameters_are_read_or_refused() {
        check("a=%D0%BA+1", |query| query.text("a", 9), r#"Some("к 1")"#);
        check("a=", |query| query.text("a", 9), "parameter_invalid");
        check("a=%FF", |query| query.text("a", 9), "parameter_invalid");
        check("a=%00", |query| query.text("a", 9), "parameter_invalid");
        check("a=1&a=1", |query| query.text("a", 9), "parameter_invalid");
        check("a=0123456789", |query| query.text("a", 9), "parameter_invalid");
        check("n=7", |query| query.number("n", 7), "Some(7)");
        check("n=7.0", |query| query.number("n", 7), "Some(7)");
        for bad in ["n=8", "n=0", "n=-1", "n=+1", "n=1.5", "n=.0", "n=", "n=99999999999999999999"] {
            check(bad, |query| query.number("n", 7), "parameter_invalid");
        }
        check("d=1.50", |query| query.decimal("d"), r#"Some("1.50")"#);
        check("d=9999999999999999999999999999", |query| query.decimal("d"), r#"Some("9999999999999999999999999999")"#);
        for bad in ["d=-1", "d=1e3", "d=1.", "d=.5", "d=99999999999999999999999999999999", "d=NaN"] {
            check(bad, |query| query.decimal("d"), "parameter_invalid");
        }
        check("label.a=1&label.b.c=2", Query::labels, r#"{"a": "1", "b.c": "2"}"#);
        check("label.=1", Query::labels, "parameter_invalid");
    }

    #[test]
    fn a_parameter_that_nobody_knows_is_named() {
        check("walletid=1", |query| query.number("wallet_id", 9), "parameter_unknown");
        let mut query = query("walletid=1").unwrap();
        query.number("wallet_id", 9).unwrap();
        let problem = query.finish().unwrap_err().to_string();
        assert!(problem.contains("\"walletid\"") && problem.contains("wallet_id"), "{problem}");
    }
}
