//! Transactions whose time is up.

use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::ledger::{Timestamp, TransactionId, WalletId};

/// A transaction of status Created whose time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub id: TransactionId,
    /// In whose queue it stood.
    pub wallet: WalletId,
    /// When its time was up.
    pub expires_at: Timestamp,
}

/// Claims transactions whose time is up, the oldest first, at most so many: for as long as the claim lasts nobody else is given them.
///
/// Rows that are locked are left for the next look: their wallet is being worked on.
pub async fn claim(pool: &PgPool, claim: Duration, count_max: u32) -> Result<Vec<Due>, StoreError> {
    let rows: Vec<(Uuid, i64, OffsetDateTime)> = sqlx::query_as(
        "UPDATE transactions
         SET expiry_claimed_until = clock_timestamp() + $1 * INTERVAL '1 millisecond'
         WHERE id IN (
             SELECT id
             FROM transactions
             WHERE status = 'Created'
                 AND expires_at <= clock_timestamp()
                 AND (expiry_claimed_until IS NULL OR expiry_claimed_until < clock_timestamp())
             ORDER BY expires_at
             LIMIT $2
             FOR UPDATE SKIP LOCKED
         )
         RETURNING id, wallet_id, expires_at",
    )
    .bind(i64::try_from(claim.as_millis()).unwrap_or(i64::MAX))
    .bind(i64::from(count_max))
    .fetch_all(pool)
    .await?;
    let due = |(id, wallet, expires_at)| Due {
        id: TransactionId(id),
        wallet: WalletId(wallet),
        expires_at: Timestamp(expires_at),
    };
    Ok(rows.into_iter().map(due).collect())
}
