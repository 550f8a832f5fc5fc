//! Takes from a request what every operation needs, within limits.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::{Bytes, Payload};
use tokio::time::timeout;

use super::error::Unserved;
use crate::ledger::{IdempotencyKey, Rejection};
use crate::wire::Refusal;

/// The header that names an operation.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Reads the whole body. One that says it is too large is refused before a byte of it is read, one that turns out to be, at the limit.
pub async fn body(
    request: &HttpRequest,
    payload: Payload,
    bytes_max: usize,
    time_max: Duration,
) -> Result<Bytes, Unserved> {
    if declared_bytes(request.headers()).is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(Unserved::BodyTooLarge);
    }
    match timeout(time_max, payload.to_bytes_limited(bytes_max)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => Err(Unserved::BodyIncomplete),
        Ok(Err(_)) => Err(Unserved::BodyTooLarge),
        Err(_) => Err(Unserved::BodyTooSlow),
    }
}

/// The content type, if there is a readable one. A header that is not text is given as an empty one, so that it is refused as unknown.
pub fn content_type(request: &HttpRequest) -> Option<&str> {
    request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or(""))
}

/// What the caller calls its request, if it does: the `Idempotency-Key` header. Refused where it can be no key.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Refusal> {
    Ok(idempotency_key_text(headers)?.map(IdempotencyKey::new).transpose()?)
}

/// The same for what [`wire`](crate::wire) reads, which asks the ledger itself: one piece of text, whether it can be a key or not.
pub fn idempotency_key_text(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let refuse = |reason: &str| Refusal { reason: reason.to_owned(), ..Rejection::IdempotencyKeyInvalid.into() };
    if values.next().is_some() {
        return Err(refuse("the Idempotency-Key header must be given once"));
    }
    let text = std::str::from_utf8(value.as_bytes());
    text.map(Some).map_err(|_| refuse("the Idempotency-Key header must be UTF-8 text"))
}

fn declared_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HeaderName::from_static(IDEMPOTENCY_KEY), HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_key_header_is_one_piece_of_text() {
        let check = |values: &[&[u8]], expected: Result<Option<&str>, &str>| {
            let headers = headers(values);
            let found = idempotency_key_text(&headers).map_err(|refusal| refusal.code);
            assert_eq!(found, expected, "{values:?}");
        };
        check(&[], Ok(None));
        check(&[b"order-1"], Ok(Some("order-1")));
        check(&["ключ".as_bytes()], Ok(Some("ключ")));
        // Empty or too long: text, so the ledger's to refuse.
        check(&[b""], Ok(Some("")));
        check(&[b"caf\xe9"], Err("idempotency_key_invalid"));
        check(&[b"a", b"b"], Err("idempotency_key_invalid"));
        check(&[b"a", b"a"], Err("idempotency_key_invalid"));
    }

    #[test]
    fn a_key_is_what_the_ledger_takes_for_one() {
        let check = |values: &[&[u8]], expected: Result<Option<&str>, &str>| {
            let found = idempotency_key(&headers(values)).map_err(|refusal| refusal.code);
            assert_eq!(
                found.as_ref().map(|key| key.as_ref().map(IdempotencyKey::as_str)),
                expected.as_ref().copied(),
                "{values:?}"
            );
        };
        check(&[], Ok(None));
        check(&[b"order-1"], Ok(Some("order-1")));
        check(&[&[b'k'; 255]], Ok(Some(&"k".repeat(255))));
        check(&[&[b'k'; 256]], Err("idempotency_key_invalid"));
        check(&[b""], Err("idempotency_key_invalid"));
        check(&[b"a\tb"], Err("idempotency_key_invalid"));
        check(&[b"a", b"a"], Err("idempotency_key_invalid"));
    }
}
