//! The table `currencies`, and a copy of it in memory: it is small, hardly ever changes, and every operation needs it.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use super::{DbTx, StoreError};
use crate::ledger::{Currencies, Currency, CurrencyCode};

/// How old the copy may be: a currency that another instance changed is known here after this time.
const AGE_MAX: Duration = Duration::from_secs(5);
/// How old the copy may be when it lacks a currency that is asked for. Not zero, so that made-up currencies cannot make every batch read the table.
const AGE_MAX_WHEN_LACKING: Duration = Duration::from_millis(200);

/// All currencies.
pub async fn list(db_tx: &mut DbTx) -> Result<Currencies, StoreError> {
    let rows: Vec<(String, i16, i16)> =
        sqlx::query_as("SELECT code, number, scale FROM currencies").fetch_all(&mut **db_tx).await?;
    let currency = |(code, number, scale): (String, i16, i16)| {
        Some(Currency { code: CurrencyCode::new(&code)?, number, scale: u32::try_from(scale).ok()? })
    };
    Ok(rows.into_iter().filter_map(currency).collect())
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
