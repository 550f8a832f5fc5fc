//! Tokens of an identity provider (OpenID Connect): signed by it, checked here with its public keys.
//!
//! `jsonwebtoken` takes the token apart and checks its claims; the signatures are checked by ring, as those of TLS. Only asymmetric
//! algorithms: with a symmetric one, whoever can check a token can also make one.

mod issuer;
mod signature;

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header, Validation};
use serde_json::{Map, Value};

use crate::settings;
use crate::store::keys::Scope;
use issuer::Issuer;

/// What may have signed a token.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// Longest subject that is taken for one: it is kept to count requests by.
const SUBJECT_BYTES_MAX: usize = 255;

/// Who brought a token, and what it allows, if anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bearer {
    pub subject: String,
    pub scope: Option<Scope>,
}

/// Why a token lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not good.
    Invalid,
    /// The issuer's keys are not known: nobody can say.
    Unknowable,
}

/// Checks tokens.
#[derive(Debug)]
pub(super) struct Jwt {
    settings: settings::Jwt,
    issuer: Arc<Issuer>,
}

impl Jwt {
    /// `None` where no issuer is set.
    pub fn new(settings: &settings::Jwt) -> Option<Self> {
        signature::install();
        settings.is_on().then(|| Self { settings: settings.clone(), issuer: Arc::new(Issuer::new(settings)) })
    }

    /// Checks one. It costs no request to the issuer, but for the first, and one now and then.
    pub async fn verify(&self, token: &str) -> Result<Bearer, Refused> {
        let header = header(token).ok_or(Refused::Invalid)?;
        let keys = self.issuer.keys(&header).await.map_err(|issuer::Unreachable| Refused::Unknowable)?;
        let validation = self.validation(header.alg);
        let checked = keys
            .iter()
            .map(|key| jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation))
            .reduce(Result::or);
        match checked {
            Some(Ok(token)) => bearer(&token.claims, &self.settings).ok_or(Refused::Invalid),
            Some(Err(error)) => {
                tracing::debug!(error = %error, "a token is refused");
                Err(Refused::Invalid)
            }
            None => {
                tracing::debug!("a token is refused: its issuer has no such key");
                Err(Refused::Invalid)
            }
        }
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.settings.leeway_seconds;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&[&self.settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation
    }
}

/// The header of what may be a token. `none` is no algorithm that could be read here.
fn header(token: &str) -> Option<Header> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    // An extension that must be understood is understood by nobody here (RFC 7515, 4.1.11).
    (ALGORITHMS.contains(&header.alg) && header.crit.is_none()).then_some(header)
}

/// `None` when it does not say who it is.
fn bearer(claims: &Map<String, Value>, settings: &settings::Jwt) -> Option<Bearer> {
    let subject = claims.get("sub")?.as_str().filter(|subject| (1..=SUBJECT_BYTES_MAX).contains(&subject.len()))?;
    let words = match settings.scope_claim.starts_with('/') {
        true => claims_at(claims, &settings.scope_claim),
        false => claims.get(&settings.scope_claim),
    };
    let has = |wanted: &str| match words {
        Some(Value::String(words)) => words.split_ascii_whitespace().any(|word| word == wanted),
        Some(Value::Array(words)) => words.iter().any(|word| word == wanted),
        _ => false,
    };
    let names = [&settings.scope_read, &settings.scope_write, &settings.scope_admin];
    let granted = Scope::ALL.into_iter().zip(names).filter(|(_, name)| !name.is_empty() && has(name));
    Some(Bearer { subject: subject.to_owned(), scope: granted.map(|(scope, _)| scope).max() })
}

/// A claim within claims: `/realm_access/roles`.
fn claims_at<'a>(claims: &'a Map<String, Value>, pointer: &str) -> Option<&'a Value> {
    let mut names = pointer.split('/').skip(1);
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn a_token_is_granted_the_largest_scope_it_names() {
        let check = |scope_claim: &str, claims: Value, expected: Option<Scope>| {
            let mut settings = Settings::load(None).unwrap().http.jwt;
            settings.scope_claim = scope_claim.to_owned();
            let found = bearer(claims.as_object().unwrap(), &settings).map(|bearer| bearer.scope);
            assert_eq!(found, Some(expected), "{scope_claim} {claims}");
        };
        check("scope", json!({ "sub": "a", "scope": "openid purser:read" }), Some(Scope::Read));
        check("scope", json!({ "sub": "a", "scope": "purser:admin purser:read" }), Some(Scope::Admin));
        check("scope", json!({ "sub": "a", "scope": "purser:read purser:write" }), Some(Scope::Write));
        check("scp", json!({ "sub": "a", "scp": ["purser:write", 1] }), Some(Scope::Write));
        check("/realm/roles", json!({ "sub": "a", "realm": { "roles": ["purser:read"] } }), Some(Scope::Read));
        check(
            "https://x.example/roles",
            json!({ "sub": "a", "https://x.example/roles": "purser:read" }),
            Some(Scope::Read),
        );
        check("scope", json!({ "sub": "a" }), None);
        check("scope", json!({ "sub": "a", "scope": "purser:readmore xpurser:admin" }), None);
        check("scope", json!({ "sub": "a", "scope": { "purser:admin": true } }), None);
    }

    #[test]
    fn a_token_that_names_nobody_is_nobodys() {
        let settings = Settings::load(None).unwrap().http.jwt;
        for claims in [json!({}), json!({ "sub": 1 }), json!({ "sub": "" }), json!({ "sub": "x".repeat(256) })] {
            assert_eq!(bearer(claims.as_object().unwrap(), &settings), None, "{claims}");
        }
    }
}
