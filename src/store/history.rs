//! Reads transactions: what happened, found by whatever names it. No lock and no rule; the read pool.

use rust_decimal::Decimal;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::StoreError;

/// How far a transaction's id, which holds the moment of its receipt by the clock of the instance that received it, may lie from its
/// `created_at`, which is the database's clock when it was written: clocks differ, and an operation may have waited for the database.
const RECEIPT_MARGIN: Duration = Duration::DAY;

/// The columns of [`TransactionRow`].
const COLUMNS: &str =
    "id, kind, status, wallet_id, to_wallet_id, currency, amount, confirmed, original_id, original_status,
    batch_id, failed_item, waiting_number IS NOT NULL AND status = 'Created' AS waiting, expires_at, idempotency_key,
    labels::text AS labels, description, service_id, order_id, rejection, created_at, finished_at";

/// A row of `transactions` as it stands there.
#[derive(Clone, Debug, FromRow)]
#[expect(missing_docs, reason = "the columns are described where the table is made")]
pub struct TransactionRow {
    pub id: Uuid,
    pub kind: String,
    pub status: String,
    pub wallet_id: i64,
    pub to_wallet_id: Option<i64>,
    pub currency: Option<String>,
    pub amount: Option<Decimal>,
    pub confirmed: Option<Decimal>,
    pub original_id: Option<Uuid>,
    pub original_status: Option<String>,
    pub batch_id: Option<Uuid>,
    pub failed_item: Option<i32>,
    pub waiting: bool,
    pub expires_at: Option<OffsetDateTime>,
    pub idempotency_key: Option<String>,
    pub labels: Option<String>,
    pub description: Option<String>,
    pub service_id: Option<i64>,
    pub order_id: Option<String>,
    pub rejection: Option<String>,
    pub created_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
}

/// Which transactions. What is `None` is not asked about.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is what its column is")]
pub struct TransactionFilter {
    /// Whoever pays or receives.
    pub wallet_id: Option<i64>,
    pub kind: Option<&'static str>,
    pub status: Option<&'static str>,
    pub currency: Option<String>,
    /// A JSON object that theirs holds.
    pub labels: Option<String>,
    pub idempotency_key: Option<String>,
    pub service_id: Option<i64>,
    pub order_id: Option<String>,
    pub original_id: Option<Uuid>,
    /// Written at this moment or later.
    pub created_from: Option<OffsetDateTime>,
    /// Written before this moment.
    pub created_to: Option<OffsetDateTime>,
    /// A decimal number's text.
    pub amount_min: Option<String>,
    /// A decimal number's text.
    pub amount_max: Option<String>,
}

/// By what transactions are sorted, and after which one a page begins.
#[derive(Clone, Copy, Debug)]
pub enum After {
    /// By the moment of their receipt, which is how their ids are sorted.
    Time(Option<Uuid>),
    /// By amount, then by id. One without an amount counts as 0.
    Amount(Option<(Decimal, Uuid)>),
}

/// Which way a list goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The smallest first.
    Ascending,
    /// The largest first.
    Descending,
}

impl Order {
    /// The word of SQL.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }

    /// The comparison that holds for what comes later.
    pub(super) const fn later(self) -> &'static str {
        match self {
            Self::Ascending => ">",
            Self::Descending => "<",
        }
    }
}

/// The transaction of that id.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<TransactionRow>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {COLUMNS} FROM transactions WHERE id = "));
    Ok(query.push_bind(id).build_query_as().fetch_optional(pool).await?)
}

/// The transaction that this wallet's key names. Another wallet may have used the same key, and have paid this one under it.
pub async fn find_by_key(pool: &PgPool, wallet_id: i64, key: &str) -> Result<Option<TransactionRow>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {COLUMNS} FROM transactions WHERE wallet_id = "));
    query.push_bind(wallet_id).push(" AND idempotency_key = ").push_bind(key);
    Ok(query.build_query_as().fetch_optional(pool).await?)
}

