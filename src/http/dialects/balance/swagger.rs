//! The document of `/api`, and Swagger UI, which shows it: at `/swagger/index.html`, with nothing loaded from elsewhere.

use std::sync::{Arc, LazyLock};

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::web::Path;
use utoipa_swagger_ui::Config;

use super::Refused;
use crate::http::error::Unserved;
use crate::http::v1;

/// OpenAPI 3.1. Where that system has its own document.
const DOCUMENT: &str = include_str!("balance.json");
const DOCUMENT_FILE: &str = "doc.json";

/// GET `/swagger`.
pub async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/swagger/index.html")).finish()
}

/// GET `/swagger/FILE`.
pub async fn serve(file: Path<String>) -> Result<HttpResponse, Refused> {
    // "none": by default a picture from a public validator would be loaded.
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
        Arc::new(Config::new([format!("/swagger/{DOCUMENT_FILE}")]).validator_url("none").use_base_layout())
    });
    if *file == DOCUMENT_FILE {
        let mut response = HttpResponse::Ok();
        return Ok(response.content_type("application/json").insert_header((CACHE_CONTROL, "no-cache")).body(DOCUMENT));
    }
    v1::swagger_ui(&file, &CONFIG).ok_or_else(|| Unserved::RouteUnknown.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::http::dialects::balance::DIALECT;

    #[test]
    fn the_document_has_what_is_served_and_nothing_else() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
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
    }
}
