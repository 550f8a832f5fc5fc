//! Wallets as accounts: each with one currency and what it holds in it, for the interface whose accounts are so. Moves no money.

use rust_decimal::Decimal;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};

use super::StoreError;

/// A wallet, seen in its one currency.
#[derive(Clone, Debug, FromRow)]
pub struct AccountRow {
    /// The wallet's number.
    pub id: i64,
    /// Its external id, which no other wallet has; else what people call it; else nothing.
    pub name: String,
    /// The code of the currency it is seen in; `None` if it has none yet.
    pub currency: Option<String>,
    /// That currency's number.
    pub currency_number: Option<i16>,
    /// What can be spent of it, in major units.
    pub available: Decimal,
}

/// What is asked of every account. A wallet's currency is the one that its label names, if there is such a currency; else the one that it
/// held first, which never changes; else it has none. A balance without entries was never held: a withdrawal waits for it.
///
/// The balance is looked up for each wallet by itself: joined, every page of a list would read all balances from the first on.
/// Which one it held first is looked for only where no label says it.
const SELECT: [&str; 2] = [
    "SELECT wallets.id, coalesce(wallets.external_id, wallets.name, '') AS name,
         currencies.code AS currency, currencies.number AS currency_number,
         coalesce(
             (SELECT available FROM balances WHERE wallet_id = wallets.id AND balances.currency = currencies.code), 0
         ) AS available
     FROM wallets
     LEFT JOIN currencies AS named ON named.code = wallets.labels ->> ",
    " LEFT JOIN LATERAL (
         SELECT held.currency
         FROM balances AS held
         JOIN entries
             ON entries.wallet_id = held.wallet_id AND entries.currency = held.currency AND entries.seq = 1
         WHERE held.wallet_id = wallets.id AND named.code IS NULL
         ORDER BY entries.created_at, held.currency
         LIMIT 1
     ) AS first_held ON true
     LEFT JOIN currencies ON currencies.code = coalesce(named.code, first_held.currency)
     WHERE wallets.id ",
];

/// The first `limit` accounts after an id, by id. `currency_label` is the label that names a wallet's currency.
pub async fn list(pool: &PgPool, currency_label: &str, after: i64, limit: i64) -> Result<Vec<AccountRow>, StoreError> {
    let mut query = select(currency_label);
    query.push("> ").push_bind(after).push(" ORDER BY wallets.id LIMIT ").push_bind(limit);
    Ok(query.build_query_as().fetch_all(pool).await?)
}

/// The account of that id.
pub async fn find(pool: &PgPool, currency_label: &str, id: i64) -> Result<Option<AccountRow>, StoreError> {
    let mut query = select(currency_label);
    query.push("= ").push_bind(id);
    Ok(query.build_query_as().fetch_optional(pool).await?)
}

/// The accounts of two ids, as far as they are there.
///
/// Not a list of ids as one parameter: of unknown length, the database would take it for a long one and plan anew each time.
pub async fn find_two(
    pool: &PgPool,
    currency_label: &str,
    [first, second]: [i64; 2],
) -> Result<[Option<AccountRow>; 2], StoreError> {
    let mut query = select(currency_label);
    query.push("IN (").push_bind(first).push(", ").push_bind(second).push(")");
    let rows: Vec<AccountRow> = query.build_query_as().fetch_all(pool).await?;
    Ok([first, second].map(|id| rows.iter().find(|row| row.id == id).cloned()))
}

/// Gives a wallet that has no currency yet this one, for good, by its label; says which one it has then. `None` if it still has none: its label has
/// a value that is no currency, and stays.
///
/// Under the wallet's lock, which every posting to it takes, too: so of two that come at once the second finds what the first one left.
pub async fn settle_currency(
    pool: &PgPool,
    currency_label: &str,
    id: i64,
    currency: &str,
) -> Result<Option<String>, StoreError> {
    // Said, not inherited: each statement after the lock must see what was committed meanwhile.
    let mut db_tx = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    sqlx::query("SELECT id FROM wallets WHERE id = $1 FOR NO KEY UPDATE").bind(id).execute(&mut *db_tx).await?;
    let mut query = select(currency_label);
    query.push("= ").push_bind(id);
    let held: Option<AccountRow> = query.build_query_as().fetch_optional(&mut *db_tx).await?;
    if let Some(held) = held.and_then(|row| row.currency) {
        return Ok(Some(held));
    }
    let settled = sqlx::query_scalar(
        "UPDATE wallets
         SET labels = labels || jsonb_build_object($2::text, $3::text)
         WHERE id = $1 AND NOT jsonb_exists(labels, $2)
         RETURNING $3::text",
    )
    .bind(id)
    .bind(currency_label)
    .bind(currency)
    .fetch_optional(&mut *db_tx)
    .await?;
    db_tx.commit().await?;
    Ok(settled)
}

fn select(currency_label: &str) -> QueryBuilder<Postgres> {
    let [before, after] = SELECT;
    let mut query = QueryBuilder::new(before);
    query.push_bind(currency_label.to_owned()).push(after);
    query
}
