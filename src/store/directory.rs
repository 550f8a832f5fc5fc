//! The wallets as they are called: makes, finds and renames them. Nothing here moves money, blocks or closes: that takes the wallet's line.

use sqlx::{Acquire, FromRow, PgConnection, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;

use super::history::Order;
use super::{StoreError, seed};

/// Largest id that a caller may choose, of a wallet or a service. Ids that the server gives go on after the largest chosen one; they have room
/// left to 2^53, beyond which JSON readers lose digits.
pub const CHOSEN_ID_MAX: i64 = 1_000_000_000_000_000;

/// The columns of [`WalletRow`].
const COLUMNS: &str = "id, external_id, name, labels::text AS labels, blocked_at, closed_at, created_at";

/// A row of `wallets`.
#[derive(Clone, Debug, FromRow)]
#[expect(missing_docs, reason = "the columns are described where the table is made")]
pub struct WalletRow {
    pub id: i64,
    pub external_id: Option<String>,
    pub name: Option<String>,
    /// A JSON object of strings.
    pub labels: String,
    pub blocked_at: Option<OffsetDateTime>,
    pub closed_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
}

/// A wallet that is to be.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is what its column is")]
pub struct NewWallet {
    /// `None`: the next number.
    pub id: Option<i64>,
    pub external_id: Option<String>,
    pub name: Option<String>,
    /// A JSON object of strings.
    pub labels: String,
}

/// What is to change; `None` leaves it, `Some(None)` takes it away.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is what its column is")]
pub struct WalletChange {
    pub external_id: Option<Option<String>>,
    pub name: Option<Option<String>>,
    /// A JSON object of strings, in the place of all that were there.
    pub labels: Option<String>,
}

/// Which wallets. What is `None` is not asked about.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is what its column is")]
pub struct WalletFilter {
    pub external_id: Option<String>,
    /// A JSON object that theirs holds.
    pub labels: Option<String>,
    pub status: Option<WalletStatus>,
}

/// What a wallet may do, as its row says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalletStatus {
    /// Money may come and go.
    Open,
    /// No money may leave.
    Blocked,
    /// Nothing moves any more.
    Closed,
}

/// Makes a wallet, under the next number if it brings none. A taken external id is a [`StoreError`] with its constraint.
pub async fn insert(pool: &PgPool, wallet: &NewWallet) -> Result<WalletRow, StoreError> {
    let mut connection = pool.acquire().await?;
    let Some(id) = wallet.id else {
        return match insert_numbered(&mut connection, wallet).await {
            // Someone gave out ids by hand and left the sequence where it was.
            Err(error) if error.constraint() == Some("wallets_pkey") => {
                seed::move_wallet_sequence(&mut connection).await?;
                insert_numbered(&mut connection, wallet).await
            }
            result => result,
        };
    };
    // The sequence must not come to this id later. Under the lock no wallet is numbered meanwhile; it is taken before the insert, so that two
    // of these cannot deadlock; batches, which lock rows, are not held up by it.
    let mut db_tx = connection.begin().await?;
    sqlx::query("LOCK TABLE wallets IN SHARE ROW EXCLUSIVE MODE").execute(&mut *db_tx).await?;
    let row = sqlx::query_as(
        "INSERT INTO wallets (id, external_id, name, labels)
         VALUES ($1, $2, $3, $4::jsonb)
         RETURNING id, external_id, name, labels::text AS labels, blocked_at, closed_at, created_at",
    )
    .bind(id)
    .bind(&wallet.external_id)
    .bind(&wallet.name)
    .bind(&wallet.labels)
    .fetch_one(&mut *db_tx)
    .await?;
    sqlx::query(
        "SELECT setval(sequence.name, $1)
         FROM (SELECT pg_get_serial_sequence('wallets', 'id')::regclass AS name) AS sequence
         WHERE $1 > coalesce(pg_sequence_last_value(sequence.name), 0)",
    )
    .bind(id)
    .execute(&mut *db_tx)
    .await?;
    db_tx.commit().await?;
    Ok(row)
}

async fn insert_numbered(connection: &mut PgConnection, wallet: &NewWallet) -> Result<WalletRow, StoreError> {
    Ok(sqlx::query_as(
        "INSERT INTO wallets (external_id, name, labels)
         VALUES ($1, $2, $3::jsonb)
         RETURNING id, external_id, name, labels::text AS labels, blocked_at, closed_at, created_at",
    )
    .bind(&wallet.external_id)
    .bind(&wallet.name)
    .bind(&wallet.labels)
    .fetch_one(connection)
    .await?)
}

/// The wallet of that id.
pub async fn find(pool: &PgPool, id: i64) -> Result<Option<WalletRow>, StoreError> {
    Ok(sqlx::query_as(
        "SELECT id, external_id, name, labels::text AS labels, blocked_at, closed_at, created_at
         FROM wallets
         WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await?)
}

/// The first `limit` wallets after an id, by id.
pub async fn list(
    pool: &PgPool,
    filter: &WalletFilter,
    after: Option<i64>,
    order: Order,
    limit: i64,
) -> Result<Vec<WalletRow>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {COLUMNS} FROM wallets WHERE true"));
    if let Some(external_id) = &filter.external_id {
        query.push(" AND external_id = ").push_bind(external_id);
    }
    if let Some(labels) = &filter.labels {
        // The second condition is the index's own.
        query.push(" AND labels @> ").push_bind(labels).push("::jsonb AND labels <> '{}'");
    }
    query.push(match filter.status {
        Some(WalletStatus::Open) => " AND closed_at IS NULL AND blocked_at IS NULL",
        Some(WalletStatus::Blocked) => " AND closed_at IS NULL AND blocked_at IS NOT NULL",
        Some(WalletStatus::Closed) => " AND closed_at IS NOT NULL",
        None => "",
    });
    if let Some(id) = after {
        query.push(format_args!(" AND id {} ", order.later())).push_bind(id);
    }
    query.push(format_args!(" ORDER BY id {} LIMIT ", order.word())).push_bind(limit);
    Ok(query.build_query_as().persistent(false).fetch_all(pool).await?)
}

/// Changes what a wallet is called; `None` when there is no such wallet. A taken external id is a [`StoreError`] with its constraint.
pub async fn update(pool: &PgPool, id: i64, change: &WalletChange) -> Result<Option<WalletRow>, StoreError> {
    Ok(sqlx::query_as(
        "UPDATE wallets
         SET external_id = CASE WHEN $2 THEN $3 ELSE external_id END,
             name = CASE WHEN $4 THEN $5 ELSE name END,
             labels = coalesce($6::jsonb, labels)
         WHERE id = $1
         RETURNING id, external_id, name, labels::text AS labels, blocked_at, closed_at, created_at",
    )
    .bind(id)
    .bind(change.external_id.is_some())
    .bind(change.external_id.clone().flatten())
    .bind(change.name.is_some())
    .bind(change.name.clone().flatten())
    .bind(&change.labels)
    .fetch_optional(pool)
    .await?)
}
