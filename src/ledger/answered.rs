//! What was answered before: found by key, where a caller asks again, and by id, where a commit was not heard of. It decides nothing, see [`super::Books`].

use std::collections::HashMap;

use super::{IdempotencyKey, Kind, Standing, Transaction, TransactionId, WalletId};

/// What operations of a batch may turn out to have done earlier.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    pub(super) by_key: HashMap<(WalletId, IdempotencyKey), Transaction>,
    pub(super) by_id: HashMap<TransactionId, Transaction>,
    pub(super) standings: HashMap<TransactionId, Standing>,
    pub(super) items: HashMap<TransactionId, Vec<Transaction>>,
}

impl Answered {
    /// Transactions found by the keys of the batch: an earlier operation may have had the same key.
    pub fn by_key(found: impl IntoIterator<Item = Transaction>) -> Self {
        let keyed = |transaction: Transaction| {
            let (key, _) = transaction.key.clone()?;
            Some(((transaction.wallet, key), transaction))
        };
        Self { by_key: found.into_iter().filter_map(keyed).collect(), ..Self::default() }
    }

    /// Transactions found by the ids of the batch: these very operations were committed by an earlier try whose answer was lost.
    pub fn and_by_id(mut self, found: impl IntoIterator<Item = Transaction>) -> Self {
        self.by_id = found.into_iter().map(|transaction| (transaction.id, transaction)).collect();
        self
    }

    /// What operations of the batch gave wallets in an earlier try whose answer was lost: carried out again they could undo what came after them.
    pub fn and_standings(mut self, found: impl IntoIterator<Item = (TransactionId, Standing)>) -> Self {
        self.standings = found.into_iter().collect();
        self
    }

    /// The items of the batches that were found, in their order.
    pub fn and_items(mut self, items: impl IntoIterator<Item = Transaction>) -> Self {
        for item in items {
            if let Some(batch) = item.more().batch {
                self.items.entry(batch).or_default().push(item);
            }
        }
        self
    }

    /// The batches among the transactions that were found: their items are wanted as well.
    pub fn batches(&self) -> Vec<TransactionId> {
        let found = self.by_key.values().chain(self.by_id.values());
        found.filter(|transaction| transaction.kind == Kind::Batch).map(|transaction| transaction.id).collect()
    }
}
