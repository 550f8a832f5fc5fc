//! The table `balances`.

use rust_decimal::Decimal;
use time::OffsetDateTime;

use super::{DbTx, StoreError, wallets};
use crate::ledger::{Balance, CurrencyCode, StoredBalance, Timestamp, WalletId};

/// All balances of wallets, and the time. A statement of its own, after the lock: one that waited for the lock would still see what was there
/// before; and what is written with this time stands in a wallet's history in the order of its times.
pub async fn list(db_tx: &mut DbTx, ids: &[WalletId]) -> Result<(Timestamp, Vec<StoredBalance>), StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT statement_timestamp(), NULL, NULL, NULL, NULL, NULL, NULL, NULL
         UNION ALL
         SELECT NULL, wallet_id, currency, available, held, incoming, seq, waiting
         FROM balances
         WHERE wallet_id = ANY($1)",
    )
    .bind(wallets::numbers(ids))
    .fetch_all(&mut **db_tx)
    .await?;
    let now = rows.iter().find_map(|row| row.0).expect("the statement gives the time");
    Ok((Timestamp(now), rows.into_iter().filter_map(stored).collect()))
}

/// The time, or a balance.
type Row = (
    Option<OffsetDateTime>,
    Option<i64>,
    Option<String>,
    Option<Decimal>,
    Option<Decimal>,
    Option<Decimal>,
    Option<i64>,
    Option<i32>,
);

fn stored((_, wallet, currency, available, held, incoming, seq, waiting): Row) -> Option<StoredBalance> {
    Some(StoredBalance {
        wallet: WalletId(wallet?),
        currency: CurrencyCode::new(&currency?).expect("balances hold known currencies only"),
        balance: Balance { available: available?, held: held?, incoming: incoming? },
        seq: seq?,
        waiting: usize::try_from(waiting?).expect("a check keeps it from being negative"),
    })
}

/// Makes the rows of first balances, at zero.
pub async fn insert(db_tx: &mut DbTx, opened: &[(WalletId, CurrencyCode)]) -> Result<(), StoreError> {
    let (wallets, currencies): (Vec<i64>, Vec<&str>) =
        opened.iter().map(|(wallet, currency)| (wallet.0, currency.as_str())).unzip();
    sqlx::query(
        "INSERT INTO balances (wallet_id, currency, available, held, incoming, seq)
         SELECT opened.wallet_id, opened.currency, 0, 0, 0, 0
         FROM unnest($1::bigint[], $2::text[]) AS opened (wallet_id, currency)",
    )
    .bind(wallets)
    .bind(currencies)
    .execute(&mut **db_tx)
    .await?;
    Ok(())
}
