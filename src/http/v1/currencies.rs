//! `/v1/currencies`: what amounts can be in, and how fine they may be.

use actix_web::http::header::LOCATION;
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, rt};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body;
use super::field;
use super::query::Query;
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::{Fault, Problem};
use crate::http::server::Context;
use crate::ledger::Rejection;
use crate::ledger::currency::SCALE_MAX;
use crate::store::StoreError;
use crate::store::currencies::{self, CurrencyRow};
use crate::store::scale::{self, Rescaled};

/// Longest name, in characters.
const NAME_LENGTH_MAX: usize = 100;
/// Largest number.
const NUMBER_MAX: i64 = 32_767;

/// What is served here.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/v1/currencies", || web::to(list)),
    Endpoint::new("POST", "/v1/currencies", Scope::Admin, || web::to(create)),
    Endpoint::get("/v1/currencies/{code}", || web::to(find)),
    Endpoint::new("PATCH", "/v1/currencies/{code}", Scope::Admin, || web::to(change)),
];

/// What an amount can be in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Currency {
    /// What callers name it by.
    #[schema(example = "USD")]
    code: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "US dollar")]
    name: Option<String>,
    /// What systems that use ids name it by.
    #[schema(minimum = 1, example = 1)]
    number: i16,
    /// Decimal places an amount may have.
    #[schema(minimum = 0, maximum = 18, example = 2)]
    scale: i16,
}

/// Every currency.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrencyList {
    /// By code.
    items: Vec<Currency>,
}

/// A currency that is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "CHF", "name": "Swiss franc", "scale": 2 }))]
pub struct CurrencyCreation {
    /// What callers name it by: letters, digits, and - _ . between them; case counts.
    #[schema(pattern = "^[A-Za-z0-9]([A-Za-z0-9._-]{0,14}[A-Za-z0-9])?$", min_length = 1, max_length = 16)]
    code: String,
    /// What people call it.
    #[serde(default, deserialize_with = "field::not_null")]
    #[schema(nullable = false, min_length = 1, max_length = 100, pattern = "^[^\\u0000]*$")]
    name: Option<String>,
    /// The one after the highest unless said otherwise.
    #[serde(default, deserialize_with = "field::integer_if_given")]
    #[schema(nullable = false, minimum = 1, maximum = 32767)]
    number: Option<i64>,
    /// Decimal places an amount may have.
    #[serde(deserialize_with = "field::integer")]
    #[schema(minimum = 0, maximum = 18)]
    scale: i64,
}

/// What is to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "US dollar" }))]
pub struct CurrencyAlteration {
    /// null takes it away.
    #[serde(default, deserialize_with = "field::given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, pattern = "^[^\\u0000]*$")]
    name: Option<Option<String>>,
    /// More decimals are allowed at once. Fewer take some seconds, and only if no amount and no balance uses more.
    #[serde(default, deserialize_with = "field::integer_if_given")]
    #[schema(nullable = false, minimum = 0, maximum = 18)]
    scale: Option<i64>,
}

/// Every currency
#[utoipa::path(
    get, path = "/v1/currencies", tag = "currencies", operation_id = "listCurrencies",
    responses((status = 200, description = "By code", body = CurrencyList)),
)]
pub async fn list(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    let rows = currencies::list_rows(context.state.store.read_pool(), None).await?;
    Ok(HttpResponse::Ok().json(CurrencyList { items: rows.into_iter().map(Currency::from).collect() }))
}

/// One currency
#[utoipa::path(
    get, path = "/v1/currencies/{code}", tag = "currencies", operation_id = "getCurrency",
    params(("code" = String, Path, description = "Its code", pattern = "^[A-Za-z0-9]([A-Za-z0-9._-]{0,14}[A-Za-z0-9])?$")),
    responses((status = 200, description = "The currency", body = Currency)),
)]
pub async fn find(context: Data<Context>, request: HttpRequest, code: Path<String>) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    Ok(HttpResponse::Ok().json(get(&context, &code).await?))
}

