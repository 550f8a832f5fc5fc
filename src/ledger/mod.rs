//! The pure core: what money is, what may be asked of a wallet, and what the answer is.
//!
//! Nothing here knows a clock, a socket, a database, JSON or randomness: whatever a rule needs is an
//! argument. Start with [`rules`] (what an operation does), then [`books`] (how a batch is folded).

pub mod answered;
pub mod balance;
pub mod books;
pub mod currency;
pub mod details;
pub mod entry;
pub mod fingerprint;
pub mod key;
pub mod money;
pub mod operation;
pub mod outcome;
pub mod reference;
pub mod rules;
pub mod state;
pub mod time;
pub mod transaction;
pub mod wallet;

pub use answered::Answered;
pub use balance::{Balance, Delta};
pub use books::{Books, Changes};
pub use currency::{Currencies, Currency, CurrencyCode};
pub use details::{Details, Labels, ServiceId};
pub use entry::{Entry, Line};
pub use fingerprint::Fingerprint;
pub use key::IdempotencyKey;
pub use money::{Amount, Money};
pub use operation::{Batch, Cause, Item, Kind, Mode, Operation, Request, Rest, Terms};
pub use outcome::{Answer, CurrencyBalance, Outcome, Refused, Rejection};
pub use reference::{Reference, ReferenceChanges};
pub use state::{Known, Limits, State, StoredBalance, Waiting};
pub use time::{Lifetime, Timestamp};
pub use transaction::{Original, Status, Transaction, TransactionId};
pub use wallet::{Standing, StandingRecord, WalletId};
