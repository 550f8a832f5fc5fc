//! The table `transactions`.

use rust_decimal::Decimal;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use super::{DbTx, StoreError};
use crate::ledger::{
    Amount, CurrencyCode, Fingerprint, IdempotencyKey, Kind, Money, Operation, Rejection, Status, Transaction,
    TransactionId, WalletId,
};

/// The transactions that operations of a batch became earlier, by wallet and idempotency key. After the lock: a concurrent duplicate
/// waits there, then is found here.
pub async fn find_by_keys(db_tx: &mut DbTx, batch: &[Operation]) -> Result<Vec<Transaction>, StoreError> {
    let (wallets, keys): (Vec<i64>, Vec<&str>) = batch
        .iter()
        .filter(|operation| operation.request.money().is_some())
        .filter_map(|operation| Some((operation.request.wallet().0, operation.idempotency_key.as_ref()?.as_str())))
        .unzip();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Stored> = sqlx::query_as(
        "SELECT id, kind, wallet_id, to_wallet_id, currency, amount, status, rejection, idempotency_key, fingerprint
         FROM unnest($1::bigint[], $2::text[]) AS asked (asked_wallet_id, asked_key)
         JOIN transactions ON wallet_id = asked_wallet_id AND idempotency_key = asked_key",
    )
    .bind(wallets)
    .bind(keys)
    .fetch_all(&mut **db_tx)
    .await?;
    Ok(rows.into_iter().map(|stored| stored.0).collect())
}

/// The transactions that operations of a batch became in an earlier try whose answer was lost.
pub async fn find_by_ids(db_tx: &mut DbTx, batch: &[Operation]) -> Result<Vec<Transaction>, StoreError> {
    let ids: Vec<Uuid> = batch.iter().map(|operation| operation.id.0).collect();
    let rows: Vec<Stored> = sqlx::query_as(
        "SELECT id, kind, wallet_id, to_wallet_id, currency, amount, status, rejection, idempotency_key, fingerprint
         FROM transactions
         WHERE id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(&mut **db_tx)
    .await?;
    Ok(rows.into_iter().map(|stored| stored.0).collect())
}

/// A row of `transactions`, read back into the ledger's words.
struct Stored(Transaction);

impl<'r> FromRow<'r, PgRow> for Stored {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let fingerprint = row
            .try_get::<Option<&[u8]>, _>("fingerprint")?
            .map(|bytes| bytes.try_into().map(Fingerprint).map_err(|_| unreadable("fingerprint")))
            .transpose()?;
        let key = row
            .try_get::<Option<&str>, _>("idempotency_key")?
            .map(|key| IdempotencyKey::new(key).map_err(|_| unreadable("idempotency_key")))
            .transpose()?;
        let rejection = row
            .try_get::<Option<&str>, _>("rejection")?
            .map(|code| Rejection::parse(code).ok_or_else(|| unreadable("rejection")))
            .transpose()?;
        Ok(Self(Transaction {
            id: TransactionId(row.try_get("id")?),
            kind: Kind::parse(row.try_get("kind")?).ok_or_else(|| unreadable("kind"))?,
            wallet: WalletId(row.try_get("wallet_id")?),
            to_wallet: row.try_get::<Option<i64>, _>("to_wallet_id")?.map(WalletId),
            money: Money {
                amount: Amount::new(row.try_get::<Decimal, _>("amount")?).map_err(|_| unreadable("amount"))?,
                currency: CurrencyCode::new(row.try_get("currency")?).ok_or_else(|| unreadable("currency"))?,
            },
            status: Status::parse(row.try_get("status")?).ok_or_else(|| unreadable("status"))?,
            rejection,
            key: key.zip(fingerprint),
        }))
    }
}

/// A value that this version did not write: a newer version runs on the same database.
fn unreadable(column: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("transactions.{column} holds a value that this version does not know").into())
}
