//! What came to a wallet and left it, one line per movement: money that is only set aside or given back is none.

use rust_decimal::Decimal;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use super::history::Order;

/// A movement of money, with what is known of its transaction.
#[derive(Clone, Debug, FromRow)]
#[expect(missing_docs, reason = "the columns are described where the tables are made")]
pub struct MovementRow {
    pub transaction_id: Uuid,
    pub kind: String,
    /// Above zero if it came, below zero if it left.
    pub amount: Decimal,
    pub created_at: OffsetDateTime,
    pub wallet_id: i64,
    pub to_wallet_id: Option<i64>,
    pub description: Option<String>,
    pub service_id: Option<i64>,
    pub service: Option<String>,
    pub order_id: Option<String>,
}

/// By what movements are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// By the number of their entry: along a wallet's history times never go back.
    Time,
    /// By amount, then by time.
    Amount,
}

/// `limit` movements of a wallet in one currency after the first `offset`.
pub async fn list(
    pool: &PgPool,
    wallet_id: i64,
    currency: &str,
    (sort, order): (Sort, Order),
    limit: i64,
    offset: i64,
) -> Result<Vec<MovementRow>, StoreError> {
    let word = order.word();
    let sorted = match sort {
        Sort::Time => format!("seq {word}"),
        Sort::Amount => format!("moved {word}, seq {word}"),
    };
    // The page is cut out before its transactions are looked for.
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT transaction_id, kind, moved AS amount, page.created_at, transactions.wallet_id, to_wallet_id, description,
             service_id, services.name AS service, order_id
         FROM (
             SELECT seq, transaction_id, available_delta + held_delta AS moved, created_at
             FROM entries
             WHERE available_delta + held_delta <> 0 AND wallet_id = ",
    );
    query.push_bind(wallet_id).push(" AND currency = ").push_bind(currency.to_owned());
    query.push(format_args!(" ORDER BY {sorted} LIMIT ")).push_bind(limit).push(" OFFSET ").push_bind(offset);
    query.push(
        ") AS page
         JOIN transactions ON transactions.id = transaction_id
         LEFT JOIN services ON services.id = service_id",
    );
    query.push(format_args!(" ORDER BY {sorted}"));
    Ok(query.build_query_as().fetch_all(pool).await?)
}
