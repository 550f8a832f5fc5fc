//! What the rules may know: the wallets that a batch touches, the transactions it is about, the currencies and services it names.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use rust_decimal::Decimal;

use super::reference::References;
use super::rules::{Change, Posting};
use super::{
    Amount, Balance, Changes, Currencies, Currency, CurrencyBalance, CurrencyCode, Delta, Entry, Reference, ServiceId,
    Standing, Status, Timestamp, Transaction, TransactionId, WalletId,
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
    /// How many withdrawals wait for funds.
    pub waiting: usize,
}

/// A withdrawal that waits for funds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its place: the lower comes first.
    pub number: i64,
    /// Its transaction.
    pub id: TransactionId,
    /// How much it waits for.
    pub amount: Amount,
}

/// A transaction that operations may be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Itself.
    pub transaction: Transaction,
    /// How much of it was reversed, in major units.
    pub reversed: Decimal,
}

/// What bounds an operation, beside what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most withdrawals that may wait for funds, per wallet and currency. All of them are read when money comes in.
    pub waiting_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting_max: 1000 }
    }
}

/// What the rules may know.
#[derive(Clone, Debug)]
pub struct State {
    now: Timestamp,
    limits: Limits,
    currencies: Arc<Currencies>,
    services: HashSet<ServiceId>,
    wallets: HashMap<WalletId, Wallet>,
    known: HashMap<TransactionId, Known>,
    references: References,
}

#[derive(Clone, Debug)]
pub(super) struct Wallet {
    standing: Standing,
    is_changed: bool,
    holdings: Vec<Holding>,
}

#[derive(Clone, Debug)]
pub(super) struct Holding {
    currency: CurrencyCode,
    balance: Balance,
    seq: i64,
    line: VecDeque<Waiting>,
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

/// What an attempt that may fail half way can be undone from.
#[derive(Debug)]
pub(super) struct Before {
    wallets: Vec<(WalletId, Wallet)>,
    known: Vec<(TransactionId, Known)>,
    /// How many changes of references there were.
    references: usize,
}

impl State {
    /// The state at a moment: wallets and their balances.
    pub fn new(
        now: Timestamp,
        currencies: Arc<Currencies>,
        wallets: impl IntoIterator<Item = (WalletId, Standing)>,
        balances: impl IntoIterator<Item = StoredBalance>,
    ) -> Self {
        let wallet = |(id, standing)| (id, Wallet { standing, is_changed: false, holdings: Vec::new() });
        let mut wallets: HashMap<_, _> = wallets.into_iter().map(wallet).collect();
        for StoredBalance { wallet, currency, balance, seq, waiting: _ } in balances {
            if let Some(wallet) = wallets.get_mut(&wallet) {
                let (line, progress) = (VecDeque::new(), Progress::Unchanged);
                wallet.holdings.push(Holding { currency, balance, seq, line, progress });
            }
        }
        let (limits, services, known) = (Limits::default(), HashSet::new(), HashMap::new());
        Self { now, limits, currencies, services, wallets, known, references: References::default() }
    }

    /// The same with these limits.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same, knowing these services.
    pub fn with_services(mut self, services: impl IntoIterator<Item = ServiceId>) -> Self {
        self.services.extend(services);
        self
    }

    /// The same, knowing these transactions.
    pub fn with_known(mut self, known: impl IntoIterator<Item = Known>) -> Self {
        self.known.extend(known.into_iter().map(|known| (known.transaction.id, known)));
        self
    }

    /// The same, knowing what these references name. It must be told of every one that an operation of the batch gives, and of every one
    /// whose transaction an operation may end.
    pub fn with_references(mut self, references: impl IntoIterator<Item = (Reference, TransactionId)>) -> Self {
        self.references = References::new(references);
        self
    }

    /// The same with these withdrawals in their lines, in any order.
    pub fn with_lines(mut self, waiting: impl IntoIterator<Item = (WalletId, CurrencyCode, Waiting)>) -> Self {
        let mut waiting: Vec<_> = waiting.into_iter().collect();
        waiting.sort_unstable_by_key(|(_, _, waiting)| waiting.number);
        for (wallet, currency, waiting) in waiting {
            if let Some(holding) = self.holding_mut(wallet, currency) {
                holding.line.push_back(waiting);
            }
        }
        self
    }

