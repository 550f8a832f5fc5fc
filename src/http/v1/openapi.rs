//! The document of the interface, OpenAPI 3.1, made from the code; and Swagger UI, which shows it, with nothing loaded from elsewhere.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION};
use actix_web::web::{self, Path};
use actix_web::{HttpResponse, guard};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{OneOf, Schema};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder, SecurityRequirement};
use utoipa::{Modify, OpenApi as _};
use utoipa_swagger_ui::Config;

use super::{currencies, operations, page, reports, services, statements, transactions, wallets};
use crate::http::error::{self, PROBLEM_JSON, Problem, ProblemBody, Unserved};

/// Where the document is.
const DOCUMENT: &str = "/openapi.json";
/// Where what shows it is.
const PAGES: &str = "/docs";
const PAGE: &str = "/docs/{file:.*}";
/// Everything that is served here.
pub(super) const PATHS: [&str; 3] = [DOCUMENT, PAGES, PAGE];
/// Swagger UI needs styles of its own making; everything else it may have from here only.
const POLICY: &str =
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Purser",
        description = "Wallets: their transactions, balances and history. Amounts are exact decimals and leave as strings; times are RFC 3339 \
            in UTC; refusals are problem+json whose `code` is permanent. A parameter or a field that is not known is refused.",
        license(name = "Private"),
    ),
    paths(
        transactions::list, transactions::find,
        operations::create, operations::confirm, operations::cancel, operations::extend, operations::reverse,
        operations::batch,
        wallets::list, wallets::create, wallets::find, wallets::change, wallets::close,
        statements::balances, statements::entries,
        currencies::list, currencies::create, currencies::find, currencies::change,
        services::list, services::create, services::find, services::rename, services::delete,
        reports::revenue,
    ),
    components(schemas(ProblemBody, page::Direction, page::Sort, wallets::Standing)),
    modifiers(&Common),
    tags(
        (name = "transactions", description = "What happened"),
        (name = "wallets", description = "Who holds balances"),
        (name = "currencies", description = "What amounts can be in"),
        (name = "services", description = "Whom revenue is reported for"),
        (name = "reports", description = "Sums over many transactions"),
    ),
)]
struct Document;

/// The document of everything that `/v1` serves.
pub fn document() -> OpenApi {
    Document::openapi()
}

/// Serves the document and what shows it. Reading them needs no key: they hold nothing but the interface.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    let is_read = || guard::Any(guard::Get()).or(guard::Head());
    let wrong_method = || web::to(|| async { error::method_not_allowed("GET, HEAD") });
    routes
        .service(
            web::resource(DOCUMENT).route(web::to(serve_document).guard(is_read())).default_service(wrong_method()),
        )
        .service(web::resource(PAGES).route(web::to(redirect).guard(is_read())).default_service(wrong_method()))
        .service(web::resource(PAGE).route(web::to(serve_page).guard(is_read())).default_service(wrong_method()));
}

async fn serve_document() -> HttpResponse {
    static JSON: LazyLock<String> = LazyLock::new(|| document().to_json().expect("the document is JSON"));
    HttpResponse::Ok().content_type("application/json").insert_header((CACHE_CONTROL, "no-cache")).body(JSON.as_str())
}

async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish()
}

async fn serve_page(file: Path<String>) -> Result<HttpResponse, Problem> {
    // "none": by default a picture from a public validator would be loaded.
    static CONFIG: LazyLock<Arc<Config<'static>>> =
        LazyLock::new(|| Arc::new(Config::new([DOCUMENT]).validator_url("none").use_base_layout()));
    swagger_ui(&file, &CONFIG).ok_or_else(|| Unserved::RouteUnknown.into())
}

/// A file of Swagger UI, if there is one of that name.
pub fn swagger_ui(file: &str, config: &Arc<Config<'static>>) -> Option<HttpResponse> {
    let page = utoipa_swagger_ui::serve(file, Arc::clone(config)).ok().flatten()?;
    let mut response = HttpResponse::Ok();
    response.content_type(page.content_type).insert_header((CONTENT_SECURITY_POLICY, POLICY));
    Some(response.body(page.bytes.into_owned()))
}

/// Adds what is so for many operations, so that each says only what is its own.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut OpenApi) {
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                add_problems(operation);
                let_the_body_be_left_out(operation);
            }
        }
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description = Some(AUTHENTICATION.to_owned());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
        document.security = Some(vec![SecurityRequirement::new(BEARER, [] as [&str; 0])]);
    }
}

/// What the way to authenticate is called in the document.
const BEARER: &str = "bearer";
const AUTHENTICATION: &str = "A key (`purser keys create`) or, where one is set up, a token of the identity provider. Where authentication is off, \
    as it is by default on loopback, it is not looked at.";

/// The statuses that any operation can have.
const ALWAYS: [(&str, &str); 8] = [
    ("400", "The request cannot be understood"),
    ("401", "No key, or one that is not known"),
    ("403", "The key does not allow this"),
    ("429", "Too much at once; Retry-After says when to ask again"),
    ("431", "The address and the headers are too large"),
    ("500", "The server failed; its log says why"),
    ("503", "A dependency is away, or the server is stopping"),
    ("504", "The database took too long"),
];
/// The statuses that an operation which names something, in its path or by a cursor, can have.
const WITH_NAMES: [(&str, &str); 1] = [("404", "There is nothing of this name")];
/// The statuses that an operation with a body can have.
const WITH_BODY: [(&str, &str); 6] = [
    ("404", "Something that the request names is not there"),
    ("408", "The body did not arrive in time"),
    ("409", "The state of things forbids it"),
    ("413", "The body is too large"),
    ("415", "The body is not application/json"),
    ("422", "A rule says no"),
];

fn add_problems(operation: &mut Operation) {
    let mut statuses = ALWAYS.to_vec();
    let mut parameters = operation.parameters.iter().flatten();
    if parameters.any(|parameter| parameter.parameter_in == ParameterIn::Path || parameter.name == "cursor") {
        statuses.extend(WITH_NAMES);
    }
    if operation.request_body.is_some() {
        statuses.extend(WITH_BODY);
    }
    for (status, description) in statuses {
        let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new().description(description).content(PROBLEM_JSON, content).build();
        operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
    }
}

/// A handler's optional body is written as "null or this"; it is meant as "nothing or this".
fn let_the_body_be_left_out(operation: &mut Operation) {
    let Some(body) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        let Some(RefOr::T(Schema::OneOf(OneOf { items, .. }))) = &content.schema else { continue };
        let named = items.iter().find(|item| matches!(item, RefOr::Ref(_)));
        if let Some(named) = named.cloned() {
            content.schema = Some(named);
            body.required = Some(Required::False);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::v1::endpoints;

    #[test]
    fn the_document_has_what_is_served_and_nothing_else() {
        let document = document();
        let mut described = BTreeSet::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in
                [("GET", &item.get), ("POST", &item.post), ("PATCH", &item.patch), ("DELETE", &item.delete)]
            {
                if operation.is_some() {
                    described.insert((method, path.as_str()));
                }
            }
        }
        let served: BTreeSet<_> = endpoints().map(|endpoint| (endpoint.method, endpoint.path)).collect();
        assert_eq!(described, served);
        assert_eq!(endpoints().count(), served.len(), "each endpoint stands in the tables once");
    }

    #[actix_web::test]
    async fn swagger_ui_is_served_from_here() {
        let page = serve_page(Path::from("index.html".to_owned())).await.unwrap();
        assert_eq!(page.status(), 200);
        assert_eq!(serve_page(Path::from("nothing.js".to_owned())).await.unwrap_err().code(), "route_unknown");
    }
}
