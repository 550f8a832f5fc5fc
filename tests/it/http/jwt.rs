//! Tokens of an identity provider: a little one that runs in the test, with keys of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use purser::settings::{AuthMode, Settings};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{PATIENCE, TestApp, poll_until};

const AUDIENCE: &str = "purser-test";

/// Serves its configuration and its keys, and counts how often it is asked for the keys.
#[derive(Clone)]
struct Issuer {
    address: SocketAddr,
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<Mutex<u32>>,
    is_silent: Arc<AtomicBool>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let issuer = Self { address, keys: Arc::default(), asked: Arc::default(), is_silent: Arc::default() };
        let serving = issuer.clone();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(connection.read_u8().await?);
                    }
                    if serving.is_silent.load(Ordering::Relaxed) {
                        std::future::pending::<()>().await;
                    }
                    let body = serving.answer(&String::from_utf8_lossy(&head));
                    let length = body.len();
                    let answer =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                    connection.write_all(answer.as_bytes()).await
                });
            }
        });
        issuer
    }

    fn answer(&self, head: &str) -> String {
        if head.starts_with("GET /.well-known/openid-configuration ") {
            return json!({ "issuer": self.name(), "jwks_uri": format!("{}/keys", self.name()) }).to_string();
        }
        assert!(head.starts_with("GET /keys "), "{head}");
        *self.asked.lock().expect("nobody panicked") += 1;
        json!({ "keys": *self.keys.lock().expect("nobody panicked") }).to_string()
    }

    fn name(&self) -> String {
        format!("http://{}", self.address)
    }

    fn publish(&self, keys: &[Value]) {
        *self.keys.lock().expect("nobody panicked") = keys.to_vec();
    }

    fn asked(&self) -> u32 {
        *self.asked.lock().expect("nobody panicked")
    }

    /// What a good token of this issuer says, for an hour.
    fn claims(&self, scope: &str) -> Value {
        let now = now();
        json!({ "iss": self.name(), "aud": AUDIENCE, "sub": "shop", "iat": now, "exp": now + 3_600, "scope": scope })
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

fn encoded(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// A key pair of an issuer.
enum Signer {
    P256(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair, &'static str),
}

impl Signer {
    fn p256(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key is made");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random);
        Self::P256(pair.expect("it is a key"), id)
    }

    fn ed25519(id: &'static str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key is made");
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("it is a key"), id)
    }

    /// What everybody may know of it.
    fn public(&self) -> Value {
        match self {
            Self::P256(pair, id) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": id, "x": encoded(x), "y": encoded(y) })
            }
            Self::Ed25519(pair, id) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": encoded(pair.public_key()) })
            }
        }
    }

    fn header(&self) -> Value {
        match self {
            Self::P256(_, id) => json!({ "alg": "ES256", "typ": "JWT", "kid": id }),
            Self::Ed25519(_, id) => json!({ "alg": "EdDSA", "kid": id }),
        }
    }

    fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = match self {
            Self::P256(pair, _) => {
                pair.sign(&SystemRandom::new(), message.as_bytes()).expect("it signs").as_ref().to_vec()
            }
            Self::Ed25519(pair, _) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", encoded(signature))
    }
}

async fn start_with(issuer: &Issuer, adjust: impl FnOnce(&mut Settings)) -> TestApp {
    TestApp::start_with(|settings| {
        settings.broker.enabled = false;
        settings.http.auth = AuthMode::On;
        settings.http.jwt.issuer = issuer.name();
        settings.http.jwt.audience = AUDIENCE.to_owned();
        settings.http.jwt.fetch_pause_ms = 1;
        adjust(settings);
        settings.check().expect("the settings are valid");
    })
    .await
}

/// The status that whoever wants to look is answered with.
async fn status(app: &TestApp, token: &str) -> u16 {
    status_of(|client| client.get(app.url("/v1/wallets/1/balances")), token).await
}

/// The status that whoever wants to move money is answered with.
async fn status_of_invoice(app: &TestApp, token: &str) -> u16 {
    let invoice = json!({ "kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": 1 });
    status_of(|client| client.post(app.url("/v1/transactions")).json(&invoice), token).await
}

