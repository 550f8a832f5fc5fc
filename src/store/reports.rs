//! Reports: sums over many transactions.

use std::time::Duration;

use sqlx::{Acquire, FromRow, PgPool};
use time::OffsetDateTime;

use super::StoreError;

/// What a service earned in one currency.
#[derive(Clone, Debug, FromRow)]
pub struct RevenueRow {
    /// Which service.
    pub service_id: i64,
    /// What it is called.
    pub service: String,
    /// In which currency.
    pub currency: String,
    /// An exact decimal in major units, without zeros at its end; below zero when more was taken back than came.
    pub amount: String,
}

/// What these services earned from one moment to another: the money that left to them, less what of it was taken back.
///
/// Money left when a withdrawal that did not wait for a confirmation succeeded, or with a confirmation of one that did. It counts at the
/// moment it became final. As text: a sum may have more digits than an amount.
pub async fn revenue(
    pool: &PgPool,
    services: &[i64],
    from: OffsetDateTime,
    to: OffsetDateTime,
    timeout: Duration,
) -> Result<Vec<RevenueRow>, StoreError> {
    let mut connection = pool.acquire().await?;
    let mut db_tx = connection.begin().await?;
    sqlx::query("SELECT set_config('statement_timeout', $1, true)")
        .bind(timeout.as_millis().to_string())
        .execute(&mut *db_tx)
        .await?;
    let rows = sqlx::query_as(
        "SELECT services.id AS service_id, services.name AS service, earned.currency, earned.amount
         FROM services
         CROSS JOIN LATERAL (
             SELECT transactions.currency,
                 trim_scale(sum(CASE transactions.kind WHEN 'reverse' THEN -transactions.amount ELSE transactions.amount END))::text
                     AS amount
             FROM transactions
             LEFT JOIN transactions AS original
                 ON original.id = transactions.original_id AND transactions.kind IN ('confirm', 'reverse')
             WHERE transactions.service_id = services.id
                 AND transactions.status = 'Success'
                 AND coalesce(transactions.finished_at, transactions.created_at) >= $2
                 AND coalesce(transactions.finished_at, transactions.created_at) < $3
                 AND (transactions.kind = 'withdraw' AND transactions.confirmed IS NULL
                     OR transactions.kind IN ('confirm', 'reverse') AND original.kind = 'withdraw')
             GROUP BY transactions.currency
         ) AS earned
         WHERE services.id = ANY($1)
         ORDER BY services.id, earned.currency",
    )
    .bind(services)
    .bind(from)
    .bind(to)
    .fetch_all(&mut *db_tx)
    .await?;
    db_tx.commit().await?;
    Ok(rows)
}
