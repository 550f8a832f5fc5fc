//! The books of one batch: the locked wallets' state, folded operation by operation in memory.
//!
//! [`Books::apply`] is where ordering, idempotency and the rules meet; [`Books::close`] says what is to be written, each wallet once.

use std::collections::HashMap;
use std::sync::Arc;

use super::outcome::Replay;
use super::rules::{self, Decision, Posting};
use super::{
    Answer, Balance, Currencies, Currency, CurrencyBalance, CurrencyCode, Entry, IdempotencyKey, Operation, Outcome,
    Rejection, Standing, Status, Transaction, TransactionId, WalletId,
};

/// A balance as it is stored: with the number of its last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBalance {
    /// Whose.
    pub wallet: WalletId,
    /// In which currency.
    pub currency: CurrencyCode,
    /// How much.
    pub balance: Balance,
    /// The `seq` of its last entry, 0 before the first.
    pub seq: i64,
}

/// What the rules may know: the wallets of the batch and the currencies.
#[derive(Clone, Debug, Default)]
pub struct State {
    currencies: Arc<Currencies>,
    wallets: HashMap<WalletId, Wallet>,
}

#[derive(Clone, Debug)]
struct Wallet {
    standing: Standing,
    holdings: Vec<Holding>,
}

#[derive(Clone, Copy, Debug)]
struct Holding {
    currency: CurrencyCode,
    balance: Balance,
    seq: i64,
    progress: Progress,
}

/// What is to be done about a holding when the books close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// As it was read: nothing.
    Unchanged,
    /// Its row is there: update it.
    Changed,
    /// It is the first of its wallet in this currency: its row must be made first.
    Opened,
}

impl State {
    /// The state as it was read.
    pub fn new(
        currencies: Arc<Currencies>,
        wallets: impl IntoIterator<Item = (WalletId, Standing)>,
        balances: impl IntoIterator<Item = StoredBalance>,
    ) -> Self {
        let mut wallets: HashMap<_, _> =
            wallets.into_iter().map(|(id, standing)| (id, Wallet { standing, holdings: Vec::new() })).collect();
        for StoredBalance { wallet, currency, balance, seq } in balances {
            if let Some(wallet) = wallets.get_mut(&wallet) {
                wallet.holdings.push(Holding { currency, balance, seq, progress: Progress::Unchanged });
            }
        }
        Self { currencies, wallets }
    }

    /// What a wallet may do; `None` when there is no such wallet.
    pub fn standing(&self, wallet: WalletId) -> Option<Standing> {
        self.wallets.get(&wallet).map(|wallet| wallet.standing)
    }

    /// The currency of that code, if it is known.
    pub fn currency(&self, code: CurrencyCode) -> Option<&Currency> {
        self.currencies.find(code)
    }

    /// What a wallet holds in a currency; zero where nothing was ever held.
    pub fn balance(&self, wallet: WalletId, currency: CurrencyCode) -> Balance {
        self.wallets
            .get(&wallet)
            .and_then(|wallet| wallet.holdings.iter().find(|holding| holding.currency == currency))
            .map_or_else(Balance::default, |holding| holding.balance)
    }

    /// All balances of a wallet, by currency code; `None` when there is no such wallet.
    pub fn balances(&self, wallet: WalletId) -> Option<Vec<CurrencyBalance>> {
        let holdings = &self.wallets.get(&wallet)?.holdings;
        let mut balances: Vec<_> = holdings
            .iter()
            .map(|holding| CurrencyBalance { currency: holding.currency, balance: holding.balance })
            .collect();
        balances.sort_unstable_by_key(|line| line.currency);
        Some(balances)
    }

    /// Carries out one posting that the rules allowed.
    fn post(&mut self, transaction: TransactionId, posting: Posting) -> Entry {
        let Posting { wallet, currency, delta } = posting;
        let holdings = &mut self.wallets.get_mut(&wallet).expect("the rules post to known wallets only").holdings;
        let position = holdings.iter().position(|holding| holding.currency == currency).unwrap_or_else(|| {
            holdings.push(Holding { currency, balance: Balance::default(), seq: 0, progress: Progress::Opened });
            holdings.len() - 1
        });
        let holding = &mut holdings[position];
        holding.balance = holding.balance.after(delta).expect("the rules allow what fits only");
        holding.seq += 1;
        if holding.progress == Progress::Unchanged {
            holding.progress = Progress::Changed;
        }
        Entry { wallet, currency, seq: holding.seq, transaction, delta, after: holding.balance }
    }
}

/// Transactions that operations of the batch may turn out to have become earlier.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    by_key: HashMap<(WalletId, IdempotencyKey), Transaction>,
    by_id: HashMap<TransactionId, Transaction>,
}

