//! System 001, FlynnTaggart/balance: `/api` and what lies below it, and its Swagger at `/swagger/index.html`.
//!
//! GET and DELETE carry JSON bodies. A user is the wallet of the same id, made by its first credit; a reserve is a withdrawal that waits for a
//! service and an order, a purchase confirms it, an unreserve cancels it. What has no currency there is in `dialects.balance.currency`. A trailing
//! slash makes no difference. What is refused is a `message` with status 400; what HTTP itself refuses keeps its own status.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::web::{self, Data, Payload, Query};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, dev, rt};
use futures::future::LocalBoxFuture;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use utoipa_swagger_ui::Config;
use uuid::Uuid;

use super::{Dialect, number};
use crate::http::dictionary::{self, Dictionary, Said};
use crate::http::document::{
    BOOLEAN, Document, Field, Gives, INTEGER, MOMENT, Row, Schema, TEXT, Takes, URI, UUID, gives, may, must, row, words,
};
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::Unserved;
use crate::http::month::CalendarMonth;
use crate::http::report_file::{self, Draft};
use crate::http::server::Context;
use crate::http::v1::{self, moment};
use crate::http::{extract, submit};
use crate::ledger::{
    Amount, Answer, Cause, CurrencyCode, Details, IdempotencyKey, Labels, Lifetime, Mode, Money, Operation, Reference,
    Refused, Rejection, Request, Rest, ServiceId, Standing, Status, Terms, TransactionId, WalletId,
};
use crate::store::directory::{self, NewWallet};
use crate::store::history::{self, After, Order, TransactionFilter, TransactionRow};
use crate::store::movements::{self, MovementRow, Sort};
use crate::store::reports::{self, RevenueRow};
use crate::store::services::{self, Deletion};
use crate::store::{currencies, references, statements};
use crate::wire;
use crate::wire::go::Object;

/// What the server needs to know of it.
pub const DIALECT: Dialect = Dialect {
    is_enabled: |settings| settings.balance.enabled,
    endpoints: &[
        Endpoint::get("/api", || web::to(balance)).or_at("/api/"),
        Endpoint::new("POST", "/api", Scope::Write, || web::to(credit)).or_at("/api/"),
        Endpoint::new("DELETE", "/api/users", Scope::Admin, || web::to(delete_user)).or_at("/api/users/"),
        Endpoint::get("/api/reserve", || web::to(find_reserve)).or_at("/api/reserve/"),
        Endpoint::new("POST", "/api/reserve", Scope::Write, || web::to(reserve)).or_at("/api/reserve/"),
        Endpoint::new("DELETE", "/api/reserve", Scope::Write, || web::to(unreserve)).or_at("/api/reserve/"),
        Endpoint::new("POST", "/api/purchase", Scope::Write, || web::to(purchase)).or_at("/api/purchase/"),
        Endpoint::get("/api/services", || web::to(find_service)).or_at("/api/services/"),
        // Not for administrators only, unlike `/v1/services`: that system's ordinary clients add the services that they reserve for.
        Endpoint::new("POST", "/api/services", Scope::Write, || web::to(add_services)).or_at("/api/services/"),
        Endpoint::new("DELETE", "/api/services", Scope::Admin, || web::to(delete_service)).or_at("/api/services/"),
        // Its GET writes a file, and its Swagger said POST.
        Endpoint::new("GET", "/api/report", Scope::Write, || web::to(create_report)).or_at("/api/report/"),
        Endpoint::new("POST", "/api/report", Scope::Write, || web::to(create_report)).or_at("/api/report/"),
        Endpoint::get("/api/report/{year}/{month}/report.csv", || web::to(download_report))
            .or_at("/api/report/{year}/{month}/report.csv/"),
        Endpoint::get("/api/operations", || web::to(list_operations)).or_at("/api/operations/"),
        Endpoint::get("/api/history", || web::to(list_operations)).or_at("/api/history/"),
        Endpoint::open("/swagger", || web::to(redirect)),
        Endpoint::open("/swagger/{file:.*}", || web::to(swagger)),
    ],
    refuse: |_, _, unserved| No::from(unserved).error_response(),
    start_at_zero: |_| {},
};

/// The only content type whose body is read.
const JSON: &str = "application/json";
/// What PostgreSQL's driver said there where nothing was found.
const NO_ROWS: &str = "no rows in result set";
/// Services that are summed up at once.
const PIECE_SERVICES: i64 = 100;

/// What it refuses is a message; what it has no words of its own for, the ledger and HTTP have.
#[derive(Debug)]
struct Words;

impl Dictionary for Words {
    fn write(said: &Said) -> HttpResponse {
        HttpResponse::build(said.status).json(json!({ "message": said.text }))
    }
}

type No = dictionary::No<Words>;

