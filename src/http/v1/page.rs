//! What all lists have in common.

use utoipa::ToSchema;

use super::cursor;
use super::query::Query;
use crate::http::error::Problem;
use crate::http::server::Context;
use crate::store::history::Order;

/// Items of a page when nothing is said, if as many are allowed.
const LIMIT_DEFAULT: i64 = 50;

/// By what a list is sorted.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "the words of the document")]
pub enum Sort {
    Time,
    Amount,
}

/// Which way a list goes.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "the words of the document")]
pub enum Direction {
    Asc,
    Desc,
}

/// `order`: `asc` or `desc`.
pub fn order(query: &mut Query, unsaid: Order) -> Result<Order, Problem> {
    let order = query.word("order", &[("asc", Order::Ascending), ("desc", Order::Descending)])?;
    Ok(order.unwrap_or(unsaid))
}

/// `limit`: up to `http.page_items_max`.
pub fn limit(query: &mut Query, context: &Context) -> Result<i64, Problem> {
    Ok(limit_if_any(query, context)?.unwrap_or_else(|| limit_default(context)))
}

/// The same where nothing said may mean all.
pub fn limit_if_any(query: &mut Query, context: &Context) -> Result<Option<i64>, Problem> {
    query.number("limit", items_max(context))
}

/// Items of a page when nothing is said.
pub fn limit_default(context: &Context) -> i64 {
    LIMIT_DEFAULT.min(items_max(context))
}

fn items_max(context: &Context) -> i64 {
    i64::from(context.state.settings.http.page_items_max)
}

/// `cursor`, as it stands.
pub fn cursor(query: &mut Query) -> Result<Option<String>, Problem> {
    query.text("cursor", cursor::LENGTH_MAX)
}

/// What was read, without the one item more that was asked for, and whether it was there.
pub fn cut<T>(mut rows: Vec<T>, limit: i64) -> (Vec<T>, bool) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    (rows, has_more)
}
