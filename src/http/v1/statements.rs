//! `/v1/wallets/{id}/balances` and `/v1/wallets/{id}/entries`: what a wallet holds, held, and how that came about.

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::{self, Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::cursor::{self, Cursors};
use super::query::{Query, path_number};
use super::transaction::amount;
use super::{moment, page, table, wallets};
use crate::http::endpoint::Endpoint;
use crate::http::error::Problem;
use crate::http::server::Context;
use crate::ledger::CurrencyCode;
use crate::store::history::Order;
use crate::store::statements::{self, BalanceRow, EntryFilter, EntryRow};

/// What is served here.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/v1/wallets/{id}/balances", || web::to(balances)),
    Endpoint::get("/v1/wallets/{id}/entries", || web::to(entries)),
];

/// Entries that are read at once for CSV.
const CSV_PIECE_ENTRIES: i64 = 1000;
/// The first line of the CSV.
const CSV_NAMES: [&str; 10] = [
    "currency",
    "seq",
    "transaction_id",
    "available_delta",
    "held_delta",
    "incoming_delta",
    "available",
    "held",
    "incoming",
    "created_at",
];

/// What a wallet holds, or held.
#[derive(Debug, Serialize, ToSchema)]
pub struct Balances {
    /// Whose.
    #[schema(minimum = 1, example = 1)]
    wallet_id: i64,
    /// The moment that was asked about; not there when it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    at: Option<String>,
    /// By currency: every one that the wallet ever held.
    balances: Vec<Balance>,
}

/// What a wallet holds in one currency. Exact decimals in major units.
#[derive(Debug, Serialize, ToSchema)]
pub struct Balance {
    /// The currency's code.
    #[schema(example = "USD")]
    currency: String,
    /// Can be spent.
    #[schema(pattern = "^[0-9]+([.][0-9]+)?$", example = "12.5")]
    available: String,
    /// Outgoing, and waits to be confirmed.
    #[schema(pattern = "^[0-9]+([.][0-9]+)?$", example = "0")]
    held: String,
    /// Incoming, and waits to be confirmed.
    #[schema(pattern = "^[0-9]+([.][0-9]+)?$", example = "0")]
    incoming: String,
}

/// A page of entries.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntryPage {
    /// By currency and number.
    items: Vec<Entry>,
    /// Where the next page begins; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// One line of a wallet's history: what changed, and the balance after it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Entry {
    /// The currency's code.
    #[schema(example = "USD")]
    currency: String,
    /// 1, 2, 3 and so on without a gap, per wallet and currency.
    #[schema(minimum = 1)]
    seq: i64,
    /// What made it.
    transaction_id: Uuid,
    /// Added to `available`; below zero where money left.
    #[schema(pattern = "^-?[0-9]+([.][0-9]+)?$", example = "-2.5")]
    available_delta: String,
    /// Added to `held`.
    #[schema(pattern = "^-?[0-9]+([.][0-9]+)?$", example = "2.5")]
    held_delta: String,
    /// Added to `incoming`.
    #[schema(pattern = "^-?[0-9]+([.][0-9]+)?$", example = "0")]
    incoming_delta: String,
    /// What could be spent then.
    #[schema(pattern = "^[0-9]+([.][0-9]+)?$", example = "10")]
    available: String,
    /// What was held then.
    #[schema(pattern = "^[0-9]+([.][0-9]+)?$", example = "2.5")]
    held: String,
    /// What was incoming then.
    #[schema(pattern = "^[0-9]+([.][0-9]+)?$", example = "0")]
    incoming: String,
    /// When it was written.
    #[schema(format = DateTime)]
    created_at: String,
}

