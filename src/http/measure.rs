//! Counts and times every request. Labels come from closed sets: a path or a method that is nobody's is `other`.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::auth::ANY_METHOD;
use super::dialects;
use super::server::{Context, State};
use super::v1;
use crate::telemetry::metrics::seconds;

/// Every path that is served, with the method it is for; those of `/v1` and of the dialects come from their own tables. What is in none is counted
/// as `other`.
pub(super) const ROUTES: [(&str, &str); 5] = [
    ("/healthz", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
    ("/openapi.json", "GET"),
    ("/docs/{file:.*}", "GET"),
];
/// Methods that are counted by name.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// What paths and methods beyond these are counted as.
const OTHER: &str = "other";
/// Statuses that alerts look at, so that their counters are there before the first such answer.
const STATUSES_FROM_ZERO: [&str; 7] = ["200", "400", "401", "403", "413", "429", "503"];

/// The middleware.
pub async fn measure(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let started = Instant::now();
    let context = request.app_data::<Data<Context>>().expect("the server sets its context").clone();
    let response = next.call(request).await?;
    let metrics = &context.state.metrics;
    let route = route_label(response.request().match_pattern().as_deref());
    let method = method_label(response.request().method());
    metrics.http_requests.with_label_values(&[route, method, response.status().as_str()]).inc();
    metrics.http_request_duration.with_label_values(&[route]).observe(seconds(started.elapsed()));
    Ok(response)
}

/// Makes the counters that alerts need, so that they start at 0 instead of appearing with the first event.
pub fn start_at_zero(state: &State) {
    let metrics = &state.metrics;
    let dialects = || dialects::served(&state.settings.dialects);
    let of_tables = v1::endpoints().chain(dialects().flat_map(|dialect| dialect.endpoints));
    // Where whatever the method is answered, nothing is served that an alert could be about.
    let of_tables = of_tables.filter(|endpoint| endpoint.method != ANY_METHOD);
    for (route, method) in ROUTES.into_iter().chain(of_tables.map(|endpoint| (endpoint.path, endpoint.method))) {
        for status in STATUSES_FROM_ZERO {
            metrics.http_requests.with_label_values(&[route, method, status]);
        }
        metrics.http_request_duration.with_label_values(&[route]);
    }
    for dialect in dialects() {
        (dialect.start_at_zero)(metrics);
    }
}

fn route_label(pattern: Option<&str>) -> &'static str {
    let of_tables = v1::endpoints().chain(dialects::endpoints()).map(|endpoint| endpoint.path);
    ROUTES.into_iter().map(|(route, _)| route).chain(of_tables).find(|route| pattern == Some(*route)).unwrap_or(OTHER)
}

fn method_label(method: &Method) -> &'static str {
    METHODS.into_iter().find(|name| method.as_str() == *name).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_make_a_new_label() {
        assert_eq!(route_label(Some("/readyz")), "/readyz");
        assert_eq!(route_label(Some("/readyz/1")), OTHER);
        assert_eq!(route_label(Some("/v1/transactions/{id}")), "/v1/transactions/{id}");
        assert_eq!(route_label(Some("/v1/transactions/1")), OTHER);
        assert_eq!(route_label(None), OTHER);
        assert_eq!(method_label(&Method::POST), "POST");
        assert_eq!(method_label(&Method::from_bytes(b"BREW").unwrap()), OTHER);
        assert_eq!(method_label(&Method::from_bytes(b"post").unwrap()), OTHER);
    }
}
