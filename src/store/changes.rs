//! What a batch writes: one statement for what nearly every batch writes, and one each for what few do.
//!
//! Each column goes as one array, and `unnest` stands in the SELECT's list, once for each: there PostgreSQL steps through all of them side by side. In
//! FROM, one `unnest` of many arrays means the same, but every array is first copied into a buffer of its own, which cost 0.6 us a row of ten columns
//! (0.9 instead of 0.25).

use std::collections::BTreeMap;
use std::marker::PhantomData;

use rust_decimal::Decimal;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{DbTx, StoreError};
use crate::ledger::rules::Change;
use crate::ledger::{Changes, Entry, StoredBalance, Timestamp, Transaction};

/// Writes new transactions, new entries and changed balances. Each balance is written once, however often the batch changed it.
///
/// One statement, one round trip. `now` is later than the locks, so along a wallet's history times never go back.
pub async fn save(db_tx: &mut DbTx, changes: &Changes, now: Timestamp) -> Result<(), StoreError> {
    let transactions = Transactions::of(changes.transactions.iter().filter(|transaction| transaction.more.is_none()));
    let entries = Entries::of(&changes.entries);
    let balances = Balances::of(&changes.balances);
    let saved = sqlx::query(
        "WITH new_transactions AS (
             INSERT INTO transactions (id, wallet_id, to_wallet_id, kind, status, rejection, currency, amount,
                 idempotency_key, fingerprint, created_at)
             SELECT unnest($1::uuid[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::text[]), unnest($5::text[]),
                 unnest($6::text[]), unnest($7::text[]), unnest($8::numeric[]), unnest($9::text[]), unnest($10::bytea[]), $27
         ), new_entries AS (
             INSERT INTO entries (wallet_id, currency, seq, transaction_id, available_delta, held_delta,
                 incoming_delta, available, held, incoming, created_at)
             SELECT unnest($11::bigint[]), unnest($12::text[]), unnest($13::bigint[]), unnest($14::uuid[]),
                 unnest($15::numeric[]), unnest($16::numeric[]), unnest($17::numeric[]), unnest($18::numeric[]),
                 unnest($19::numeric[]), unnest($20::numeric[]), $27
         )
         UPDATE balances
         SET available = new.available, held = new.held, incoming = new.incoming, seq = new.seq, waiting = new.waiting
         FROM (
             SELECT unnest($21::bigint[]), unnest($22::text[]), unnest($23::numeric[]), unnest($24::numeric[]),
                 unnest($25::numeric[]), unnest($26::bigint[]), unnest($28::integer[])
         ) AS new (wallet_id, currency, available, held, incoming, seq, waiting)
         WHERE balances.wallet_id = new.wallet_id AND balances.currency = new.currency",
    )
    .bind(transactions.id)
    .bind(transactions.wallet_id)
    .bind(transactions.to_wallet_id)
    .bind(transactions.kind)
    .bind(transactions.status)
    .bind(transactions.rejection)
    .bind(transactions.currency)
    .bind(transactions.amount)
    .bind(transactions.idempotency_key)
    .bind(transactions.fingerprint)
    .bind(entries.wallet_id)
    .bind(entries.currency)
    .bind(entries.seq)
    .bind(entries.transaction_id)
    .bind(entries.available_delta)
    .bind(entries.held_delta)
    .bind(entries.incoming_delta)
    .bind(entries.available)
    .bind(entries.held)
    .bind(entries.incoming)
    .bind(balances.wallet_id)
    .bind(balances.currency)
    .bind(balances.available)
    .bind(balances.held)
    .bind(balances.incoming)
    .bind(balances.seq)
    .bind(now.0)
    .bind(balances.waiting)
    .execute(&mut **db_tx)
    .await?;
    // Entries without their balance would be false books; nothing of this batch is committed.
    assert_eq!(saved.rows_affected(), changes.balances.len() as u64, "every changed balance has its row");
    Ok(())
}

