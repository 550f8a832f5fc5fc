//! Operations: what a caller asks.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Money, Rejection, TransactionId, WalletId};

/// Longest idempotency key, in bytes: what an AMQP `message_id` can hold, so one rule serves AMQP and HTTP.
pub const KEY_BYTES_MAX: usize = 255;

/// What a caller asks, with its name if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The name its transaction will have.
    pub id: TransactionId,
    /// The caller's own name for it; without one, a second delivery is a second operation.
    pub idempotency_key: Option<IdempotencyKey>,
    /// What is asked.
    pub request: Request,
}

/// What is asked of which wallets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Credits a wallet.
    Invoice {
        /// Who receives.
        wallet: WalletId,
        /// How much.
        money: Money,
    },
    /// Debits a wallet if it holds enough.
    Withdraw {
        /// Who pays.
        wallet: WalletId,
        /// How much.
        money: Money,
    },
    /// Moves money from one wallet to another.
    Transfer {
        /// Who pays.
        wallet: WalletId,
        /// Who receives.
        to_wallet: WalletId,
        /// How much.
        money: Money,
    },
    /// Reads all balances of a wallet, in its order.
    Balance {
        /// Whose.
        wallet: WalletId,
    },
}

/// An operation's name on the wire, in metrics and in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// See [`Request::Invoice`].
    Invoice,
    /// See [`Request::Withdraw`].
    Withdraw,
    /// See [`Request::Transfer`].
    Transfer,
    /// See [`Request::Balance`].
    Balance,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 4] = [Self::Invoice, Self::Withdraw, Self::Transfer, Self::Balance];

    /// The word: the AMQP routing key, the metric label, the database value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::Withdraw => "withdraw",
            Self::Transfer => "transfer",
            Self::Balance => "balance",
        }
    }

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Request {
    /// Which kind of operation it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Invoice { .. } => Kind::Invoice,
            Self::Withdraw { .. } => Kind::Withdraw,
            Self::Transfer { .. } => Kind::Transfer,
            Self::Balance { .. } => Kind::Balance,
        }
    }

    /// The wallet in whose queue it stands: the debited one of a transfer.
    pub const fn wallet(&self) -> WalletId {
        match self {
            Self::Invoice { wallet, .. }
            | Self::Withdraw { wallet, .. }
            | Self::Transfer { wallet, .. }
            | Self::Balance { wallet } => *wallet,
        }
    }

    /// The credited wallet of a transfer.
    pub const fn to_wallet(self) -> Option<WalletId> {
        match self {
            Self::Transfer { to_wallet, .. } => Some(to_wallet),
            _ => None,
        }
    }

    /// The money that is to move, if any is.
    pub const fn money(&self) -> Option<Money> {
        match self {
            Self::Invoice { money, .. } | Self::Withdraw { money, .. } | Self::Transfer { money, .. } => Some(*money),
            Self::Balance { .. } => None,
        }
    }

    /// What must match when an idempotency key is used again.
    ///
    /// Taken from a canonical text, so that it stays the same across versions of Purser; fields that a later version adds are
    /// appended only when they are set.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut text = format!("{} wallet={}", self.kind(), self.wallet());
        let append = |text: &mut String, name: &str, value: &dyn fmt::Display| {
            use fmt::Write;
            write!(text, " {name}={value}").expect("writing to a string cannot fail");
        };
        if let Some(to_wallet) = self.to_wallet() {
            append(&mut text, "to_wallet", &to_wallet);
        }
        if let Some(money) = self.money() {
            append(&mut text, "currency", &money.currency);
            append(&mut text, "amount", &money.amount);
        }
        Fingerprint::of(&text)
    }
}

/// The caller's name for an operation, unique per wallet: 1 to 255 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// Refuses an empty key, one with control characters, and one of more than [`KEY_BYTES_MAX`] bytes.
    pub fn new(key: &str) -> Result<Self, Rejection> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX || key.chars().any(char::is_control) {
            return Err(Rejection::IdempotencyKeyInvalid);
        }
        Ok(Self(Arc::from(key)))
    }

    /// The key as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What must match when an idempotency key is used again: a digest of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; Fingerprint::BYTES]);

impl Fingerprint {
    /// Its length. 128 bits: two requests under one key that differ have the same one never.
    pub const BYTES: usize = 16;

    fn of(text: &str) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes.copy_from_slice(&Sha256::digest(text)[..Self::BYTES]);
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Amount, CurrencyCode};

    fn money(amount: &str, currency: &str) -> Money {
        Money { amount: Amount::parse(amount).unwrap(), currency: CurrencyCode::new(currency).unwrap() }
    }

    #[test]
    fn every_kind_is_read_back_from_its_word() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("deposit"), None);
    }

    #[test]
    fn a_fingerprint_sees_every_field_and_no_spelling() {
        let wallet = WalletId(1);
        let base = Request::Withdraw { wallet, money: money("1.50", "USD") };
        assert_eq!(base.fingerprint(), Request::Withdraw { wallet, money: money("15e-1", "USD") }.fingerprint());
        for other in [
            Request::Invoice { wallet, money: money("1.5", "USD") },
            Request::Withdraw { wallet: WalletId(2), money: money("1.5", "USD") },
            Request::Withdraw { wallet, money: money("1.51", "USD") },
            Request::Withdraw { wallet, money: money("1.5", "EUR") },
            Request::Transfer { wallet, to_wallet: WalletId(2), money: money("1.5", "USD") },
        ] {
            assert_ne!(base.fingerprint(), other.fingerprint(), "{other:?}");
        }
    }

    #[test]
    fn a_fingerprint_is_the_same_in_every_version() {
        let request = Request::Transfer { wallet: WalletId(7), to_wallet: WalletId(8), money: money("12.30", "USD") };
        let text = "transfer wallet=7 to_wallet=8 currency=USD amount=12.3";
        assert_eq!(request.fingerprint().0[..], Sha256::digest(text)[..Fingerprint::BYTES]);
    }

    #[test]
    fn a_key_is_short_and_printable() {
        for good in ["a", "6f1c", "ключ", &"k".repeat(KEY_BYTES_MAX)] {
            assert_eq!(IdempotencyKey::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a\0b", "line\nbreak", &"k".repeat(KEY_BYTES_MAX + 1), &"k".repeat(10_240)] {
            assert_eq!(IdempotencyKey::new(bad), Err(Rejection::IdempotencyKeyInvalid));
        }
    }
}
