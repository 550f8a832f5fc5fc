//! Outcomes: what a caller gets.

use super::{Balance, CurrencyCode, Kind, Transaction};

/// A business "no": expected and final. Variants stand in the order the checks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejection {
    /// The key cannot be one: empty, too long, or with control characters.
    #[error("the idempotency key must have 1 to 255 bytes and no control characters")]
    IdempotencyKeyInvalid,
    /// The amount is not a number.
    #[error("the amount must be a decimal number")]
    AmountInvalid,
    /// The amount is zero or below.
    #[error("the amount must be greater than zero")]
    AmountNotPositive,
    /// The amount has more digits than are kept exactly.
    #[error("the amount must have at most 28 digits")]
    AmountTooLarge,
    /// The key already names another request on this wallet.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// A transfer from a wallet to itself.
    #[error("a transfer needs two different wallets")]
    SameWallet,
    /// A wallet that the operation names does not exist.
    #[error("the wallet does not exist")]
    WalletUnknown,
    /// A wallet that the operation names is closed.
    #[error("the wallet is closed")]
    WalletClosed,
    /// The currency does not exist.
    #[error("the currency does not exist")]
    CurrencyUnknown,
    /// The amount has more decimals than its currency allows.
    #[error("the amount has more decimals than its currency allows")]
    TooManyDecimals,
    /// The available balance does not cover the amount.
    #[error("the available balance is too low")]
    InsufficientFunds,
    /// The balance would have more digits than are kept exactly.
    #[error("the balance would have more than 28 digits")]
    BalanceTooLarge,
}

impl Rejection {
    /// Every rejection there is.
    pub const ALL: [Self; 12] = [
        Self::IdempotencyKeyInvalid,
        Self::AmountInvalid,
        Self::AmountNotPositive,
        Self::AmountTooLarge,
        Self::IdempotencyKeyReused,
        Self::SameWallet,
        Self::WalletUnknown,
        Self::WalletClosed,
        Self::CurrencyUnknown,
        Self::TooManyDecimals,
        Self::InsufficientFunds,
        Self::BalanceTooLarge,
    ];

    /// Public and permanent: the same word in JSON, logs, metrics and the database.
    pub const fn code(self) -> &'static str {
        match self {
            Self::IdempotencyKeyInvalid => "idempotency_key_invalid",
            Self::AmountInvalid => "amount_invalid",
            Self::AmountNotPositive => "amount_not_positive",
            Self::AmountTooLarge => "amount_too_large",
            Self::SameWallet => "same_wallet",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::WalletUnknown => "wallet_unknown",
            Self::WalletClosed => "wallet_closed",
            Self::CurrencyUnknown => "currency_unknown",
            Self::TooManyDecimals => "too_many_decimals",
            Self::InsufficientFunds => "insufficient_funds",
            Self::BalanceTooLarge => "balance_too_large",
        }
    }

    /// The rejection of that code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rejection| rejection.code() == code)
    }

    /// Whether the operation reached a wallet's balance, so that the refusal is a transaction with status Error.
    ///
    /// The others name something that is not there or not well formed: there is no wallet or no currency to record them under,
    /// and asking again after mending it is a new question.
    pub const fn is_recorded(self) -> bool {
        matches!(self, Self::InsufficientFunds | Self::BalanceTooLarge)
    }
}

/// What a wallet holds in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrencyBalance {
    /// In which currency.
    pub currency: CurrencyCode,
    /// How much.
    pub balance: Balance,
}

/// What an operation that was not refused gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The transaction that it became.
    Transaction(Transaction),
    /// All balances of the wallet, by currency code.
    Balances(Vec<CurrencyBalance>),
}

/// What a caller gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was asked.
    pub kind: Kind,
    /// What it gave, or why not. A recorded refusal is an `Err` too.
    pub result: Result<Answer, Rejection>,
    /// Whether this is the outcome of an earlier operation with the same key.
    pub replay: Replay,
}

/// Whether an outcome was given before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Decided now.
    First,
    /// Decided earlier, given again.
    Replayed,
}

impl Outcome {
    /// The word for metrics and logs: a status or a rejection's code.
    pub fn label(&self) -> &'static str {
        match &self.result {
            Ok(Answer::Transaction(transaction)) => transaction.status.as_str(),
            Ok(Answer::Balances(_)) => super::Status::Success.as_str(),
            Err(rejection) => rejection.code(),
        }
    }

    /// What the transaction's record says, for a first answer and for a replay alike.
    pub fn of_record(transaction: Transaction, replay: Replay) -> Self {
        let kind = transaction.kind;
        let result = match transaction.rejection {
            Some(rejection) => Err(rejection),
            None => Ok(Answer::Transaction(transaction)),
        };
        Self { kind, result, replay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rejection_is_read_back_from_its_code() {
        for rejection in Rejection::ALL {
            assert_eq!(Rejection::parse(rejection.code()), Some(rejection));
        }
        assert_eq!(Rejection::parse("nonsense"), None);
    }
}
