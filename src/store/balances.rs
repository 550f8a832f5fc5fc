//! The table `balances`.

use rust_decimal::Decimal;

use super::{DbTx, StoreError, wallets};
use crate::ledger::books::StoredBalance;
use crate::ledger::{Balance, CurrencyCode, WalletId};

/// All balances of wallets. A statement of its own, after the lock: one that waited for the lock would still see what was there before.
pub async fn list(db_tx: &mut DbTx, ids: &[WalletId]) -> Result<Vec<StoredBalance>, StoreError> {
    let rows: Vec<(i64, String, Decimal, Decimal, Decimal, i64)> = sqlx::query_as(
        "SELECT wallet_id, currency, available, held, incoming, seq
         FROM balances
         WHERE wallet_id = ANY($1)",
    )
    .bind(wallets::numbers(ids))
    .fetch_all(&mut **db_tx)
    .await?;
    let balance = |(wallet, currency, available, held, incoming, seq): (i64, String, _, _, _, _)| StoredBalance {
        wallet: WalletId(wallet),
        currency: CurrencyCode::new(&currency).expect("balances hold known currencies only"),
        balance: Balance { available, held, incoming },
        seq,
    };
    Ok(rows.into_iter().map(balance).collect())
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
