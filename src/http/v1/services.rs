//! `/v1/services`: whom revenue is reported for.

use actix_web::http::header::LOCATION;
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::body::{self, Object};
use super::cursor::{self, Cursors};
use super::field::{self, TEXT_LENGTH_MAX};
use super::query::{Query, path_number};
use super::{moment, page};
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::{Fault, Problem};
use crate::http::server::Context;
use crate::store::StoreError;
use crate::store::services::{self, Deletion, ServiceRow};

/// Services that are made at once at most.
const CREATIONS_MAX: usize = 1000;

/// What is served here.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/v1/services", || web::to(list)),
    Endpoint::new("POST", "/v1/services", Scope::Admin, || web::to(create)),
    Endpoint::get("/v1/services/{id}", || web::to(find)),
    Endpoint::new("PATCH", "/v1/services/{id}", Scope::Admin, || web::to(rename)),
    Endpoint::new("DELETE", "/v1/services/{id}", Scope::Admin, || web::to(delete)),
];

/// Whom money is paid to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Service {
    /// Its number.
    #[schema(minimum = 1, example = 1)]
    id: i64,
    /// What it is called; no two have the same name.
    #[schema(example = "delivery")]
    name: String,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
}

/// Services.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServicePage {
    /// By id.
    items: Vec<Service>,
    /// Where the next page begins; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// What a service is to be called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "delivery" }))]
pub struct ServiceNaming {
    /// No two have the same name.
    #[schema(min_length = 1, max_length = 255, pattern = "^[^\\u0000]*$")]
    name: String,
}

/// One service, or many: all are made or none. Each of both is read by itself, so that an error names its field; this is for the document.
#[derive(Debug)]
pub struct ServiceCreation;

impl PartialSchema for ServiceCreation {
    fn schema() -> RefOr<Schema> {
        let one = || Ref::from_schema_name(ServiceNaming::name());
        let many = ArrayBuilder::new().items(one()).min_items(Some(1)).max_items(Some(CREATIONS_MAX));
        OneOfBuilder::new().item(one()).item(many).into()
    }
}

impl ToSchema for ServiceCreation {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((ServiceNaming::name().into_owned(), ServiceNaming::schema()));
    }
}

/// One service, or those that were made, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ServiceMade {
    One(Service),
    Many(ServicePage),
}

/// Make a service, or many
#[utoipa::path(
    post, path = "/v1/services", tag = "services", operation_id = "createServices", request_body = ServiceCreation,
    responses((status = 201, description = "What was made", body = ServiceMade)),
)]
pub async fn create(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    let raw = body::raw(&context, &request, payload).await?;
    let is_list = raw.get().starts_with('[');
    let json = raw.get().as_bytes();
    let asked: Vec<Object<ServiceNaming>> = if is_list { body::parse(json)? } else { vec![body::parse(json)?] };
    let names: Vec<String> = asked.into_iter().map(|naming| naming.0.name).collect();
    if !(1..=CREATIONS_MAX).contains(&names.len()) {
        return Err(Fault::BodyInvalid.because(format!("a list must have 1 to {CREATIONS_MAX} services")));
    }
    for name in &names {
        field::text("name", name, TEXT_LENGTH_MAX)?;
    }
    let rows = services::insert(context.state.store.read_pool(), &names).await.map_err(taken)?;
    let mut items: Vec<Service> = rows.into_iter().map(Service::from).collect();
    let mut response = HttpResponse::Created();
    Ok(match items.pop() {
        Some(one) if !is_list => {
            response.insert_header((LOCATION, format!("/v1/services/{}", one.id))).json(ServiceMade::One(one))
        }
        last => {
            items.extend(last);
            response.json(ServiceMade::Many(ServicePage { items, next_cursor: None }))
        }
    })
}

