//! The books of one batch: the locked wallets' state, folded operation by operation in memory.
//!
//! [`Books::apply`] is where ordering, idempotency and the rules meet; [`Books::close`] says what is to be written, each wallet once.

use std::collections::HashMap;
use std::sync::Arc;

use super::outcome::Replay;
use super::rules::{self, Change, Decision, Effect, Plan};
use super::state::{State, StoredBalance};
use super::transaction::More;
use super::{
    Answer, Answered, Batch, CurrencyCode, Delta, Details, Entry, IdempotencyKey, Line, Operation, Original, Outcome,
    ReferenceChanges, Refused, Rejection, Request, Standing, StandingRecord, Status, Transaction, TransactionId,
    WalletId,
};

/// The books of one batch.
#[derive(Debug)]
pub struct Books {
    state: State,
    answered: Answered,
    /// The new transactions that have a key, by it.
    keys: HashMap<(WalletId, IdempotencyKey), usize>,
    transactions: Vec<Transaction>,
    entries: Vec<Entry>,
    updates: Vec<Change>,
    standing_records: Vec<StandingRecord>,
}

/// What is to be written when the books close. Each wallet and currency once, each transaction once.
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
    /// Earlier transactions of status Created that changed, as they are now.
    pub updates: Vec<Change>,
    /// The wallets that may do something else now.
    pub standings: Vec<(WalletId, Standing)>,
    /// The operations on wallets' standings, in the order they were decided.
    pub standing_records: Vec<StandingRecord>,
    /// The references that name another transaction now, or none.
    pub references: ReferenceChanges,
}

impl Books {
    /// Opens the books on what was read under the locks.
    pub fn open(state: State, answered: Answered) -> Self {
        let (keys, transactions, entries) = (HashMap::new(), Vec::new(), Vec::new());
        Self { state, answered, keys, transactions, entries, updates: Vec::new(), standing_records: Vec::new() }
    }

    /// Decides one operation and folds it in, or finds what was decided before.
    pub fn apply(&mut self, operation: &Operation) -> Outcome {
        // A balance is read anew each time: it changes nothing, so there is nothing to do twice.
        if let Some(outcome) = self.find(operation) {
            return outcome;
        }
        let written = self.entries.len();
        match &operation.request {
            Request::Batch(batch) => self.apply_all(operation, batch),
            request => match self.decide(operation.id, request, None) {
                Ok(Done::Recorded(mut transaction)) => {
                    self.name(operation, &mut transaction);
                    self.keep(operation, transaction.clone());
                    // Its own entries come before those of what it made possible; the first is its wallet's.
                    let first = self.entries.get(written).filter(|entry| entry.transaction == operation.id);
                    let line = first.filter(|_| transaction.more.is_some()).map(|entry| Box::new(Line::from(entry)));
                    Outcome { line, ..Outcome::of_record(transaction, Vec::new(), Replay::First) }
                }
                Ok(Done::Unrecorded(answer)) => {
                    if let Answer::Standing(standing) = answer {
                        // Also where nothing changed: the second try could find that something had.
                        self.standing_records.push(StandingRecord {
                            id: operation.id,
                            wallet: request.wallet(),
                            standing,
                        });
                    }
                    outcome(request, Ok(answer))
                }
                Err(rejection) => self.refuse(operation, rejection),
            },
        }
    }

    /// What is to be written.
    pub fn close(mut self) -> Changes {
        let now = self.state.now();
        let positions: HashMap<_, _> = self
            .transactions
            .iter()
            .enumerate()
            .filter(|_| !self.updates.is_empty())
            .map(|(position, new)| (new.id, position))
            .collect();
        let mut updates = HashMap::new();
        for change in self.updates {
            match positions.get(&change.id) {
                // Made and finished in one batch.
                Some(&position) => self.transactions[position].change(&change, now),
                None => drop(updates.insert(change.id, change)),
            }
        }
        let updates = updates.into_values().collect();
        let Self { transactions, entries, standing_records, .. } = self;
        Changes { transactions, entries, updates, standing_records, ..self.state.changes() }
    }

    /// When the books were opened: the time of everything in them.
    pub fn now(&self) -> super::Timestamp {
        self.state.now()
    }

    /// The outcome that was given before, or the refusal of a key that names something else.
    fn find(&self, operation: &Operation) -> Option<Outcome> {
        if let Some(transaction) = self.answered.by_id.get(&operation.id) {
            return Some(self.given_before(operation, transaction, Replay::First));
        }
        if let Some(standing) = self.answered.standings.get(&operation.id) {
            return Some(outcome(&operation.request, Ok(Answer::Standing(*standing))));
        }
        if !operation.request.is_write() {
            return None;
        }
        let name = (operation.request.wallet(), operation.idempotency_key.clone()?);
        let new = self.keys.get(&name).map(|position| &self.transactions[*position]);
        let transaction = new.or_else(|| self.answered.by_key.get(&name))?;
        let (_, fingerprint) = transaction.key.as_ref()?;
        if *fingerprint == operation.request.fingerprint() {
            return Some(self.given_before(operation, transaction, Replay::Replayed));
        }
        Some(outcome(&operation.request, Err(Rejection::IdempotencyKeyReused.into())))
    }

