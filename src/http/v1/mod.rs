//! `/v1`: Purser's native interface. JSON, exact decimals as strings, RFC 3339 times in UTC, problem+json with permanent codes.
//!
//! One file per resource: its table of endpoints, what it shows, its handlers. What moves money becomes an operation and goes through the
//! engine; what only looks or administers asks the store. No rule about money lives here.

mod answer;
mod batch_operation;
mod body;
mod currencies;
mod cursor;
mod field;
mod labels;
pub mod moment;
mod openapi;
mod operation;
mod operations;
mod page;
mod query;
mod reports;
mod services;
mod statements;
mod table;
mod transaction;
mod transactions;
mod wallets;

use actix_web::web;

use super::auth::Rule;
use super::endpoint::{self, Endpoint};

pub use openapi::{document, swagger_ui};

/// Every resource's endpoints. A new resource's table goes here, its handlers and schemas into [`openapi`].
const TABLES: [&[Endpoint]; 7] = [
    transactions::ENDPOINTS,
    operations::ENDPOINTS,
    wallets::ENDPOINTS,
    statements::ENDPOINTS,
    currencies::ENDPOINTS,
    services::ENDPOINTS,
    reports::ENDPOINTS,
];

/// Everything that `/v1` serves.
pub fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    TABLES.into_iter().flatten()
}

/// What each of them asks of its caller. The document and what shows it hold nothing but the interface.
pub(super) fn access() -> impl Iterator<Item = Rule> {
    endpoints().map(Endpoint::rule).chain(openapi::PATHS.map(|path| Rule::open("GET", path)))
}

/// Serves it.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    for table in TABLES {
        endpoint::configure(routes, table);
    }
    openapi::configure(routes);
}
