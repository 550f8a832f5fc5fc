//! Who may ask what.
//!
//! **A new route states its scope where it is declared**, as an `Endpoint` of its module's table: read to look, write to
//! move money, admin to administer, open for no key at all. What no table names is for administrators. Handlers need to do nothing; one that wants
//! to know its caller takes `ReqData<Caller>`.
//!
//! A caller brings one of Purser's keys or, where an issuer is set, a token (JWT) of an identity provider, and is counted by it.
//! This is the one place that decides: [`guard`] stands before every route, reads no body, and costs no query. It knows nothing of money.

mod jwt;
mod key;
mod known;
mod rule;
mod start;

use std::net::IpAddr;
use std::time::Duration;

use actix_web::HttpMessage;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use tokio::time::timeout;

use super::error::Unserved;
use super::rate::{Rate, neighbourhood};
use super::server::{Context, refuse};
use crate::settings;
use crate::store::keys::{self, Scope};
use crate::store::{Store, StoreError};
use jwt::Jwt;
use known::{KnownKeys, Unreadable};
use rule::Rules;

pub use key::KeySecret;
pub use rule::{ANY_METHOD, Access, Rule};
pub use start::{UnsafeStart, check_start};

/// The longest a request waits for the keys to be read.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// The one way to bring a key.
const SCHEME: &str = "Bearer ";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Whoever it is: authentication is off, or the route is open.
    Anybody,
    /// The holder of the key of this number.
    Key(i64),
    /// Whom the identity provider's token names.
    Subject(String),
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    /// No credential came.
    Missing,
    /// What came is no credential, or is good no more.
    Invalid,
    /// It is good, but not for this.
    Insufficient(Scope),
    /// Nobody can say: the keys cannot be read.
    Unknowable,
    /// The same of the identity provider's keys.
    IssuerAway,
    /// Too often; again after this time.
    TooOften(Duration),
    /// It is good, but nothing is served here.
    NoRoute,
    /// It says more about itself than is read.
    HeadTooLarge,
}

/// Lets in who may ask, for the whole server.
#[derive(Debug)]
pub(super) struct Auth {
    is_on: bool,
    rules: Rules,
    store: Store,
    known_keys: KnownKeys,
    jwt: Option<Jwt>,
    caller_rate: Option<Rate<Caller>>,
    stranger_rate: Option<Rate<IpAddr>>,
}

impl Auth {
    /// With the rules of every route.
    pub fn new(settings: &settings::Http, store: Store, rules: impl IntoIterator<Item = Rule>) -> Self {
        Self {
            is_on: settings.is_auth_on(),
            rules: Rules::new(rules),
            store,
            known_keys: KnownKeys::new(settings::ms(settings.key_cache_ms)),
            jwt: Jwt::new(&settings.jwt),
            caller_rate: Rate::new(settings.caller_rate_max),
            stranger_rate: Rate::new(settings.stranger_rate_max),
        }
    }

    async fn admit(&self, request: &ServiceRequest) -> Result<Caller, Denial> {
        if !self.is_on {
            return Ok(Caller::Anybody);
        }
        let pattern = pattern(request);
        let access = pattern.as_deref().map(|pattern| self.rules.access(request.method(), pattern));
        if access == Some(Access::Open) {
            return Ok(Caller::Anybody);
        }
        let recognised = match credential(request.headers()) {
            Ok(credential) => self.recognise(credential).await,
            Err(denial) => Err(denial),
        };
        let (caller, scope) = recognised.map_err(|denial| self.count_stranger(request, denial))?;
        if let Some(rate) = &self.caller_rate {
            rate.count(&caller).map_err(Denial::TooOften)?;
        }
        match access {
            // That nothing is served there, anyone with a key may learn. It is said here: what has no rule is not passed on.
            None => Err(Denial::NoRoute),
            Some(Access::Needs(needed)) if scope < Some(needed) => Err(Denial::Insufficient(needed)),
            Some(_) => Ok(caller),
        }
    }

    /// Those who bring nothing good are counted by where they come from: behind a proxy that is the proxy, but whoever brings something good is
    /// not among them.
    fn count_stranger(&self, request: &ServiceRequest, denial: Denial) -> Denial {
        let (Some(rate), Some(address)) = (&self.stranger_rate, request.peer_addr()) else { return denial };
        rate.count(&neighbourhood(address.ip())).map_or_else(Denial::TooOften, |()| denial)
    }

