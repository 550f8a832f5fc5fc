//! The table `standings`: which operation gave a wallet its standing. What a wallet may do now is in `wallets`, see [`super::wallets`].

use uuid::Uuid;

use super::transactions::uuids;
use super::{DbTx, StoreError};
use crate::ledger::{Standing, StandingRecord, Timestamp, TransactionId};

/// Records operations on wallets' standings, in their order.
pub async fn insert(db_tx: &mut DbTx, records: &[StandingRecord], now: Timestamp) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = records.iter().map(|record| record.id.0).collect();
    let (wallets, words): (Vec<i64>, Vec<&str>) =
        records.iter().map(|record| (record.wallet.0, record.standing.as_str())).unzip();
    sqlx::query(
        "INSERT INTO standings (id, wallet_id, standing, created_at)
         SELECT id, wallet_id, standing, $4
         FROM unnest($1::uuid[], $2::bigint[], $3::text[]) WITH ORDINALITY AS new (id, wallet_id, standing, place)
         ORDER BY place",
    )
    .bind(ids)
    .bind(wallets)
    .bind(words)
    .bind(now.0)
    .execute(&mut **db_tx)
    .await?;
    Ok(())
}

/// What operations of these ids gave their wallets. After the lock.
pub async fn find_by_ids(
    db_tx: &mut DbTx,
    ids: &[TransactionId],
) -> Result<Vec<(TransactionId, Standing)>, StoreError> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT id, standing
         FROM standings
         WHERE id = ANY($1)",
    )
    .bind(uuids(ids))
    .fetch_all(&mut **db_tx)
    .await?;
    let found = |(id, word): (Uuid, String)| {
        let standing = Standing::parse(&word);
        let standing =
            standing.ok_or_else(|| sqlx::Error::Decode("standings.standing holds an unknown word".into()))?;
        Ok((TransactionId(id), standing))
    };
    rows.into_iter().map(found).collect::<Result<_, sqlx::Error>>().map_err(StoreError::from)
}
