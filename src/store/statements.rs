//! A wallet's statement of account: its balances now and at any moment, and its entries line by line.

use rust_decimal::Decimal;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use super::history::Order;

/// What a wallet holds in one currency.
#[derive(Clone, Debug, FromRow)]
#[expect(missing_docs, reason = "the columns are described where the table is made")]
pub struct BalanceRow {
    pub currency: String,
    pub available: Decimal,
    pub held: Decimal,
    pub incoming: Decimal,
}

/// One line of a wallet's history.
#[derive(Clone, Debug, FromRow)]
#[expect(missing_docs, reason = "the columns are described where the table is made")]
pub struct EntryRow {
    pub currency: String,
    pub seq: i64,
    pub transaction_id: Uuid,
    pub available_delta: Decimal,
    pub held_delta: Decimal,
    pub incoming_delta: Decimal,
    pub available: Decimal,
    pub held: Decimal,
    pub incoming: Decimal,
    pub created_at: OffsetDateTime,
}

/// Which entries of a wallet, and where a page begins.
#[derive(Clone, Debug)]
pub struct EntryFilter {
    /// Whose.
    pub wallet_id: i64,
    /// In which currency; `None`: in each, one after the other.
    pub currency: Option<String>,
    /// Which way.
    pub order: Order,
    /// The currency and number of the last one before.
    pub after: Option<(String, i64)>,
}

/// What a wallet holds, by currency.
pub async fn balances(pool: &PgPool, wallet_id: i64) -> Result<Vec<BalanceRow>, StoreError> {
    Ok(sqlx::query_as(
        "SELECT currency, available, held, incoming
         FROM balances
         WHERE wallet_id = $1
         ORDER BY currency",
    )
    .bind(wallet_id)
    .fetch_all(pool)
    .await?)
}

/// What a wallet held at a moment: what its last entry of that moment or before says, in each currency that had one.
///
/// A search by halves over the numbers of the entries, which have no gap, for the last one that is not later: along a wallet's history
/// times never go back. So a history of a million lines costs twenty of them, and no index by time is needed. `low` is 0 or a line that
/// is not later, everything after `high` is later.
pub async fn balances_at(pool: &PgPool, wallet_id: i64, moment: OffsetDateTime) -> Result<Vec<BalanceRow>, StoreError> {
    Ok(sqlx::query_as(
        "WITH RECURSIVE search AS (
             SELECT currency, 0::bigint AS low, seq AS high
             FROM balances
             WHERE wallet_id = $1
             UNION ALL
             SELECT search.currency,
                 CASE WHEN middle.created_at <= $2 THEN middle.seq ELSE search.low END,
                 CASE WHEN middle.created_at <= $2 THEN search.high ELSE middle.seq - 1 END
             FROM search
             CROSS JOIN LATERAL (
                 SELECT seq, created_at
                 FROM entries
                 WHERE wallet_id = $1 AND entries.currency = search.currency
                     AND seq = (search.low + search.high + 1) / 2
             ) AS middle
             WHERE search.low < search.high
         )
         SELECT entries.currency, available, held, incoming
         FROM search
         JOIN entries ON wallet_id = $1 AND entries.currency = search.currency AND seq = low
         WHERE low = high
         ORDER BY entries.currency",
    )
    .bind(wallet_id)
    .bind(moment)
    .fetch_all(pool)
    .await?)
}

/// The first `limit` entries after a given one, by currency and number: straight along the primary key.
pub async fn entries(pool: &PgPool, filter: &EntryFilter, limit: i64) -> Result<Vec<EntryRow>, StoreError> {
    let (word, later) = (filter.order.word(), filter.order.later());
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT currency, seq, transaction_id, available_delta, held_delta, incoming_delta, available, held, incoming, created_at
         FROM entries
         WHERE wallet_id = ",
    );
    query.push_bind(filter.wallet_id);
    if let Some(currency) = &filter.currency {
        query.push(" AND currency = ").push_bind(currency);
    }
    if let Some((currency, seq)) = &filter.after {
        query.push(format_args!(" AND (currency, seq) {later} (")).push_bind(currency);
        query.push(", ").push_bind(*seq).push(")");
    }
    query.push(format_args!(" ORDER BY currency {word}, seq {word} LIMIT ")).push_bind(limit);
    Ok(query.build_query_as().fetch_all(pool).await?)
}