/// Writes the new transactions that have more than most: holds, what waits, what is about another one, what has details or a reference.
pub async fn save_with_more(db_tx: &mut DbTx, changes: &Changes, now: Timestamp) -> Result<(), StoreError> {
    let with_more = || changes.transactions.iter().filter(|transaction| transaction.more.is_some());
    let (transactions, more) = (Transactions::of(with_more()), MoreColumns::of(with_more()));
    sqlx::query(
        "INSERT INTO transactions (id, wallet_id, to_wallet_id, kind, status, rejection, currency, amount, idempotency_key,
             fingerprint, original_id, original_status, batch_id, failed_item, confirmed, waiting_number, expires_at,
             finished_at, labels, description, service_id, order_id, reference, created_at)
         SELECT unnest($1::uuid[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::text[]), unnest($5::text[]),
             unnest($6::text[]), unnest($7::text[]), unnest($8::numeric[]), unnest($9::text[]), unnest($10::bytea[]),
             unnest($11::uuid[]), unnest($12::text[]), unnest($13::uuid[]), unnest($14::integer[]), unnest($15::numeric[]),
             unnest($16::bigint[]), unnest($17::timestamptz[]), unnest($18::timestamptz[]), unnest($19::jsonb[]),
             unnest($20::text[]), unnest($21::bigint[]), unnest($22::text[]), unnest($23::text[]), $24",
    )
    .bind(transactions.id)
    .bind(transactions.wallet_id)
    .bind(transactions.to_wallet_id)
    .bind(transactions.kind)
    .bind(transactions.status)
    .bind(transactions.rejection)
    .bind(transactions.currency)
    .bind(transactions.amount)
    .bind(transactions.idempotency_key)
    .bind(transactions.fingerprint)
    .bind(more.original_id)
    .bind(more.original_status)
    .bind(more.batch_id)
    .bind(more.failed_item)
    .bind(more.confirmed)
    .bind(more.waiting_number)
    .bind(more.expires_at)
    .bind(more.finished_at)
    .bind(more.labels)
    .bind(more.description)
    .bind(more.service_id)
    .bind(more.order_id)
    .bind(more.reference)
    .bind(now.0)
    .execute(&mut **db_tx)
    .await?;
    Ok(())
}

/// Writes what became of earlier transactions that had status Created.
pub async fn save_updates(db_tx: &mut DbTx, changes: &Changes, now: Timestamp) -> Result<(), StoreError> {
    let updates = Updates::of(&changes.updates);
    let saved = sqlx::query(
        "UPDATE transactions
         SET status = new.status, rejection = new.rejection, confirmed = new.confirmed, expires_at = new.expires_at,
             expiry_claimed_until = NULL, finished_at = CASE WHEN new.status <> 'Created' THEN $6::timestamptz END
         FROM (
             SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::numeric[]), unnest($5::timestamptz[])
         ) AS new (id, status, rejection, confirmed, expires_at)
         WHERE transactions.id = new.id AND transactions.status = 'Created'",
    )
    .bind(updates.id)
    .bind(updates.status)
    .bind(updates.rejection)
    .bind(updates.confirmed)
    .bind(updates.expires_at)
    .bind(now.0)
    .execute(&mut **db_tx)
    .await?;
    // Money that moved for a transaction that did not change would be false books; nothing of this batch is committed.
    assert_eq!(
        saved.rows_affected(),
        changes.updates.len() as u64,
        "what had status Created still has it under its wallet's lock"
    );
    Ok(())
}

/// Declares a table's columns as one list each, with how a column is read from a row: `unnest` takes them side by side.
macro_rules! columns {
    ($name:ident of $source:ty: $row:ident { $($column:ident: $type:ty = $value:expr,)* }) => {
        struct $name<'a> {
            $($column: Vec<$type>,)*
            rows: PhantomData<&'a ()>,
        }

        impl<'a> $name<'a> {
            fn of(rows: impl IntoIterator<Item = &'a $source>) -> Self {
                let rows = rows.into_iter();
                let mut columns = Self { $($column: Vec::with_capacity(rows.size_hint().1.unwrap_or(0)),)* rows: PhantomData };
                for $row in rows {
                    $(columns.$column.push($value);)*
                }
                columns
            }
        }
    };
}

