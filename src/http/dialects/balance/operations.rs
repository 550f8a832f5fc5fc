//! What came to a user and what left it, with a comment where from or what for: what that system's task asked for and it had no time to do.
//!
//! Its fields are the columns of the table that was prepared for it there; reserves and unreserves are no operations there, nor here.

use std::borrow::Cow;
use std::collections::HashMap;

use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::reserves::moment;
use super::{Refused, body_if_any, currency, fields, number, users};
use crate::http::server::Context;
use crate::store::history::Order;
use crate::store::movements::{self, MovementRow, Sort};

/// How many are given when nothing is said.
const LIMIT: i64 = 10;

#[derive(Serialize)]
struct Operations {
    operations: Vec<Operation>,
}

#[derive(Serialize)]
struct Operation {
    id: Uuid,
    user_id: i64,
    amount: Box<RawValue>,
    comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<Box<RawValue>>,
    done_at: String,
}

/// GET `/api/operations` and `/api/history`. What is asked stands in the query, or in a body like all others here.
pub async fn list(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let query = Query::<HashMap<String, String>>::from_query(request.query_string());
    let query = query.map_err(|_| Refused::because("the query cannot be read"))?;
    let text = body_if_any(&context, &request, payload).await?;
    let object = fields(&text)?;
    let parameter = |name: &str| match query.get(name) {
        Some(value) => Ok(Some(Cow::Borrowed(value.as_str()))),
        None => object.amount(name, "string"),
    };

    let user = integer(parameter("user_id")?, 0, 0, i64::MAX, "user_id")?;
    let limit_max = i64::from(context.state.settings.http.page_items_max);
    let limit = integer(parameter("limit")?, LIMIT.min(limit_max), 1, limit_max, "limit")?;
    let offset = integer(parameter("offset")?, 0, 0, i64::MAX, "offset")?;
    let sort = word(parameter("sort")?, [("date", Sort::Time), ("amount", Sort::Amount)], "sort")?;
    let order = word(parameter("order")?, [("desc", Order::Descending), ("asc", Order::Ascending)], "order")?;

    users::available(&context, user).await?.ok_or_else(|| users::unknown(user))?;
    let (pool, currency) = (context.state.store.read_pool(), currency(&context)?);
    let rows = movements::list(pool, user, currency.as_str(), (sort, order), limit, offset).await?;
    let operations = rows.into_iter().map(|row| Operation::of(user, row)).collect();
    Ok(HttpResponse::Ok().json(Operations { operations }))
}

impl Operation {
    fn of(user: i64, row: MovementRow) -> Self {
        Self {
            id: row.transaction_id,
            user_id: user,
            amount: number(row.amount, 0),
            comment: comment(&row),
            service_id: row.service_id,
            service_name: row.service,
            order_id: row.order_id.map(|order| order_number(&order)),
            done_at: moment(row.created_at),
        }
    }
}

/// Where from, or what for.
fn comment(row: &MovementRow) -> String {
    let has_come = row.amount.is_sign_positive();
    let order = row.order_id.as_ref().map(|order| format!(", order {order}")).unwrap_or_default();
    match (&row.description, &row.service, row.to_wallet_id) {
        (Some(description), _, _) => description.clone(),
        (None, Some(service), _) if has_come => format!("refund by {service}{order}"),
        (None, Some(service), _) => format!("purchase from {service}{order}"),
        (None, None, _) if row.kind == "reverse" => "reversal".to_owned(),
        (None, None, Some(_)) if has_come => format!("transfer from user {}", row.wallet_id),
        (None, None, Some(to)) => format!("transfer to user {to}"),
        (None, None, None) if has_come => "credit".to_owned(),
        (None, None, None) => format!("withdrawal{order}"),
    }
}

/// Orders are numbers here; elsewhere they may be any text.
fn order_number(order: &str) -> Box<RawValue> {
    let is_number = order.parse::<u64>().is_ok_and(|number| number.to_string() == order);
    let json = if is_number { Ok(order.to_owned()) } else { serde_json::to_string(order) };
    RawValue::from_string(json.expect("a text is JSON")).expect("it was made as JSON")
}

fn integer(text: Option<Cow<'_, str>>, default: i64, min: i64, max: i64, name: &str) -> Result<i64, Refused> {
    let Some(text) = text else { return Ok(default) };
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| Refused::because(format!("{name} must be an integer from {min} to {max}")))
}

/// The first word is meant when nothing is said.
fn word<T: Copy>(text: Option<Cow<'_, str>>, words: [(&str, T); 2], name: &str) -> Result<T, Refused> {
    let Some(text) = text else { return Ok(words[0].1) };
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| Refused::because(format!("{name} must be {} or {}", words[0].0, words[1].0)))
}
