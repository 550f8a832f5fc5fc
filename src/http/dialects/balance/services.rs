//! Services: whom money is reserved for. They are added under the numbers that their callers give them.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::{Refused, body, check_chosen, fields, id, ok};
use crate::http::server::Context;
use crate::store::StoreError;
use crate::store::services::{self, Deletion};

/// Longest name, in characters.
const NAME_CHARACTERS_MAX: usize = 255;
/// What that system says when not all were added.
const NOT_ADDED: &str = "db: add services: failed to add services";

#[derive(Serialize)]
struct Service {
    id: i64,
    name: String,
}

/// POST `/api/services`: all or none.
pub async fn add(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let text = body(&context, &request, payload).await?;
    let mut added = Vec::new();
    for service in fields(&text)?.objects("services", "Service")? {
        let (id, name) = (id(&service, "id")?, service.string("name")?.into_owned());
        if name.chars().count() > NAME_CHARACTERS_MAX {
            return Err(Refused::because("ERROR: value too long for type character varying(255) (SQLSTATE 22001)"));
        }
        check_chosen(&context, id, "service")?;
        // The second is what PostgreSQL cannot keep.
        if name.is_empty() || name.contains('\0') {
            return Err(Refused::because(NOT_ADDED));
        }
        added.push((id, name));
    }
    if added.is_empty() {
        return Err(Refused::because(NOT_ADDED));
    }
    services::insert_numbered(context.state.store.read_pool(), &added).await.map_err(taken)?;
    Ok(ok())
}

/// GET `/api/services`.
pub async fn find(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let text = body(&context, &request, payload).await?;
    let id = id(&fields(&text)?, "id")?;
    let row = services::find(context.state.store.read_pool(), id).await?;
    let row = row.ok_or_else(|| Refused::because(format!("db: get service: no such service with id {id}")))?;
    Ok(HttpResponse::Ok().json(Service { id: row.id, name: row.name }))
}

/// DELETE `/api/services`.
pub async fn delete(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let text = body(&context, &request, payload).await?;
    let id = id(&fields(&text)?, "id")?;
    match services::delete(context.state.store.read_pool(), id).await? {
        Deletion::Deleted => Ok(ok()),
        Deletion::InUse => Err(Refused::because(
            r#"ERROR: update or delete on table "services" violates foreign key constraint "fk_reserves_service" on table "reserves" (SQLSTATE 23503)"#,
        )),
        Deletion::Unknown => Err(Refused::because(format!("db: delete service: no such service with id {id}"))),
    }
}

/// The constraints are called there as they are here.
fn taken(error: StoreError) -> Refused {
    match error.constraint() {
        Some(constraint @ ("services_pkey" | "services_name_key")) => Refused::because(format!(
            r#"ERROR: duplicate key value violates unique constraint "{constraint}" (SQLSTATE 23505)"#
        )),
        _ => error.into(),
    }
}
