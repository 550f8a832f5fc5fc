//! Adds currencies and wallets that are missing. Changes nothing that exists.

use std::ops::RangeInclusive;

use sqlx::{Connection, PgConnection};

use super::StoreError;
use crate::ledger::Currency;

/// Adds the currencies whose code is not known yet and whose number is free; returns the codes it added.
pub async fn insert_missing_currencies(
    connection: &mut PgConnection,
    currencies: &[Currency],
) -> Result<Vec<String>, StoreError> {
    let codes: Vec<&str> = currencies.iter().map(|currency| currency.code.as_str()).collect();
    let numbers: Vec<i16> = currencies.iter().map(|currency| currency.number).collect();
    let scales: Vec<i32> = currencies.iter().map(|currency| currency.scale.cast_signed()).collect();
    Ok(sqlx::query_scalar(
        "INSERT INTO currencies (code, number, scale)
         SELECT new.code, new.number, new.scale::smallint
         FROM unnest($1::text[], $2::smallint[], $3::integer[]) AS new (code, number, scale)
         ON CONFLICT DO NOTHING
         RETURNING code",
    )
    .bind(codes)
    .bind(numbers)
    .bind(scales)
    .fetch_all(connection)
    .await?)
}

/// Of these currency codes, the ones that are not there.
pub async fn list_missing_currencies(
    connection: &mut PgConnection,
    currencies: &[Currency],
) -> Result<Vec<String>, StoreError> {
    let codes: Vec<&str> = currencies.iter().map(|currency| currency.code.as_str()).collect();
    Ok(sqlx::query_scalar(
        "SELECT wanted.code
         FROM unnest($1::text[]) AS wanted (code)
         WHERE NOT EXISTS (SELECT FROM currencies WHERE currencies.code = wanted.code)
         ORDER BY wanted.code",
    )
    .bind(codes)
    .fetch_all(connection)
    .await?)
}

/// Adds the wallets of these ids that are missing; returns how many it added.
pub async fn insert_missing_wallets(
    connection: &mut PgConnection,
    ids: RangeInclusive<i64>,
) -> Result<u64, StoreError> {
    let result = sqlx::query(
        "INSERT INTO wallets (id)
         SELECT generate_series($1::bigint, $2::bigint)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(ids.start())
    .bind(ids.end())
    .execute(connection)
    .await?;
    Ok(result.rows_affected())
}

/// Moves the sequence that numbers new wallets past the highest id, so that ids given out by hand are not met again. Never back.
///
/// Under a lock that lets wallets be read and locked but none be added: otherwise a number given out meanwhile could be given out twice.
pub async fn move_wallet_sequence(connection: &mut PgConnection) -> Result<(), StoreError> {
    let mut db_tx = connection.begin().await?;
    sqlx::query("LOCK TABLE wallets IN SHARE ROW EXCLUSIVE MODE").execute(&mut *db_tx).await?;
    let highest: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM wallets").fetch_one(&mut *db_tx).await?;
    sqlx::query(
        "SELECT setval(sequence.name, $1)
         FROM (SELECT pg_get_serial_sequence('wallets', 'id')::regclass AS name) AS sequence
         WHERE $1 > coalesce(pg_sequence_last_value(sequence.name), 0)",
    )
    .bind(highest)
    .execute(&mut *db_tx)
    .await?;
    db_tx.commit().await?;
    Ok(())
}
