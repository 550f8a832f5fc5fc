//! Everything a store would hold, in memory: batches are folded with the real [`Books`], and each batch's changes are checked as they are kept.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use purser::ledger::{
    Amount, Answered, Balance, Books, Currencies, Currency, CurrencyCode, Entry, Operation, Outcome, Standing, State,
    StoredBalance, Timestamp, Transaction, WalletId,
};

use crate::operations::currency;

/// The currencies of these tests with their scales.
pub const CURRENCIES: [(&str, u32); 3] = [("JPY", 0), ("USD", 2), ("WEI", 18)];
/// The wallets of these tests: 1 to this.
pub const WALLETS: i64 = 5;

#[derive(Clone, Debug)]
pub struct History {
    currencies: Arc<Currencies>,
    wallets: HashMap<WalletId, Standing>,
    balances: BTreeMap<(WalletId, CurrencyCode), StoredBalance>,
    pub transactions: Vec<Transaction>,
    pub entries: Vec<Entry>,
}

impl History {
    /// From words such as `1 has 5 USD, 2 closed`; the other wallets are open and empty.
    pub fn of(words: &str) -> Self {
        let currencies = CURRENCIES.into_iter().enumerate().map(|(index, (code, scale))| {
            let number = i16::try_from(index + 1).expect("there are few");
            Currency { code: currency(code), number, scale }
        });
        let mut history = Self {
            currencies: Arc::new(currencies.collect()),
            wallets: (1..=WALLETS).map(|id| (WalletId(id), Standing::Open)).collect(),
            balances: BTreeMap::new(),
            transactions: Vec::new(),
            entries: Vec::new(),
        };
        for words in words.split(", ").filter(|words| !words.is_empty()) {
            let words: Vec<&str> = words.split(' ').collect();
            let wallet = WalletId(words[0].parse().expect("a wallet is a number"));
            match words[1..] {
                ["closed"] => drop(history.wallets.insert(wallet, Standing::Closed)),
                ["has", "0", _] => {}
                ["has", amount, code] => {
                    let available = Amount::parse(amount).expect("the test gives a good amount").value();
                    let balance = Balance { available, ..Balance::default() };
                    let stored = StoredBalance { wallet, currency: currency(code), balance, seq: 0, waiting: 0 };
                    history.balances.insert((wallet, currency(code)), stored);
                }
                _ => panic!("not understood: {words:?}"),
            }
        }
        history
    }

    /// What everybody has, without those who have nothing.
    pub fn balances(&self) -> BTreeMap<(WalletId, CurrencyCode), Balance> {
        let there = self.balances.iter().filter(|(_, stored)| stored.balance != Balance::default());
        there.map(|(place, stored)| (*place, stored.balance)).collect()
    }

    /// Folds a batch, reading only what its wallets and keys name, as a store would.
    pub fn post(&mut self, batch: &[Operation]) -> Vec<Outcome> {
        let answered = Answered::by_key(self.find_by_keys(batch));
        self.fold(batch, answered)
    }

    /// Folds a batch whose first try may have been kept unheard.
    pub fn post_again(&mut self, batch: &[Operation]) -> Vec<Outcome> {
        let ids: HashSet<_> = batch.iter().map(|operation| operation.id).collect();
        let found: Vec<_> = self.transactions.iter().filter(|kept| ids.contains(&kept.id)).cloned().collect();
        let answered = Answered::by_key(self.find_by_keys(batch)).and_by_id(found);
        self.fold(batch, answered)
    }

    fn find_by_keys(&self, batch: &[Operation]) -> Vec<Transaction> {
        let keys: HashSet<_> = batch
            .iter()
            .filter_map(|operation| Some((operation.request.wallet(), operation.idempotency_key.clone()?)))
            .collect();
        let is_asked =
            |kept: &&Transaction| kept.key.as_ref().is_some_and(|(key, _)| keys.contains(&(kept.wallet, key.clone())));
        self.transactions.iter().filter(is_asked).cloned().collect()
    }

    fn fold(&mut self, batch: &[Operation], answered: Answered) -> Vec<Outcome> {
        let touched: HashSet<WalletId> = batch
            .iter()
            .flat_map(|operation| [Some(operation.request.wallet()), operation.request.to_wallet()])
            .flatten()
            .collect();
        let wallets: Vec<_> = touched.iter().filter_map(|id| Some((*id, *self.wallets.get(id)?))).collect();
        let balances: Vec<_> =
            self.balances.values().filter(|stored| touched.contains(&stored.wallet)).copied().collect();
        let mut books =
            Books::open(State::new(Timestamp::EPOCH, Arc::clone(&self.currencies), wallets, balances), answered);
        let outcomes = batch.iter().map(|operation| books.apply(operation)).collect();
        let changes = books.close();

        assert_eq!(changes.is_empty(), changes.transactions.is_empty());
        let mut written = HashSet::new();
        let opened: HashSet<_> = changes.opened.iter().copied().collect();
        assert_eq!(opened.len(), changes.opened.len(), "a balance is opened once");
        for stored in &changes.balances {
            let place = (stored.wallet, stored.currency);
            assert!(written.insert(place), "{place:?} is written once");
            assert_eq!(
                opened.contains(&place),
                !self.balances.contains_key(&place),
                "{place:?} is opened if it is new"
            );
            let last = changes.entries.iter().rfind(|entry| (entry.wallet, entry.currency) == place);
            assert_eq!(last.map(|entry| (entry.seq, entry.after)), Some((stored.seq, stored.balance)));
            self.balances.insert(place, *stored);
        }
        let with_entries: HashSet<_> = changes.entries.iter().map(|entry| (entry.wallet, entry.currency)).collect();
        assert_eq!(written, with_entries, "a balance is written if it has new entries");
        self.transactions.extend(changes.transactions);
        self.entries.extend(changes.entries);
        outcomes
    }
}
