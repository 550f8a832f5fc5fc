//! The table `wallets`.

use sqlx::PgPool;

use super::{DbTx, StoreError};
use crate::ledger::{Standing, Timestamp, WalletId};

/// Locks wallets in the order of their ids and says what each may do. Ids that are no wallet's are left out.
///
/// The lock stands for all of a wallet's balances, those that have no row yet included. Every writer takes it in this order, so lanes and
/// instances cannot deadlock. One table and a sorted list: a join would let the planner choose the order.
pub async fn lock(db_tx: &mut DbTx, ids: &[WalletId]) -> Result<Vec<(WalletId, Standing)>, StoreError> {
    let rows: Vec<(i64, bool, bool)> = sqlx::query_as(
        "SELECT id, closed_at IS NOT NULL, blocked_at IS NOT NULL
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
    let rows: Vec<(i64, bool, bool)> = sqlx::query_as(
        "SELECT id, closed_at IS NOT NULL, blocked_at IS NOT NULL
         FROM wallets
         WHERE id = ANY($1)",
    )
    .bind(numbers(ids))
    .fetch_all(&mut **db_tx)
    .await?;
    Ok(rows.into_iter().map(standing).collect())
}

/// Writes what wallets may do from now on.
pub async fn save_standings(
    db_tx: &mut DbTx,
    standings: &[(WalletId, Standing)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let (wallets, words): (Vec<i64>, Vec<&str>) =
        standings.iter().map(|(wallet, standing)| (wallet.0, standing.as_str())).unzip();
    sqlx::query(
        "UPDATE wallets
         SET blocked_at = CASE new.standing WHEN 'blocked' THEN $3 WHEN 'open' THEN NULL ELSE blocked_at END,
             closed_at = CASE new.standing WHEN 'closed' THEN $3 END
         FROM unnest($1::bigint[], $2::text[]) AS new (wallet_id, standing)
         WHERE wallets.id = new.wallet_id",
    )
    .bind(wallets)
    .bind(words)
    .bind(now.0)
    .execute(&mut **db_tx)
    .await?;
    Ok(())
}

/// How many wallets there are.
pub async fn count(pool: &PgPool) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM wallets").fetch_one(pool).await?)
}

/// Wallet ids as PostgreSQL takes them.
pub(super) fn numbers(ids: &[WalletId]) -> Vec<i64> {
    ids.iter().map(|id| id.0).collect()
}

fn standing((id, is_closed, is_blocked): (i64, bool, bool)) -> (WalletId, Standing) {
    let standing = match (is_closed, is_blocked) {
        (true, _) => Standing::Closed,
        (false, true) => Standing::Blocked,
        (false, false) => Standing::Open,
    };
    (WalletId(id), standing)
}
