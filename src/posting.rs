//! THE write path: how a batch of operations becomes history. Read this first.
//!
//! | step | statement | why then |
//! |---|---|---|
//! | begin | `BEGIN` | one SQL transaction per batch: all of it, or none |
//! | lock | [`wallets::lock`], in id order | who comes second waits here, so everything below is read as it will stay; one order, so no deadlock |
//! | read | [`balances::list`] | after the lock, in its own statement: a lock wait does not refresh a statement's snapshot |
//! | answered before? | [`transactions::find_by_keys`] | after the lock: a concurrent duplicate is committed by now, or will wait for us |
//! | decide | [`Books::apply`], in memory | pure, in batch order; each operation sees what the ones before it did |
//! | write | [`changes::save`] | one statement for everything, each balance once |
//! | commit | `COMMIT` | only now may anyone be answered |
//!
//! That is all that most batches need. The others have more statements in these steps, each only if there is something for it:
//!
//! | step | statement | when |
//! |---|---|---|
//! | lock | [`transactions::list_wallets`], before it | confirm, cancel, extend, reverse: whose wallets their originals name, which never changes |
//! | read | [`wallets::list`] | wallets that are only looked at, without a lock |
//! | | `store::currencies` | its copy in memory is too old, or lacks one |
//! | | [`transactions::list_waiting`] | a balance says that withdrawals wait for funds: its line |
//! | | [`transactions::list_known`] | the originals, and how much of each was reversed |
//! | | [`references::list`], after the locks | operations give references, or are about transactions that have one and may end |
//! | | [`services::lock`] | money moves for services: they stay until the commit |
//! | answered before? | [`transactions::find_by_ids`] | an earlier try was interrupted while committing |
//! | | [`standings::find_by_ids`] | and wallets were to be blocked, opened or closed |
//! | | [`transactions::list_items`] | what was found is an atomic batch: its items are part of its answer |
//! | write | [`balances::insert`], before it | a wallet's first balance in a currency: `save` updates rows |
//! | | [`changes::save_with_more`] | transactions that have more than most: holds, what waits, what is about another one, details, references |
//! | | [`changes::save_updates`] | earlier transactions of status Created that were finished or extended |
//! | | [`wallets::save_standings`], [`standings::insert`] | wallets that were blocked, opened or closed |
//! | | [`references::insert`], then `pass_on`, then `delete` | references that name another transaction now, or none; who takes one that another batch is taking waits here, and the batch is tried again |

use crate::ledger::{
    Answered, Books, Kind, Operation, Outcome, Reference, ReferenceChanges, ServiceId, State, TransactionId, WalletId,
};
use crate::store::{
    DbTx, Store, StoreError, balances, changes, references, services, standings, transactions, wallets,
};

/// Whether an earlier try of the same operations may have been committed without our hearing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// These operations were never tried.
    First,
    /// A try of them ended with a lost connection.
    Again,
}

/// Posts a batch in one SQL transaction and gives one outcome per operation, in order. On an error nothing was written,
/// or, if the connection was lost while committing, all of it was: [`Attempt::Again`] finds out.
pub async fn post(store: &Store, batch: &[Operation], attempt: Attempt) -> Result<Vec<Outcome>, StoreError> {
    let mut db_tx = store.begin().await?;
    let mut books = open(store, &mut db_tx, batch, attempt).await?;

    let outcomes = batch.iter().map(|operation| books.apply(operation)).collect();

    close(&mut db_tx, books).await?;
    db_tx.commit().await?;
    Ok(outcomes)
}

/// Says what an operation would do now, and does nothing of it.
pub async fn preview(store: &Store, operation: &Operation) -> Result<Outcome, StoreError> {
    let mut db_tx = store.begin().await?;
    let mut books = open(store, &mut db_tx, std::slice::from_ref(operation), Attempt::First).await?;
    let outcome = books.apply(operation);
    db_tx.rollback().await?;
    Ok(outcome)
}

/// Locks what the batch may change and reads what it must know.
async fn open(store: &Store, db_tx: &mut DbTx, batch: &[Operation], attempt: Attempt) -> Result<Books, StoreError> {
    let Touched { mut written, read, originals, services, mut references } = Touched::by(batch);
    if !originals.is_empty() {
        written.extend(transactions::list_wallets(db_tx, &originals).await?);
        written.sort_unstable();
        written.dedup();
    }
    let mut wallets = Vec::new();
    if !written.is_empty() {
        wallets = wallets::lock(db_tx, &written).await?;
    }
    if !read.is_empty() {
        wallets.extend(wallets::list(db_tx, &read).await?);
    }
    let ids: Vec<WalletId> = wallets.iter().map(|(id, _)| *id).collect();
    let (now, balances) = balances::list(db_tx, &ids).await?;
    let with_a_line = balances.iter().filter(|balance| balance.waiting > 0);
    let lines: Vec<_> = with_a_line.map(|balance| (balance.wallet, balance.currency)).collect();

    // After the lock: whoever gives a currency fewer decimals waits for those who hold it, see `store::scale`.
    let codes = batch.iter().flat_map(|operation| operation.request.parts());
    let codes = codes.filter_map(|part| Some(part.money()?.currency));
    // What an original moved, its wallet has a balance in.
    let of_originals = balances.iter().map(|balance| balance.currency).filter(|_| !originals.is_empty());
    let codes = codes.chain(of_originals);
    let currencies = store.currencies().get(db_tx, codes).await?;
    let mut state = State::new(now, currencies, wallets, balances).with_limits(store.limits());
    if !lines.is_empty() {
        state = state.with_lines(transactions::list_waiting(db_tx, &lines).await?);
    }
    if !originals.is_empty() {
        let known = transactions::list_known(db_tx, &originals).await?;
        let unfinished = known.iter().map(|known| &known.transaction).filter(|known| !known.status.is_final());
        references.extend(unfinished.filter_map(|known| known.more().reference.clone()));
        state = state.with_known(known);
    }
    if !services.is_empty() {
        state = state.with_services(services::lock(db_tx, &services).await?);
    }
    if !references.is_empty() {
        state = state.with_references(references::list(db_tx, &references).await?);
    }
    Ok(Books::open(state, answered(db_tx, batch, attempt).await?))
}

