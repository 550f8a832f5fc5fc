//! `/v1/wallets`: who holds balances, and what they are called.

use actix_web::http::header::LOCATION;
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body;
use super::cursor::{self, Cursors};
use super::field::{self, TEXT_LENGTH_MAX};
use super::labels::{self, Labels};
use super::moment;
use super::page;
use super::query::{Query, path_number};
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::{Fault, Problem, ProblemBody};
use crate::http::server::Context;
use crate::http::submit;
use crate::ledger::{self, Operation, Rejection, Request, WalletId};
use crate::store::StoreError;
use crate::store::directory::{self, CHOSEN_ID_MAX, NewWallet, WalletChange, WalletFilter, WalletRow, WalletStatus};
use crate::store::history::Order;
use crate::wire;

/// What is served here.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/v1/wallets", || web::to(list)),
    Endpoint::new("POST", "/v1/wallets", Scope::Admin, || web::to(create)),
    Endpoint::get("/v1/wallets/{id}", || web::to(find)),
    Endpoint::new("PATCH", "/v1/wallets/{id}", Scope::Admin, || web::to(change)),
    Endpoint::new("DELETE", "/v1/wallets/{id}", Scope::Admin, || web::to(close)),
];

/// Who holds balances. What does not apply is left out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Wallet {
    /// Its number.
    #[schema(minimum = 1, example = 1)]
    id: i64,
    /// What another system calls it; no two wallets have the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "customer-17")]
    external_id: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ann")]
    name: Option<String>,
    /// To find it by.
    labels: Labels,
    /// open: money may come and go. blocked: none may leave. closed: nothing moves any more, the history stays.
    #[schema(value_type = Standing)]
    status: &'static str,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// Since when it is blocked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    blocked_at: Option<String>,
    /// Since when it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    closed_at: Option<String>,
}

/// What a wallet may do.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "the words of the document")]
pub enum Standing {
    Open,
    Blocked,
    Closed,
}

const STATUSES: [(&str, WalletStatus); 3] =
    [("open", WalletStatus::Open), ("blocked", WalletStatus::Blocked), ("closed", WalletStatus::Closed)];

/// A page of wallets.
#[derive(Debug, Serialize, ToSchema)]
pub struct WalletPage {
    /// By id.
    items: Vec<Wallet>,
    /// Where the next page begins; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A wallet that is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "external_id": "customer-17", "name": "Ann", "labels": { "tier": "gold" } }))]
pub struct WalletCreation {
    /// The next number unless said otherwise.
    #[serde(default, deserialize_with = "field::integer_if_given")]
    #[schema(nullable = false, minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    id: Option<i64>,
    /// What another system calls it; no two wallets have the same.
    #[serde(default, deserialize_with = "field::not_null")]
    #[schema(nullable = false, min_length = 1, max_length = 255, pattern = "^[^\\u0000]*$")]
    external_id: Option<String>,
    /// For people.
    #[serde(default, deserialize_with = "field::not_null")]
    #[schema(nullable = false, min_length = 1, max_length = 255, pattern = "^[^\\u0000]*$")]
    name: Option<String>,
    /// To find it by: at most 16.
    #[serde(default, deserialize_with = "crate::wire::labels::each_once")]
    #[schema(schema_with = labels::schema, required = false)]
    labels: Labels,
}

/// What is to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Ann B.", "external_id": null, "labels": { "tier": "silver" } }))]
pub struct WalletAlteration {
    /// null takes it away.
    #[serde(default, deserialize_with = "field::given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, pattern = "^[^\\u0000]*$")]
    external_id: Option<Option<String>>,
    /// null takes it away.
    #[serde(default, deserialize_with = "field::given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, pattern = "^[^\\u0000]*$")]
    name: Option<Option<String>>,
    /// In the place of all that were there: at most 16.
    #[serde(default, deserialize_with = "crate::wire::labels::each_once_if_given")]
    #[schema(schema_with = labels::schema, required = false)]
    labels: Option<Labels>,
    /// blocked: no money may leave it. open: it may again. Takes the wallet's line, behind the operations that came before; by itself, without
    /// the other fields.
    #[serde(default, deserialize_with = "field::not_null")]
    #[schema(nullable = false)]
    status: Option<OpenOrBlocked>,
}

/// What a wallet can be made to be. Closing it is DELETE.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OpenOrBlocked {
    /// Money may come and go.
    Open,
    /// None may leave.
    Blocked,
}

