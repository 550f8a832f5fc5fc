//! The table `wallets`.

use sqlx::PgPool;

use super::{DbTx, StoreError};
use crate::ledger::{Standing, WalletId};

/// Locks wallets in the order of their ids and says what each may do. Ids that are no wallet's are left out.
///
/// The lock stands for all of a wallet's balances, those that have no row yet included. Every writer takes it in this order, so lanes and
/// instances cannot deadlock. One table and a sorted list: a join would let the planner choose the order.
pub async fn lock(db_tx: &mut DbTx, ids: &[WalletId]) -> Result<Vec<(WalletId, Standing)>, StoreError> {
    let rows: Vec<(i64, bool)> = sqlx::query_as(
        "SELECT id, closed_at IS NOT NULL
         FROM wallets
         WHERE id = ANY($1)
         ORDER BY id
         FOR NO KEY UPDATE",
    )
    .bind(numbers(ids))
    .fetch_all(&mut **db_tx)
    .await?;
    Ok(rows.into_iter().map(standing).collect())
}

/// Says what wallets may do without locking them: enough for reading their balances.
pub async fn list(db_tx: &mut DbTx, ids: &[WalletId]) -> Result<Vec<(WalletId, Standing)>, StoreError> {
    let rows: Vec<(i64, bool)> = sqlx::query_as(
        "SELECT id, closed_at IS NOT NULL
         FROM wallets
         WHERE id = ANY($1)",
    )
    .bind(numbers(ids))
    .fetch_all(&mut **db_tx)
    .await?;
    Ok(rows.into_iter().map(standing).collect())
}

/// How many wallets there are.
pub async fn count(pool: &PgPool) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM wallets").fetch_one(pool).await?)
}

/// Wallet ids as PostgreSQL takes them.
pub(super) fn numbers(ids: &[WalletId]) -> Vec<i64> {
    ids.iter().map(|id| id.0).collect()
}

fn standing((id, is_closed): (i64, bool)) -> (WalletId, Standing) {
    (WalletId(id), if is_closed { Standing::Closed } else { Standing::Open })
}
