//! Wallets by the thousand, as `purser import` brings them. Adds what is missing; what is there stays. No money is moved here.

use rust_decimal::Decimal;
use sqlx::{FromRow, PgConnection};

use super::StoreError;
use super::directory::NewWallet;

/// How a wallet is known.
#[derive(Clone, Debug, FromRow)]
#[expect(missing_docs, reason = "the columns are described where the table is made")]
pub struct KnownWallet {
    pub id: i64,
    pub external_id: Option<String>,
    pub has_name: bool,
    pub has_labels: bool,
}

/// A transaction that was recorded under a key.
#[derive(Clone, Debug, FromRow)]
#[expect(missing_docs, reason = "the columns are described where the table is made")]
pub struct Recorded {
    pub wallet_id: i64,
    pub idempotency_key: String,
    pub currency: Option<String>,
    pub amount: Option<Decimal>,
    pub succeeded: bool,
}

/// Adds those of these wallets, which all bring an id, whose id and external id are free; says how many.
pub async fn insert_missing(connection: &mut PgConnection, wallets: &[NewWallet]) -> Result<u64, StoreError> {
    let result = sqlx::query(
        "INSERT INTO wallets (id, external_id, name, labels)
         SELECT id, external_id, name, labels::jsonb
         FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS new (id, external_id, name, labels)
         ORDER BY id
         ON CONFLICT DO NOTHING",
    )
    .bind(wallets.iter().map(|wallet| wallet.id).collect::<Vec<_>>())
    .bind(wallets.iter().map(|wallet| wallet.external_id.as_deref()).collect::<Vec<_>>())
    .bind(wallets.iter().map(|wallet| wallet.name.as_deref()).collect::<Vec<_>>())
    .bind(wallets.iter().map(|wallet| wallet.labels.as_str()).collect::<Vec<_>>())
    // Planned anew each time: a plan from when the table was empty would be kept while it grows. The same below.
    .persistent(false)
    .execute(connection)
    .await?;
    Ok(result.rows_affected())
}

/// The same for wallets that bring an external id only: they get the next numbers, in their order here. A number is taken for those alone that
/// are not there. One that someone gave out by hand leaves its wallet out: move the sequence first, [`super::seed::move_wallet_sequence`].
pub async fn insert_missing_numbered(connection: &mut PgConnection, wallets: &[NewWallet]) -> Result<u64, StoreError> {
    let result = sqlx::query(
        "INSERT INTO wallets (external_id, name, labels)
         SELECT external_id, name, labels::jsonb
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS new (external_id, name, labels, place)
         WHERE NOT EXISTS (SELECT FROM wallets WHERE wallets.external_id = new.external_id)
         ORDER BY place
         ON CONFLICT DO NOTHING",
    )
    .bind(wallets.iter().map(|wallet| wallet.external_id.as_deref()).collect::<Vec<_>>())
    .bind(wallets.iter().map(|wallet| wallet.name.as_deref()).collect::<Vec<_>>())
    .bind(wallets.iter().map(|wallet| wallet.labels.as_str()).collect::<Vec<_>>())
    .persistent(false)
    .execute(connection)
    .await?;
    Ok(result.rows_affected())
}

/// The wallets that have one of these ids or one of these external ids.
pub async fn list_known(
    connection: &mut PgConnection,
    ids: &[i64],
    external_ids: &[&str],
) -> Result<Vec<KnownWallet>, StoreError> {
    Ok(sqlx::query_as(
        "SELECT id, external_id, name IS NOT NULL AS has_name, labels <> '{}' AS has_labels
         FROM wallets
         WHERE id = ANY($1)
         UNION
         SELECT id, external_id, name IS NOT NULL, labels <> '{}'
         FROM wallets
         WHERE external_id = ANY($2)",
    )
    .bind(ids)
    .bind(external_ids)
    .persistent(false)
    .fetch_all(connection)
    .await?)
}

/// Gives wallets that are there what they lack: an external id, a name, labels. What they have stays. The rows are locked in the order of their
/// ids, as every batch locks them.
pub async fn complete(connection: &mut PgConnection, wallets: &[NewWallet]) -> Result<(), StoreError> {
    sqlx::query(
        "WITH locked AS (
             SELECT id
             FROM wallets
             WHERE id = ANY($1)
             ORDER BY id
             FOR UPDATE
         )
         UPDATE wallets
         SET external_id = coalesce(wallets.external_id, new.external_id),
             name = coalesce(wallets.name, new.name),
             labels = CASE wallets.labels WHEN '{}' THEN new.labels::jsonb ELSE wallets.labels END
         FROM locked
         JOIN unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS new (id, external_id, name, labels)
             ON new.id = locked.id
         WHERE wallets.id = locked.id",
    )
    .bind(wallets.iter().map(|wallet| wallet.id).collect::<Vec<_>>())
    .bind(wallets.iter().map(|wallet| wallet.external_id.as_deref()).collect::<Vec<_>>())
    .bind(wallets.iter().map(|wallet| wallet.name.as_deref()).collect::<Vec<_>>())
    .bind(wallets.iter().map(|wallet| wallet.labels.as_str()).collect::<Vec<_>>())
    .persistent(false)
    .execute(connection)
    .await?;
    Ok(())
}

/// What is on record under these keys of these wallets.
pub async fn list_recorded(
    connection: &mut PgConnection,
    wallets_and_keys: &[(i64, String)],
) -> Result<Vec<Recorded>, StoreError> {
    Ok(sqlx::query_as(
        "SELECT wallet_id, idempotency_key, currency, amount, status = 'Success' AS succeeded
         FROM transactions
         WHERE (wallet_id, idempotency_key) IN (SELECT * FROM unnest($1::bigint[], $2::text[]))",
    )
    .bind(wallets_and_keys.iter().map(|(wallet, _)| *wallet).collect::<Vec<_>>())
    .bind(wallets_and_keys.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>())
    .persistent(false)
    .fetch_all(connection)
    .await?)
}