/// Make a wallet
#[utoipa::path(
    post, path = "/v1/wallets", tag = "wallets", operation_id = "createWallet", request_body = WalletCreation,
    responses((status = 201, description = "The wallet", body = Wallet, headers(("Location" = String, description = "Where it is")))),
)]
pub async fn create(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    let asked: WalletCreation = body::json(&context, &request, payload).await?;
    if asked.id.is_some_and(|id| !(1..=CHOSEN_ID_MAX).contains(&id)) {
        return Err(Fault::BodyInvalid.because(format!("id must be from 1 to {CHOSEN_ID_MAX}")));
    }
    let texts = [("external_id", &asked.external_id), ("name", &asked.name)];
    for (name, value) in texts.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        field::text(name, value, TEXT_LENGTH_MAX)?;
    }
    let labels = labels::to_json(&labels::checked(asked.labels)?);
    let wallet = NewWallet { id: asked.id, external_id: asked.external_id, name: asked.name, labels };
    let row = directory::insert(context.state.store.read_pool(), &wallet).await.map_err(taken)?;
    let location = format!("/v1/wallets/{}", row.id);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(Wallet::from(row)))
}

/// One wallet
#[utoipa::path(
    get, path = "/v1/wallets/{id}", tag = "wallets", operation_id = "getWallet",
    params(("id" = i64, Path, description = "Its number", minimum = 1)),
    responses((status = 200, description = "The wallet", body = Wallet)),
)]
pub async fn find(context: Data<Context>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    let row = directory::find(context.state.store.read_pool(), path_number(&id, "the id")?).await?;
    Ok(HttpResponse::Ok().json(Wallet::from(row.ok_or(Rejection::WalletUnknown)?)))
}

/// Wallets
///
/// All filters hold together; `label.NAME=VALUE` can be given several times.
#[utoipa::path(
    get, path = "/v1/wallets", tag = "wallets", operation_id = "listWallets",
    params(
        ("external_id" = Option<String>, Query, description = "What another system calls it", min_length = 1, max_length = 255, pattern = "^[^\\u0000]*$"),
        ("label.NAME" = Option<String>, Query, description = "Its label NAME has this value", max_length = 256, pattern = "^[^\\u0000]*$"),
        ("status" = Option<Standing>, Query, description = "What it may do"),
        ("order" = Option<page::Direction>, Query, description = "By id, which way: asc unless said otherwise"),
        ("limit" = Option<i64>, Query, description = "How many at most: 50 unless said otherwise", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before", pattern = "^([0-9a-f]{2}){1,256}$"),
    ),
    responses((status = 200, description = "A page of them", body = WalletPage)),
)]
pub async fn list(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut query = Query::of(&request)?;
    let labels = query.labels()?;
    let filter = WalletFilter {
        external_id: query.text("external_id", TEXT_LENGTH_MAX)?,
        labels: (!labels.is_empty()).then(|| labels::to_json(&labels)),
        status: query.word("status", &STATUSES)?,
    };
    let order = page::order(&mut query, Order::Ascending)?;
    let limit = page::limit(&mut query, &context)?;
    let cursor = page::cursor(&mut query)?;
    query.finish()?;

    let cursors = Cursors::of(&format!("wallets {filter:?} {order:?}"));
    let after = cursor.map(|cursor| cursors.key(&cursor)).transpose()?;
    let after = after.map(|key| key.parse().map_err(|_| cursor::unknown())).transpose()?;
    let rows = directory::list(context.state.store.read_pool(), &filter, after, order, limit + 1).await?;
    let (rows, has_more) = page::cut(rows, limit);
    let next_cursor = rows.last().filter(|_| has_more).map(|row| cursors.render(&row.id.to_string()));
    Ok(HttpResponse::Ok().json(WalletPage { items: rows.into_iter().map(Wallet::from).collect(), next_cursor }))
}

