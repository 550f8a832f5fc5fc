//! The table `services`: whom revenue is reported for.

use sqlx::{Acquire, FromRow, PgPool};
use time::OffsetDateTime;

use super::{DbTx, StoreError};
use crate::ledger::ServiceId;

/// A row of `services`.
#[derive(Clone, Debug, FromRow)]
#[expect(missing_docs, reason = "the columns are described where the table is made")]
pub struct ServiceRow {
    pub id: i64,
    pub name: String,
    pub created_at: OffsetDateTime,
}

/// What became of a service that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// Transactions name it: it stays.
    InUse,
    /// There was none.
    Unknown,
}

/// Makes services, all or none, and gives them in the order of their names here. A taken name is a [`StoreError`] with its constraint.
pub async fn insert(pool: &PgPool, names: &[String]) -> Result<Vec<ServiceRow>, StoreError> {
    Ok(sqlx::query_as(
        "WITH made AS (
             INSERT INTO services (name)
             SELECT name
             FROM unnest($1::text[]) WITH ORDINALITY AS new (name, place)
             ORDER BY place
             RETURNING id, name, created_at
         )
         SELECT id, name, created_at
         FROM made
         ORDER BY id",
    )
    .bind(names)
    .fetch_all(pool)
    .await?)
}

/// Makes services of chosen ids, all or none. A taken id or name, and a name that cannot be one, is a [`StoreError`] with its constraint.
pub async fn insert_numbered(pool: &PgPool, services: &[(i64, String)]) -> Result<(), StoreError> {
    let (ids, names): (Vec<i64>, Vec<&str>) = services.iter().map(|(id, name)| (*id, name.as_str())).unzip();
    let mut connection = pool.acquire().await?;
    // The sequence must not come to these ids later. Under the lock no service is numbered meanwhile; batches, which lock rows, are not held up by it.
    let mut db_tx = connection.begin().await?;
    sqlx::query("LOCK TABLE services IN SHARE ROW EXCLUSIVE MODE").execute(&mut *db_tx).await?;
    sqlx::query(
        "INSERT INTO services (id, name)
         SELECT id, name
         FROM unnest($1::bigint[], $2::text[]) AS new (id, name)",
    )
    .bind(&ids)
    .bind(names)
    .execute(&mut *db_tx)
    .await?;
    sqlx::query(
        "SELECT setval(sequence.name, $1)
         FROM (SELECT pg_get_serial_sequence('services', 'id')::regclass AS name) AS sequence
         WHERE $1 > coalesce(pg_sequence_last_value(sequence.name), 0)",
    )
    .bind(ids.iter().max())
    .execute(&mut *db_tx)
    .await?;
    db_tx.commit().await?;
    Ok(())
}

/// The service of that id.
pub async fn find(pool: &PgPool, id: i64) -> Result<Option<ServiceRow>, StoreError> {
    let query = sqlx::query_as("SELECT id, name, created_at FROM services WHERE id = $1");
    Ok(query.bind(id).fetch_optional(pool).await?)
}

/// The first `limit` services after an id, by id; of a name, if one is asked for.
pub async fn list(pool: &PgPool, name: Option<&str>, after: i64, limit: i64) -> Result<Vec<ServiceRow>, StoreError> {
    Ok(sqlx::query_as(
        "SELECT id, name, created_at
         FROM services
         WHERE id > $1 AND ($2::text IS NULL OR name = $2)
         ORDER BY id
         LIMIT $3",
    )
    .bind(after)
    .bind(name)
    .bind(limit)
    .fetch_all(pool)
    .await?)
}

/// Renames a service; `None` when there is no such service. A taken name is a [`StoreError`] with its constraint.
pub async fn rename(pool: &PgPool, id: i64, name: &str) -> Result<Option<ServiceRow>, StoreError> {
    let query = sqlx::query_as("UPDATE services SET name = $2 WHERE id = $1 RETURNING id, name, created_at");
    Ok(query.bind(id).bind(name).fetch_optional(pool).await?)
}

/// Deletes a service that no transaction names.
///
/// The row is locked first, in a statement of its own: a batch that found the service holds it by `FOR KEY SHARE` until its commit, so
/// what it wrote is seen by the look that follows; one that comes later finds no service.
pub async fn delete(pool: &PgPool, id: i64) -> Result<Deletion, StoreError> {
    let mut connection = pool.acquire().await?;
    let mut db_tx = connection.begin().await?;
    let locked: Option<i64> = sqlx::query_scalar("SELECT id FROM services WHERE id = $1 FOR UPDATE")
        .bind(id)
        .fetch_optional(&mut *db_tx)
        .await?;
    if locked.is_none() {
        return Ok(Deletion::Unknown);
    }
    let is_used: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM transactions WHERE service_id = $1)")
        .bind(id)
        .fetch_one(&mut *db_tx)
        .await?;
    if is_used {
        return Ok(Deletion::InUse);
    }
    sqlx::query("DELETE FROM services WHERE id = $1").bind(id).execute(&mut *db_tx).await?;
    db_tx.commit().await?;
    Ok(Deletion::Deleted)
}

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