async fn status_of(asked: impl FnOnce(reqwest::Client) -> reqwest::RequestBuilder, token: &str) -> u16 {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client is made");
    asked(client).bearer_auth(token).send().await.expect("the server answers").status().as_u16()
}

#[actix_rt::test]
async fn a_token_of_the_issuer_opens_what_its_scope_allows() {
    let issuer = Issuer::start().await;
    let (first, second) = (Signer::p256("first"), Signer::ed25519("second"));
    // What is not understood disturbs nothing.
    issuer.publish(&[json!({ "kty": "QUANTUM", "kid": "new" }), first.public(), second.public()]);
    let app = start_with(&issuer, |_| {}).await;
    for signer in [&first, &second] {
        for (scope, balance, invoice) in [
            ("openid purser:read", 200, 403),
            ("purser:write", 200, 201),
            ("purser:admin", 200, 201),
            ("openid", 403, 403),
        ] {
            let token = signer.token(&issuer.claims(scope));
            assert_eq!(status(&app, &token).await, balance, "{scope}");
            assert_eq!(status_of_invoice(&app, &token).await, invoice, "{scope}");
        }
    }
    // A list of audiences, of which Purser is one.
    let mut claims = issuer.claims("purser:read");
    claims["aud"] = json!(["other", AUDIENCE]);
    assert_eq!(status(&app, &first.token(&claims)).await, 200);
    // Within the leeway.
    claims["exp"] = json!(now() - 5);
    assert_eq!(status(&app, &first.token(&claims)).await, 200);
    // No key named: those that fit are tried.
    let token = second.token_with(&json!({ "alg": "EdDSA" }), &issuer.claims("purser:read"));
    assert_eq!(status(&app, &token).await, 200);
    assert_eq!(issuer.asked(), 1, "the keys are fetched once");
}

#[actix_rt::test]
async fn a_token_that_is_not_good_is_refused() {
    let issuer = Issuer::start().await;
    let signer = Signer::p256("first");
    // A key that is published must not serve as a shared secret, and one for encryption not for signatures.
    let shared =
        json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": encoded("0123456789abcdef0123456789abcdef") });
    let sealing = Signer::p256("sealing");
    let mut for_sealing = sealing.public();
    for_sealing["use"] = json!("enc");
    issuer.publish(&[signer.public(), shared, for_sealing]);
    let app = start_with(&issuer, |_| {}).await;
    let good = issuer.claims("purser:admin");
    assert_eq!(status(&app, &signer.token(&good)).await, 200);

    let with = |claim: &str, value: Value| {
        let mut claims = good.clone();
        claims[claim] = value;
        signer.token(&claims)
    };
    let without = |claim: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().expect("it is an object").remove(claim);
        signer.token(&claims)
    };
    let hmac = |header: Value, secret: &[u8]| {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(good.to_string()));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        format!("{message}.{}", encoded(ring::hmac::sign(&key, message.as_bytes())))
    };
    let unsigned = |algorithm: &str| {
        format!("{}.{}.", encoded(json!({ "alg": algorithm }).to_string()), encoded(good.to_string()))
    };
    let token = signer.token(&good);
    let (message, _) = token.rsplit_once('.').expect("a token has three parts");
    let Signer::P256(pair, _) = &signer else { unreachable!("it was made as one") };
    for (what, token) in [
        ("expired", with("exp", json!(now() - 3_600))),
        ("no expiry", without("exp")),
        ("an expiry that is no time", with("exp", json!("never"))),
        ("not good yet", with("nbf", json!(now() + 3_600))),
        ("another audience", with("aud", json!("other"))),
        ("no audience", without("aud")),
        ("another issuer", with("iss", json!("https://id.example"))),
        ("no issuer", without("iss")),
        ("nobody", without("sub")),
        ("no algorithm", unsigned("none")),
        ("no algorithm, in other letters", unsigned("NONE")),
        ("no signature", format!("{message}.")),
        ("another's signature", Signer::p256("first").token(&good)),
        ("a claim changed", format!("{}.{}", token.split('.').next().expect("a header"), encoded("{}"))),
        ("signed with what is public", hmac(json!({ "alg": "HS256", "kid": "first" }), pair.public_key().as_ref())),
        (
            "signed with a shared key",
            hmac(json!({ "alg": "HS256", "kid": "shared" }), b"0123456789abcdef0123456789abcdef"),
        ),
        ("a key for encryption", sealing.token(&good)),
        ("an unknown key", signer.token_with(&json!({ "alg": "ES256", "kid": "unknown" }), &good)),
        ("another algorithm", signer.token_with(&json!({ "alg": "ES384", "kid": "first" }), &good)),
        (
            "a demand",
            signer.token_with(&json!({ "alg": "ES256", "kid": "first", "crit": ["b64"], "b64": false }), &good),
        ),
        ("no token", "a.b.c".to_owned()),
        ("nothing", String::new()),
    ] {
        assert_eq!(status(&app, &token).await, 401, "{what}");
    }
    assert_eq!(status(&app, &signer.token(&good)).await, 200);
}