    /// Who it is, and what that allows, if anything.
    async fn recognise(&self, credential: &str) -> Result<(Caller, Option<Scope>), Denial> {
        if let Some(jwt) = &self.jwt
            && !credential.starts_with(key::PREFIX)
        {
            return match jwt.verify(credential).await {
                Ok(bearer) => Ok((Caller::Subject(bearer.subject), bearer.scope)),
                Err(jwt::Refused::Invalid) => Err(Denial::Invalid),
                Err(jwt::Refused::Unknowable) => Err(Denial::IssuerAway),
            };
        }
        let (id, hash) = key::recognise(credential).ok_or(Denial::Invalid)?;
        let read = || async {
            let reading = timeout(READ_TIMEOUT, keys::list_in_use(self.store.key_pool()));
            reading.await.unwrap_or_else(|_| Err(StoreError::silence()))
        };
        let found = self.known_keys.find(id, &hash, read).await.map_err(|Unreadable| Denial::Unknowable)?;
        found.map(|scope| (Caller::Key(id), Some(scope))).ok_or(Denial::Invalid)
    }
}

/// The middleware. It refuses before a byte of the body is read.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let context = request.app_data::<Data<Context>>().expect("the server sets its context").clone();
    let admitted = match head_bytes(&request) > context.state.settings.http.head_bytes_max {
        true => Err(Denial::HeadTooLarge),
        false => context.auth.admit(&request).await,
    };
    match admitted {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(denial) => {
            let pattern = pattern(&request);
            let mut response = refuse(&context, pattern.as_deref(), denial.unserved());
            if let Denial::TooOften(wait) = denial {
                response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(wait).into());
            }
            if let Some(challenge) = denial.challenge() {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            Ok(request.into_response(response))
        }
    }
}

/// The pattern of the route that will serve this, found by the same reading of the path as the router's: `match_pattern` of the request itself
/// reads it as it was sent, so that `/%69nvoice` would be no route to it, and `/invoice` to the router.
fn pattern(request: &ServiceRequest) -> Option<String> {
    request.resource_map().match_pattern(request.match_info().as_str())
}

/// What the address and the headers take, about as they were sent.
fn head_bytes(request: &ServiceRequest) -> usize {
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    // Two bytes between a name and its value, two at the end of the line.
    address + request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
}

/// Rounded up, and at least one: a second too late is served, a moment too early is not.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// What stands behind `Authorization: Bearer`, given once.
fn credential(headers: &HeaderMap) -> Result<&str, Denial> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let value = values.next().ok_or(Denial::Missing)?;
    if values.next().is_some() {
        return Err(Denial::Invalid);
    }
    let text = value.to_str().map_err(|_| Denial::Invalid)?;
    // A scheme's letters may be of either case.
    let is_bearer = text.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
    if is_bearer { Ok(text[SCHEME.len()..].trim()) } else { Err(Denial::Invalid) }
}

impl Denial {
    const fn unserved(self) -> Unserved {
        match self {
            Self::Missing | Self::Invalid => Unserved::Unauthenticated,
            Self::Insufficient(_) => Unserved::Forbidden,
            Self::Unknowable => Unserved::DatabaseAway,
            Self::IssuerAway => Unserved::IssuerAway,
            Self::TooOften(_) => Unserved::RateLimited,
            Self::NoRoute => Unserved::RouteUnknown,
            Self::HeadTooLarge => Unserved::HeadTooLarge,
        }
    }

    /// RFC 6750, section 3.
    fn challenge(self) -> Option<HeaderValue> {
        Some(HeaderValue::from_static(match self {
            Self::Missing => r#"Bearer realm="purser""#,
            Self::Invalid => r#"Bearer realm="purser", error="invalid_token""#,
            Self::Insufficient(Scope::Read) => r#"Bearer realm="purser", error="insufficient_scope", scope="read""#,
            Self::Insufficient(Scope::Write) => r#"Bearer realm="purser", error="insufficient_scope", scope="write""#,
            Self::Insufficient(Scope::Admin) => r#"Bearer realm="purser", error="insufficient_scope", scope="admin""#,
            Self::Unknowable | Self::IssuerAway | Self::TooOften(_) | Self::NoRoute | Self::HeadTooLarge => {
                return None;
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], expected: Result<&str, Denial>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(credential(&headers), expected, "{values:?}");
    }

    #[test]
    fn a_credential_is_what_one_bearer_header_holds() {
        check(&[], Err(Denial::Missing));
        check(&["Bearer purser_1_00"], Ok("purser_1_00"));
        check(&["bearer  x "], Ok("x"));
        check(&["Bearer "], Ok(""));
        check(&["Bearer"], Err(Denial::Invalid));
        check(&["Basic cHVyc2Vy"], Err(Denial::Invalid));
        check(&["purser_1_00"], Err(Denial::Invalid));
        check(&["Bearer a", "Bearer b"], Err(Denial::Invalid));
    }
}
