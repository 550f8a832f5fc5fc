//! The table `currencies`, and a copy of it in memory: it is small, hardly ever changes, and every operation needs it.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use sqlx::{FromRow, PgConnection, PgPool};

use super::{DbTx, StoreError};
use crate::ledger::{Currencies, Currency, CurrencyCode};

/// How old the copy may be: a currency that another instance changed is known here after this time.
pub(super) const AGE_MAX: Duration = Duration::from_secs(5);
/// How old the copy may be when it lacks a currency that is asked for. Not zero, so that made-up currencies cannot make every batch read the table.
const AGE_MAX_WHEN_LACKING: Duration = Duration::from_millis(200);

/// All currencies, as amounts are judged by them: one that is about to get fewer decimals has as few already, see [`super::scale`].
pub async fn list(connection: &mut PgConnection) -> Result<Currencies, StoreError> {
    let rows: Vec<(String, i16, i16)> =
        sqlx::query_as("SELECT code, number, coalesce(lowering_to, scale) FROM currencies")
            .fetch_all(connection)
            .await?;
    let currency = |(code, number, scale): (String, i16, i16)| {
        Some(Currency { code: CurrencyCode::new(&code)?, number, scale: u32::try_from(scale).ok()? })
    };
    Ok(rows.into_iter().filter_map(currency).collect())
}

/// A row of `currencies`, for those who administer them.
#[derive(Clone, Debug, FromRow)]
pub struct CurrencyRow {
    /// What callers name it by.
    pub code: String,
    /// What people call it.
    pub name: Option<String>,
    /// What systems that use ids name it by.
    pub number: i16,
    /// Decimal places an amount may have.
    pub scale: i16,
}

/// All of them, by code; or the one of that code.
pub async fn list_rows(pool: &PgPool, code: Option<&str>) -> Result<Vec<CurrencyRow>, StoreError> {
    let query = sqlx::query_as(
        "SELECT code, name, number, coalesce(lowering_to, scale) AS scale
         FROM currencies
         WHERE $1::text IS NULL OR code = $1
         ORDER BY code",
    );
    Ok(query.bind(code).fetch_all(pool).await?)
}

/// The currency of that code, as amounts are judged by it.
pub async fn find(pool: &PgPool, code: CurrencyCode) -> Result<Option<Currency>, StoreError> {
    let row = list_rows(pool, Some(code.as_str())).await?.pop();
    Ok(row.and_then(|row| Some(Currency { code, number: row.number, scale: u32::try_from(row.scale).ok()? })))
}

/// Makes a currency; without a number it gets the one after the highest. A taken code or number is a [`StoreError`] with its constraint.
pub async fn insert(
    pool: &PgPool,
    code: &str,
    name: Option<&str>,
    number: Option<i16>,
    scale: i16,
) -> Result<CurrencyRow, StoreError> {
    Ok(sqlx::query_as(
        "INSERT INTO currencies (code, name, number, scale)
         SELECT $1, $2,
             coalesce($3, CASE WHEN max(number) < 32767 THEN max(number) + 1 END, (
                 SELECT free
                 FROM generate_series(1, 32767) AS free
                 WHERE NOT EXISTS (SELECT FROM currencies WHERE number = free)
                 LIMIT 1
             )),
             $4
         FROM currencies
         RETURNING code, name, number, scale",
    )
    .bind(code)
    .bind(name)
    .bind(number)
    .bind(scale)
    .fetch_one(pool)
    .await?)
}

/// Changes what people call a currency; `None` takes the name away. Says whether there is such a currency.
pub async fn rename(pool: &PgPool, code: &str, name: Option<&str>) -> Result<bool, StoreError> {
    let query = sqlx::query("UPDATE currencies SET name = $2 WHERE code = $1");
    Ok(query.bind(code).bind(name).execute(pool).await?.rows_affected() > 0)
}

/// The copy in memory.
#[derive(Clone, Debug, Default)]
pub struct Cache(Arc<RwLock<Option<Copied>>>);

#[derive(Clone, Debug)]
struct Copied {
    currencies: Arc<Currencies>,
    read_at: Instant,
}

impl Cache {
    /// The currencies, read anew when the copy is old or lacks one of `wanted`.
    pub async fn get(
        &self,
        db_tx: &mut DbTx,
        mut wanted: impl Iterator<Item = CurrencyCode>,
    ) -> Result<Arc<Currencies>, StoreError> {
        let copied = self.0.read().expect("nothing panics while it holds this lock").clone();
        if let Some(Copied { currencies, read_at }) = copied {
            let age = read_at.elapsed();
            let is_fresh =
                age < AGE_MAX && (age < AGE_MAX_WHEN_LACKING || wanted.all(|code| currencies.find(code).is_some()));
            if is_fresh {
                return Ok(currencies);
            }
        }
        let read_at = Instant::now();
        let currencies = Arc::new(list(db_tx).await?);
        let copied = Copied { currencies: Arc::clone(&currencies), read_at };
        *self.0.write().expect("nothing panics while it holds this lock") = Some(copied);
        Ok(currencies)
    }
}
