//! What a batch writes, in one statement.

use rust_decimal::Decimal;
use uuid::Uuid;

use super::{DbTx, StoreError};
use crate::ledger::Changes;

/// Writes new transactions, new entries and changed balances. Each balance is written once, however often the batch changed it.
///
/// One statement, one round trip. Its time is after the locks, so along a wallet's history times never go back.
pub async fn save(db_tx: &mut DbTx, changes: &Changes) -> Result<(), StoreError> {
    let transactions = Transactions::of(changes);
    let entries = Entries::of(changes);
    let balances = Balances::of(changes);
    let saved = sqlx::query(
        "WITH new_transactions AS (
             INSERT INTO transactions (id, wallet_id, to_wallet_id, kind, status, rejection, currency, amount,
                 idempotency_key, fingerprint, created_at)
             SELECT new.*, statement_timestamp()
             FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                 $8::numeric[], $9::text[], $10::bytea[]) AS new
         ), new_entries AS (
             INSERT INTO entries (wallet_id, currency, seq, transaction_id, available_delta, held_delta,
                 incoming_delta, available, held, incoming, created_at)
             SELECT new.*, statement_timestamp()
             FROM unnest($11::bigint[], $12::text[], $13::bigint[], $14::uuid[], $15::numeric[], $16::numeric[],
                 $17::numeric[], $18::numeric[], $19::numeric[], $20::numeric[]) AS new
         )
         UPDATE balances
         SET available = new.available, held = new.held, incoming = new.incoming, seq = new.seq
         FROM unnest($21::bigint[], $22::text[], $23::numeric[], $24::numeric[], $25::numeric[], $26::bigint[])
             AS new (wallet_id, currency, available, held, incoming, seq)
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
    .execute(&mut **db_tx)
    .await?;
    // Entries without their balance would be false books; nothing of this batch is committed.
    assert_eq!(saved.rows_affected(), changes.balances.len() as u64, "every changed balance has its row");
    Ok(())
}

/// Declares a table's columns as one list each, with how a column is read from a row: `unnest` takes them side by side.
macro_rules! columns {
    ($name:ident of $rows:ident: $row:ident { $($column:ident: $type:ty = $value:expr,)* }) => {
        struct $name<'a> {
            $($column: Vec<$type>,)*
            rows: std::marker::PhantomData<&'a ()>,
        }

        impl<'a> $name<'a> {
            fn of(changes: &'a Changes) -> Self {
                let rows = &changes.$rows;
                let mut columns = Self { $($column: Vec::with_capacity(rows.len()),)* rows: std::marker::PhantomData };
                for $row in rows {
                    $(columns.$column.push($value);)*
                }
                columns
            }
        }
    };
}

columns!(Transactions of transactions: row {
    id: Uuid = row.id.0,
    wallet_id: i64 = row.wallet.0,
    to_wallet_id: Option<i64> = row.to_wallet.map(|wallet| wallet.0),
    kind: &'static str = row.kind.as_str(),
    status: &'static str = row.status.as_str(),
    rejection: Option<&'static str> = row.rejection.map(|rejection| rejection.code()),
    currency: &'a str = row.money.currency.as_str(),
    amount: Decimal = row.money.amount.value(),
    idempotency_key: Option<&'a str> = row.key.as_ref().map(|(key, _)| key.as_str()),
    fingerprint: Option<&'a [u8]> = row.key.as_ref().map(|(_, fingerprint)| fingerprint.0.as_slice()),
});

columns!(Entries of entries: row {
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

columns!(Balances of balances: row {
    wallet_id: i64 = row.wallet.0,
    currency: &'a str = row.currency.as_str(),
    available: Decimal = row.balance.available,
    held: Decimal = row.balance.held,
    incoming: Decimal = row.balance.incoming,
    seq: i64 = row.seq,
});