/// Finds what operations of the batch became earlier.
async fn answered(db_tx: &mut DbTx, batch: &[Operation], attempt: Attempt) -> Result<Answered, StoreError> {
    let mut answered = Answered::by_key(transactions::find_by_keys(db_tx, batch).await?);
    if attempt == Attempt::Again {
        let ids: Vec<TransactionId> = batch.iter().map(|operation| operation.id).collect();
        answered = answered.and_by_id(transactions::find_by_ids(db_tx, &ids).await?);
        let stands = batch.iter().filter(|operation| operation.request.kind() == Kind::Stand);
        let stands: Vec<TransactionId> = stands.map(|operation| operation.id).collect();
        if !stands.is_empty() {
            answered = answered.and_standings(standings::find_by_ids(db_tx, &stands).await?);
        }
    }
    let batches = answered.batches();
    if !batches.is_empty() {
        answered = answered.and_items(transactions::list_items(db_tx, &batches).await?);
    }
    Ok(answered)
}

/// Writes what changed. Nearly always that is one statement.
async fn close(db_tx: &mut DbTx, books: Books) -> Result<(), StoreError> {
    let now = books.now();
    let changes = books.close();
    if !changes.opened.is_empty() {
        balances::insert(db_tx, &changes.opened).await?;
    }
    if changes.has_postings() {
        changes::save(db_tx, &changes, now).await?;
    }
    if changes.transactions.iter().any(|transaction| transaction.more.is_some()) {
        changes::save_with_more(db_tx, &changes, now).await?;
    }
    if !changes.updates.is_empty() {
        changes::save_updates(db_tx, &changes, now).await?;
    }
    if !changes.standings.is_empty() {
        wallets::save_standings(db_tx, &changes.standings, now).await?;
    }
    if !changes.standing_records.is_empty() {
        standings::insert(db_tx, &changes.standing_records, now).await?;
    }
    if !changes.references.is_empty() {
        name(db_tx, &changes.references).await?;
    }
    Ok(())
}

/// Writes what references name: at the very end, so that who waits for one waits for little more than the commit. Why in this order is told in
/// [`references`].
async fn name(db_tx: &mut DbTx, changes: &ReferenceChanges) -> Result<(), StoreError> {
    if !changes.taken.is_empty() {
        references::insert(db_tx, &changes.taken).await?;
    }
    if !changes.passed_on.is_empty() {
        references::pass_on(db_tx, &changes.passed_on).await?;
    }
    if !changes.freed.is_empty() {
        references::delete(db_tx, &changes.freed).await?;
    }
    Ok(())
}

/// What a batch touches, each once and in order.
struct Touched {
    /// Wallets that may change: they are locked. Those of the originals come on top.
    written: Vec<WalletId>,
    /// Wallets that are only looked at: reading waits for nobody.
    read: Vec<WalletId>,
    /// Transactions that operations are about.
    originals: Vec<TransactionId>,
    /// Services that money moves for.
    services: Vec<ServiceId>,
    /// References that operations give. Those of the originals come on top.
    references: Vec<Reference>,
}

impl Touched {
    fn by(batch: &[Operation]) -> Self {
        let mut touched = Self {
            written: Vec::new(),
            read: Vec::new(),
            originals: Vec::new(),
            services: Vec::new(),
            references: Vec::new(),
        };
        for part in batch.iter().flat_map(|operation| operation.request.parts()) {
            let wallets = if part.is_write() { &mut touched.written } else { &mut touched.read };
            wallets.push(part.wallet());
            wallets.extend(part.to_wallet());
            touched.originals.extend(part.original());
            touched.services.extend(part.terms().and_then(|terms| terms.details.as_ref()?.service()));
            touched.references.extend(part.reference().cloned());
        }
        sort(&mut touched.written);
        sort(&mut touched.read);
        sort(&mut touched.originals);
        sort(&mut touched.services);
        sort(&mut touched.references);
        let written = &touched.written;
        touched.read.retain(|wallet| written.binary_search(wallet).is_err());
        touched
    }
}

fn sort<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
}