    fn given_before(&self, operation: &Operation, transaction: &Transaction, replay: Replay) -> Outcome {
        let lifetime = |request: &Request| request.terms().and_then(|terms| terms.mode.expires_in());
        let mut items = Vec::new();
        if let Request::Batch(batch) = &operation.request {
            let is_item = |new: &&Transaction| new.more().batch == Some(transaction.id);
            let stored = self.answered.items.get(&transaction.id).map_or(&[][..], Vec::as_slice);
            let found = stored.iter().chain(self.transactions.iter().filter(is_item));
            let asked = batch.items().iter().map(|item| lifetime(&item.request));
            items = found.cloned().zip(asked).map(|(item, lifetime)| item.when_created(lifetime)).collect();
        }
        Outcome::of_record(transaction.clone().when_created(lifetime(&operation.request)), items, replay)
    }

    /// Carries out all items of a batch, or none.
    fn apply_all(&mut self, operation: &Operation, batch: &Batch) -> Outcome {
        let items = batch.items();
        let known = items.iter().filter_map(|item| item.request.original());
        let before = self.state.keep(wallets_of(&self.state, &operation.request), known);
        let lengths = (self.transactions.len(), self.entries.len(), self.updates.len());
        for (position, item) in items.iter().enumerate() {
            match self.decide(item.id, &item.request, Some(operation.id)) {
                Ok(Done::Recorded(transaction)) => self.transactions.push(transaction),
                Ok(Done::Unrecorded(_)) => {}
                Err(rejection) => {
                    self.state.restore(before);
                    self.transactions.truncate(lengths.0);
                    self.entries.truncate(lengths.1);
                    self.updates.truncate(lengths.2);
                    return self.refuse_batch(operation, rejection, position);
                }
            }
        }
        let done = self.transactions[lengths.0..].to_vec();
        let mut transaction = self.blank(operation.id, &operation.request, Status::Success);
        self.name(operation, &mut transaction);
        self.keep(operation, transaction.clone());
        Outcome::of_record(transaction, done, Replay::First)
    }

    /// Decides one request and folds its effects in; its transaction is for the caller to keep.
    fn decide(
        &mut self,
        id: TransactionId,
        request: &Request,
        batch: Option<TransactionId>,
    ) -> Result<Done, Rejection> {
        match rules::decide(&self.state, request)? {
            Decision::Post(plan) => Ok(Done::Recorded(self.post(id, request, *plan, batch))),
            Decision::Read(balances) => Ok(Done::Unrecorded(Answer::Balances(balances))),
            Decision::Stand(standing) => {
                let wallet = request.wallet();
                self.state.stand(wallet, standing);
                for currency in self.state.lines(wallet) {
                    self.pay_line(wallet, currency);
                }
                Ok(Done::Unrecorded(Answer::Standing(standing)))
            }
        }
    }

    fn post(&mut self, id: TransactionId, request: &Request, plan: Plan, batch: Option<TransactionId>) -> Transaction {
        let Plan { status, money, to_wallet, postings, effect, details } = plan;
        let state = &mut self.state;
        self.entries.extend(postings.iter().map(|posting| state.post(id, *posting)));

        let now = self.state.now();
        let reference = request.reference().cloned();
        if let Some(reference) = &reference {
            self.state.name(reference, id);
        }
        let mut more = More { batch, details, reference, ..More::default() };
        match &effect {
            Effect::None => {}
            Effect::Hold { expires_in } => {
                more.confirmed = Some(rust_decimal::Decimal::ZERO);
                more.expires_at = expires_in.map(|lifetime| now + lifetime);
            }
            Effect::Wait { expires_in } => {
                let money = money.expect("what waits for funds says for how much");
                more.waiting_number = Some(self.state.join(request.wallet(), money.currency, id, money.amount));
                more.expires_at = expires_in.map(|lifetime| now + lifetime);
            }
            Effect::Change(change) => {
                more.original = Some(Original { id: change.id, status: change.status });
                // Of what goes on waiting it says until when.
                more.expires_at = change.expires_at.filter(|_| !change.status.is_final());
                self.change(*change);
            }
            Effect::Reverse(original, amount) => {
                more.original = Some(Original { id: *original, status: Status::Success });
                self.state.reversed(*original, *amount);
            }
        }
        for posting in postings {
            if posting.delta.available > rust_decimal::Decimal::ZERO {
                self.pay_line(posting.wallet, posting.currency);
            }
        }
        let more = (more != More::default()).then(|| Box::new(more));
        Transaction { to_wallet, money, more, ..self.blank(id, request, status) }
    }

    /// Changes a transaction that had status Created. One that left a line makes way for those behind it.
    fn change(&mut self, change: Change) {
        let left = self
            .state
            .known(change.id)
            .map(|known| &known.transaction)
            .filter(|transaction| transaction.is_waiting() && change.status.is_final());
        let line = left.and_then(|transaction| Some((transaction.wallet, transaction.money?.currency)));
        self.state.change(&change);
        self.updates.push(change);
        if let Some((wallet, currency)) = line {
            self.state.leave(wallet, currency, change.id);
            self.pay_line(wallet, currency);
        }
    }

