//! Outcomes: what a caller gets.

use super::{Balance, CurrencyCode, Kind, Standing, Status, Transaction};

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
    /// The time to live is not one.
    #[error("expires_in must be 1 to 315360000 seconds")]
    ExpiresInInvalid,
    /// Too many labels, or too long ones.
    #[error("there may be at most 16 labels, with names of 1 to 64 characters, values of at most 256 and no NUL")]
    LabelsInvalid,
    /// The description is too long.
    #[error("the description must have at most 1000 characters and no NUL among them")]
    DescriptionInvalid,
    /// The order id is empty or too long.
    #[error("the order id must have 1 to 255 characters and no NUL among them")]
    OrderIdInvalid,
    /// The reference is empty or too long.
    #[error("the reference must have 1 to 255 characters and no NUL among them")]
    ReferenceInvalid,
    /// A batch without operations.
    #[error("a batch needs at least one operation")]
    BatchEmpty,
    /// A batch of more operations than the setting allows.
    #[error("the batch has too many operations")]
    BatchTooLarge,
    /// An operation that cannot be part of a batch.
    #[error("this operation cannot be part of a batch")]
    ItemNotAllowed,
    /// The key already names another request on this wallet.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// A transfer from a wallet to itself.
    #[error("a transfer needs two different wallets")]
    SameWallet,
    /// Something other than a withdrawal is to wait for funds.
    #[error("only a withdrawal can wait for funds")]
    WaitForFundsInvalid,
    /// A wallet that the operation names does not exist.
    #[error("the wallet does not exist")]
    WalletUnknown,
    /// The transaction does not exist, or stood in the queue of another wallet.
    #[error("the wallet has no such transaction")]
    TransactionUnknown,
    /// The transaction is finished.
    #[error("the transaction is finished")]
    TransactionFinal,
    /// The transaction waits for funds: there is nothing to confirm yet.
    #[error("the transaction waits for funds and is finished when they come")]
    TransactionWaiting,
    /// The transaction was given more time.
    #[error("the transaction has more time left")]
    NotExpired,
    /// A reversal is not reversed.
    #[error("a reversal cannot be reversed")]
    ReversalOfReversal,
    /// Only a finished movement of money can be reversed.
    #[error("only an invoice, withdraw or transfer with status Success can be reversed")]
    NotReversible,
    /// A wallet that the operation names is closed.
    #[error("the wallet is closed")]
    WalletClosed,
    /// The wallet that would pay is blocked.
    #[error("the wallet is blocked: no money leaves it")]
    WalletBlocked,
    /// The currency does not exist.
    #[error("the currency does not exist")]
    CurrencyUnknown,
    /// The amount has more decimals than its currency allows.
    #[error("the amount has more decimals than its currency allows")]
    TooManyDecimals,
    /// The service does not exist.
    #[error("the service does not exist")]
    ServiceUnknown,
    /// More is to be confirmed than is left.
    #[error("the amount is more than what is left to confirm")]
    AmountExceedsUnconfirmed,
    /// More is to be reversed than is left.
    #[error("the amount is more than what is left to reverse")]
    AmountExceedsOriginal,
    /// A wallet with money, or with withdrawals that wait, is to be closed.
    #[error("only a wallet without money and without waiting transactions can be closed")]
    WalletNotEmpty,
    /// The available balance does not cover the amount.
    #[error("the available balance is too low")]
    InsufficientFunds,
    /// As many withdrawals wait for funds as may.
    #[error("too many withdrawals wait for funds already")]
    WaitingLineFull,
    /// The balance would have more digits than are kept exactly.
    #[error("the balance would have more than 28 digits")]
    BalanceTooLarge,
    /// The reference names another transaction, on whatever wallet, that is not Error.
    #[error("the reference names another transaction")]
    ReferenceTaken,
    /// The transaction was ended before it was confirmed.
    #[error("the transaction was cancelled")]
    Cancelled,
    /// The transaction was not confirmed or paid in time.
    #[error("the transaction expired")]
    Expired,
}

