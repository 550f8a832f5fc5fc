//! Entries: the immutable lines of a wallet's history.

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