    /// Pays the withdrawals that wait, first in, first out, for as long as there is enough for the first of them.
    fn pay_line(&mut self, wallet: WalletId, currency: CurrencyCode) {
        while let Some(waiting) = self.state.next_funded(wallet, currency) {
            let delta = Delta::debit(waiting.amount);
            self.entries.push(self.state.post(waiting.id, rules::Posting { wallet, currency, delta }));
            let (status, rejection, confirmed, expires_at) = (Status::Success, None, None, None);
            let change = Change { id: waiting.id, status, rejection, confirmed, expires_at };
            self.state.change(&change);
            self.updates.push(change);
        }
    }

    fn refuse(&mut self, operation: &Operation, rejection: Rejection) -> Outcome {
        let request = &operation.request;
        let money = rules::money_of(&self.state, request);
        if !rejection.is_recorded() || money.is_none() {
            return outcome(request, Err(rejection.into()));
        }
        let original = request.original().map(|id| Original { id, status: self.status_of(id) });
        let details = request.terms().and_then(|terms| terms.details.clone()).or_else(|| self.inherited(request));
        // What was asked for; it names nothing.
        let reference = request.reference().cloned();
        let more = More { original, details, reference, ..More::default() };
        let mut transaction = self.blank(operation.id, request, Status::Error);
        transaction.money = money;
        transaction.to_wallet = request.to_wallet();
        transaction.rejection = Some(rejection);
        transaction.more = (more != More::default()).then(|| Box::new(more));
        self.name(operation, &mut transaction);
        self.keep(operation, transaction.clone());
        Outcome::of_record(transaction, Vec::new(), Replay::First)
    }

    /// A batch that failed is recorded, so that asking again gives the same answer; of its items nothing is.
    fn refuse_batch(&mut self, operation: &Operation, rejection: Rejection, item: usize) -> Outcome {
        let refused = Refused { item: Some(item), ..rejection.into() };
        if self.state.standing(operation.request.wallet()).is_none() {
            return outcome(&operation.request, Err(refused));
        }
        let mut transaction = self.blank(operation.id, &operation.request, Status::Error);
        transaction.rejection = Some(rejection);
        transaction.more = Some(Box::new(More { failed_item: Some(item), ..More::default() }));
        self.name(operation, &mut transaction);
        self.keep(operation, transaction.clone());
        Outcome::of_record(transaction, Vec::new(), Replay::First)
    }

    fn inherited(&self, request: &Request) -> Option<Arc<Details>> {
        let original = &self.state.known(request.original()?)?.transaction;
        original.more().details.as_ref()?.inherited().map(Arc::new)
    }

    fn status_of(&self, id: TransactionId) -> Status {
        self.state.known(id).map_or(Status::Error, |known| known.transaction.status)
    }

    fn blank(&self, id: TransactionId, request: &Request, status: Status) -> Transaction {
        Transaction {
            id,
            kind: request.kind(),
            wallet: request.wallet(),
            to_wallet: None,
            money: None,
            status,
            rejection: None,
            key: None,
            created_at: self.state.now(),
            more: None,
        }
    }

    /// Gives a transaction its caller's name.
    fn name(&self, operation: &Operation, transaction: &mut Transaction) {
        transaction.key = operation.idempotency_key.clone().map(|key| (key, operation.request.fingerprint()));
    }

    fn keep(&mut self, operation: &Operation, transaction: Transaction) {
        if let Some(key) = &operation.idempotency_key {
            self.keys.insert((transaction.wallet, key.clone()), self.transactions.len());
        }
        self.transactions.push(transaction);
    }
}

/// What came of a request that was not refused.
enum Done {
    Recorded(Transaction),
    Unrecorded(Answer),
}

impl Changes {
    /// Whether there is a transaction, an entry or a balance to write: what nearly every batch writes.
    pub fn has_postings(&self) -> bool {
        !(self.transactions.is_empty() && self.entries.is_empty() && self.balances.is_empty())
    }
}

impl Transaction {
    /// Changes what can change.
    pub(super) fn change(&mut self, change: &Change, now: super::Timestamp) {
        let more = self.more.get_or_insert_default();
        more.confirmed = change.confirmed;
        more.expires_at = change.expires_at;
        more.finished_at = change.status.is_final().then_some(now);
        self.status = change.status;
        self.rejection = change.rejection;
    }
}

/// The wallets that a request may change, those of the transactions that it is about included.
fn wallets_of(state: &State, request: &Request) -> Vec<WalletId> {
    let of_part = |part: &Request| {
        let original = part.original().and_then(|id| state.known(id)).map(|known| &known.transaction);
        let others = original.map_or([None, None], |original| [Some(original.wallet), original.to_wallet]);
        [Some(part.wallet()), part.to_wallet()].into_iter().chain(others).flatten().collect::<Vec<_>>()
    };
    request.parts().flat_map(of_part).collect()
}

fn outcome(request: &Request, result: Result<Answer, Refused>) -> Outcome {
    Outcome { kind: request.kind(), result, replay: Replay::First, line: None }
}
