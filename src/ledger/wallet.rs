//! Wallets: who holds balances.

use std::fmt;

/// A wallet's number, as callers name it. Every wallet that exists has a positive one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalletId(pub i64);

impl fmt::Display for WalletId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a wallet may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Money may come and go.
    Open,
    /// Its history stays, nothing moves.
    Closed,
}
