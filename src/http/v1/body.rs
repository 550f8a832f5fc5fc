//! JSON bodies: read within the limits, with no field that the route does not know.

use std::fmt;
use std::marker::PhantomData;

use actix_web::HttpRequest;
use actix_web::web::{Bytes, Payload};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::http::error::{Fault, Problem};
use crate::http::extract;
use crate::http::server::Context;
use crate::wire::Refusal;

/// Reads the body as an object with the fields of `T`. Types that refuse unknown fields make a misspelt one an error.
pub async fn json<T: DeserializeOwned>(
    context: &Context,
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, Problem> {
    json_within(context, request, payload, context.state.settings.http.body_bytes_max).await
}

/// The same, where no body at all is one without fields.
pub async fn json_or_nothing<T: DeserializeOwned>(
    context: &Context,
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, Problem> {
    let bytes_max = context.state.settings.http.body_bytes_max;
    let body = extract::body(request, payload, bytes_max, context.gate.time_max()).await?;
    if body.is_empty() {
        return parse(b"{}");
    }
    check_type(request)?;
    Ok(parse::<Object<T>>(&body)?.0)
}

/// The same with a limit of its own. Bytes.
pub async fn json_within<T: DeserializeOwned>(
    context: &Context,
    request: &HttpRequest,
    payload: Payload,
    bytes_max: usize,
) -> Result<T, Problem> {
    let body = read(context, request, payload, bytes_max).await?;
    Ok(parse::<Object<T>>(&body)?.0)
}

async fn read(context: &Context, request: &HttpRequest, payload: Payload, bytes_max: usize) -> Result<Bytes, Problem> {
    check_type(request)?;
    Ok(extract::body(request, payload, bytes_max, context.gate.time_max()).await?)
}

/// Reads the body as JSON of any shape, to be parsed when its shape is seen.
pub async fn raw(context: &Context, request: &HttpRequest, payload: Payload) -> Result<Box<RawValue>, Problem> {
    parse(&read(context, request, payload, context.state.settings.http.body_bytes_max).await?)
}

/// A JSON object. Derived readers would take an array, too, with the values in the order of the fields.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

fn check_type(request: &HttpRequest) -> Result<(), Problem> {
    let is_json = |content_type: &str| {
        content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
    };
    if extract::content_type(request).is_some_and(is_json) {
        return Ok(());
    }
    let reason = "the content type must be application/json".to_owned();
    Err(Refusal { code: "unsupported_content_type", status: 415, reason, item: None }.into())
}

/// Reads a piece of JSON as `T`.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        // What serde says of a body names its fields and where it fails; nothing of the inside.
        let reason = error.to_string();
        // Of a null where a word is to be, serde says that it is no JSON.
        if error.is_data() || serde_json::from_slice::<&RawValue>(body).is_ok() {
            Fault::BodyInvalid.because(reason)
        } else {
            Refusal { code: "malformed_json", status: 400, reason, item: None }.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        a: i64,
        #[serde(default)]
        b: Word,
    }

    #[derive(Debug, Default, PartialEq, Eq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        #[default]
        Yes,
    }

    #[test]
    fn a_body_is_what_the_route_takes_or_refused() {
        let check = |body: &[u8], expected: &str| {
            let got = parse::<Object<Sample>>(body).map(|object| object.0).map_or_else(
                |problem| problem.code(),
                |sample| if (sample.a, sample.b) == (1, Word::Yes) { "1" } else { "?" },
            );
            assert_eq!(got, expected, "{}", String::from_utf8_lossy(body));
        };
        check(br#"{"a":1}"#, "1");
        check(br#"{"a":"1"}"#, "body_invalid");
        check(br#"{"a":1,"b":"yes"}"#, "1");
        check(br#"{"a":1,"b":"no"}"#, "body_invalid");
        check(br#"{"a":1,"b":null}"#, "body_invalid");
        check(br#"{"a":1,"c":2}"#, "body_invalid");
        check(br#"{"a":1,"a":1}"#, "body_invalid");
        check(br#"{}"#, "body_invalid");
        check(br#"[]"#, "body_invalid");
        check(b"null", "body_invalid");
        check(br#"{"a":null}"#, "body_invalid");
        check(b"{\"a\":\"\xff\"}", "malformed_json");
        check(br#"[1]"#, "body_invalid");
        check(br#"{"a":1"#, "malformed_json");
        check(b"\xff", "malformed_json");
        check(b"", "malformed_json");
    }
}