columns!(Transactions of Transaction: row {
    id: Uuid = row.id.0,
    wallet_id: i64 = row.wallet.0,
    to_wallet_id: Option<i64> = row.to_wallet.map(|wallet| wallet.0),
    kind: &'static str = row.kind.as_str(),
    status: &'static str = row.status.as_str(),
    rejection: Option<&'static str> = row.rejection.map(|rejection| rejection.code()),
    currency: Option<&'a str> = row.money.as_ref().map(|money| money.currency.as_str()),
    amount: Option<Decimal> = row.money.map(|money| money.amount.value()),
    idempotency_key: Option<&'a str> = row.key.as_ref().map(|(key, _)| key.as_str()),
    fingerprint: Option<&'a [u8]> = row.key.as_ref().map(|(_, fingerprint)| fingerprint.0.as_slice()),
});

columns!(Entries of Entry: row {
    wallet_id: i64 = row.wallet.0,
    currency: &'a str = row.currency.as_str(),
    seq: i64 = row.seq,
    transaction_id: Uuid = row.transaction.0,
    available_delta: Decimal = row.delta.available,
    held_delta: Decimal = row.delta.held,
    incoming_delta: Decimal = row.delta.incoming,
    available: Decimal = row.after.available,
    held: Decimal = row.after.held,
    incoming: Decimal = row.after.incoming,
});

columns!(Balances of StoredBalance: row {
    wallet_id: i64 = row.wallet.0,
    currency: &'a str = row.currency.as_str(),
    available: Decimal = row.balance.available,
    held: Decimal = row.balance.held,
    incoming: Decimal = row.balance.incoming,
    seq: i64 = row.seq,
    waiting: i32 = i32::try_from(row.waiting).unwrap_or(i32::MAX),
});

columns!(MoreColumns of Transaction: row {
    original_id: Option<Uuid> = row.more().original.map(|original| original.id.0),
    original_status: Option<&'static str> = row.more().original.map(|original| original.status.as_str()),
    batch_id: Option<Uuid> = row.more().batch.map(|batch| batch.0),
    failed_item: Option<i32> = row.more().failed_item.map(|item| i32::try_from(item).unwrap_or(i32::MAX)),
    confirmed: Option<Decimal> = row.more().confirmed,
    waiting_number: Option<i64> = row.more().waiting_number,
    expires_at: Option<OffsetDateTime> = row.more().expires_at.map(|moment| moment.0),
    finished_at: Option<OffsetDateTime> = row.more().finished_at.map(|moment| moment.0),
    labels: Option<Json<BTreeMap<&'a str, &'a str>>> = labels(row),
    description: Option<&'a str> = row.more().details.as_ref().and_then(|details| details.description()),
    service_id: Option<i64> = row.more().details.as_ref().and_then(|details| Some(details.service()?.0)),
    order_id: Option<&'a str> = row.more().details.as_ref().and_then(|details| details.order()),
    reference: Option<&'a str> = row.more().reference.as_ref().map(|reference| reference.as_str()),
});

columns!(Updates of Change: row {
    id: Uuid = row.id.0,
    status: &'static str = row.status.as_str(),
    rejection: Option<&'static str> = row.rejection.map(|rejection| rejection.code()),
    confirmed: Option<Decimal> = row.confirmed,
    expires_at: Option<OffsetDateTime> = row.expires_at.map(|moment| moment.0),
});

fn labels(transaction: &Transaction) -> Option<Json<BTreeMap<&str, &str>>> {
    let labels = transaction.more().details.as_ref()?.labels();
    (!labels.is_empty()).then(|| Json(labels.iter().collect()))
}
