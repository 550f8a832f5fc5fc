//! Wallets: who holds balances.

use std::fmt;

use super::TransactionId;

/// A wallet's number, as callers name it. Every wallet that exists has a positive one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalletId(pub i64);

impl fmt::Display for WalletId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a wallet may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Money may come and go.
    Open,
    /// Money may come, none may go.
    Blocked,
    /// Its history stays, nothing moves.
    Closed,
}

/// The record of an operation on a wallet's standing, be it that the wallet stood so already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandingRecord {
    /// The operation's id.
    pub id: TransactionId,
    /// Whose standing.
    pub wallet: WalletId,
    /// What the wallet may do since.
    pub standing: Standing,
}

impl Standing {
    /// Every standing there is.
    pub const ALL: [Self; 3] = [Self::Open, Self::Blocked, Self::Closed];

    /// The word towards callers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Blocked => "blocked",
            Self::Closed => "closed",
        }
    }

    /// The standing of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == word)
    }
}