/// Change what a wallet is called, block it or open it again
///
/// A closed wallet can still be called something else, so that its `external_id` is free for another one and its name can be erased; `status` is
/// refused with 409 `wallet_closed`.
#[utoipa::path(
    patch, path = "/v1/wallets/{id}", tag = "wallets", operation_id = "changeWallet", request_body = WalletAlteration,
    params(("id" = i64, Path, description = "Its number", minimum = 1)),
    responses((status = 200, description = "The wallet as it is now", body = Wallet)),
)]
pub async fn change(
    context: Data<Context>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    let id = path_number(&id, "the id")?;
    let asked: WalletAlteration = body::json(&context, &request, payload).await?;
    for (name, value) in [("external_id", &asked.external_id), ("name", &asked.name)] {
        if let Some(Some(value)) = value {
            field::text(name, value, TEXT_LENGTH_MAX)?;
        }
    }
    let labels = asked.labels.map(labels::checked).transpose()?.map(|labels| labels::to_json(&labels));
    let is_named = asked.external_id.is_some() || asked.name.is_some() || labels.is_some();
    if asked.status.is_some() && is_named {
        // The one takes the wallet's line, the other does not: one of them could be refused when the other is done.
        let reason = "status is changed by itself, not together with other fields".to_owned();
        return Err(wire::Refusal { code: "contradiction", status: 422, reason, item: None }.into());
    }
    match asked.status {
        Some(OpenOrBlocked::Open) => stand(&context, id, ledger::Standing::Open).await?,
        Some(OpenOrBlocked::Blocked) => stand(&context, id, ledger::Standing::Blocked).await?,
        None => {}
    }
    let change = WalletChange { external_id: asked.external_id, name: asked.name, labels };
    let row = directory::update(context.state.store.read_pool(), id, &change).await.map_err(taken)?;
    Ok(HttpResponse::Ok().json(Wallet::from(row.ok_or(Rejection::WalletUnknown)?)))
}

/// Close a wallet
///
/// Only one that holds nothing, and where nothing is pending or waits. It is not gone, and is never opened again. Its history stays: the wallet, its
/// balances, entries and transactions are answered as before, and what it is called can be changed. Whatever would move money on it, block it or
/// open it is refused with 409 `wallet_closed`. Closing it again is no mistake, and changes nothing.
#[utoipa::path(
    delete, path = "/v1/wallets/{id}", tag = "wallets", operation_id = "closeWallet",
    params(("id" = i64, Path, description = "Its number", minimum = 1)),
    responses(
        (status = 204, description = "It is closed"),
        (status = 409, description = "It is not empty: nothing is done", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn close(context: Data<Context>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    stand(&context, path_number(&id, "the id")?, ledger::Standing::Closed).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What a wallet may do is changed in its line, like its money.
async fn stand(context: &Context, id: i64, standing: ledger::Standing) -> Result<(), Problem> {
    let request = Request::Stand { wallet: WalletId(id), standing };
    let operation = Operation { id: wire::new_id(), idempotency_key: None, request };
    match submit::submit(context, operation).await?.result {
        Ok(_) => Ok(()),
        Err(refused) => Err(Problem::of_refused(&refused)),
    }
}

/// Refuses to look further for a wallet that is not there.
pub async fn known(context: &Context, id: i64) -> Result<(), Problem> {
    let row = directory::find(context.state.store.read_pool(), id).await?;
    row.map(drop).ok_or_else(|| Rejection::WalletUnknown.into())
}

fn taken(error: StoreError) -> Problem {
    match error.constraint() {
        Some("wallets_pkey") => Fault::WalletExists.because("a wallet of this id exists"),
        Some("wallets_external_id_key") => Fault::ExternalIdTaken.because("another wallet has this external_id"),
        _ => error.into(),
    }
}

impl From<WalletRow> for Wallet {
    fn from(row: WalletRow) -> Self {
        let status = match (row.closed_at, row.blocked_at) {
            (Some(_), _) => "closed",
            (None, Some(_)) => "blocked",
            (None, None) => "open",
        };
        Self {
            id: row.id,
            external_id: row.external_id,
            name: row.name,
            labels: labels::from_json(Some(&row.labels)),
            status,
            created_at: moment::render(row.created_at),
            blocked_at: row.blocked_at.map(moment::render),
            closed_at: row.closed_at.map(moment::render),
        }
    }
}
