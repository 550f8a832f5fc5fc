//! `/v1/transactions`: what happened.

use actix_web::web::{self, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::cursor::{self, Cursors};
use super::labels;
use super::operations;
use super::page;
use super::query::{ID_MAX, Query, invalid};
use super::transaction::{KINDS, STATUSES, Transaction};
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::{Fault, Problem};
use crate::http::server::Context;
use crate::ledger::key::KEY_BYTES_MAX;
use crate::store::history::{self, After, Order, TransactionFilter, TransactionRow};

/// Longest order id that is looked for, in characters.
pub const ORDER_ID_LENGTH_MAX: usize = 255;

/// What is served here.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/v1/transactions", || web::to(list)),
    Endpoint::new("POST", "/v1/transactions", Scope::Write, || web::to(operations::create)),
    Endpoint::get("/v1/transactions/{id}", || web::to(find)),
];

/// A page of transactions.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransactionPage {
    /// In the order that was asked for.
    items: Vec<Transaction>,
    /// Where the next page begins; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// One transaction
#[utoipa::path(
    get, path = "/v1/transactions/{id}", tag = "transactions", operation_id = "getTransaction",
    params(("id" = Uuid, Path, description = "Its id")),
    responses((status = 200, description = "The transaction", body = Transaction)),
)]
pub async fn find(context: Data<Context>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    let id = uuid(&id).ok_or_else(|| invalid("the id in the path must be a UUID"))?;
    let pool = context.state.store.read_pool();
    let row = history::find(pool, id).await?;
    let row = row.ok_or_else(|| Fault::TransactionUnknown.because("there is no transaction of this id"))?;
    let reversed = history::reversed(pool, &[id]).await?.first().map(|(_, amount)| *amount);
    Ok(HttpResponse::Ok().json(Transaction::from(row).with_reversed(reversed)))
}

/// Transactions, filtered and sorted
///
/// All filters hold together; `label.NAME=VALUE` can be given several times. By time means in the order of receipt, which is the order of
/// the ids. A page is cut off at `limit`; `next_cursor` leads on, with the same filters. Transactions that are added meanwhile move no page:
/// newest first they do not appear, oldest first they come last.
#[utoipa::path(
    get, path = "/v1/transactions", tag = "transactions", operation_id = "listTransactions",
    params(
        ("wallet_id" = Option<i64>, Query, description = "Who pays or receives", minimum = 1),
        ("kind" = Option<super::transaction::Kind>, Query, description = "What was asked"),
        ("status" = Option<super::transaction::Status>, Query, description = "Where it stands"),
        ("currency" = Option<String>, Query, description = "The currency's code", pattern = "^[!-~]{1,16}$"),
        ("idempotency_key" = Option<String>, Query, description = "The caller's own name for it", min_length = 1, max_length = 255, pattern = "^[^\\u0000]*$"),
        ("service_id" = Option<i64>, Query, description = "The service that it pays for", minimum = 1),
        ("order_id" = Option<String>, Query, description = "The caller's order", min_length = 1, max_length = 255, pattern = "^[^\\u0000]*$"),
        ("original_id" = Option<Uuid>, Query, description = "The transaction that it is about"),
        ("created_from" = Option<String>, Query, description = "Written at this moment or later", format = DateTime),
        ("created_to" = Option<String>, Query, description = "Written before this moment", format = DateTime),
        ("amount_min" = Option<String>, Query, description = "At least this much", pattern = "^[0-9]{1,28}([.][0-9]{1,28})?$"),
        ("amount_max" = Option<String>, Query, description = "At most this much", pattern = "^[0-9]{1,28}([.][0-9]{1,28})?$"),
        ("label.NAME" = Option<String>, Query, description = "Its label NAME has this value", max_length = 256, pattern = "^[^\\u0000]*$"),
        ("sort" = Option<super::page::Sort>, Query, description = "By what: time unless said otherwise"),
        ("order" = Option<super::page::Direction>, Query, description = "Which way: desc unless said otherwise"),
        ("limit" = Option<i64>, Query, description = "How many at most: 50 unless said otherwise", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before", pattern = "^([0-9a-f]{2}){1,256}$"),
    ),
    responses((status = 200, description = "A page of them", body = TransactionPage)),
)]
pub async fn list(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut query = Query::of(&request)?;
    let filter = filter(&mut query)?;
    let sort = query.word("sort", &[("time", Sorted::Time), ("amount", Sorted::Amount)])?.unwrap_or(Sorted::Time);
    let order = page::order(&mut query, Order::Descending)?;
    let limit = page::limit(&mut query, &context)?;
    let cursor = page::cursor(&mut query)?;
    query.finish()?;

    let cursors = Cursors::of(&format!("transactions {filter:?} {sort:?} {order:?}"));
    let after = sort.after(cursor.map(|cursor| cursors.key(&cursor)).transpose()?.as_deref())?;
    let pool = context.state.store.read_pool();
    // One more than asked for: it tells whether there is a next page.
    let rows = history::list(pool, &filter, after, order, limit + 1).await?;
    let (rows, has_more) = page::cut(rows, limit);
    let next_cursor = rows.last().filter(|_| has_more).map(|row| cursors.render(&sort.key(row)));
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let reversed = if ids.is_empty() { Vec::new() } else { history::reversed(pool, &ids).await? };
    let reversed_of = |id| reversed.iter().find(|(of, _)| *of == id).map(|(_, amount)| *amount);
    let items = rows.into_iter().map(|row| {
        let reversed = reversed_of(row.id);
        Transaction::from(row).with_reversed(reversed)
    });
    Ok(HttpResponse::Ok().json(TransactionPage { items: items.collect(), next_cursor }))
}

