//! Everything a store would hold, in memory: batches are folded with the real [`Books`], and each batch's changes are checked as they are kept.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use purser::ledger::outcome::Replay;
use purser::ledger::rules::Change;
use purser::ledger::{
    Amount, Answer, Answered, Balance, Books, Changes, Currencies, Currency, CurrencyCode, Entry, IdempotencyKey, Kind,
    Known, Lifetime, Limits, Operation, Outcome, Reference, ReferenceChanges, Refused, ServiceId, Standing,
    StandingRecord, State, Status, StoredBalance, Timestamp, Transaction, TransactionId, Waiting, WalletId,
};
use rust_decimal::Decimal;

use crate::operations::currency;

/// The currencies of these tests with their scales.
pub const CURRENCIES: [(&str, u32); 3] = [("JPY", 0), ("USD", 2), ("WEI", 18)];
/// The wallets of these tests: 1 to this.
pub const WALLETS: i64 = 5;
/// The one service of these tests.
pub const SERVICE: ServiceId = ServiceId(7);
/// So few that a line is full soon.
pub const WAITING_MAX: usize = 3;

#[derive(Clone, Debug)]
pub struct History {
    now: Timestamp,
    currencies: Arc<Currencies>,
    wallets: BTreeMap<WalletId, Standing>,
    balances: BTreeMap<(WalletId, CurrencyCode), StoredBalance>,
    pub transactions: Vec<Transaction>,
    pub entries: Vec<Entry>,
    /// Every operation on a wallet's standing that was not refused.
    pub standing_records: Vec<StandingRecord>,
    /// What each reference names, as a store keeps it.
    pub references: BTreeMap<Reference, TransactionId>,
    /// What was answered first under each key.
    answers: HashMap<(WalletId, IdempotencyKey), Result<Answer, Refused>>,
}

