//! The table `transaction_references`: what each reference names, over all wallets.
//!
//! Everything else that a batch writes is written under the locks of its wallets; a reference belongs to none. Two batches that take the same
//! one at once, on different wallets, meet in its primary key: the second waits there for the commit of the first and is then refused, which is a
//! [`super::Trouble::Conflict`]. It is tried again, looks again, and finds the reference taken.
//!
//! Nobody waits in a circle for references: they come after all wallet locks, only [`insert`] ever waits, each batch inserts its own in the
//! order of their bytes, and what may make others wait without that order, [`pass_on`] and [`delete`], comes after it and waits for nobody: a
//! row is changed only under the lock of the wallet of the transaction that it names. Who waits longer than `database.lock_timeout_ms` is put back,
//! as behind a wallet that someone keeps.
//!
//! All look rows up by `reference = ANY(..)`, not by a join: planned while the table is nearly empty, which it is whenever everything that had a
//! reference was cancelled, a join keeps reading all of it when it has grown.
//!
//! A Purser from before this table cancels without giving anything free: on one database none may run beside one whose callers give references.

use sqlx::PgPool;
use uuid::Uuid;

use super::{DbTx, StoreError};
use crate::ledger::{Reference, TransactionId};

/// The constraint that refuses a reference for a second transaction.
pub(super) const NAMED_TWICE: &str = "transaction_references_pkey";

/// The transaction that a reference names: one of status Created or Success.
pub async fn find(pool: &PgPool, reference: &Reference) -> Result<Option<Uuid>, StoreError> {
    let query = sqlx::query_scalar("SELECT transaction_id FROM transaction_references WHERE reference = $1");
    Ok(query.bind(reference.as_str()).fetch_optional(pool).await?)
}

/// Of these references, those that name a transaction, with it. After the wallets' locks: what they name of these wallets stays so.
pub async fn list(db_tx: &mut DbTx, references: &[Reference]) -> Result<Vec<(Reference, TransactionId)>, StoreError> {
    let asked: Vec<&str> = references.iter().map(Reference::as_str).collect();
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "SELECT reference, transaction_id
         FROM transaction_references
         WHERE reference = ANY($1)",
    )
    .bind(asked)
    .fetch_all(&mut **db_tx)
    .await?;
    let named = |(reference, id): (String, Uuid)| {
        let reference = Reference::new(&reference).map_err(|_| sqlx::Error::Decode("no reference".into()))?;
        Ok((reference, TransactionId(id)))
    };
    rows.into_iter().map(named).collect::<Result<_, sqlx::Error>>().map_err(StoreError::from)
}

/// Writes what references name that named nothing. Before the others: it may wait.
pub async fn insert(db_tx: &mut DbTx, taken: &[(Reference, TransactionId)]) -> Result<(), StoreError> {
    let (references, ids) = columns(taken);
    sqlx::query(
        "INSERT INTO transaction_references (reference, transaction_id)
         SELECT reference, transaction_id
         FROM unnest($1::text[], $2::uuid[]) AS new (reference, transaction_id)
         ORDER BY reference COLLATE \"C\"",
    )
    .bind(references)
    .bind(ids)
    .execute(&mut **db_tx)
    .await?;
    Ok(())
}

/// Writes what references name whose transaction has ended in this batch.
pub async fn pass_on(db_tx: &mut DbTx, passed_on: &[(Reference, TransactionId)]) -> Result<(), StoreError> {
    let (references, ids) = columns(passed_on);
    let saved = sqlx::query(
        "UPDATE transaction_references
         SET transaction_id = ($2::uuid[])[array_position($1::text[], reference)]
         WHERE reference = ANY($1)",
    )
    .bind(references)
    .bind(ids)
    .execute(&mut **db_tx)
    .await?;
    assert_all(saved.rows_affected(), passed_on);
    Ok(())
}

/// Takes out references whose transaction has ended in this batch.
pub async fn delete(db_tx: &mut DbTx, freed: &[(Reference, TransactionId)]) -> Result<(), StoreError> {
    let (references, ids) = columns(freed);
    let deleted = sqlx::query(
        "DELETE FROM transaction_references
         WHERE reference = ANY($1) AND transaction_id = ANY($2)",
    )
    .bind(references)
    .bind(ids)
    .execute(&mut **db_tx)
    .await?;
    assert_all(deleted.rows_affected(), freed);
    Ok(())
}

/// A reference that stayed behind would be taken for ever; nothing of this batch is committed.
fn assert_all(rows: u64, changed: &[(Reference, TransactionId)]) {
    assert_eq!(rows, changed.len() as u64, "a reference names what it named, under that transaction's wallet's lock");
}

fn columns(named: &[(Reference, TransactionId)]) -> (Vec<&str>, Vec<Uuid>) {
    named.iter().map(|(reference, id)| (reference.as_str(), id.0)).unzip()
}
