//! Entries: the immutable lines of a wallet's history.

use rust_decimal::Decimal;

use super::{Balance, CurrencyCode, Delta, TransactionId, WalletId};

/// One line of one wallet's history in one currency. Replaying the deltas gives the balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose history.
    pub wallet: WalletId,
    /// In which currency.
    pub currency: CurrencyCode,
    /// 1, 2, 3 ... per wallet and currency, without a gap.
    pub seq: i64,
    /// What caused it.
    pub transaction: TransactionId,
    /// What changed.
    pub delta: Delta,
    /// The balance after it.
    pub after: Balance,
}

/// What an entry says of what can be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub seq: i64,
    /// By how much it changed, in major units.
    pub delta: Decimal,
    /// How much it is after it, in major units.
    pub available: Decimal,
}

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        Self { seq: entry.seq, delta: entry.delta.available, available: entry.after.available }
    }
}
