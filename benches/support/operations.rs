//! Streams of operations as callers would send them: the same seed gives the same wallets.

use purser::ledger::{Amount, CurrencyCode, IdempotencyKey, Money, Operation, Request, Terms, TransactionId, WalletId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rust_decimal::Decimal;
use uuid::Uuid;

/// How operations are spread over wallets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// All on the first wallet.
    OneHot,
    /// Evenly over so many.
    Even(i64),
    /// Over so many by Zipf's law: the second wallet half as often as the first, the third a third as often.
    Zipf(i64),
}

impl Spread {
    /// How many wallets there are.
    pub const fn wallets(self) -> i64 {
        match self {
            Self::OneHot => 1,
            Self::Even(wallets) | Self::Zipf(wallets) => wallets,
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OneHot => write!(formatter, "one hot wallet"),
            Self::Even(wallets) => write!(formatter, "{wallets} wallets"),
            Self::Zipf(wallets) => write!(formatter, "{wallets} wallets by zipf"),
        }
    }
}

/// Withdrawals with idempotency keys, without end.
pub struct Stream {
    spread: Spread,
    random: StdRng,
    /// For Zipf: how likely the wallets up to each are, all together.
    likelihoods: Vec<f64>,
    is_keyed: bool,
    run: String,
    count: u64,
}

impl Stream {
    /// Starts a stream. No two have a key in common.
    pub fn new(spread: Spread) -> Self {
        let likelihoods = match spread {
            Spread::Zipf(wallets) => (1..=wallets)
                .scan(0.0, |sum, rank| {
                    *sum += 1.0 / rank as f64;
                    Some(*sum)
                })
                .collect(),
            _ => Vec::new(),
        };
        let run = Uuid::now_v7().simple().to_string();
        Self { spread, random: StdRng::seed_from_u64(1), likelihoods, is_keyed: true, run, count: 0 }
    }

    /// The same without keys.
    pub fn without_keys(mut self) -> Self {
        self.is_keyed = false;
        self
    }

    fn wallet(&mut self) -> i64 {
        match self.spread {
            Spread::OneHot => 1,
            Spread::Even(wallets) => self.random.random_range(1..=wallets),
            Spread::Zipf(_) => {
                let total = self.likelihoods.last().copied().unwrap_or_default();
                let point = self.random.random_range(0.0..total);
                self.likelihoods.partition_point(|sum| *sum <= point) as i64 + 1
            }
        }
    }
}

impl Iterator for Stream {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        self.count += 1;
        let key = || IdempotencyKey::new(&format!("{}-{}", self.run, self.count)).expect("it is a key");
        let idempotency_key = self.is_keyed.then(key);
        let request = Request::Withdraw {
            wallet: WalletId(self.wallet()),
            money: money(Decimal::new(123, 2)),
            terms: Terms::default(),
        };
        Some(Operation { id: new_id(), idempotency_key, request })
    }
}

/// What gives a wallet its first money.
pub fn funding(wallet: i64) -> Operation {
    let request = Request::Invoice {
        wallet: WalletId(wallet),
        money: money(Decimal::from(super::FUNDS)),
        terms: Terms::default(),
    };
    Operation { id: new_id(), idempotency_key: None, request }
}

/// A new transaction's name.
pub fn new_id() -> TransactionId {
    TransactionId(Uuid::now_v7())
}

/// So much of the currency that everything is measured in.
pub fn money(amount: Decimal) -> Money {
    Money {
        amount: Amount::new(amount).expect("it is an amount"),
        currency: CurrencyCode::new(super::CURRENCY).expect("it is a code"),
    }
}