    /// The moment at which it was read.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What bounds an operation.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What a wallet may do; `None` when there is no such wallet.
    pub fn standing(&self, wallet: WalletId) -> Option<Standing> {
        self.wallets.get(&wallet).map(|wallet| wallet.standing)
    }

    /// The currency of that code, if it is known.
    pub fn currency(&self, code: CurrencyCode) -> Option<&Currency> {
        self.currencies.find(code)
    }

    /// Whether there is such a service.
    pub fn has_service(&self, service: ServiceId) -> bool {
        self.services.contains(&service)
    }

    /// A transaction that an operation of the batch is about, if there is one of that id.
    pub fn known(&self, id: TransactionId) -> Option<&Known> {
        self.known.get(&id)
    }

    /// The transaction that a reference names, if it names one.
    pub fn named(&self, reference: &Reference) -> Option<TransactionId> {
        self.references.find(reference)
    }

    /// What a wallet holds in a currency; zero where nothing was ever held.
    pub fn balance(&self, wallet: WalletId, currency: CurrencyCode) -> Balance {
        self.holding(wallet, currency).map_or_else(Balance::default, |holding| holding.balance)
    }

    /// How many withdrawals wait for funds.
    pub fn line_length(&self, wallet: WalletId, currency: CurrencyCode) -> usize {
        self.holding(wallet, currency).map_or(0, |holding| holding.line.len())
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

    /// Whether a wallet holds nothing, and nothing is to come or to go.
    pub fn is_empty(&self, wallet: WalletId) -> bool {
        let is_empty = |holding: &Holding| holding.balance == Balance::default() && holding.line.is_empty();
        self.wallets.get(&wallet).is_none_or(|wallet| wallet.holdings.iter().all(is_empty))
    }

    /// Carries out one posting that the rules allowed.
    pub(super) fn post(&mut self, transaction: TransactionId, posting: Posting) -> Entry {
        let Posting { wallet, currency, delta } = posting;
        let holding = self.open(wallet, currency);
        holding.balance = holding.balance.after(delta).expect("the rules allow what fits only");
        holding.seq += 1;
        Entry { wallet, currency, seq: holding.seq, transaction, delta, after: holding.balance }
    }

    /// Puts a withdrawal at the end of its line; returns its number.
    pub(super) fn join(&mut self, wallet: WalletId, currency: CurrencyCode, id: TransactionId, amount: Amount) -> i64 {
        let line = &mut self.open(wallet, currency).line;
        let number = line.back().map_or(1, |last| last.number + 1);
        line.push_back(Waiting { number, id, amount });
        number
    }

    /// Takes a withdrawal out of its line.
    pub(super) fn leave(&mut self, wallet: WalletId, currency: CurrencyCode, id: TransactionId) {
        self.open(wallet, currency).line.retain(|waiting| waiting.id != id);
    }

    /// Takes the first withdrawal out of its line, if its turn has come: there is enough for it and the wallet may pay.
    pub(super) fn next_funded(&mut self, wallet: WalletId, currency: CurrencyCode) -> Option<Waiting> {
        if self.standing(wallet) != Some(Standing::Open) {
            return None;
        }
        let holding = self.holding(wallet, currency)?;
        let first = *holding.line.front()?;
        // Too little, or so much that the rest would have too many digits: then it waits on.
        holding.balance.after(Delta::debit(first.amount)).ok()?;
        self.open(wallet, currency).line.pop_front()
    }

    /// The currencies in which withdrawals of a wallet wait.
    pub(super) fn lines(&self, wallet: WalletId) -> Vec<CurrencyCode> {
        let holdings = self.wallets.get(&wallet).map_or(&[][..], |wallet| &wallet.holdings);
        holdings.iter().filter(|holding| !holding.line.is_empty()).map(|holding| holding.currency).collect()
    }

    /// Gives a wallet that is there another standing.
    pub(super) fn stand(&mut self, wallet: WalletId, standing: Standing) {
        let wallet = self.wallets.get_mut(&wallet).expect("the rules change known wallets only");
        wallet.is_changed |= wallet.standing != standing;
        wallet.standing = standing;
    }

    /// What was changed about a transaction must be seen by the next operation about it.
    pub(super) fn change(&mut self, change: &Change) {
        if let Some(known) = self.known.get_mut(&change.id) {
            known.transaction.change(change, self.now);
            if let (Status::Error, Some(reference)) = (change.status, &known.transaction.more().reference) {
                self.references.free(reference, change.id);
            }
        }
    }

    /// From now on a reference names this transaction.
    pub(super) fn name(&mut self, reference: &Reference, id: TransactionId) {
        self.references.take(reference, id);
    }

    /// So much more of a transaction was reversed.
    pub(super) fn reversed(&mut self, id: TransactionId, amount: Decimal) {
        if let Some(known) = self.known.get_mut(&id) {
            known.reversed += amount;
        }
    }

    /// What these wallets and transactions are now, to [`Self::restore`]. The withdrawals that wait in the wallets' lines are among the transactions.
    pub(super) fn keep(
        &self,
        wallets: impl IntoIterator<Item = WalletId>,
        known: impl IntoIterator<Item = TransactionId>,
    ) -> Before {
        let wallets: HashMap<_, _> =
            wallets.into_iter().filter_map(|id| Some((id, self.wallets.get(&id)?.clone()))).collect();
        let lines = wallets.values().flat_map(|wallet| &wallet.holdings).flat_map(|holding| &holding.line);
        let ids: HashSet<_> = known.into_iter().chain(lines.map(|waiting| waiting.id)).collect();
        let known = ids.into_iter().filter_map(|id| Some((id, self.known.get(&id)?.clone()))).collect();
        Before { wallets: wallets.into_iter().collect(), known, references: self.references.count() }
    }

    /// Undoes everything since.
    pub(super) fn restore(&mut self, before: Before) {
        self.wallets.extend(before.wallets);
        self.known.extend(before.known);
        self.references.undo(before.references);
    }

    /// The balances that changed, as they are now; those of them that have no row yet; the standings and the references that changed.
    pub(super) fn changes(self) -> Changes {
        let Changes { mut balances, mut opened, mut standings, .. } = Changes::default();
        for (wallet, Wallet { standing, is_changed, holdings }) in self.wallets {
            if is_changed {
                standings.push((wallet, standing));
            }
            for Holding { currency, balance, seq, line, progress } in holdings {
                if progress == Progress::Unchanged {
                    continue;
                }
                balances.push(StoredBalance { wallet, currency, balance, seq, waiting: line.len() });
                if progress == Progress::Opened {
                    opened.push((wallet, currency));
                }
            }
        }
        Changes { balances, opened, standings, references: self.references.changes(), ..Changes::default() }
    }

    fn holding(&self, wallet: WalletId, currency: CurrencyCode) -> Option<&Holding> {
        self.wallets.get(&wallet)?.holdings.iter().find(|holding| holding.currency == currency)
    }

    fn holding_mut(&mut self, wallet: WalletId, currency: CurrencyCode) -> Option<&mut Holding> {
        self.wallets.get_mut(&wallet)?.holdings.iter_mut().find(|holding| holding.currency == currency)
    }

    /// A holding that is about to change, made if it is not there.
    fn open(&mut self, wallet: WalletId, currency: CurrencyCode) -> &mut Holding {
        let holdings = &mut self.wallets.get_mut(&wallet).expect("the rules post to known wallets only").holdings;
        let position = holdings.iter().position(|holding| holding.currency == currency).unwrap_or_else(|| {
            let (balance, line, progress) = (Balance::default(), VecDeque::new(), Progress::Opened);
            holdings.push(Holding { currency, balance, seq: 0, line, progress });
            holdings.len() - 1
        });
        let holding = &mut holdings[position];
        if holding.progress == Progress::Unchanged {
            holding.progress = Progress::Changed;
        }
        holding
    }
}