/// What a wallet holds, or held at a moment
///
/// `at` gives the balances after the last entry of that moment or before. Of the last second or so the answer can still change: what is
/// being committed counts from the moment it was written.
#[utoipa::path(
    get, path = "/v1/wallets/{id}/balances", tag = "wallets", operation_id = "getBalances",
    params(
        ("id" = i64, Path, description = "The wallet's number", minimum = 1),
        ("at" = Option<String>, Query, description = "A moment; now unless said otherwise", format = DateTime),
    ),
    responses((status = 200, description = "By currency", body = Balances)),
)]
pub async fn balances(context: Data<Context>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, Problem> {
    let wallet_id = path_number(&id, "the id")?;
    let mut query = Query::of(&request)?;
    let at = query.moment("at")?;
    query.finish()?;
    wallets::known(&context, wallet_id).await?;
    let pool = context.state.store.read_pool();
    let rows = match at {
        None => statements::balances(pool, wallet_id).await?,
        Some(at) => statements::balances_at(pool, wallet_id, at).await?,
    };
    let balances = rows.into_iter().map(Balance::from).collect();
    Ok(HttpResponse::Ok().json(Balances { wallet_id, at: at.map(moment::render), balances }))
}

/// A wallet's history, line by line
///
/// With `Accept: text/csv` all lines are given, however many there are, or `limit` of them if it is given.
#[utoipa::path(
    get, path = "/v1/wallets/{id}/entries", tag = "wallets", operation_id = "listEntries",
    params(
        ("id" = i64, Path, description = "The wallet's number", minimum = 1),
        ("currency" = Option<String>, Query, description = "In this currency only", pattern = "^[!-~]{1,16}$"),
        ("order" = Option<page::Direction>, Query, description = "By currency and number, which way: desc unless said otherwise"),
        ("limit" = Option<i64>, Query, description = "How many at most: 50 unless said otherwise", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before", pattern = "^([0-9a-f]{2}){1,256}$"),
    ),
    responses((status = 200, description = "A page of them, or all as CSV", content(
        (EntryPage = "application/json"), (String = "text/csv")
    ))),
)]
pub async fn entries(context: Data<Context>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, Problem> {
    let wallet_id = path_number(&id, "the id")?;
    let mut query = Query::of(&request)?;
    let currency = query.currency("currency")?.map(|code| code.to_string());
    let order = page::order(&mut query, Order::Descending)?;
    let limit = page::limit_if_any(&mut query, &context)?;
    let cursor = page::cursor(&mut query)?;
    query.finish()?;

    let cursors = Cursors::of(&format!("entries {wallet_id} {currency:?} {order:?}"));
    let after = cursor.map(|cursor| place(&cursors.key(&cursor)?)).transpose()?;
    wallets::known(&context, wallet_id).await?;
    let filter = EntryFilter { wallet_id, currency, order, after };
    if table::wants_csv(&request) {
        return csv(&context, filter, limit).await;
    }
    let limit = limit.unwrap_or_else(|| page::limit_default(&context));
    let rows = statements::entries(context.state.store.read_pool(), &filter, limit + 1).await?;
    let (rows, has_more) = page::cut(rows, limit);
    let next_cursor = rows.last().filter(|_| has_more).map(|row| cursors.render(&key(row)));
    Ok(HttpResponse::Ok().json(EntryPage { items: rows.into_iter().map(Entry::from).collect(), next_cursor }))
}

/// What a cursor keeps of the last entry of its page. A currency's code holds no space.
fn key(row: &EntryRow) -> String {
    format!("{} {}", row.currency, row.seq)
}

fn place(key: &str) -> Result<(String, i64), Problem> {
    let place = key
        .split_once(' ')
        .and_then(|(currency, seq)| Some((CurrencyCode::new(currency)?.to_string(), seq.parse().ok()?)));
    place.ok_or_else(cursor::unknown)
}

async fn csv(context: &Context, filter: EntryFilter, limit: Option<i64>) -> Result<HttpResponse, Problem> {
    let pool = context.state.store.read_pool().clone();
    let name = format!("attachment; filename=\"entries-{}.csv\"", filter.wallet_id);
    let names = table::csv([CSV_NAMES.map(str::to_owned)])?;
    // What is left to give, what stands before the next piece, and where that begins.
    let body = table::in_pieces((limit.unwrap_or(i64::MAX), names, filter), move |(left, mut piece, mut filter)| {
        let pool = pool.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let asked = left.min(CSV_PIECE_ENTRIES);
            let rows = statements::entries(&pool, &filter, asked).await?;
            let read = i64::try_from(rows.len()).unwrap_or(asked);
            filter.after = rows.last().map(|row| (row.currency.clone(), row.seq));
            piece.extend(table::csv(rows.into_iter().map(line))?);
            let left = if read < asked { 0 } else { left - read };
            Ok(Some((Bytes::from(piece), (left, Vec::new(), filter))))
        }
    });
    Ok(HttpResponse::Ok()
        .content_type(table::CSV)
        .insert_header((CONTENT_DISPOSITION, name))
        .streaming(Box::pin(body.await?)))
}

fn line(row: EntryRow) -> [String; 10] {
    let entry = Entry::from(row);
    [
        table::text_cell(&entry.currency),
        entry.seq.to_string(),
        entry.transaction_id.to_string(),
        entry.available_delta,
        entry.held_delta,
        entry.incoming_delta,
        entry.available,
        entry.held,
        entry.incoming,
        entry.created_at,
    ]
}

impl From<BalanceRow> for Balance {
    fn from(row: BalanceRow) -> Self {
        Self {
            currency: row.currency,
            available: amount(row.available),
            held: amount(row.held),
            incoming: amount(row.incoming),
        }
    }
}

impl From<EntryRow> for Entry {
    fn from(row: EntryRow) -> Self {
        Self {
            currency: row.currency,
            seq: row.seq,
            transaction_id: row.transaction_id,
            available_delta: amount(row.available_delta),
            held_delta: amount(row.held_delta),
            incoming_delta: amount(row.incoming_delta),
            available: amount(row.available),
            held: amount(row.held),
            incoming: amount(row.incoming),
            created_at: moment::render(row.created_at),
        }
    }
}