impl Answered {
    /// Transactions found by the keys of the batch: an earlier operation may have had the same key.
    pub fn by_key(found: impl IntoIterator<Item = Transaction>) -> Self {
        let mut answered = Self::default();
        for transaction in found {
            answered.remember(&transaction);
        }
        answered
    }

    /// Transactions found by the ids of the batch: these very operations were committed by an earlier try whose answer was lost.
    pub fn and_by_id(mut self, found: impl IntoIterator<Item = Transaction>) -> Self {
        self.by_id = found.into_iter().map(|transaction| (transaction.id, transaction)).collect();
        self
    }

    fn remember(&mut self, transaction: &Transaction) {
        if let Some((key, _)) = &transaction.key {
            self.by_key.insert((transaction.wallet, key.clone()), transaction.clone());
        }
    }

    /// The outcome that was given before, or the refusal of a key that names something else.
    fn find(&self, operation: &Operation) -> Option<Outcome> {
        if let Some(transaction) = self.by_id.get(&operation.id) {
            return Some(Outcome::of_record(transaction.clone(), Replay::First));
        }
        let key = operation.idempotency_key.clone()?;
        let transaction = self.by_key.get(&(operation.request.wallet(), key))?;
        let (_, fingerprint) = transaction.key.as_ref()?;
        if *fingerprint == operation.request.fingerprint() {
            return Some(Outcome::of_record(transaction.clone(), Replay::Replayed));
        }
        let kind = operation.request.kind();
        Some(Outcome { kind, result: Err(Rejection::IdempotencyKeyReused), replay: Replay::First })
    }
}

/// The books of one batch.
#[derive(Clone, Debug, Default)]
pub struct Books {
    state: State,
    answered: Answered,
    transactions: Vec<Transaction>,
    entries: Vec<Entry>,
}

/// What is to be written when the books close. Each wallet and currency once.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// New transactions, in the order they were decided.
    pub transactions: Vec<Transaction>,
    /// New entries, in the order they were made.
    pub entries: Vec<Entry>,
    /// The balances that changed, as they are now.
    pub balances: Vec<StoredBalance>,
    /// Those of them that have no row yet.
    pub opened: Vec<(WalletId, CurrencyCode)>,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }
}

impl Books {
    /// Opens the books on what was read under the locks.
    pub fn open(state: State, answered: Answered) -> Self {
        Self { state, answered, ..Self::default() }
    }

    /// Decides one operation and folds it in, or finds what was decided before.
    pub fn apply(&mut self, operation: &Operation) -> Outcome {
        // A balance is read anew each time: it changes nothing, so there is nothing to do twice.
        if let Some(outcome) = operation.request.money().and_then(|_| self.answered.find(operation)) {
            return outcome;
        }
        match rules::decide(&self.state, &operation.request) {
            Ok(Decision::Post { status, postings }) => {
                let state = &mut self.state;
                self.entries.extend(postings.into_iter().map(|posting| state.post(operation.id, posting)));
                self.record(operation, status, None)
            }
            Err(rejection) if rejection.is_recorded() => self.record(operation, Status::Error, Some(rejection)),
            Ok(Decision::Read(balances)) => self.unrecorded(operation, Ok(Answer::Balances(balances))),
            Err(rejection) => self.unrecorded(operation, Err(rejection)),
        }
    }

    /// What is to be written.
    pub fn close(self) -> Changes {
        let mut changes = Changes { transactions: self.transactions, entries: self.entries, ..Changes::default() };
        for (wallet, book) in self.state.wallets {
            for Holding { currency, balance, seq, progress } in book.holdings {
                if progress == Progress::Unchanged {
                    continue;
                }
                changes.balances.push(StoredBalance { wallet, currency, balance, seq });
                if progress == Progress::Opened {
                    changes.opened.push((wallet, currency));
                }
            }
        }
        changes
    }

    fn record(&mut self, operation: &Operation, status: Status, rejection: Option<Rejection>) -> Outcome {
        let request = &operation.request;
        let transaction = Transaction {
            id: operation.id,
            kind: request.kind(),
            wallet: request.wallet(),
            to_wallet: request.to_wallet(),
            money: request.money().expect("only operations that move money are recorded"),
            status,
            rejection,
            key: operation.idempotency_key.clone().map(|key| (key, request.fingerprint())),
        };
        self.answered.remember(&transaction);
        self.transactions.push(transaction.clone());
        Outcome::of_record(transaction, Replay::First)
    }

    fn unrecorded(&self, operation: &Operation, result: Result<Answer, Rejection>) -> Outcome {
        Outcome { kind: operation.request.kind(), result, replay: Replay::First }
    }
}