/// Make a currency
#[utoipa::path(
    post, path = "/v1/currencies", tag = "currencies", operation_id = "createCurrency", request_body = CurrencyCreation,
    responses((status = 201, description = "The currency", body = Currency, headers(("Location" = String, description = "Where it is")))),
)]
pub async fn create(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    let asked: CurrencyCreation = body::json(&context, &request, payload).await?;
    if !is_code(&asked.code) {
        let detail = "code must have 1 to 16 letters and digits, and may have - _ . between them";
        return Err(Fault::BodyInvalid.because(detail));
    }
    if let Some(name) = &asked.name {
        field::text("name", name, NAME_LENGTH_MAX)?;
    }
    let number = asked.number.map(|number| within("number", number, 1, NUMBER_MAX)).transpose()?;
    let scale = within("scale", asked.scale, 0, i64::from(SCALE_MAX))?;
    let pool = context.state.store.read_pool();
    let row = currencies::insert(pool, &asked.code, asked.name.as_deref(), number, scale).await.map_err(taken)?;
    let location = format!("/v1/currencies/{}", row.code);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(Currency::from(row)))
}

/// Change a currency's name or scale
#[utoipa::path(
    patch, path = "/v1/currencies/{code}", tag = "currencies", operation_id = "changeCurrency", request_body = CurrencyAlteration,
    params(("code" = String, Path, description = "Its code", pattern = "^[A-Za-z0-9]([A-Za-z0-9._-]{0,14}[A-Za-z0-9])?$")),
    responses((status = 200, description = "The currency as it is now", body = Currency)),
)]
pub async fn change(
    context: Data<Context>,
    request: HttpRequest,
    code: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    let asked: CurrencyAlteration = body::json(&context, &request, payload).await?;
    if let Some(Some(name)) = &asked.name {
        field::text("name", name, NAME_LENGTH_MAX)?;
    }
    let scale = asked.scale.map(|scale| within("scale", scale, 0, i64::from(SCALE_MAX))).transpose()?;
    get(&context, &code).await?;
    // What can be refused comes first, so that a refusal changed nothing. Also where it is the scale that is shown: that one may be about to be
    // taken back.
    if let Some(scale) = scale {
        rescale(&context, &code, scale).await?;
    }
    if let Some(name) = &asked.name {
        currencies::rename(context.state.store.read_pool(), &code, name.as_deref()).await?;
    }
    Ok(HttpResponse::Ok().json(get(&context, &code).await?))
}

async fn rescale(context: &Context, code: &str, scale: i16) -> Result<(), Problem> {
    let (store, code) = (context.state.store.clone(), code.to_owned());
    // A task of its own: a caller that goes away must not end it half way.
    let rescaled = rt::spawn(async move { scale::change(&store, &code, scale).await }).await;
    match rescaled.map_err(|_| Fault::Internal.because("the change was given up"))?? {
        Rescaled::Done => Ok(()),
        Rescaled::Unknown => Err(Rejection::CurrencyUnknown.into()),
        Rescaled::Busy => Err(Fault::CurrencyBusy.because("the scale is being changed by someone else; ask again")),
        Rescaled::InUse => Err(Fault::ScaleInUse.because("an amount or a balance uses more decimals")),
    }
}

async fn get(context: &Context, code: &str) -> Result<Currency, Problem> {
    // What cannot be a code is not asked about.
    let rows = match crate::ledger::CurrencyCode::new(code) {
        Some(code) => currencies::list_rows(context.state.store.read_pool(), Some(code.as_str())).await?,
        None => Vec::new(),
    };
    Ok(Currency::from(rows.into_iter().next().ok_or(Rejection::CurrencyUnknown)?))
}

/// A code that needs no quoting in a path, in a query or in a shell. Those that were there before may have other characters.
fn is_code(code: &str) -> bool {
    let is_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    code.len() <= 16 && is_edge(code.bytes().next()) && is_edge(code.bytes().last()) && code.bytes().all(is_inner)
}

fn within(name: &str, value: i64, least: i64, most: i64) -> Result<i16, Problem> {
    let value = i16::try_from(value).ok().filter(|value| (least..=most).contains(&i64::from(*value)));
    value.ok_or_else(|| Fault::BodyInvalid.because(format!("{name} must be an integer from {least} to {most}")))
}

fn taken(error: StoreError) -> Problem {
    match error.constraint() {
        Some("currencies_pkey") => Fault::CurrencyExists.because("a currency of this code exists"),
        Some("currencies_number_key") => Fault::CurrencyNumberTaken.because("another currency has this number"),
        _ => error.into(),
    }
}

impl From<CurrencyRow> for Currency {
    fn from(row: CurrencyRow) -> Self {
        Self { code: row.code, name: row.name, number: row.number, scale: row.scale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_code_needs_no_quoting() {
        for good in ["USD", "1INCH", "a", "USDT.e", "x-y_z", "0123456789abcdef"] {
            assert!(is_code(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "-a", "a.", "рубль", "0123456789abcdefg", "=A"] {
            assert!(!is_code(bad), "{bad}");
        }
    }
}
