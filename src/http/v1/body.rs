//! JSON bodies: read within the limits, with no field that the route does not know.

use actix_web::HttpRequest;
use actix_web::web::Payload;
use serde::de::DeserializeOwned;

use crate::http::error::{Fault, Problem};
use crate::http::extract;
use crate::http::server::Context;
use crate::wire::Refusal;

/// Reads the body as `T`. Types that refuse unknown fields make a misspelt one an error.
pub async fn json<T: DeserializeOwned>(
    context: &Context,
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, Problem> {
    let bytes_max = context.state.settings.http.body_bytes_max;
    json_within(context, request, payload, bytes_max).await
}

/// The same, where no body at all is one without fields.
pub async fn json_or_empty<T: DeserializeOwned>(
    context: &Context,
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, Problem> {
    let bytes_max = context.state.settings.http.body_bytes_max;
    if extract::content_type(request).is_none() {
        let body = extract::body(request, payload, bytes_max, context.gate.time_max()).await?;
        if body.is_empty() {
            return parse(b"{}");
        }
        return Err(not_json());
    }
    json_within(context, request, payload, bytes_max).await
}

/// The same with a limit of its own.
pub async fn json_within<T: DeserializeOwned>(
    context: &Context,
    request: &HttpRequest,
    payload: Payload,
    bytes_max: usize,
) -> Result<T, Problem> {
    let is_json = |content_type: &str| {
        content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
    };
    if !extract::content_type(request).is_some_and(is_json) {
        return Err(not_json());
    }
    let body = extract::body(request, payload, bytes_max, context.gate.time_max()).await?;
    parse(&body)
}

fn not_json() -> Problem {
    let reason = "the content type must be application/json".to_owned();
    Refusal { code: "unsupported_content_type", status: 415, reason, item: None }.into()
}

/// Reads a piece of JSON as `T`.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        // What serde says of a body names its fields and where it fails; nothing of the inside.
        let reason = error.to_string();
        if error.is_data() {
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
    }

    #[test]
    fn a_body_is_what_the_route_takes_or_refused() {
        let check = |body: &[u8], expected: &str| {
            let got = parse::<Sample>(body)
                .map_or_else(|problem| problem.code(), |sample| if sample.a == 1 { "1" } else { "?" });
            assert_eq!(got, expected, "{}", String::from_utf8_lossy(body));
        };
        check(br#"{"a":1}"#, "1");
        check(br#"{"a":"1"}"#, "body_invalid");
        check(br#"{"a":1,"b":2}"#, "body_invalid");
        check(br#"{"a":1,"a":1}"#, "body_invalid");
        check(br#"{}"#, "body_invalid");
        check(br#"[]"#, "body_invalid");
        check(br#"{"a":1"#, "malformed_json");
        check(b"\xff", "malformed_json");
        check(b"", "malformed_json");
    }
}
