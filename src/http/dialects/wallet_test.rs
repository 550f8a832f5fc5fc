//! System 003: `/accounts`, `/account/{id}`, `/payments`.
//!
//! An account is a wallet seen in one currency, a payment is a transfer in the buyer's. What that system says of HTTP and of JSON is in
//! `words`, what it says of accounts and of payments in the files of those names. An `Idempotency-Key` header makes a request safe to repeat.

mod accounts;
mod list;
mod order;
mod payments;
mod words;

use actix_web::web;

use super::Dialect;
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::Unserved;

/// What the server needs to know of it.
pub const DIALECT: Dialect = Dialect {
    is_enabled: |settings| settings.wallet_test.enabled,
    endpoints: &[
        Endpoint::get("/accounts", || web::to(accounts::list)),
        // Its ordinary clients make accounts.
        Endpoint::new("POST", "/accounts", Scope::Write, || web::to(accounts::create)),
        Endpoint::get("/account/{id}", || web::to(accounts::find)),
        Endpoint::get("/payments", || web::to(payments::list)),
        Endpoint::new("POST", "/payments", Scope::Write, || web::to(payments::make)),
        // What is left around them, after all others: the first that fits serves.
        nothing_at("GET", NOTHING[0]),
        nothing_at("POST", NOTHING[0]),
        nothing_at("GET", NOTHING[1]),
        nothing_at("POST", NOTHING[1]),
        nothing_at("GET", NOTHING[2]),
        nothing_at("POST", NOTHING[2]),
        nothing_at("GET", NOTHING[3]),
        nothing_at("POST", NOTHING[3]),
        nothing_at("GET", NOTHING[4]),
        nothing_at("POST", NOTHING[4]),
    ],
    refuse: |_, path, unserved| words::refuse(served_at(path, unserved)),
    start_at_zero: |_| {},
};

/// Where it serves nothing, and says so in its router's words.
const NOTHING: [&str; 5] =
    ["/account", "/account/", "/account/{id}/{rest:.*}", "/accounts/{rest:.*}", "/payments/{rest:.*}"];

const fn nothing_at(method: &'static str, path: &'static str) -> Endpoint {
    Endpoint::new(method, path, Scope::Read, || web::to(async || words::refuse(Unserved::RouteUnknown)))
}

/// Where nothing is served no method is the wrong one.
fn served_at(path: &str, unserved: Unserved) -> Unserved {
    let is_nothing = NOTHING.contains(&path);
    if is_nothing && unserved == Unserved::MethodNotAllowed { Unserved::RouteUnknown } else { unserved }
}
