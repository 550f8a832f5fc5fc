//! The table `transactions`, as a batch reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgPool, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{DbTx, StoreError};
use crate::ledger::transaction::More;
use crate::ledger::{
    Amount, CurrencyCode, Details, Fingerprint, IdempotencyKey, Kind, Known, Labels, Money, Operation, Original,
    Reference, Rejection, ServiceId, Status, Timestamp, Transaction, TransactionId, Waiting, WalletId,
};

/// A SELECT of every column that a transaction is read back from. Named one by one: a column that a newer version adds must not change what a
/// statement of this one gives.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT transactions.id, transactions.kind, transactions.wallet_id, transactions.to_wallet_id, transactions.currency,
                 transactions.amount, transactions.status, transactions.rejection, transactions.idempotency_key,
                 transactions.fingerprint, transactions.created_at, transactions.original_id, transactions.original_status,
                 transactions.batch_id, transactions.failed_item, transactions.confirmed, transactions.waiting_number,
                 transactions.expires_at, transactions.finished_at, transactions.labels, transactions.description,
                 transactions.service_id, transactions.order_id, transactions.reference",
            $rest
        )
    };
}

/// The transactions that operations of a batch became earlier, by wallet and idempotency key. After the lock: a concurrent duplicate
/// waits there, then is found here.
pub async fn find_by_keys(db_tx: &mut DbTx, batch: &[Operation]) -> Result<Vec<Transaction>, StoreError> {
    let (wallets, keys): (Vec<i64>, Vec<&str>) = batch
        .iter()
        .filter(|operation| operation.request.is_write())
        .filter_map(|operation| Some((operation.request.wallet().0, operation.idempotency_key.as_ref()?.as_str())))
        .unzip();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Stored> = sqlx::query_as(select!(
        "
         FROM unnest($1::bigint[], $2::text[]) AS asked (asked_wallet_id, asked_key)
         JOIN transactions ON wallet_id = asked_wallet_id AND idempotency_key = asked_key"
    ))
    .bind(wallets)
    .bind(keys)
    .fetch_all(&mut **db_tx)
    .await?;
    Ok(rows.into_iter().map(|stored| stored.0).collect())
}

/// The transactions of these ids.
pub async fn find_by_ids(db_tx: &mut DbTx, ids: &[TransactionId]) -> Result<Vec<Transaction>, StoreError> {
    let rows: Vec<Stored> = sqlx::query_as(select!(
        "
         FROM transactions
         WHERE id = ANY($1)"
    ))
    .bind(uuids(ids))
    .fetch_all(&mut **db_tx)
    .await?;
    Ok(rows.into_iter().map(|stored| stored.0).collect())
}

/// A transaction, for one who is about to ask something about it.
pub async fn find(pool: &PgPool, id: TransactionId) -> Result<Option<Transaction>, StoreError> {
    let row: Option<Stored> = sqlx::query_as(select!(
        "
         FROM transactions
         WHERE id = $1"
    ))
    .bind(id.0)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|stored| stored.0))
}

/// The items of atomic batches, in their order.
pub async fn list_items(db_tx: &mut DbTx, batches: &[TransactionId]) -> Result<Vec<Transaction>, StoreError> {
    let rows: Vec<Stored> = sqlx::query_as(select!(
        "
         FROM transactions
         WHERE batch_id = ANY($1)
         ORDER BY id"
    ))
    .bind(uuids(batches))
    .fetch_all(&mut **db_tx)
    .await?;
    Ok(rows.into_iter().map(|stored| stored.0).collect())
}

/// The wallets of transactions. They never change, so they can be asked for before the lock, to know what to lock.
pub async fn list_wallets(db_tx: &mut DbTx, ids: &[TransactionId]) -> Result<Vec<WalletId>, StoreError> {
    let rows: Vec<(i64, Option<i64>)> = sqlx::query_as(
        "SELECT wallet_id, to_wallet_id
         FROM transactions
         WHERE id = ANY($1)",
    )
    .bind(uuids(ids))
    .fetch_all(&mut **db_tx)
    .await?;
    Ok(rows.into_iter().flat_map(|(wallet, to_wallet)| [Some(wallet), to_wallet]).flatten().map(WalletId).collect())
}

/// The transactions of these ids, with how much of each was reversed. After the lock.
pub async fn list_known(db_tx: &mut DbTx, ids: &[TransactionId]) -> Result<Vec<Known>, StoreError> {
    let rows: Vec<(Stored, Reversed)> = sqlx::query(select!(
        ",
             (SELECT sum(reversals.amount)
              FROM transactions AS reversals
              WHERE reversals.original_id = transactions.id
                  AND reversals.kind = 'reverse'
                  AND reversals.status = 'Success') AS reversed
         FROM transactions
         WHERE id = ANY($1)"
    ))
    .bind(uuids(ids))
    .try_map(|row: PgRow| Ok((Stored::from_row(&row)?, Reversed(row.try_get("reversed")?))))
    .fetch_all(&mut **db_tx)
    .await?;
    let known = |(Stored(transaction), Reversed(reversed)): (Stored, Reversed)| Known {
        transaction,
        reversed: reversed.unwrap_or_default(),
    };
    Ok(rows.into_iter().map(known).collect())
}

