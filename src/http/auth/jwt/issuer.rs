//! The identity provider's public keys: fetched when they are needed, kept, and fetched again when it may have new ones.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Header};
use reqwest::{Client, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::settings::{self, is_address_of_keys, ms};

/// The longest the issuer may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The most keys that are kept. An issuer has two or three.
const KEYS_MAX: usize = 100;
/// How long keys are good for while the issuer cannot be reached: its outage is not to be everybody's at once, but what it may have withdrawn
/// must not last for ever.
const AGE_MAX_WHEN_AWAY: Duration = Duration::from_secs(3_600);
/// Where an issuer says where its keys are (OpenID Connect Discovery 1.0, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// The issuer's keys are not known, and it cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreachable;

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the identity provider cannot be asked")]
    Request(#[from] reqwest::Error),
    #[error("its answer is too large")]
    TooLarge,
    #[error("its answer cannot be read")]
    Answer(#[from] serde_json::Error),
    #[error("it says that it is another issuer")]
    OtherIssuer,
    #[error("it names an address for its keys that cannot be trusted")]
    Address,
}

#[derive(Debug)]
pub(super) struct Issuer {
    settings: settings::Jwt,
    client: Client,
    fetched: RwLock<Option<Arc<Fetched>>>,
    /// Held while the keys are fetched: once at a time. Holds when that was tried last.
    fetching: Arc<Mutex<Option<Instant>>>,
}

#[derive(Debug)]
struct Fetched {
    keys: Vec<Key>,
    at: Instant,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The algorithm it is for, if it says.
    algorithm: Option<Algorithm>,
    curve: Option<EllipticCurve>,
    key: DecodingKey,
}

impl Issuer {
    pub fn new(settings: &settings::Jwt) -> Self {
        let client = Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(redirect::Policy::none())
            // A connection belongs to the thread that made it; the next request may come from another.
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client of fixed settings can be built");
        Self { settings: settings.clone(), client, fetched: RwLock::default(), fetching: Arc::default() }
    }

    /// The keys that may have signed a token with this header: one, as a rule; none, if the issuer has none.
    pub async fn keys(self: &Arc<Self>, header: &Header) -> Result<Vec<DecodingKey>, Unreachable> {
        let (is_fresh, mut keys) = self.known(header);
        if keys.is_empty() {
            let tried_at = Arc::clone(&self.fetching).lock_owned().await;
            Arc::clone(self).fetch(tried_at).await;
            keys = self.known(header).1;
        } else if !is_fresh && let Ok(tried_at) = Arc::clone(&self.fetching).try_lock_owned() {
            // Nobody waits for it: what is known will do until then.
            tokio::spawn(Arc::clone(self).fetch(tried_at));
        }
        if keys.is_empty() && self.fetched().is_none() {
            return Err(Unreachable);
        }
        Ok(keys)
    }

    /// Whether what is known is fresh, and which keys of it fit.
    fn known(&self, header: &Header) -> (bool, Vec<DecodingKey>) {
        let Some(fetched) = self.fetched() else { return (false, Vec::new()) };
        let fitting = fetched.keys.iter().filter(|key| key.fits(header)).map(|key| key.key.clone()).collect();
        (fetched.at.elapsed() < ms(self.settings.keys_cache_ms), fitting)
    }

    fn fetched(&self) -> Option<Arc<Fetched>> {
        let fetched = self.fetched.read().expect("nothing panics while it holds this lock").clone();
        let age_max = AGE_MAX_WHEN_AWAY.max(ms(self.settings.keys_cache_ms));
        fetched.filter(|fetched| fetched.at.elapsed() < age_max)
    }

    /// Fetches the keys, but not more often than once in `http.jwt.fetch_pause_ms`, however many made-up tokens ask for it.
    async fn fetch(self: Arc<Self>, mut tried_at: OwnedMutexGuard<Option<Instant>>) {
        if tried_at.is_some_and(|at| at.elapsed() < ms(self.settings.fetch_pause_ms)) {
            return;
        }
        let at = Instant::now();
        *tried_at = Some(at);
        match self.ask().await {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "the identity provider's keys are fetched");
                let fetched = Arc::new(Fetched { keys, at });
                *self.fetched.write().expect("nothing panics while it holds this lock") = Some(fetched);
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(error = %error, cause, "the identity provider's keys cannot be fetched");
            }
        }
    }

    async fn ask(&self) -> Result<Vec<Key>, FetchError> {
        #[derive(Deserialize)]
        struct KeySet {
            keys: Vec<Value>,
        }
        let address = match self.settings.jwks_url.as_str() {
            "" => self.discover().await?,
            address => address.to_owned(),
        };
        let KeySet { keys } = self.get(&address).await?;
        // One that is not understood is one that a token cannot be signed with here.
        Ok(keys.into_iter().filter_map(Key::new).take(KEYS_MAX).collect())
    }

    async fn discover(&self) -> Result<String, FetchError> {
        #[derive(Deserialize)]
        struct Configuration {
            issuer: String,
            jwks_uri: String,
        }
        let issuer = &self.settings.issuer;
        let found: Configuration = self.get(&format!("{}{DISCOVERY}", issuer.trim_end_matches('/'))).await?;
        if found.issuer != *issuer {
            return Err(FetchError::OtherIssuer);
        }
        if is_address_of_keys(&found.jwks_uri) { Ok(found.jwks_uri) } else { Err(FetchError::Address) }
    }

    async fn get<T: DeserializeOwned>(&self, address: &str) -> Result<T, FetchError> {
        let mut response = self.client.get(address).send().await?.error_for_status()?;
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(FetchError::TooLarge);
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}

impl Key {
    /// `None` for one that is not for checking signatures, or of a kind that is not served.
    fn new(value: Value) -> Option<Self> {
        let algorithm = value.get("alg").map(|name| name.as_str()?.parse().ok());
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let is_for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let curve = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => None,
            AlgorithmParameters::EllipticCurve(parameters) => Some(parameters.curve.clone()),
            AlgorithmParameters::OctetKeyPair(parameters) => Some(parameters.curve.clone()),
            // A shared secret. Nothing that is published may be one.
            AlgorithmParameters::OctetKey(_) => return None,
        };
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| is_for_signatures)?;
        let algorithm = match algorithm {
            Some(None) => return None,
            said => said.flatten(),
        };
        Some(Self { id: jwk.common.key_id, algorithm, curve, key })
    }

    fn fits(&self, header: &Header) -> bool {
        let is_named = header.kid.is_none() || self.id.is_none() || header.kid == self.id;
        let is_curve = match header.alg {
            Algorithm::ES256 => self.curve == Some(EllipticCurve::P256),
            Algorithm::ES384 => self.curve == Some(EllipticCurve::P384),
            Algorithm::EdDSA => self.curve == Some(EllipticCurve::Ed25519),
            _ => self.key.family() == AlgorithmFamily::Rsa,
        };
        let is_its_algorithm = self.algorithm.is_none_or(|own| own == header.alg);
        is_named && is_curve && is_its_algorithm
    }
}