/// One service
#[utoipa::path(
    get, path = "/v1/services/{id}", tag = "services", operation_id = "getService",
    params(("id" = i64, Path, description = "Its number", minimum = 1)),
    responses((status = 200, description = "The service", body = Service)),
)]
pub async fn find(context: Data<Context>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    let row = services::find(context.state.store.read_pool(), path_number(&id, "the id")?).await?;
    Ok(HttpResponse::Ok().json(Service::from(row.ok_or_else(unknown)?)))
}

/// Services
#[utoipa::path(
    get, path = "/v1/services", tag = "services", operation_id = "listServices",
    params(
        ("name" = Option<String>, Query, description = "The one of this name", min_length = 1, max_length = 255, pattern = "^[^\\u0000]*$"),
        ("limit" = Option<i64>, Query, description = "How many at most: 50 unless said otherwise", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before", pattern = "^([0-9a-f]{2}){1,256}$"),
    ),
    responses((status = 200, description = "A page of them", body = ServicePage)),
)]
pub async fn list(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut query = Query::of(&request)?;
    let name = query.text("name", TEXT_LENGTH_MAX)?;
    let limit = page::limit(&mut query, &context)?;
    let cursor = page::cursor(&mut query)?;
    query.finish()?;

    let cursors = Cursors::of(&format!("services {name:?}"));
    let after = cursor.map(|cursor| cursors.key(&cursor)).transpose()?;
    let after = after.map_or(Ok(0), |key| key.parse().map_err(|_| cursor::unknown()))?;
    let rows = services::list(context.state.store.read_pool(), name.as_deref(), after, limit + 1).await?;
    let (rows, has_more) = page::cut(rows, limit);
    let next_cursor = rows.last().filter(|_| has_more).map(|row| cursors.render(&row.id.to_string()));
    Ok(HttpResponse::Ok().json(ServicePage { items: rows.into_iter().map(Service::from).collect(), next_cursor }))
}

/// Rename a service
#[utoipa::path(
    patch, path = "/v1/services/{id}", tag = "services", operation_id = "renameService", request_body = ServiceNaming,
    params(("id" = i64, Path, description = "Its number", minimum = 1)),
    responses((status = 200, description = "The service as it is now", body = Service)),
)]
pub async fn rename(
    context: Data<Context>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    let id = path_number(&id, "the id")?;
    let asked: ServiceNaming = body::json(&context, &request, payload).await?;
    field::text("name", &asked.name, TEXT_LENGTH_MAX)?;
    let row = services::rename(context.state.store.read_pool(), id, &asked.name).await.map_err(taken)?;
    Ok(HttpResponse::Ok().json(Service::from(row.ok_or_else(unknown)?)))
}

/// Delete a service that no transaction names
#[utoipa::path(
    delete, path = "/v1/services/{id}", tag = "services", operation_id = "deleteService",
    params(("id" = i64, Path, description = "Its number", minimum = 1)),
    responses((status = 204, description = "It is gone"), (status = 409, description = "Transactions name it", body = crate::http::error::ProblemBody,
        content_type = "application/problem+json")),
)]
pub async fn delete(context: Data<Context>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, Problem> {
    Query::of(&request)?.finish()?;
    match services::delete(context.state.store.read_pool(), path_number(&id, "the id")?).await? {
        Deletion::Deleted => Ok(HttpResponse::NoContent().finish()),
        Deletion::InUse => Err(Fault::ServiceInUse.because("transactions name this service; it stays")),
        Deletion::Unknown => Err(unknown()),
    }
}

fn unknown() -> Problem {
    Fault::ServiceUnknown.because("there is no service of this id")
}

fn taken(error: StoreError) -> Problem {
    match error.constraint() {
        Some("services_name_key") => {
            Fault::ServiceNameTaken.because("another service has this name, or the list has it twice")
        }
        _ => error.into(),
    }
}

impl From<ServiceRow> for Service {
    fn from(row: ServiceRow) -> Self {
        Self { id: row.id, name: row.name, created_at: moment::render(row.created_at) }
    }
}
