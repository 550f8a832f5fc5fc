//! How a route of `/v1` or of a dialect is declared: one line in a table, from which it is served, measured and guarded.

use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, Route, guard};

use super::auth::{ANY_METHOD, Access, Rule};
use super::error::Unserved;
use super::server::{self, Context};
pub use crate::store::keys::Scope;

/// One method of one path.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// Upper case. One that is GET serves HEAD, too; [`ANY_METHOD`] is every method.
    pub method: &'static str,
    /// As actix and OpenAPI both write it: `/v1/wallets/{id}`.
    pub path: &'static str,
    /// The same path with a slash at its end, where that is served, too. Whoever asks there is measured, guarded and refused as at `path`.
    pub slashed: Option<&'static str>,
    /// What a caller must be allowed to do.
    pub access: Access,
    /// What serves it.
    pub handler: fn() -> Route,
}

impl Endpoint {
    /// Looks.
    pub const fn get(path: &'static str, handler: fn() -> Route) -> Self {
        Self::new("GET", path, Scope::Read, handler)
    }

    /// Any other.
    pub const fn new(method: &'static str, path: &'static str, scope: Scope, handler: fn() -> Route) -> Self {
        Self { method, path, slashed: None, access: Access::Needs(scope), handler }
    }

    /// Shows what is worth hiding from nobody, such as a document of the interface.
    pub const fn open(path: &'static str, handler: fn() -> Route) -> Self {
        Self { method: "GET", path, slashed: None, access: Access::Open, handler }
    }

    /// Answers every method alike, whoever may look: where nothing is served, and that is to be said in a dialect's words.
    pub const fn any(path: &'static str, handler: fn() -> Route) -> Self {
        Self::new(ANY_METHOD, path, Scope::Read, handler)
    }

    /// Serves it at this path, too: its own with a slash at its end.
    pub const fn or_at(self, slashed: &'static str) -> Self {
        Self { slashed: Some(slashed), ..self }
    }

    /// The same as a rule of who may ask.
    pub const fn rule(&self) -> Rule {
        Rule { method: self.method, path: self.path, access: self.access }
    }

    fn route(&self) -> Route {
        let route = (self.handler)();
        match self.method {
            "GET" => route.guard(guard::Any(guard::Get()).or(guard::Head())),
            "POST" => route.guard(guard::Post()),
            "PATCH" => route.guard(guard::Patch()),
            "DELETE" => route.guard(guard::Delete()),
            ANY_METHOD => route,
            method => unreachable!("no table names the method {method}"),
        }
    }
}

/// Serves endpoints; other methods of their paths are told which there are.
pub fn configure(routes: &mut web::ServiceConfig, endpoints: &[Endpoint]) {
    let mut paths: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.path).collect();
    paths.dedup();
    for path in paths {
        let of_path = || endpoints.iter().filter(|endpoint| endpoint.path == path);
        // The first of them is the pattern that a request at either is known by.
        let slashed = of_path().find_map(|endpoint| endpoint.slashed);
        let mut resource = web::resource([path].into_iter().chain(slashed).collect::<Vec<_>>());
        for endpoint in of_path() {
            resource = resource.route(endpoint.route());
        }
        let methods = of_path().flat_map(|endpoint| match endpoint.method {
            "GET" => &["GET", "HEAD"][..],
            _ => std::slice::from_ref(&endpoint.method),
        });
        let allowed = methods.copied().collect::<Vec<_>>().join(", ");
        let allowed = HeaderValue::from_str(&allowed).expect("methods are text");
        let wrong_method = web::to(move |context: Data<Context>, request: HttpRequest| {
            let allowed = allowed.clone();
            async move {
                let pattern = request.match_pattern();
                let mut response = server::refuse(&context, pattern.as_deref(), Unserved::MethodNotAllowed);
                response.headers_mut().insert(ALLOW, allowed);
                response
            }
        });
        routes.service(resource.default_service(wrong_method));
    }
}