fn filter(query: &mut Query) -> Result<TransactionFilter, Problem> {
    let labels = query.labels()?;
    Ok(TransactionFilter {
        wallet_id: query.number("wallet_id", ID_MAX)?,
        kind: query.word("kind", &KINDS.map(|word| (word, word)))?,
        status: query.word("status", &STATUSES.map(|word| (word, word)))?,
        currency: query.currency("currency")?.map(|code| code.to_string()),
        labels: (!labels.is_empty()).then(|| labels::to_json(&labels)),
        idempotency_key: query.text("idempotency_key", KEY_BYTES_MAX)?,
        service_id: query.number("service_id", ID_MAX)?,
        order_id: query.text("order_id", ORDER_ID_LENGTH_MAX)?,
        original_id: query.parsed("original_id", "a UUID", uuid)?,
        created_from: query.moment("created_from")?,
        created_to: query.moment("created_to")?,
        amount_min: query.decimal("amount_min")?,
        amount_max: query.decimal("amount_max")?,
    })
}

#[derive(Clone, Copy, Debug)]
enum Sorted {
    Time,
    Amount,
}

impl Sorted {
    /// What a cursor keeps of the last row of its page.
    fn key(self, row: &TransactionRow) -> String {
        match self {
            Self::Time => row.id.to_string(),
            Self::Amount => format!("{} {}", row.amount.unwrap_or_default().normalize(), row.id),
        }
    }

    fn after(self, key: Option<&str>) -> Result<After, Problem> {
        let after = match (self, key) {
            (Self::Time, None) => Some(After::Time(None)),
            (Self::Amount, None) => Some(After::Amount(None)),
            (Self::Time, Some(key)) => uuid(key).map(|id| After::Time(Some(id))),
            (Self::Amount, Some(key)) => key
                .split_once(' ')
                .and_then(|(amount, id)| Some(After::Amount(Some((Decimal::from_str_exact(amount).ok()?, uuid(id)?))))),
        };
        after.ok_or_else(cursor::unknown)
    }
}

/// A UUID in its usual form; the library would take braces and URNs, too.
pub(super) fn uuid(text: &str) -> Option<Uuid> {
    (text.len() == uuid::fmt::Hyphenated::LENGTH).then(|| Uuid::try_parse(text).ok()).flatten()
}
