//! What a key looks like, and how one is made and recognised.

use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};

/// How every key begins: so that one that leaked is found by those who search for such things, and a JWT is told from it.
pub const PREFIX: &str = "purser_";
/// 256 bits: beyond guessing, however many keys there are.
const SECRET_BYTES: usize = 32;

/// The part of a key that nobody else knows, in hexadecimal digits.
pub struct KeySecret(String);

impl KeySecret {
    /// A new one, from the operating system's generator.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; SECRET_BYTES];
        OsRng.try_fill_bytes(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// What is stored.
    ///
    /// A fast hash is right here, where it would be wrong for a password: the secret is 256 random bits, so there is nothing to guess that
    /// a slow hash could slow down, and whoever reads the table cannot invert it. A slow one would only make every request pay.
    pub fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }

    /// The whole key, to be shown once: `purser_<number>_<secret>`.
    pub fn with_number(&self, number: i64) -> String {
        format!("{PREFIX}{number}_{}", self.0)
    }
}

/// The number and the hash of what was given as a key; `None` when it cannot be one.
pub fn recognise(credential: &str) -> Option<(i64, [u8; 32])> {
    let (number, secret) = credential.strip_prefix(PREFIX)?.split_once('_')?;
    let is_secret = secret.len() == 2 * SECRET_BYTES && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    is_secret.then(|| (number, hash(secret)))
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognised_by_its_number_and_hash() {
        let secret = KeySecret::random().unwrap();
        let key = secret.with_number(17);
        assert_eq!(recognise(&key), Some((17, secret.hash())));
        assert_ne!(secret.hash(), KeySecret::random().unwrap().hash());
    }

    #[test]
    fn what_cannot_be_a_key_is_none() {
        let secret = "0f".repeat(SECRET_BYTES);
        assert!(recognise(&format!("purser_1_{secret}")).is_some());
        for credential in [
            String::new(),
            secret.clone(),
            format!("purser_{secret}"),
            format!("purser__{secret}"),
            format!("purser_+1_{secret}"),
            format!("purser_-1_{secret}"),
            format!("purser_x_{secret}"),
            format!("purser_99999999999999999999_{secret}"),
            format!("purser_1_{secret}0"),
            format!("purser_1_{}", &secret[1..]),
            format!("purser_1_{}", "xy".repeat(SECRET_BYTES)),
            format!("Purser_1_{secret}"),
            format!(" purser_1_{secret}"),
        ] {
            assert_eq!(recognise(&credential), None, "{credential}");
        }
    }
}