impl History {
    /// From words such as `1 has 5 USD, 1 holds 2 USD, 1 awaits 3 USD, 2 closed`; the other wallets are open and empty.
    pub fn of(words: &str) -> Self {
        let currencies = CURRENCIES.into_iter().enumerate().map(|(index, (code, scale))| {
            let number = i16::try_from(index + 1).expect("there are few");
            Currency { code: currency(code), number, scale }
        });
        let mut history = Self {
            now: Timestamp::EPOCH,
            currencies: Arc::new(currencies.collect()),
            wallets: (1..=WALLETS).map(|id| (WalletId(id), Standing::Open)).collect(),
            balances: BTreeMap::new(),
            transactions: Vec::new(),
            entries: Vec::new(),
            standing_records: Vec::new(),
            references: BTreeMap::new(),
            answers: HashMap::new(),
        };
        for words in words.split(", ").filter(|words| !words.is_empty()) {
            let words: Vec<&str> = words.split(' ').collect();
            let wallet = WalletId(words[0].parse().expect("a wallet is a number"));
            match words[1..] {
                [standing] => {
                    let standing = Standing::parse(standing).unwrap_or_else(|| panic!("not understood: {words:?}"));
                    history.wallets.insert(wallet, standing);
                }
                ["has", "0", _] => {}
                [part, amount, code] => {
                    let value = Amount::parse(amount).expect("the test gives a good amount").value();
                    let (currency, balance) = (currency(code), Balance::default());
                    let empty = StoredBalance { wallet, currency, balance, seq: 0, waiting: 0 };
                    let balance = &mut history.balances.entry((wallet, currency)).or_insert(empty).balance;
                    match part {
                        "has" => balance.available = value,
                        "holds" => balance.held = value,
                        "awaits" => balance.incoming = value,
                        _ => panic!("not understood: {words:?}"),
                    }
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

    /// What every wallet may do.
    pub fn standings(&self) -> &BTreeMap<WalletId, Standing> {
        &self.wallets
    }

    /// A transaction as it is now.
    pub fn find(&self, id: TransactionId) -> Option<&Transaction> {
        self.transactions.iter().find(|kept| kept.id == id)
    }

    /// The withdrawals that wait, first come first.
    pub fn line(&self, wallet: WalletId, currency: CurrencyCode) -> Vec<TransactionId> {
        let mut line: Vec<_> = self.waiting().filter(|(at, code, _)| (*at, *code) == (wallet, currency)).collect();
        line.sort_unstable_by_key(|(_, _, waiting)| waiting.number);
        line.into_iter().map(|(_, _, waiting)| waiting.id).collect()
    }

    /// Lets time pass.
    pub fn pass(&mut self, lifetime: Lifetime) {
        self.now = self.now + lifetime;
    }

    /// Folds a batch, reading only what it names, as a store would.
    pub fn post(&mut self, batch: &[Operation]) -> Vec<Outcome> {
        let answered = self.answered(Answered::by_key(self.find_by_keys(batch)));
        self.fold(batch, answered)
    }

    /// Folds a batch whose first try may have been kept unheard.
    pub fn post_again(&mut self, batch: &[Operation]) -> Vec<Outcome> {
        let ids: HashSet<_> = batch.iter().map(|operation| operation.id).collect();
        let found: Vec<_> = self.transactions.iter().filter(|kept| ids.contains(&kept.id)).cloned().collect();
        let stood = self.standing_records.iter().filter(|stood| ids.contains(&stood.id));
        let stood: Vec<_> = stood.map(|stood| (stood.id, stood.standing)).collect();
        let answered = Answered::by_key(self.find_by_keys(batch)).and_by_id(found).and_standings(stood);
        let answered = self.answered(answered);
        self.fold(batch, answered)
    }

    fn answered(&self, answered: Answered) -> Answered {
        let batches = answered.batches();
        let is_item = |kept: &&Transaction| kept.more().batch.is_some_and(|batch| batches.contains(&batch));
        let mut items: Vec<_> = self.transactions.iter().filter(is_item).cloned().collect();
        items.sort_unstable_by_key(|item| item.id);
        answered.and_items(items)
    }

    fn find_by_keys(&self, batch: &[Operation]) -> Vec<Transaction> {
        let keys: HashSet<_> = batch.iter().filter_map(name).collect();
        let is_asked =
            |kept: &&Transaction| kept.key.as_ref().is_some_and(|(key, _)| keys.contains(&(kept.wallet, key.clone())));
        self.transactions.iter().filter(is_asked).cloned().collect()
    }

    fn fold(&mut self, batch: &[Operation], answered: Answered) -> Vec<Outcome> {
        let mut books = Books::open(self.read(batch), answered);
        let outcomes: Vec<_> = batch.iter().map(|operation| books.apply(operation)).collect();
        let changes = books.close();
        self.keep(changes);
        for (operation, outcome) in batch.iter().zip(&outcomes) {
            self.compare(operation, outcome);
        }
        outcomes
    }

    /// What a store reads under the locks.
    fn read(&self, batch: &[Operation]) -> State {
        let parts = || batch.iter().flat_map(|operation| operation.request.parts());
        let originals: HashSet<_> = parts().filter_map(|part| part.original()).collect();
        let known: Vec<_> = originals.iter().filter_map(|id| self.known(*id)).collect();
        let named = parts().flat_map(|part| [Some(part.wallet()), part.to_wallet()]);
        let theirs = known.iter().flat_map(|known| [Some(known.transaction.wallet), known.transaction.to_wallet]);
        let touched: HashSet<WalletId> = named.chain(theirs).flatten().collect();
        let wallets: Vec<_> = touched.iter().filter_map(|id| Some((*id, *self.wallets.get(id)?))).collect();
        let balances: Vec<_> =
            self.balances.values().filter(|stored| touched.contains(&stored.wallet)).copied().collect();
        // A store may give them in any order.
        let mut lines: Vec<_> = self.waiting().filter(|(wallet, _, _)| touched.contains(wallet)).collect();
        lines.reverse();
        let unfinished = known.iter().map(|known| &known.transaction).filter(|kept| !kept.status.is_final());
        let given = parts().filter_map(|part| part.reference());
        let asked: HashSet<_> = given.chain(unfinished.filter_map(|kept| kept.more().reference.as_ref())).collect();
        let named: Vec<_> = asked.iter().filter_map(|asked| self.references.get_key_value(*asked)).collect();
        State::new(self.now, Arc::clone(&self.currencies), wallets, balances)
            .with_limits(Limits { waiting_max: WAITING_MAX })
            .with_lines(lines)
            .with_services([SERVICE])
            .with_references(named.into_iter().map(|(reference, id)| (reference.clone(), *id)))
            .with_known(known)
    }

    fn known(&self, id: TransactionId) -> Option<Known> {
        let is_reversal = |kept: &&Transaction| {
            kept.kind == Kind::Reverse
                && kept.status == Status::Success
                && kept.more().original.is_some_and(|original| original.id == id)
        };
        let reversals = self.transactions.iter().filter(is_reversal);
        let reversed = reversals.map(|reversal| reversal.money.expect("a reversal moves money").amount.value()).sum();
        Some(Known { transaction: self.find(id)?.clone(), reversed })
    }

    fn waiting(&self) -> impl Iterator<Item = (WalletId, CurrencyCode, Waiting)> {
        let waiting = |kept: &Transaction| {
            let money = kept.money?;
            let number = kept.more().waiting_number?;
            Some((kept.wallet, money.currency, Waiting { number, id: kept.id, amount: money.amount }))
        };
        self.transactions.iter().filter(|kept| kept.status == Status::Created).filter_map(waiting)
    }

    /// Keeps what is to be written, as far as a store's constraints allow it.
    fn keep(&mut self, changes: Changes) {
        let is_by_transactions = !changes.transactions.is_empty() || !changes.updates.is_empty();
        assert!(is_by_transactions || !changes.has_postings(), "money moves with transactions only");
        let lines_before: HashMap<_, _> =
            self.balances.keys().map(|place| (*place, self.line(place.0, place.1))).collect();
        let opened: HashSet<_> = changes.opened.iter().copied().collect();
        assert_eq!(opened.len(), changes.opened.len(), "a balance is opened once");
        let mut written = HashSet::new();
        for stored in &changes.balances {
            let place = (stored.wallet, stored.currency);
            assert!(written.insert(place), "{place:?} is written once");
            assert_eq!(opened.contains(&place), !self.balances.contains_key(&place), "{place:?} is opened if new");
            let last = changes.entries.iter().rfind(|entry| (entry.wallet, entry.currency) == place);
            let before = self.balances.get(&place).map_or((0, Balance::default()), |kept| (kept.seq, kept.balance));
            let after = last.map_or(before, |entry| (entry.seq, entry.after));
            assert_eq!(after, (stored.seq, stored.balance), "{place:?} is what its last entry says");
            self.balances.insert(place, *stored);
        }
        let with_entries: HashSet<_> = changes.entries.iter().map(|entry| (entry.wallet, entry.currency)).collect();
        let mut updated = HashSet::new();
        for change in &changes.updates {
            assert!(updated.insert(change.id), "a transaction is updated once");
            self.update(change);
        }
        for (wallet, standing) in changes.standings {
            let before = self.wallets.insert(wallet, standing);
            assert!(before.is_some_and(|before| before != Standing::Closed), "what is closed stays closed");
        }
        for new in changes.standing_records {
            assert!(self.standing_records.iter().all(|kept| kept.id != new.id), "a standing is recorded once");
            self.standing_records.push(new);
        }
        for stood in &self.standing_records {
            let last = self.standing_records.iter().rfind(|last| last.wallet == stood.wallet).expect("it has one");
            assert_eq!(self.wallets.get(&last.wallet), Some(&last.standing), "a wallet stands as was recorded last");
        }
        for new in changes.transactions {
            assert_eq!(self.find(new.id), None, "a transaction is written once");
            self.transactions.push(new);
        }
        self.entries.extend(changes.entries);
        self.name(changes.references);
        for stored in self.balances.values() {
            let line = self.line(stored.wallet, stored.currency);
            assert_eq!(stored.waiting, line.len(), "{stored:?} counts who waits");
            assert!(line.len() <= WAITING_MAX);
            let place = (stored.wallet, stored.currency);
            let has_changed = with_entries.contains(&place) || lines_before.get(&place) != Some(&line);
            assert_eq!(written.contains(&place), has_changed, "{place:?} is written if it changed");
        }
    }

    /// As a store does, whose key refuses a reference for a second transaction.
    fn name(&mut self, ReferenceChanges { taken, passed_on, freed }: ReferenceChanges) {
        for (reference, id) in taken {
            assert_eq!(self.references.insert(reference, id), None, "it named nothing");
        }
        for (reference, id) in passed_on {
            let before = self.references.insert(reference, id).expect("it named something");
            assert_eq!(self.find(before).map(|kept| kept.status), Some(Status::Error), "what it named has ended");
        }
        for (reference, id) in freed {
            assert_eq!(self.references.remove(&reference), Some(id), "it named this one");
        }
        let is_named = |kept: &&Transaction| kept.status != Status::Error && kept.more().reference.is_some();
        let named = self.transactions.iter().filter(is_named);
        let named: Vec<_> = named.map(|kept| (kept.more().reference.clone().unwrap(), kept.id)).collect();
        assert_eq!(named.len(), self.references.len(), "a reference names one transaction at most");
        assert_eq!(
            named.into_iter().collect::<BTreeMap<_, _>>(),
            self.references,
            "and it names it while it is not Error"
        );
    }

    fn update(&mut self, change: &Change) {
        let now = self.now;
        let kept = self.transactions.iter_mut().find(|kept| kept.id == change.id).expect("what changes was kept");
        assert_eq!(kept.status, Status::Created, "what is final never changes");
        kept.status = change.status;
        kept.rejection = change.rejection;
        let more = kept.more.as_mut().expect("what waits says so");
        more.confirmed = change.confirmed;
        more.expires_at = change.expires_at;
        more.finished_at = change.status.is_final().then_some(now);
        let amount = kept.money.expect("what waits is money").amount.value();
        assert!((Decimal::ZERO..=amount).contains(&change.confirmed.unwrap_or_default()), "{change:?}");
    }

    /// A key gives the first answer again, whatever happened since.
    fn compare(&mut self, operation: &Operation, outcome: &Outcome) {
        let Some(name) = name(operation) else {
            assert_eq!(outcome.replay, Replay::First);
            return;
        };
        if outcome.replay == Replay::Replayed {
            assert_eq!(Some(&outcome.result), self.answers.get(&name), "{operation:?}");
        } else if is_recorded(outcome) {
            let first = self.answers.entry(name).or_insert_with(|| outcome.result.clone());
            assert_eq!(*first, outcome.result, "{operation:?}");
        }
    }
}

/// Whether an outcome is kept: that of an operation that reached a balance.
pub fn is_recorded(outcome: &Outcome) -> bool {
    match &outcome.result {
        Ok(answer) => matches!(answer, Answer::Transaction(_) | Answer::Batch(..)),
        Err(refused) => refused.transaction.is_some(),
    }
}

fn name(operation: &Operation) -> Option<(WalletId, IdempotencyKey)> {
    operation.request.is_write().then_some(())?;
    Some((operation.request.wallet(), operation.idempotency_key.clone()?))
}