#[actix_rt::test]
async fn a_new_key_of_the_issuer_is_found_and_an_old_one_forgotten() {
    let issuer = Issuer::start().await;
    let (old, new) = (Signer::p256("old"), Signer::p256("new"));
    issuer.publish(&[old.public()]);
    let app = start_with(&issuer, |settings| settings.http.jwt.keys_cache_ms = 3_600_000).await;
    let claims = issuer.claims("purser:read");
    assert_eq!(status(&app, &old.token(&claims)).await, 200);
    assert_eq!(status(&app, &new.token(&claims)).await, 401);

    issuer.publish(&[new.public()]);
    poll_until(PATIENCE, "the new key", || async { status(&app, &new.token(&claims)).await == 200 }).await;
    assert_eq!(status(&app, &old.token(&claims)).await, 401);
}

#[actix_rt::test]
async fn made_up_tokens_do_not_become_requests_to_the_issuer() {
    let issuer = Issuer::start().await;
    let signer = Signer::p256("first");
    issuer.publish(&[signer.public()]);
    let app = start_with(&issuer, |settings| {
        settings.http.jwt.fetch_pause_ms = 3_600_000;
        settings.http.stranger_rate_max = 0;
    })
    .await;
    let claims = issuer.claims("purser:read");
    assert_eq!(status(&app, &signer.token(&claims)).await, 200);
    for number in 0..50 {
        let header = json!({ "alg": "ES256", "kid": format!("made-up-{number}") });
        assert_eq!(status(&app, &signer.token_with(&header, &claims)).await, 401);
    }
    assert_eq!(issuer.asked(), 1);
}

#[actix_rt::test]
async fn an_issuer_that_is_away_is_told_apart_from_a_bad_token() {
    let issuer = Issuer::start().await;
    let signer = Signer::p256("first");
    let app = start_with(&issuer, |settings| {
        // Nothing listens on port 1.
        settings.http.jwt.jwks_url = "http://127.0.0.1:1/keys".to_owned();
    })
    .await;
    let token = signer.token(&issuer.claims("purser:read"));
    assert_eq!(status(&app, &token).await, 503);
    assert_eq!(status(&app, "no token").await, 401);
}

#[actix_rt::test]
async fn an_issuer_that_falls_silent_locks_nobody_out_whose_key_is_known() {
    let issuer = Issuer::start().await;
    let signer = Signer::p256("first");
    issuer.publish(&[signer.public()]);
    let app = start_with(&issuer, |settings| settings.http.jwt.keys_cache_ms = 1).await;
    let token = signer.token(&issuer.claims("purser:read"));
    assert_eq!(status(&app, &token).await, 200);
    issuer.is_silent.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        assert_eq!(status(&app, &token).await, 200);
    }
    assert_eq!(status(&app, &Signer::p256("second").token(&issuer.claims("purser:read"))).await, 401);
}
