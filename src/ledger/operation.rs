//! Operations: what a caller asks.

use std::fmt;
use std::sync::Arc;

use super::{
    Amount, Details, IdempotencyKey, Lifetime, Money, Reference, Rejection, Standing, Timestamp, TransactionId,
    WalletId,
};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Credits a wallet.
    Invoice {
        /// Who receives.
        wallet: WalletId,
        /// How much.
        money: Money,
        /// On what terms.
        terms: Terms,
    },
    /// Debits a wallet if it holds enough.
    Withdraw {
        /// Who pays.
        wallet: WalletId,
        /// How much.
        money: Money,
        /// On what terms.
        terms: Terms,
    },
    /// Moves money from one wallet to another.
    Transfer {
        /// Who pays.
        wallet: WalletId,
        /// Who receives.
        to_wallet: WalletId,
        /// How much.
        money: Money,
        /// On what terms.
        terms: Terms,
    },
    /// Finishes a transaction whose money waits, in full or in part.
    Confirm {
        /// In whose queue that transaction stood.
        wallet: WalletId,
        /// Which.
        original: TransactionId,
        /// How much of it; all that is left when it is not said.
        amount: Option<Amount>,
        /// What becomes of the rest.
        rest: Rest,
    },
    /// Ends a transaction that has status Created; what waits of its money goes back.
    Cancel {
        /// In whose queue that transaction stood.
        wallet: WalletId,
        /// Which.
        original: TransactionId,
        /// Why.
        cause: Cause,
    },
    /// Gives a transaction that has status Created a new time to live, from now on.
    Extend {
        /// In whose queue that transaction stood.
        wallet: WalletId,
        /// Which.
        original: TransactionId,
        /// How long from now.
        expires_in: Lifetime,
    },
    /// Undoes a transaction of status Success by a new one, in full or in part.
    Reverse {
        /// Who pays back: the receiver of a transfer, else the transaction's wallet.
        wallet: WalletId,
        /// Which.
        original: TransactionId,
        /// How much of it; all that is left when it is not said.
        amount: Option<Amount>,
    },
    /// Carries out all of its items, or none.
    Batch(Batch),
    /// Reads all balances of a wallet, in its order.
    Balance {
        /// Whose.
        wallet: WalletId,
    },
    /// Opens a blocked wallet, blocks an open one, or closes an empty one.
    Stand {
        /// Whose.
        wallet: WalletId,
        /// What it is to be.
        standing: Standing,
    },
}

/// On what terms money moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// When.
    pub mode: Mode,
    /// What the caller attached.
    pub details: Option<Arc<Details>>,
    /// The caller's name for the transaction, unique over all wallets.
    pub reference: Option<Reference>,
}

/// When money moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// At once.
    #[default]
    Now,
    /// It is set aside until the transaction is confirmed, cancelled or expired.
    Pending {
        /// How long it may wait; for ever when it is not said.
        expires_in: Option<Lifetime>,
    },
    /// At once if there is enough, else as soon as there is: first in, first out. Withdrawals only.
    WhenFunded {
        /// How long it may wait; for ever when it is not said.
        expires_in: Option<Lifetime>,
    },
}

impl Mode {
    /// How long it may wait.
    pub const fn expires_in(self) -> Option<Lifetime> {
        match self {
            Self::Now => None,
            Self::Pending { expires_in } | Self::WhenFunded { expires_in } => expires_in,
        }
    }
}

/// What becomes of what a confirm leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It goes back; the transaction is finished.
    Released,
    /// It stays set aside, so that it can be confirmed later.
    Kept,
}

/// Why a transaction is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Someone asked for it.
    Requested,
    /// Its time was up. One that was given a later time meanwhile is left alone.
    Expired {
        /// The time that was up.
        due: Timestamp,
    },
}

/// Operations that are carried out together: all of them, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch(Arc<[Item]>);

/// One operation of a batch. It shares the batch's idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The name its transaction will have.
    pub id: TransactionId,
    /// What is asked.
    pub request: Request,
}

impl Batch {
    /// Refuses a batch without items, and items that are no transactions: a balance, a standing, another batch.
    pub fn new(items: Vec<Item>) -> Result<Self, Rejection> {
        if items.is_empty() {
            return Err(Rejection::BatchEmpty);
        }
        let is_transaction =
            |item: &Item| !matches!(item.request, Request::Balance { .. } | Request::Stand { .. } | Request::Batch(_));
        if !items.iter().all(is_transaction) {
            return Err(Rejection::ItemNotAllowed);
        }
        Ok(Self(items.into()))
    }

