//! Lines of a wallet's history together with what their transactions are called: a passbook in one currency.

use rust_decimal::Decimal;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;

/// An entry, with what its transaction is called.
#[derive(Clone, Debug, FromRow)]
#[expect(missing_docs, reason = "the columns are described where the tables are made")]
pub struct LineRow {
    pub wallet_id: i64,
    pub seq: i64,
    pub transaction_id: Uuid,
    pub available_delta: Decimal,
    pub available: Decimal,
    pub created_at: OffsetDateTime,
    /// A JSON object of strings.
    pub labels: Option<String>,
    pub description: Option<String>,
    pub reference: Option<String>,
}

/// The line that a transaction left in one wallet's history.
#[derive(Clone, Debug)]
pub struct LineSought {
    /// In whose history.
    pub wallet_id: i64,
    /// In which currency.
    pub currency: String,
    /// Whose line.
    pub transaction_id: Uuid,
    /// When it was written: with the transaction, or for one that waited for funds, when it was paid.
    pub written_at: OffsetDateTime,
}

/// A wallet's newest lines before a number, the newest first: straight along the primary key.
pub async fn list(
    pool: &PgPool,
    wallet_id: i64,
    currency: &str,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<LineRow>, StoreError> {
    Ok(sqlx::query_as(
        "SELECT entries.wallet_id, entries.seq, entries.transaction_id, entries.available_delta, entries.available,
             entries.created_at, transactions.labels::text AS labels, transactions.description, transactions.reference
         FROM entries
         JOIN transactions ON transactions.id = entries.transaction_id
         WHERE entries.wallet_id = $1 AND entries.currency = $2 AND entries.seq < $3
         ORDER BY entries.seq DESC
         LIMIT $4",
    )
    .bind(wallet_id)
    .bind(currency)
    .bind(before.unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(pool)
    .await?)
}

/// The lines of transactions, in the order in which they are sought. What left no line is left out.
///
/// No index leads from a transaction to its entries: it would cost every posting. But the numbers of a wallet's entries have no gap, and along
/// its history times never go back, so a search by halves finds the first and the last line of that moment, and the line is between them: a
/// history of a million lines costs twenty of them. Of a line that was written while the database's clock was being set back this does not hold: when
/// it alone is sought, it is looked for once more, by reading the history; of many, such a one is left out.
pub async fn find(pool: &PgPool, sought: &[LineSought]) -> Result<Vec<LineRow>, StoreError> {
    if sought.is_empty() {
        return Ok(Vec::new());
    }
    let found = find_by_moment(pool, sought).await?;
    match sought {
        [line] if found.is_empty() => Ok(find_by_reading(pool, line).await?.into_iter().collect()),
        _ => Ok(found),
    }
}

/// Planned anew each time: a plan made on an empty table must not stay. Written as a list of numbers, the lines of the moment look as few as they
/// are; of a range between two unknown ones the planner expects a part of the table.
async fn find_by_moment(pool: &PgPool, sought: &[LineSought]) -> Result<Vec<LineRow>, StoreError> {
    // `low` is 0 or a line of an earlier moment (for `is_past`: of that moment, too); everything after `high` is later.
    Ok(sqlx::query_as(
        "WITH RECURSIVE sought AS (
             SELECT *
             FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::timestamptz[])
                 WITH ORDINALITY AS sought (wallet_id, currency, transaction_id, written_at, position)
         ), search AS (
             SELECT sought.position, sought.wallet_id, sought.currency, sought.written_at, side.is_past, 0::bigint AS low,
                 balances.seq AS high
             FROM sought
             JOIN balances ON balances.wallet_id = sought.wallet_id AND balances.currency = sought.currency
             CROSS JOIN (VALUES (false), (true)) AS side (is_past)
             UNION ALL
             SELECT search.position, search.wallet_id, search.currency, search.written_at, search.is_past,
                 CASE WHEN middle.is_low THEN middle.seq ELSE search.low END,
                 CASE WHEN middle.is_low THEN search.high ELSE middle.seq - 1 END
             FROM search
             CROSS JOIN LATERAL (
                 SELECT entries.seq,
                     entries.created_at < search.written_at
                         OR search.is_past AND entries.created_at = search.written_at AS is_low
                 FROM entries
                 WHERE entries.wallet_id = search.wallet_id AND entries.currency = search.currency
                     AND entries.seq = (search.low + search.high + 1) / 2
             ) AS middle
             WHERE search.low < search.high
         )
         SELECT entries.wallet_id, entries.seq, entries.transaction_id, entries.available_delta, entries.available,
             entries.created_at, transactions.labels::text AS labels, transactions.description, transactions.reference
         FROM sought
         JOIN search AS earlier
             ON earlier.position = sought.position AND NOT earlier.is_past AND earlier.low = earlier.high
         JOIN search AS past ON past.position = sought.position AND past.is_past AND past.low = past.high
         JOIN entries
             ON entries.wallet_id = sought.wallet_id AND entries.currency = sought.currency
                 AND entries.seq = ANY (ARRAY(SELECT generate_series(earlier.low + 1, past.low)))
                 AND entries.transaction_id = sought.transaction_id
         JOIN transactions ON transactions.id = sought.transaction_id
         ORDER BY sought.position",
    )
    .bind(sought.iter().map(|line| line.wallet_id).collect::<Vec<_>>())
    .bind(sought.iter().map(|line| line.currency.as_str()).collect::<Vec<_>>())
    .bind(sought.iter().map(|line| line.transaction_id).collect::<Vec<_>>())
    .bind(sought.iter().map(|line| line.written_at).collect::<Vec<_>>())
    .persistent(false)
    .fetch_all(pool)
    .await?)
}

async fn find_by_reading(pool: &PgPool, sought: &LineSought) -> Result<Option<LineRow>, StoreError> {
    Ok(sqlx::query_as(
        "SELECT entries.wallet_id, entries.seq, entries.transaction_id, entries.available_delta, entries.available,
             entries.created_at, transactions.labels::text AS labels, transactions.description, transactions.reference
         FROM entries
         JOIN transactions ON transactions.id = entries.transaction_id
         WHERE entries.wallet_id = $1 AND entries.currency = $2 AND entries.transaction_id = $3
         ORDER BY entries.seq DESC
         LIMIT 1",
    )
    .bind(sought.wallet_id)
    .bind(&sought.currency)
    .bind(sought.transaction_id)
    .fetch_optional(pool)
    .await?)
}