/// How much of a transaction was taken back by reversals that succeeded.
pub async fn reversed(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<(Uuid, Decimal)>, StoreError> {
    Ok(sqlx::query_as(
        "SELECT original_id, sum(amount)
         FROM transactions
         WHERE original_id = ANY($1) AND kind = 'reverse' AND status = 'Success'
         GROUP BY original_id",
    )
    .bind(ids)
    .fetch_all(pool)
    .await?)
}

/// The first `limit` transactions after a given one.
///
/// A wallet's are found in two index scans, as payer and as receiver, each cut off at the limit: with an OR between them the database
/// would have to sort all of them. Not kept as prepared statements: there are as many of them as there are sets of filters.
pub async fn list(
    pool: &PgPool,
    filter: &TransactionFilter,
    after: After,
    order: Order,
    limit: i64,
) -> Result<Vec<TransactionRow>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {COLUMNS} FROM ("));
    match filter.wallet_id {
        None => branch(&mut query, filter, after, order, limit, |query| {
            query.push("true");
        }),
        Some(wallet) => {
            branch(&mut query, filter, after, order, limit, |query| {
                query.push("wallet_id = ").push_bind(wallet);
            });
            query.push(" UNION ALL ");
            branch(&mut query, filter, after, order, limit, |query| {
                query.push("to_wallet_id = ").push_bind(wallet).push(" AND wallet_id <> ").push_bind(wallet);
            });
        }
    }
    query.push(") AS found");
    page(&mut query, after, order, limit);
    Ok(query.build_query_as().persistent(false).fetch_all(pool).await?)
}

fn branch(
    query: &mut QueryBuilder<Postgres>,
    filter: &TransactionFilter,
    after: After,
    order: Order,
    limit: i64,
    whose: impl FnOnce(&mut QueryBuilder<Postgres>),
) {
    query.push("(SELECT * FROM transactions WHERE ");
    whose(query);
    conditions(query, filter);
    let later = order.later();
    match after {
        After::Time(Some(id)) => {
            query.push(format_args!(" AND id {later} ")).push_bind(id);
        }
        After::Amount(Some((amount, id))) => {
            query.push(format_args!(" AND (coalesce(amount, 0), id) {later} (")).push_bind(amount);
            query.push(", ").push_bind(id).push(")");
        }
        After::Time(None) | After::Amount(None) => {}
    }
    page(query, after, order, limit);
    query.push(")");
}

fn page(query: &mut QueryBuilder<Postgres>, after: After, order: Order, limit: i64) {
    let word = order.word();
    match after {
        After::Time(_) => query.push(format_args!(" ORDER BY id {word} LIMIT ")),
        After::Amount(_) => query.push(format_args!(" ORDER BY coalesce(amount, 0) {word}, id {word} LIMIT ")),
    };
    query.push_bind(limit);
}

fn conditions(query: &mut QueryBuilder<Postgres>, filter: &TransactionFilter) {
    macro_rules! condition {
        ($value:expr, $sql:literal) => {
            if let Some(value) = $value.clone() {
                query.push(concat!(" AND ", $sql, " ")).push_bind(value);
            }
        };
    }
    condition!(filter.kind, "kind =");
    condition!(filter.status, "status =");
    condition!(filter.currency, "currency =");
    condition!(filter.idempotency_key, "idempotency_key =");
    condition!(filter.service_id, "service_id =");
    condition!(filter.order_id, "order_id =");
    condition!(filter.original_id, "original_id =");
    condition!(filter.created_from, "created_at >=");
    condition!(filter.created_to, "created_at <");
    // There is no index on created_at: the ids are nearly in its order, so a range of them, wide enough, is searched instead.
    condition!(filter.created_from.map(|moment| first_id(moment.saturating_sub(RECEIPT_MARGIN))), "id >=");
    condition!(filter.created_to.map(|moment| first_id(moment.saturating_add(RECEIPT_MARGIN))), "id <");
    for (amount, comparison) in [(&filter.amount_min, ">="), (&filter.amount_max, "<=")] {
        if let Some(amount) = amount.clone() {
            query.push(format_args!(" AND amount {comparison} ")).push_bind(amount).push("::numeric");
        }
    }
    if let Some(labels) = filter.labels.clone() {
        query.push(" AND labels @> ").push_bind(labels).push("::jsonb");
    }
}

/// The smallest id that a transaction received at this moment can have: a UUIDv7 begins with 48 bits of milliseconds since 1970.
fn first_id(moment: OffsetDateTime) -> Uuid {
    let milliseconds = moment.unix_timestamp_nanos().div_euclid(1_000_000).clamp(0, (1 << 48) - 1).cast_unsigned();
    Uuid::from_u128(milliseconds << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_of_a_moment_is_at_or_before_every_id_of_it() {
        let moment = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap() + Duration::milliseconds(5);
        let id = |milliseconds: u64| uuid::Builder::from_unix_timestamp_millis(milliseconds, &[0; 10]).into_uuid();
        assert!(first_id(moment) <= id(1_800_000_000_005));
        assert!(first_id(moment) > id(1_800_000_000_004));
        assert_eq!(first_id(OffsetDateTime::UNIX_EPOCH - Duration::DAY), Uuid::nil());
    }
}
