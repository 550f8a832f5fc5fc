//! The query's parameters for a dialect, each of which must be known: one that is misspelt must not quietly find everything.
//!
//! `/v1` reads its own more strictly.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::web::Query;

use super::dictionary::Said;

/// A query, taken apart. Each parameter is taken once; what [`Self::finish`] finds left over is unknown.
#[derive(Debug)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Of a parameter that is given twice the first counts, as in Go.
    pub fn of(request: &HttpRequest) -> Result<Self, Said> {
        let pairs = Query::<Vec<(String, String)>>::from_query(request.query_string());
        let pairs = pairs.map_err(|_| Said::bad_request("the query cannot be read"))?.into_inner();
        Ok(Self(pairs.into_iter().rev().collect()))
    }

    /// A parameter as it stands.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// All whose names start so, by the rest of their names.
    pub fn take_all(&mut self, prefix: &str) -> BTreeMap<String, String> {
        let parameters = std::mem::take(&mut self.0);
        let (taken, left): (BTreeMap<_, _>, _) = parameters.into_iter().partition(|(name, _)| name.starts_with(prefix));
        self.0 = left;
        taken.into_iter().map(|(name, value)| (name[prefix.len()..].to_owned(), value)).collect()
    }

    /// An integer from 1 to `most`.
    pub fn take_number(&mut self, name: &str, most: i64) -> Result<Option<i64>, Said> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.map(Some).ok_or_else(|| Said::bad_request(format!("{name} must be an integer from 1 to {most}")))
    }

    /// Refuses what nobody took, naming it.
    pub fn finish(self) -> Result<(), Said> {
        let Some(name) = self.0.keys().next() else { return Ok(()) };
        let name: String = name.chars().take(64).collect();
        Err(Said::bad_request(format!("there is no parameter {name:?}")))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use actix_web::test::TestRequest;

    use super::*;

    fn check<T: Debug>(query: &str, take: impl FnOnce(&mut Parameters) -> Result<T, Said>, expected: &str) {
        let request = TestRequest::with_uri(&format!("/x?{query}")).to_http_request();
        let taken = Parameters::of(&request).and_then(|mut parameters| {
            let value = take(&mut parameters)?;
            parameters.finish()?;
            Ok(value)
        });
        let taken = taken.map_or_else(|said| said.text.into_owned(), |value| format!("{value:?}"));
        assert_eq!(taken, expected, "{query}");
    }

    #[test]
    fn what_is_known_is_taken() {
        check("a=%D0%BA+1", |parameters| Ok(parameters.take("a")), r#"Some("к 1")"#);
        check("a=1&a=2", |parameters| Ok(parameters.take("a")), r#"Some("1")"#);
        check("a", |parameters| Ok(parameters.take("a")), r#"Some("")"#);
        check("", |parameters| Ok(parameters.take("a")), "None");
        let labels = |parameters: &mut Parameters| Ok(parameters.take_all("label."));
        check("label.b=2&label.a.c=1", labels, r#"{"a.c": "1", "b": "2"}"#);
        check("", labels, "{}");
        let limit = |parameters: &mut Parameters| parameters.take_number("limit", 7);
        check("limit=7", limit, "Some(7)");
        check("", limit, "None");
        for bad in ["limit=0", "limit=8", "limit=", "limit=1.0", "limit=99999999999999999999"] {
            check(bad, limit, "limit must be an integer from 1 to 7");
        }
    }

    #[test]
    fn what_is_left_is_unknown() {
        check("A=1", |parameters| Ok(parameters.take("a")), r#"there is no parameter "A""#);
        check("label=1", |parameters| Ok(parameters.take_all("label.")), r#"there is no parameter "label""#);
        let long = "n".repeat(99);
        check(&long, |_| Ok(()), &format!("there is no parameter {:?}", &long[..64]));
    }
}