    /// At least one.
    pub fn items(&self) -> &[Item] {
        &self.0
    }
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
    /// See [`Request::Confirm`].
    Confirm,
    /// See [`Request::Cancel`].
    Cancel,
    /// See [`Request::Extend`].
    Extend,
    /// See [`Request::Reverse`].
    Reverse,
    /// See [`Request::Batch`].
    Batch,
    /// See [`Request::Balance`].
    Balance,
    /// See [`Request::Stand`].
    Stand,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 10] = [
        Self::Invoice,
        Self::Withdraw,
        Self::Transfer,
        Self::Confirm,
        Self::Cancel,
        Self::Extend,
        Self::Reverse,
        Self::Batch,
        Self::Balance,
        Self::Stand,
    ];

    /// The word: the AMQP routing key, the metric label, the database value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::Withdraw => "withdraw",
            Self::Transfer => "transfer",
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
            Self::Extend => "extend",
            Self::Reverse => "reverse",
            Self::Batch => "batch",
            Self::Balance => "balance",
            Self::Stand => "stand",
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
            Self::Confirm { .. } => Kind::Confirm,
            Self::Cancel { .. } => Kind::Cancel,
            Self::Extend { .. } => Kind::Extend,
            Self::Reverse { .. } => Kind::Reverse,
            Self::Batch(_) => Kind::Batch,
            Self::Balance { .. } => Kind::Balance,
            Self::Stand { .. } => Kind::Stand,
        }
    }

    /// The wallet in whose queue it stands: the debited one of a transfer, the first of a batch.
    pub fn wallet(&self) -> WalletId {
        match self {
            Self::Invoice { wallet, .. }
            | Self::Withdraw { wallet, .. }
            | Self::Transfer { wallet, .. }
            | Self::Confirm { wallet, .. }
            | Self::Cancel { wallet, .. }
            | Self::Extend { wallet, .. }
            | Self::Reverse { wallet, .. }
            | Self::Balance { wallet }
            | Self::Stand { wallet, .. } => *wallet,
            Self::Batch(batch) => batch.items()[0].request.wallet(),
        }
    }

    /// The credited wallet of a transfer.
    pub const fn to_wallet(&self) -> Option<WalletId> {
        match self {
            Self::Transfer { to_wallet, .. } => Some(*to_wallet),
            _ => None,
        }
    }

    /// The transaction that it is about.
    pub const fn original(&self) -> Option<TransactionId> {
        match self {
            Self::Confirm { original, .. }
            | Self::Cancel { original, .. }
            | Self::Extend { original, .. }
            | Self::Reverse { original, .. } => Some(*original),
            _ => None,
        }
    }

    /// The money that it names. What is left of an earlier transaction is money, too, but not named.
    pub const fn money(&self) -> Option<Money> {
        match self {
            Self::Invoice { money, .. } | Self::Withdraw { money, .. } | Self::Transfer { money, .. } => Some(*money),
            _ => None,
        }
    }

    /// On what terms money moves.
    pub const fn terms(&self) -> Option<&Terms> {
        match self {
            Self::Invoice { terms, .. } | Self::Withdraw { terms, .. } | Self::Transfer { terms, .. } => Some(terms),
            _ => None,
        }
    }

    /// The caller's name for the transaction to be, unique over all wallets.
    pub fn reference(&self) -> Option<&Reference> {
        self.terms()?.reference.as_ref()
    }

    /// Whether it may change anything: it is recorded under its key then, and the wallets that it touches are locked.
    pub const fn is_write(&self) -> bool {
        !matches!(self, Self::Balance { .. })
    }

    /// How many operations it counts as: itself, or the items of a batch.
    pub fn weight(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.items().len(),
            _ => 1,
        }
    }

    /// Itself, or the items of a batch.
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        let items = match self {
            Self::Batch(batch) => batch.items(),
            _ => &[],
        };
        let itself = items.is_empty().then_some(self);
        itself.into_iter().chain(items.iter().map(|item| &item.request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_from_its_word() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("deposit"), None);
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn an_operation_stays_small() {
        // It is moved from queue to queue: what few of them have is behind a pointer.
        assert_eq!((size_of::<Operation>(), size_of::<Terms>()), (120, 32));
    }
}
