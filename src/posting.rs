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

use crate::ledger::books::State;
use crate::ledger::{Answered, Books, Operation, Outcome, WalletId};
use crate::store::{DbTx, Store, StoreError, balances, changes, transactions, wallets};

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

    let changes = books.close();
    if !changes.opened.is_empty() {
        balances::insert(&mut db_tx, &changes.opened).await?;
    }
    if !changes.is_empty() {
        changes::save(&mut db_tx, &changes).await?;
    }
    db_tx.commit().await?;
    Ok(outcomes)
}

/// Locks what the batch may change and reads what it must know.
async fn open(store: &Store, db_tx: &mut DbTx, batch: &[Operation], attempt: Attempt) -> Result<Books, StoreError> {
    let Touched { written, read } = Touched::by(batch);
    let mut known = Vec::new();
    if !written.is_empty() {
        known = wallets::lock(db_tx, &written).await?;
    }
    if !read.is_empty() {
        known.extend(wallets::list(db_tx, &read).await?);
    }
    // After the lock: whoever gives a currency fewer decimals waits for those who hold it, see `store::scale`.
    let codes = batch.iter().filter_map(|operation| Some(operation.request.money()?.currency));
    let currencies = store.currencies().get(db_tx, codes).await?;
    let ids: Vec<WalletId> = known.iter().map(|(id, _)| *id).collect();
    let state = State::new(currencies, known, balances::list(db_tx, &ids).await?);

    let mut answered = Answered::by_key(transactions::find_by_keys(db_tx, batch).await?);
    if attempt == Attempt::Again {
        answered = answered.and_by_id(transactions::find_by_ids(db_tx, batch).await?);
    }
    Ok(Books::open(state, answered))
}

/// The wallets of a batch, each once, in id order.
struct Touched {
    /// Money may move: they are locked.
    written: Vec<WalletId>,
    /// Only looked at: reading waits for nobody.
    read: Vec<WalletId>,
}

impl Touched {
    fn by(batch: &[Operation]) -> Self {
        let requests = || batch.iter().map(|operation| operation.request);
        let mut written: Vec<_> = requests()
            .filter(|request| request.money().is_some())
            .flat_map(|request| [Some(request.wallet()), request.to_wallet()])
            .flatten()
            .collect();
        written.sort_unstable();
        written.dedup();
        let mut read: Vec<_> = requests()
            .filter(|request| request.money().is_none())
            .map(|request| request.wallet())
            .filter(|wallet| written.binary_search(wallet).is_err())
            .collect();
        read.sort_unstable();
        read.dedup();
        Self { written, read }
    }
}