/// What PostgreSQL said there of a key that is taken. The constraints are called there as they are here.
fn taken(constraint: &str) -> No {
    No::bad_request(format!(r#"ERROR: duplicate key value violates unique constraint "{constraint}" (SQLSTATE 23505)"#))
}

/// What PostgreSQL said there of a row that others refer to.
fn referenced(table: &str, constraint: &str, by: &str) -> No {
    No::bad_request(format!(
        r#"ERROR: update or delete on table "{table}" violates foreign key constraint "{constraint}" on table "{by}" (SQLSTATE 23503)"#
    ))
}

/// Said of the balance, too.
fn user_unknown(user: i64) -> No {
    No::bad_request(format!("db: reserve: no such user with id {user}"))
}

fn wrong_amount(stored: Decimal, got: Decimal) -> No {
    let (stored, got) = (fixed(stored), fixed(got));
    No::bad_request(format!("db: purchase: wrong purchase amount, stored in reserve: {stored}, got: {got}"))
}

/// An error that Go had marshalled: what its clients get instead of a text.
fn report_missing() -> HttpResponse {
    HttpResponse::NotFound().json(json!({ "message": {} }))
}

/// What every change is answered with.
fn ok() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("OK")
}

#[derive(Serialize)]
struct Reserve {
    order_id: i64,
    user: User,
    service: Value,
    amount: Box<RawValue>,
    purchased: bool,
    reserved_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    purchased_at: Option<String>,
}

#[derive(Serialize)]
struct User {
    id: i64,
    /// In hundredths, unlike every other amount: that is what clients of this document know.
    balance: Box<RawValue>,
}

/// What came to a user or left it. Its fields are the columns of the table that was prepared there for a list that there was no time for.
#[derive(Serialize)]
struct Movement {
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

/// GET `/api`.
async fn balance(context: Data<Context>, body: Body) -> Result<HttpResponse, No> {
    let user = id(&body.fields()?, "id")?;
    let available = available(&context, user).await?.ok_or_else(|| user_unknown(user))?;
    Ok(HttpResponse::Ok().json(BTreeMap::from([("balance", number(available, 0))])))
}

/// POST `/api`. The first credit makes the user; of two that are the first at once, one does, and both are credited.
async fn credit(context: Data<Context>, request: HttpRequest, body: Body) -> Result<HttpResponse, No> {
    let asked = body.fields()?;
    let (user, money, key) = (id(&asked, "id")?, money(&context, &asked)?, key(&request)?);
    let invoice = Request::Invoice { wallet: WalletId(user), money, terms: Terms::default() };
    let mut result = submit(&context, invoice.clone(), key.clone()).await?;
    if result.as_ref().is_err_and(|refused| refused.rejection == Rejection::WalletUnknown) {
        make_user(&context, user, money).await?;
        result = submit(&context, invoice, key).await?;
    }
    result.map(|_| ok()).map_err(|refused| refused.rejection.into())
}

/// DELETE `/api/users`. That system keeps a user with operations, and every user that was made through it has one.
async fn delete_user(context: Data<Context>, body: Body) -> Result<HttpResponse, No> {
    let user = id(&body.fields()?, "id")?;
    let unknown = || No::bad_request(format!("db: delete user: no such user with id {user}"));
    let referenced = || referenced("users", "fk_operations_user", "operations");
    let pool = context.state.store.read_pool();
    let wallet = directory::find(pool, user).await?.ok_or_else(unknown)?;
    let filter = TransactionFilter { wallet_id: Some(user), ..TransactionFilter::default() };
    if !history::list(pool, &filter, After::Time(None), Order::Descending, 1).await?.is_empty() {
        return Err(referenced());
    }
    if wallet.closed_at.is_some() {
        return Err(unknown());
    }
    let close = Request::Stand { wallet: WalletId(user), standing: Standing::Closed };
    match submit(&context, close, None).await? {
        Ok(_) => Ok(ok()),
        // Something happened to it after all.
        Err(refused) if refused.rejection == Rejection::WalletNotEmpty => Err(referenced()),
        Err(refused) => Err(refused.rejection.into()),
    }
}

/// GET `/api/reserve`. The order alone says which; the user and the service that are shown are those that are asked for.
async fn find_reserve(context: Data<Context>, body: Body) -> Result<HttpResponse, No> {
    let asked = Asked::of(&body.fields()?)?;
    let none = || No::bad_request(format!("db: get reserve: money were not reserved for order {}", asked.order));
    let row = asked.reserve(&context).await?.ok_or_else(none)?;
    let available = available(&context, asked.user).await?.ok_or_else(|| No::bad_request(NO_ROWS))?;
    let service = services::find(context.state.store.read_pool(), asked.service).await?;
    let service = service.ok_or_else(|| No::bad_request(NO_ROWS))?;
    Ok(HttpResponse::Ok().json(Reserve {
        order_id: asked.order,
        user: User { id: asked.user, balance: hundredths(available) },
        service: json!({ "id": service.id, "name": service.name }),
        amount: number(reserved(&row), 0),
        purchased: is_purchased(&row),
        reserved_at: moment::render(row.created_at),
        purchased_at: row.finished_at.map(moment::render),
    }))
}

/// POST `/api/reserve`. An order is reserved once over all users for as long as its reserve lives or is purchased: it is the withdrawal's reference.
async fn reserve(context: Data<Context>, request: HttpRequest, body: Body) -> Result<HttpResponse, No> {
    let object = body.fields()?;
    let (asked, money) = (Asked::of(&object)?, money(&context, &object)?);
    let seconds = i64::try_from(context.state.settings.dialects.balance.reserve_seconds);
    let lifetime = Lifetime::from_seconds(seconds.unwrap_or(i64::MAX))?;
    let details = Details::new(Labels::default(), None, Some(ServiceId(asked.service)), Some(asked.order.to_string()))?;
    let terms = Terms {
        mode: Mode::Pending { expires_in: Some(lifetime) },
        details: Some(Arc::new(details)),
        reference: Some(asked.reference()?),
    };
    let hold = Request::Withdraw { wallet: WalletId(asked.user), money, terms };
    match submit(&context, hold, key(&request)?).await? {
        Ok(_) => Ok(ok()),
        Err(refused) => Err(asked.not_reserved(&context, &refused, money).await?),
    }
}

/// DELETE `/api/reserve`. What was reserved goes back, whatever amount is named; of what was purchased, nothing.
async fn unreserve(context: Data<Context>, request: HttpRequest, body: Body) -> Result<HttpResponse, No> {
    let object = body.fields()?;
    let asked = Asked::of(&object)?;
    // Not compared, but it must be a number.
    amount(&object)?;
    let key = key(&request)?;
    let row = asked.find(&context, key.as_ref()).await?.ok_or_else(|| No::bad_request(NO_ROWS))?;
    let (wallet, original) = (WalletId(asked.user), TransactionId(row.id));
    match submit(&context, Request::Cancel { wallet, original, cause: Cause::Requested }, key).await? {
        Ok(_) => Ok(ok()),
        Err(refused) if refused.rejection == Rejection::TransactionFinal => {
            if was_purchased(&context, row.id).await? {
                Ok(ok())
            } else {
                Err(No::bad_request(NO_ROWS))
            }
        }
        Err(refused) => Err(refused.rejection.into()),
    }
}

/// POST `/api/purchase`.
async fn purchase(context: Data<Context>, request: HttpRequest, body: Body) -> Result<HttpResponse, No> {
    let object = body.fields()?;
    let (asked, got, key) = (Asked::of(&object)?, amount(&object)?, key(&request)?);
    let row = asked.find(&context, key.as_ref()).await?.ok_or_else(|| asked.not_purchasable())?;
    // A purchase that comes again under its key is the ledger's to recognise: what it bought may have been the rest only.
    if got != reserved(&row) && !(is_purchased(&row) && key.is_some()) {
        return Err(wrong_amount(reserved(&row), got));
    }
    let (wallet, original) = (WalletId(asked.user), TransactionId(row.id));
    let confirm = Request::Confirm { wallet, original, amount: Some(Amount::new(got)?), rest: Rest::Released };
    let Err(refused) = submit(&context, confirm, key).await? else { return Ok(ok()) };
    Err(match refused.rejection {
        Rejection::TransactionFinal if was_purchased(&context, row.id).await? => {
            No::bad_request("db: purchase: the purchase has already happened")
        }
        Rejection::TransactionFinal => asked.not_purchasable(),
        // Someone else confirmed a part of it.
        Rejection::AmountExceedsUnconfirmed => {
            let row = history::find(context.state.store.read_pool(), row.id).await?;
            wrong_amount(row.as_ref().map_or(Decimal::ZERO, reserved), got)
        }
        rejection => rejection.into(),
    })
}

/// GET `/api/services`.
async fn find_service(context: Data<Context>, body: Body) -> Result<HttpResponse, No> {
    let id = id(&body.fields()?, "id")?;
    let row = services::find(context.state.store.read_pool(), id).await?;
    let row = row.ok_or_else(|| No::bad_request(format!("db: get service: no such service with id {id}")))?;
    Ok(HttpResponse::Ok().json(json!({ "id": row.id, "name": row.name })))
}

/// POST `/api/services`: all or none, under the numbers that their callers give them.
async fn add_services(context: Data<Context>, body: Body) -> Result<HttpResponse, No> {
    let not_added = || No::bad_request("db: add services: failed to add services");
    let mut added = Vec::new();
    for service in body.fields()?.objects("services", "Service")? {
        let (id, name) = (id(&service, "id")?, service.string("name")?.into_owned());
        if name.chars().count() > 255 {
            return Err(No::bad_request("ERROR: value too long for type character varying(255) (SQLSTATE 22001)"));
        }
        check_chosen(&context, id, "service")?;
        // The second is what PostgreSQL cannot keep.
        if name.is_empty() || name.contains('\0') {
            return Err(not_added());
        }
        added.push((id, name));
    }
    if added.is_empty() {
        return Err(not_added());
    }
    let inserted = services::insert_numbered(context.state.store.read_pool(), &added).await;
    inserted.map_err(|error| match error.constraint() {
        Some(constraint @ ("services_pkey" | "services_name_key")) => taken(constraint),
        _ => error.into(),
    })?;
    Ok(ok())
}

/// DELETE `/api/services`.
async fn delete_service(context: Data<Context>, body: Body) -> Result<HttpResponse, No> {
    let id = id(&body.fields()?, "id")?;
    match services::delete(context.state.store.read_pool(), id).await? {
        Deletion::Deleted => Ok(ok()),
        Deletion::InUse => Err(referenced("services", "fk_reserves_service", "reserves")),
        Deletion::Unknown => Err(No::bad_request(format!("db: delete service: no such service with id {id}"))),
    }
}

/// GET and POST `/api/report`: writes the file anew and says where it is.
async fn create_report(context: Data<Context>, request: HttpRequest, body: Body) -> Result<HttpResponse, No> {
    let asked = body.fields()?;
    let month = month_of(asked.integer("Year", "int")?, asked.integer("Month", "int")?)?;
    let (turn, work) = (context.admit_report()?, context.clone());
    // In a task of its own: its statement and its connection outlive a caller that goes away, so its turn does, too.
    let written = rt::spawn(async move {
        let _turn = turn;
        write_report(&work, month).await
    });
    written.await.map_err(|error| No::failed(&error))??;
    let info = request.connection_info();
    // Whatever a proxy says, the link is one that a browser only reads from.
    let scheme = if info.scheme() == "https" { "https" } else { "http" };
    let link = format!("{scheme}://{}/api/report/{}", info.host(), report_path(month));
    Ok(HttpResponse::Ok().json(json!({ "report_link": link })))
}

/// GET `/api/report/YEAR/MONTH/report.csv`.
async fn download_report(context: Data<Context>, path: web::Path<(String, String)>) -> Result<HttpResponse, No> {
    let wrong = |name: &str| No::bad_request(format!("failed to decode: schema: error converting value for {name:?}"));
    let (year, month) = path.into_inner();
    let month = month_of(year.parse().map_err(|_| wrong("year"))?, month.parse().map_err(|_| wrong("month"))?)?;
    let file = report_file::body(report_place(&context, month)).await.map_err(|error| No::failed(&error))?;
    Ok(match file {
        Some(body) => HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(body),
        None => report_missing(),
    })
}

/// GET `/api/operations` and `/api/history`: what came to a user and what left it. Reserves and unreserves are no operations there, nor here.
/// What is asked stands in the query, or in a body like all others here.
async fn list_operations(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, No> {
    let query = Query::<HashMap<String, String>>::from_query(request.query_string());
    let query = query.map_err(|_| No::bad_request("the query cannot be read"))?;
    let body = Body::if_any(&request, payload).await?;
    let object = body.fields()?;
    let parameter = |name: &str| match query.get(name) {
        Some(value) => Ok(Some(Cow::Borrowed(value.as_str()))),
        None => object.amount(name, "string"),
    };

    let user = integer(parameter("user_id")?, 0, 0, i64::MAX, "user_id")?;
    let limit_max = i64::from(context.state.settings.http.page_items_max);
    let limit = integer(parameter("limit")?, 10.min(limit_max), 1, limit_max, "limit")?;
    let offset = integer(parameter("offset")?, 0, 0, i64::MAX, "offset")?;
    let sort = word(parameter("sort")?, [("date", Sort::Time), ("amount", Sort::Amount)], "sort")?;
    let order = word(parameter("order")?, [("desc", Order::Descending), ("asc", Order::Ascending)], "order")?;

    available(&context, user).await?.ok_or_else(|| user_unknown(user))?;
    let (pool, currency) = (context.state.store.read_pool(), currency(&context)?);
    let rows = movements::list(pool, user, currency.as_str(), (sort, order), limit, offset).await?;
    let operations: Vec<_> = rows.into_iter().map(|row| movement(user, row)).collect();
    Ok(HttpResponse::Ok().json(BTreeMap::from([("operations", operations)])))
}

/// GET `/swagger`.
async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/swagger/index.html")).finish()
}

/// GET `/swagger/FILE`: the document of `/api`, and Swagger UI, which shows it with nothing loaded from elsewhere.
async fn swagger(file: web::Path<String>) -> Result<HttpResponse, No> {
    static TEXT: LazyLock<String> = LazyLock::new(|| DOCUMENT.render());
    // "none": by default a picture from a public validator would be loaded.
    static CONFIG: LazyLock<Arc<Config<'static>>> =
        LazyLock::new(|| Arc::new(Config::new(["/swagger/doc.json"]).validator_url("none").use_base_layout()));
    if *file == "doc.json" {
        let mut response = HttpResponse::Ok();
        return Ok(response.content_type(JSON).insert_header((CACHE_CONTROL, "no-cache")).body(TEXT.as_str()));
    }
    v1::swagger_ui(&file, &CONFIG).ok_or_else(|| Unserved::RouteUnknown.into())
}

/// What it has to say of itself.
const DOCUMENT: Document = Document {
    title: "Balance",
    version: "1.0",
    description: "Users' balances: the interface of FlynnTaggart/balance, served by Purser. GET and DELETE carry JSON bodies, which a browser \
        cannot send: what they ask can be tried with another client. An Idempotency-Key header makes a request that moves money safe to repeat.",
    rows: ROWS,
    refused: ("400", &[must("message", TEXT)]),
    schemas: SCHEMAS,
};

const ROWS: &[Row] = &[
    row("GET", "/api", "A user's balance", Takes::Body("Id"), gives("What the user can spend", "Balance")),
    row("POST", "/api", "Credit a user; the first credit makes the user", Takes::Body("Credit"), DONE),
    row("DELETE", "/api/users", "Delete a user that nothing ever happened to", Takes::Body("Id"), DONE),
    row("GET", "/api/reserve", "A reserve", Takes::Body("ReserveId"), gives("The reserve", "Reserve")),
    row("POST", "/api/reserve", RESERVE, Takes::Body("Order"), DONE),
    row("DELETE", "/api/reserve", "Give back what was reserved", Takes::Body("Order"), DONE),
    row("POST", "/api/purchase", "Purchase what was reserved", Takes::Body("Order"), DONE),
    row("GET", "/api/services", "A service", Takes::Body("Id"), gives("The service", "Service")),
    row("POST", "/api/services", "Add services, all or none", Takes::Body("Services"), DONE),
    row("DELETE", "/api/services", "Delete a service that nothing was ever reserved for", Takes::Body("Id"), DONE),
    row("GET", "/api/report", "Make the report of a month, UTC", Takes::Body("Month"), gives("Where it is", "Link")),
    row("POST", "/api/report", "The same", Takes::Body("Month"), gives("Where it is", "Link")),
    row("GET", "/api/report/{year}/{month}/report.csv", "A report", Takes::Path(OF_REPORT), EARNED)
        .or("404", "It has not been made"),
    row("GET", "/api/operations", MOVEMENTS, Takes::Query(OF_PAGE), gives("A page of them", "Operations")),
    row("GET", "/api/history", MOVEMENTS, Takes::Query(OF_PAGE), gives("A page of them", "Operations")),
];

const RESERVE: &str = "Reserve money for an order; what is not purchased in time goes back";
const MOVEMENTS: &str = "What came to a user and what left it";
const DONE: Gives = Gives { description: "Done", media_type: "text/plain", schema: OK };
const EARNED: Gives = Gives { description: "What each service earned", media_type: "text/csv", schema: TEXT };
const OF_REPORT: &[Field] = &[must("year", INTEGER), must("month", INTEGER)];
const OF_PAGE: &[Field] = &[
    must("user_id", ID),
    may("sort", words(r#"{"enum": ["date", "amount"], "default": "date"}"#)),
    may("order", words(r#"{"enum": ["desc", "asc"], "default": "desc"}"#)),
    may("limit", words(r#"{"type": "integer", "minimum": 1, "default": 10}"#)),
    may("offset", words(r#"{"type": "integer", "minimum": 0, "default": 0}"#)),
];

const SCHEMAS: &[(&str, &[Field])] = &[
    ("Id", &[must("id", ID)]),
    ("Balance", &[must("balance", AMOUNT)]),
    ("Credit", &[must("id", ID), must("amount", AMOUNT)]),
    ("ReserveId", &[must("user_id", ID), must("service_id", ID), must("order_id", ID)]),
    ("Order", &[must("user_id", ID), must("service_id", ID), must("order_id", ID), must("amount", AMOUNT)]),
    (
        "Reserve",
        &[
            must("order_id", ID),
            must("user", Schema::Fields(&[must("id", ID), must("balance", HUNDREDTHS)])),
            must("service", Schema::Named("Service")),
            must("amount", AMOUNT),
            must("purchased", BOOLEAN),
            must("reserved_at", MOMENT),
            may("purchased_at", MOMENT),
        ],
    ),
    ("Service", &[must("id", ID), must("name", NAME)]),
    ("Services", &[must("services", Schema::ListOf("Service", 1))]),
    ("Month", &[must("year", YEAR), must("month", MONTH)]),
    ("Link", &[must("report_link", URI)]),
    ("Operations", &[must("operations", Schema::ListOf("Operation", 0))]),
    (
        "Operation",
        &[
            must("id", UUID),
            must("user_id", ID),
            must("amount", MOVED),
            must("comment", TEXT),
            may("service_id", ID),
            may("service_name", TEXT),
            may("order_id", words(r#"{"type": ["integer", "string"]}"#)),
            must("done_at", MOMENT),
        ],
    ),
];

const ID: Schema = words(r#"{"type": "integer", "minimum": 0}"#);
const AMOUNT: Schema = words(r#"{"type": "number", "description": "Exact: no more decimals than the currency has"}"#);
const HUNDREDTHS: Schema = words(r#"{"type": "number", "description": "In hundredths"}"#);
const MOVED: Schema = words(r#"{"type": "number", "description": "Above zero if it came, below zero if it left"}"#);
const NAME: Schema = words(r#"{"type": "string", "minLength": 1, "maxLength": 255}"#);
const YEAR: Schema = words(r#"{"type": "integer", "minimum": 1900, "maximum": 2199}"#);
const MONTH: Schema = words(r#"{"type": "integer", "minimum": 1, "maximum": 12}"#);
const OK: Schema = words(r#"{"type": "string", "const": "OK"}"#);

/// A JSON body, as Go reads it: what is no UTF-8 becomes U+FFFD.
struct Body(String);

impl FromRequest for Body {
    type Error = No;
    type Future = LocalBoxFuture<'static, Result<Self, No>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let payload = Payload::from_request(request, payload).into_inner().expect("a payload is taken as it is");
        let request = request.clone();
        Box::pin(async move {
            check_type(&request)?;
            Self::read(&request, payload).await
        })
    }
}

impl Body {
    /// Where a body need not come: one that is empty has no fields, and no type matters.
    async fn if_any(request: &HttpRequest, payload: Payload) -> Result<Self, No> {
        let body = Self::read(request, payload).await?;
        if body.0.is_empty() {
            return Ok(Self("{}".to_owned()));
        }
        check_type(request).map(|()| body)
    }

    async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, No> {
        let context: &Data<Context> = request.app_data().expect("the server gives it to every request");
        let bytes_max = context.state.settings.http.body_bytes_max;
        let bytes = extract::body(request, payload, bytes_max, context.gate.time_max()).await?;
        Ok(Self(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Its fields. That system reads them into structs without a name.
    fn fields(&self) -> Result<Object<'_>, No> {
        Object::parse("", &self.0).map_err(|reason| match reason.strip_suffix("Go value of type ") {
            Some(beginning) => No::bad_request(format!("{beginning}Go value of type struct")),
            None => reason.into(),
        })
    }
}

/// Fiber reads no other type, and this is what it says.
fn check_type(request: &HttpRequest) -> Result<(), No> {
    let content_type = extract::content_type(request).unwrap_or_default();
    let is_json = content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(JSON));
    if is_json { Ok(()) } else { Err(No::bad_request("Unprocessable Entity")) }
}

/// The number of a user, a service or an order; 0 if it is absent.
fn id(asked: &Object<'_>, name: &str) -> Result<i64, No> {
    Ok(asked.integer(name, "uint64")?)
}

/// A number that a caller chooses for what is to be made: large ones would leave none for others.
fn check_chosen(context: &Context, id: i64, whose: &str) -> Result<(), No> {
    let id_max = context.state.settings.dialects.balance.id_max;
    let is_good = u64::try_from(id).is_ok_and(|id| (1..=id_max).contains(&id));
    if is_good { Ok(()) } else { Err(No::bad_request(format!("the {whose}'s id must be from 1 to {id_max}"))) }
}

/// The amount that is asked for; one that is absent is 0, which is none.
fn money(context: &Context, asked: &Object<'_>) -> Result<Money, No> {
    let text = asked.amount("amount", "float32")?;
    let amount = text.map_or(Err(Rejection::AmountNotPositive), |text| Amount::parse(&text))?;
    Ok(Money { amount, currency: currency(context)? })
}

/// An amount that is compared, not moved: that system has none that it refuses to compare.
fn amount(asked: &Object<'_>) -> Result<Decimal, No> {
    let Some(text) = asked.amount("amount", "float32")? else { return Ok(Decimal::ZERO) };
    match Amount::parse(&text) {
        Ok(amount) => Ok(amount.value()),
        Err(rejection) => Decimal::from_str_exact(&text).map_err(|_| rejection.into()),
    }
}

/// The currency of all amounts here.
fn currency(context: &Context) -> Result<CurrencyCode, No> {
    let code = &context.state.settings.dialects.balance.currency;
    Ok(CurrencyCode::new(code).ok_or(Rejection::CurrencyUnknown)?)
}

/// What the caller calls its request, if it does.
fn key(request: &HttpRequest) -> Result<Option<IdempotencyKey>, No> {
    Ok(extract::idempotency_key(request.headers())?)
}

fn integer(text: Option<Cow<'_, str>>, default: i64, min: i64, max: i64, name: &str) -> Result<i64, No> {
    let Some(text) = text else { return Ok(default) };
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| No::bad_request(format!("{name} must be an integer from {min} to {max}")))
}

/// The first word is meant when nothing is said.
fn word<T: Copy>(text: Option<Cow<'_, str>>, words: [(&str, T); 2], name: &str) -> Result<T, No> {
    let Some(text) = text else { return Ok(words[0].1) };
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| No::bad_request(format!("{name} must be {} or {}", words[0].0, words[1].0)))
}

async fn submit(context: &Context, asked: Request, key: Option<IdempotencyKey>) -> Result<Result<Answer, Refused>, No> {
    let operation = Operation { id: wire::new_id(), idempotency_key: key, request: asked };
    Ok(submit::submit(context, operation).await?.result)
}

/// What a user can spend; `None` when there is no such user, or no more.
async fn available(context: &Context, user: i64) -> Result<Option<Decimal>, No> {
    let lines = match submit(context, Request::Balance { wallet: WalletId(user) }, None).await? {
        Ok(Answer::Balances(lines)) => lines,
        Ok(_) => unreachable!("a balance gives balances"),
        Err(refused) if refused.rejection == Rejection::WalletUnknown => return Ok(None),
        Err(refused) => return Err(refused.rejection.into()),
    };
    let currency = currency(context)?;
    // Only a wallet that never held anything can have been deleted as a user.
    if lines.is_empty() {
        let wallet = directory::find(context.state.store.read_pool(), user).await?;
        return Ok(wallet.filter(|wallet| wallet.closed_at.is_none()).map(|_| Decimal::ZERO));
    }
    let line = lines.iter().find(|line| line.currency == currency);
    Ok(Some(line.map_or(Decimal::ZERO, |line| line.balance.available)))
}

/// Makes a user for a credit, unless the credit would be refused anyway. That someone else just made it is as good.
async fn make_user(context: &Context, user: i64, money: Money) -> Result<(), No> {
    check_chosen(context, user, "user")?;
    let pool = context.state.store.read_pool();
    currencies::find(pool, money.currency).await?.ok_or(Rejection::CurrencyUnknown)?.takes(money.amount)?;
    let wallet = NewWallet { id: Some(user), labels: "{}".to_owned(), ..NewWallet::default() };
    match directory::insert(pool, &wallet).await {
        Err(error) if error.constraint() == Some("wallets_pkey") => Ok(()),
        result => Ok(result.map(drop)?),
    }
}

/// What requests for a reserve name.
#[derive(Clone, Copy, Debug)]
struct Asked {
    user: i64,
    service: i64,
    order: i64,
}

impl Asked {
    fn of(object: &Object<'_>) -> Result<Self, No> {
        let [user, service, order] = ["user_id", "service_id", "order_id"].map(|name| id(object, name));
        Ok(Self { user: user?, service: service?, order: order? })
    }

    fn reference(self) -> Result<Reference, No> {
        Ok(Reference::new(&format!("balance:order:{}", self.order))?)
    }

    /// The order's reserve, whoever's it is.
    async fn reserve(self, context: &Context) -> Result<Option<TransactionRow>, No> {
        let pool = context.state.store.read_pool();
        let Some(id) = references::find(pool, &self.reference()?).await? else { return Ok(None) };
        let row = history::find(pool, id).await?;
        // It may have ended between the two.
        Ok(row.filter(|row| row.status != Status::Error.as_str()))
    }

    /// The reserve of this order, for this service, of this user.
    ///
    /// A request that comes again under its key is about the reserve that it was about: the order may name another one by now, or none.
    async fn find(self, context: &Context, key: Option<&IdempotencyKey>) -> Result<Option<TransactionRow>, No> {
        let pool = context.state.store.read_pool();
        let before = match key {
            Some(key) => history::find_by_key(pool, self.user, key.as_str()).await?.and_then(|row| row.original_id),
            None => None,
        };
        let Some(id) = before else { return Ok(self.reserve(context).await?.filter(|row| self.is_of(row))) };
        match history::find(pool, id).await? {
            Some(row) if !self.is_of(&row) => Err(Rejection::IdempotencyKeyReused.into()),
            row => Ok(row),
        }
    }

    fn is_of(self, row: &TransactionRow) -> bool {
        let order = self.order.to_string();
        (row.wallet_id, row.service_id, row.order_id.as_deref()) == (self.user, Some(self.service), Some(&*order))
    }

    /// That system looks at the balance before it looks for the service; the core, the other way round.
    async fn not_reserved(self, context: &Context, refused: &Refused, money: Money) -> Result<No, No> {
        let Self { user, service, .. } = self;
        let needed = money.amount.value();
        Ok(match refused.rejection {
            Rejection::WalletUnknown => user_unknown(user),
            Rejection::ReferenceTaken => taken("reserves_pkey"),
            rejection @ (Rejection::InsufficientFunds | Rejection::ServiceUnknown) => {
                let had = self.had(context, refused, money.currency).await?;
                if rejection == Rejection::ServiceUnknown && had >= needed {
                    return Ok(No::bad_request(format!("db: reserve: no such service with id {service}")));
                }
                // Operations of one batch have one moment: what came behind the refusal in the same one must not contradict it.
                let has = if had < needed { format!(", user has: {}", fixed(had)) } else { String::new() };
                let needed = fixed(needed);
                No::bad_request(format!(
                    "db: reserve: the user {user} doesn't have enough money, needed: {needed}{has}"
                ))
            }
            other => other.into(),
        })
    }

    /// What the user had when it was refused, which for a request that comes again under its key may be long ago.
    async fn had(self, context: &Context, refused: &Refused, currency: CurrencyCode) -> Result<Decimal, No> {
        let Some(recorded) = &refused.transaction else {
            return Ok(available(context, self.user).await?.unwrap_or_default());
        };
        let pool = context.state.store.read_pool();
        let balances = statements::balances_at(pool, self.user, recorded.created_at.0).await?;
        let balance = balances.iter().find(|balance| balance.currency == currency.as_str());
        Ok(balance.map_or(Decimal::ZERO, |balance| balance.available))
    }

    /// The numbers stand in the order in which that system prints them.
    fn not_purchasable(self) -> No {
        let Self { user, service, order } = self;
        No::bad_request(format!(
            "db: get purchase: money were not reserved for order {user}, user {service} and service {order}"
        ))
    }
}

async fn was_purchased(context: &Context, id: Uuid) -> Result<bool, No> {
    Ok(history::find(context.state.store.read_pool(), id).await?.is_some_and(|row| is_purchased(&row)))
}

/// What of a reserve can be bought still, or was bought: a part of it may have been confirmed through `/v1`.
fn reserved(row: &TransactionRow) -> Decimal {
    let (amount, confirmed) = (row.amount.unwrap_or_default(), row.confirmed.unwrap_or_default());
    if is_purchased(row) { confirmed } else { amount - confirmed }
}

fn is_purchased(row: &TransactionRow) -> bool {
    row.status == Status::Success.as_str()
}

fn movement(user: i64, row: MovementRow) -> Movement {
    Movement {
        id: row.transaction_id,
        user_id: user,
        amount: number(row.amount, 0),
        comment: comment(&row),
        service_id: row.service_id,
        service_name: row.service,
        order_id: row.order_id.map(|order| order_number(&order)),
        done_at: moment::render(row.created_at),
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

fn month_of(year: i64, month: i64) -> Result<CalendarMonth, No> {
    CalendarMonth::new(year, month)
        .map_err(|wrong| No::bad_request(format!("handler: get report: wrong {wrong} input")))
}

/// The month without a leading zero.
fn report_path(month: CalendarMonth) -> String {
    let (year, month) = month.numbers();
    format!("{year}/{month}/report.csv")
}

/// Two numbers below the directory of the setting: nothing of a request can lead out of it.
fn report_place(context: &Context, month: CalendarMonth) -> PathBuf {
    Path::new(&context.state.settings.dialects.balance.report_directory).join(report_path(month))
}

async fn write_report(context: &Context, month: CalendarMonth) -> Result<(), No> {
    let failed = |error: std::io::Error| No::failed(&error);
    let (place, currency, store) = (report_place(context, month), currency(context)?, &context.state.store);
    let [from, to] = month.bounds();
    let names = vec![["service_name", "month_amount"].map(str::to_owned)];
    let mut draft = Draft::create(place).await.map_err(failed)?.push(names).await.map_err(failed)?;
    let mut after = 0;
    loop {
        let listed = services::list(store.read_pool(), None, after, PIECE_SERVICES).await?;
        let ids: Vec<i64> = listed.iter().map(|service| service.id).collect();
        let Some(last) = ids.last() else { break };
        after = *last;
        let rows = reports::revenue(store.read_pool(), &ids, from, to, store.report_timeout()).await?;
        let rows = rows.into_iter().filter(|row| row.currency == currency.as_str());
        // A sum of more digits than an amount can have is as it is.
        let line = |row: RevenueRow| [row.service, Decimal::from_str_exact(&row.amount).map_or(row.amount, fixed)];
        draft = draft.push(rows.map(line).collect()).await.map_err(failed)?;
    }
    draft.publish().await.map_err(failed)
}

/// As `%.2f`, but for the decimals that a currency has beyond that: they are not rounded away.
fn fixed(value: Decimal) -> String {
    let value = value.normalize();
    let point = if value.scale() == 0 { "." } else { "" };
    format!("{value}{point}{}", "0".repeat(2_usize.saturating_sub(value.scale() as usize)))
}

/// As a JSON number. Of the largest balances it has more digits than a decimal takes.
fn hundredths(value: Decimal) -> Box<RawValue> {
    let mut value = value.normalize();
    if let Some(scale) = value.scale().checked_sub(2) {
        value.set_scale(scale).expect("a smaller scale is one");
        return number(value, 0);
    }
    let hundredths = value.mantissa() * 10_i128.pow(2 - value.scale());
    RawValue::from_string(hundredths.to_string()).expect("digits are a JSON number")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::body::MessageBody;
    use actix_web::http::header::RETRY_AFTER;

    use super::*;
    use crate::engine::SubmitError;
    use crate::http::submit::Unanswered;

    #[test]
    fn a_refusal_is_a_message_and_what_http_refuses_keeps_its_status() {
        let check = |response: HttpResponse, status: u16, retry_after: Option<&str>, body: &str| {
            assert_eq!(response.status().as_u16(), status, "{body}");
            let header = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
            assert_eq!(header, retry_after, "{body}");
            assert_eq!(response.into_body().try_into_bytes().unwrap(), body);
        };
        let no = |no: No| no.error_response();
        let blocked = r#"{"message":"the wallet is blocked: no money leaves it"}"#;
        check(no(Rejection::WalletBlocked.into()), 400, None, blocked);
        check(no(No::bad_request("\"quoted\"")), 400, None, r#"{"message":"\"quoted\""}"#);
        check(report_missing(), 404, None, r#"{"message":{}}"#);
        check(no(Words::failed().into()), 500, None, r#"{"message":"the server failed; its log says why"}"#);
        for unserved in [Unserved::Unauthenticated, Unserved::Overloaded, Unserved::Stopping, Unserved::DatabaseAway] {
            let body = json!({ "message": unserved.reason() }).to_string();
            let retry_after = unserved.retry_after_seconds().map(|seconds| seconds.to_string());
            check(no(unserved.into()), unserved.status().as_u16(), retry_after.as_deref(), &body);
        }
        let unknown = Unanswered::Failed(SubmitError::Abandoned);
        check(no(unknown.into()), 503, Some("1"), &json!({ "message": Unserved::TimedOut.reason() }).to_string());
    }

    #[test]
    fn amounts_are_shown_to_their_last_digit_in_texts_and_in_hundredths() {
        for (value, text, json) in [
            ("0", "0.00", "0"),
            ("0.00", "0.00", "0"),
            ("5", "5.00", "500"),
            ("-1", "-1.00", "-100"),
            ("100", "100.00", "10000"),
            ("69.5", "69.50", "6950"),
            ("7.100", "7.10", "710"),
            ("0.07", "0.07", "7"),
            ("0.005", "0.005", "0.5"),
            ("9999999999999999999999999999", "9999999999999999999999999999.00", "999999999999999999999999999900"),
        ] {
            let value = Decimal::from_str_exact(value).unwrap();
            assert_eq!((fixed(value).as_str(), hundredths(value).get()), (text, json));
        }
    }

    #[test]
    fn the_document_has_what_is_served_and_nothing_else() {
        let text = DOCUMENT.render();
        let document: Value = serde_json::from_str(&text).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                described.insert((method.to_uppercase(), path.clone()));
                assert!(operation["responses"]["200"].is_object(), "{method} {path}");
            }
        }
        // Each is served with a slash at its end, too.
        let api = DIALECT.endpoints.iter().filter(|endpoint| endpoint.path.starts_with("/api"));
        let served: BTreeSet<_> = api.map(|endpoint| (endpoint.method.to_owned(), endpoint.path.to_owned())).collect();
        assert_eq!(described, served);
        assert_eq!(DOCUMENT.rows.len(), served.len(), "each stands in the table once");
        for reference in text.split(r##""$ref":"##).skip(1) {
            let pointer = reference.trim_start().split(['"', '#']).nth(2).unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
