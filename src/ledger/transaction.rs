//! Transactions: the durable record of an operation that reached a wallet.

use std::fmt;
use std::sync::Arc;

use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Details, Fingerprint, IdempotencyKey, Kind, Lifetime, Money, Reference, Rejection, Timestamp, WalletId};

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
    /// The wallet that receives, where there are two.
    pub to_wallet: Option<WalletId>,
    /// How much of what. Not of a batch, whose items have their own, nor where only a time changed.
    pub money: Option<Money>,
    /// Where it stands.
    pub status: Status,
    /// Why it stands at Error.
    pub rejection: Option<Rejection>,
    /// The caller's name for the operation, with what must match when the name is used again.
    pub key: Option<(IdempotencyKey, Fingerprint)>,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// What few transactions have.
    pub more: Option<Box<More>>,
}

/// What few transactions have, kept apart so that the others do not carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct More {
    /// Of a hold: how much of it was confirmed so far, in major units. `None`: its money was never set aside.
    pub confirmed: Option<Decimal>,
    /// Its place in the line of withdrawals that wait for funds, when it stood in one.
    pub waiting_number: Option<i64>,
    /// When it ends by itself, while it has status Created.
    pub expires_at: Option<Timestamp>,
    /// When it became final, if that was later than `created_at`.
    pub finished_at: Option<Timestamp>,
    /// The transaction that it is about.
    pub original: Option<Original>,
    /// The atomic batch that it is an item of.
    pub batch: Option<TransactionId>,
    /// Of a batch that failed: which item's fault it was, counted from 0.
    pub failed_item: Option<usize>,
    /// What the caller attached.
    pub details: Option<Arc<Details>>,
    /// The caller's name for it, unique over all wallets. It is the transaction's own unless it has status Error.
    pub reference: Option<Reference>,
}

/// The transaction that a confirm, cancel, extend or reverse is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// Which.
    pub id: TransactionId,
    /// The status in which it was left.
    pub status: Status,
}

impl Transaction {
    /// What few transactions have; empty where it has none of it.
    pub fn more(&self) -> &More {
        const NONE: &More = &More {
            confirmed: None,
            waiting_number: None,
            expires_at: None,
            finished_at: None,
            original: None,
            batch: None,
            failed_item: None,
            details: None,
            reference: None,
        };
        self.more.as_deref().unwrap_or(NONE)
    }

    /// How much of it has not been confirmed yet, in major units.
    pub fn unconfirmed(&self) -> Decimal {
        self.amount() - self.more().confirmed.unwrap_or_default()
    }

    /// How much of it came to move in the end, in major units, once it has status Success.
    pub fn settled(&self) -> Decimal {
        self.more().confirmed.unwrap_or_else(|| self.amount())
    }

    /// The wallet in whose queue its reversal stands: the receiver of a transfer, else its own.
    pub fn payer_back(&self) -> WalletId {
        match (self.kind, self.to_wallet) {
            (Kind::Transfer, Some(to_wallet)) => to_wallet,
            _ => self.wallet,
        }
    }

    /// Whether it stands in a line of withdrawals that wait for funds.
    pub fn is_waiting(&self) -> bool {
        self.status == Status::Created && self.more().waiting_number.is_some()
    }

    /// As it was when its operation was first answered: what waits then may have been finished since.
    pub fn when_created(mut self, lifetime: Option<Lifetime>) -> Self {
        let created_at = self.created_at;
        if let Some(more) =
            self.more.as_deref_mut().filter(|more| more.confirmed.is_some() || more.waiting_number.is_some())
        {
            more.confirmed = more.confirmed.map(|_| Decimal::ZERO);
            more.expires_at = lifetime.map(|lifetime| created_at + lifetime);
            more.finished_at = None;
            self.status = Status::Created;
            self.rejection = None;
        }
        self
    }

    fn amount(&self) -> Decimal {
        self.money.map(|money| money.amount.value()).unwrap_or_default()
    }
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