impl Rejection {
    /// Every rejection there is.
    pub const ALL: [Self; 36] = [
        Self::IdempotencyKeyInvalid,
        Self::AmountInvalid,
        Self::AmountNotPositive,
        Self::AmountTooLarge,
        Self::ExpiresInInvalid,
        Self::LabelsInvalid,
        Self::DescriptionInvalid,
        Self::OrderIdInvalid,
        Self::ReferenceInvalid,
        Self::BatchEmpty,
        Self::BatchTooLarge,
        Self::ItemNotAllowed,
        Self::IdempotencyKeyReused,
        Self::SameWallet,
        Self::WaitForFundsInvalid,
        Self::WalletUnknown,
        Self::TransactionUnknown,
        Self::TransactionFinal,
        Self::TransactionWaiting,
        Self::NotExpired,
        Self::ReversalOfReversal,
        Self::NotReversible,
        Self::WalletClosed,
        Self::WalletBlocked,
        Self::CurrencyUnknown,
        Self::TooManyDecimals,
        Self::ServiceUnknown,
        Self::AmountExceedsUnconfirmed,
        Self::AmountExceedsOriginal,
        Self::WalletNotEmpty,
        Self::InsufficientFunds,
        Self::WaitingLineFull,
        Self::BalanceTooLarge,
        Self::ReferenceTaken,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Public and permanent: the same word in JSON, logs, metrics and the database.
    pub const fn code(self) -> &'static str {
        match self {
            Self::IdempotencyKeyInvalid => "idempotency_key_invalid",
            Self::AmountInvalid => "amount_invalid",
            Self::AmountNotPositive => "amount_not_positive",
            Self::AmountTooLarge => "amount_too_large",
            Self::ExpiresInInvalid => "expires_in_invalid",
            Self::LabelsInvalid => "labels_invalid",
            Self::DescriptionInvalid => "description_invalid",
            Self::OrderIdInvalid => "order_id_invalid",
            Self::ReferenceInvalid => "reference_invalid",
            Self::BatchEmpty => "batch_empty",
            Self::BatchTooLarge => "batch_too_large",
            Self::ItemNotAllowed => "item_not_allowed",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::SameWallet => "same_wallet",
            Self::WaitForFundsInvalid => "wait_for_funds_invalid",
            Self::WalletUnknown => "wallet_unknown",
            Self::TransactionUnknown => "transaction_unknown",
            Self::TransactionFinal => "transaction_final",
            Self::TransactionWaiting => "transaction_waiting",
            Self::NotExpired => "not_expired",
            Self::ReversalOfReversal => "reversal_of_reversal",
            Self::NotReversible => "not_reversible",
            Self::WalletClosed => "wallet_closed",
            Self::WalletBlocked => "wallet_blocked",
            Self::CurrencyUnknown => "currency_unknown",
            Self::TooManyDecimals => "too_many_decimals",
            Self::ServiceUnknown => "service_unknown",
            Self::AmountExceedsUnconfirmed => "amount_exceeds_unconfirmed",
            Self::AmountExceedsOriginal => "amount_exceeds_original",
            Self::WalletNotEmpty => "wallet_not_empty",
            Self::InsufficientFunds => "insufficient_funds",
            Self::WaitingLineFull => "waiting_line_full",
            Self::BalanceTooLarge => "balance_too_large",
            Self::ReferenceTaken => "reference_taken",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
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
        matches!(self, Self::InsufficientFunds | Self::WaitingLineFull | Self::BalanceTooLarge | Self::ReferenceTaken)
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
    /// The batch's own transaction and those of its items, in their order.
    Batch(Transaction, Vec<Transaction>),
    /// All balances of the wallet, by currency code.
    Balances(Vec<CurrencyBalance>),
    /// What the wallet may do now.
    Standing(Standing),
}

/// A refusal, with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub rejection: Rejection,
    /// The transaction of status Error that records it, if one does.
    pub transaction: Option<Box<Transaction>>,
    /// Which item of a batch it was, counted from 0.
    pub item: Option<usize>,
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, transaction: None, item: None }
    }
}

/// What a caller gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was asked.
    pub kind: Kind,
    /// What it gave, or why not. A recorded refusal is an `Err` too.
    pub result: Result<Answer, Refused>,
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
            Ok(Answer::Batch(..) | Answer::Balances(_) | Answer::Standing(_)) => Status::Success.as_str(),
            Err(refused) => refused.rejection.code(),
        }
    }

    /// What a record says, for a first answer and for a replay alike. `items` are a batch's.
    pub fn of_record(transaction: Transaction, items: Vec<Transaction>, replay: Replay) -> Self {
        let kind = transaction.kind;
        let result = match transaction.rejection {
            Some(rejection) => {
                let item = transaction.more().failed_item;
                Err(Refused { rejection, transaction: Some(Box::new(transaction)), item })
            }
            None if kind == Kind::Batch => Ok(Answer::Batch(transaction, items)),
            None => Ok(Answer::Transaction(transaction)),
        };
        Self { kind, result, replay }
    }

    /// Whether the refusal, if it is one, is kept as a transaction.
    pub fn is_recorded_refusal(&self) -> bool {
        self.result.as_ref().is_err_and(|refused| refused.transaction.is_some())
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