/// The withdrawals that wait for funds of these wallets and currencies. After the lock.
pub async fn list_waiting(
    db_tx: &mut DbTx,
    lines: &[(WalletId, CurrencyCode)],
) -> Result<Vec<(WalletId, CurrencyCode, Waiting)>, StoreError> {
    let (wallets, currencies): (Vec<i64>, Vec<&str>) =
        lines.iter().map(|(wallet, currency)| (wallet.0, currency.as_str())).unzip();
    let rows: Vec<(i64, String, i64, Uuid, Decimal)> = sqlx::query_as(
        "SELECT wallet_id, currency, waiting_number, id, amount
         FROM unnest($1::bigint[], $2::text[]) AS asked (asked_wallet_id, asked_currency)
         JOIN transactions ON wallet_id = asked_wallet_id AND currency = asked_currency
         WHERE waiting_number IS NOT NULL AND status = 'Created'",
    )
    .bind(wallets)
    .bind(currencies)
    .fetch_all(&mut **db_tx)
    .await?;
    let waiting = |(wallet, currency, number, id, amount): (i64, String, i64, Uuid, Decimal)| {
        let currency = CurrencyCode::new(&currency).ok_or_else(|| unreadable("currency"))?;
        let amount = Amount::new(amount).map_err(|_| unreadable("amount"))?;
        Ok((WalletId(wallet), currency, Waiting { number, id: TransactionId(id), amount }))
    };
    rows.into_iter().map(waiting).collect::<Result<_, sqlx::Error>>().map_err(StoreError::from)
}

/// A row of `transactions`, read back into the ledger's words.
pub(super) struct Stored(pub Transaction);

struct Reversed(Option<Decimal>);

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
        let more = more(row)?;
        Ok(Self(Transaction {
            id: TransactionId(row.try_get("id")?),
            kind: Kind::parse(row.try_get("kind")?).ok_or_else(|| unreadable("kind"))?,
            wallet: WalletId(row.try_get("wallet_id")?),
            to_wallet: row.try_get::<Option<i64>, _>("to_wallet_id")?.map(WalletId),
            money: money(row)?,
            status: status(row.try_get("status")?, "status")?,
            rejection,
            key: key.zip(fingerprint),
            created_at: Timestamp(row.try_get("created_at")?),
            more: (more != More::default()).then(|| Box::new(more)),
        }))
    }
}

fn more(row: &PgRow) -> sqlx::Result<More> {
    let moment = |column| row.try_get::<Option<OffsetDateTime>, _>(column).map(|moment| moment.map(Timestamp));
    let original = match row.try_get::<Option<Uuid>, _>("original_id")? {
        Some(id) => Some(Original {
            id: TransactionId(id),
            status: status(row.try_get("original_status")?, "original_status")?,
        }),
        None => None,
    };
    let failed_item = row.try_get::<Option<i32>, _>("failed_item")?;
    Ok(More {
        confirmed: row.try_get("confirmed")?,
        waiting_number: row.try_get("waiting_number")?,
        expires_at: moment("expires_at")?,
        finished_at: moment("finished_at")?,
        original,
        batch: row.try_get::<Option<Uuid>, _>("batch_id")?.map(TransactionId),
        failed_item: failed_item.map(usize::try_from).transpose().map_err(|_| unreadable("failed_item"))?,
        details: details(row)?.map(Arc::new),
        reference: row
            .try_get::<Option<&str>, _>("reference")?
            .map(|reference| Reference::new(reference).map_err(|_| unreadable("reference")))
            .transpose()?,
    })
}

fn details(row: &PgRow) -> sqlx::Result<Option<Details>> {
    let labels = row.try_get::<Option<Json<BTreeMap<String, String>>>, _>("labels")?;
    let labels = Labels::new(labels.map(|labels| labels.0).unwrap_or_default()).map_err(|_| unreadable("labels"))?;
    let service = row.try_get::<Option<i64>, _>("service_id")?.map(ServiceId);
    let details = Details::new(labels, row.try_get("description")?, service, row.try_get("order_id")?)
        .map_err(|_| unreadable("description"))?;
    Ok((!details.is_empty()).then_some(details))
}

fn money(row: &PgRow) -> sqlx::Result<Option<Money>> {
    let Some(amount) = row.try_get::<Option<Decimal>, _>("amount")? else { return Ok(None) };
    let amount = Amount::new(amount).map_err(|_| unreadable("amount"))?;
    let currency = CurrencyCode::new(row.try_get("currency")?).ok_or_else(|| unreadable("currency"))?;
    Ok(Some(Money { amount, currency }))
}

fn status(word: &str, column: &str) -> sqlx::Result<Status> {
    Status::parse(word).ok_or_else(|| unreadable(column))
}

pub(super) fn uuids(ids: &[TransactionId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}

/// A value that this version did not write: a newer version runs on the same database.
fn unreadable(column: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("transactions.{column} holds a value that this version does not know").into())
}
