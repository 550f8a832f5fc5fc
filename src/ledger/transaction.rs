//! Transactions: the durable record of an operation that reached a wallet.

use std::fmt;

use uuid::Uuid;

use super::{Fingerprint, IdempotencyKey, Kind, Money, Rejection, WalletId};

/// A transaction's name: a UUIDv7, given to the operation before it is first tried, so that a second try can be told
/// from a second operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub Uuid);

impl fmt::Display for TransactionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Where a transaction stands. Success and Error are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Money waits: it is to be confirmed or cancelled.
    Created,
    /// Done, final.
    Success,
    /// Refused or ended without effect, final.
    Error,
}

impl Status {
    /// The word used in the database and towards callers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Success => "Success",
            Self::Error => "Error",
        }
    }

    /// The status of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Created, Self::Success, Self::Error].into_iter().find(|status| status.as_str() == word)
    }

    /// Whether nothing can follow.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Error)
    }
}

/// The durable record of an operation that reached a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its name.
    pub id: TransactionId,
    /// What was asked.
    pub kind: Kind,
    /// The wallet in whose queue it stood: the debited one of a transfer.
    pub wallet: WalletId,
    /// The credited wallet of a transfer.
    pub to_wallet: Option<WalletId>,
    /// How much of what.
    pub money: Money,
    /// Where it stands.
    pub status: Status,
    /// Why it stands at Error.
    pub rejection: Option<Rejection>,
    /// The caller's name for the operation, with what must match when the name is used again.
    pub key: Option<(IdempotencyKey, Fingerprint)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_back_from_its_word() {
        for status in [Status::Created, Status::Success, Status::Error] {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("success"), None);
    }
}
