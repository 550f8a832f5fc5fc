//! The table `services`.

use super::{DbTx, StoreError};
use crate::ledger::ServiceId;

/// Of these services, those that there are. They stay for as long as the batch lasts.
pub async fn lock(db_tx: &mut DbTx, ids: &[ServiceId]) -> Result<Vec<ServiceId>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let found: Vec<i64> = sqlx::query_scalar(
        "SELECT id
         FROM services
         WHERE id = ANY($1)
         ORDER BY id
         FOR KEY SHARE",
    )
    .bind(ids)
    .fetch_all(&mut **db_tx)
    .await?;
    Ok(found.into_iter().map(ServiceId).collect())
}
