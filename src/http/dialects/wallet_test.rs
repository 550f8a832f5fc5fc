//! System 003: `/accounts`, `/account/{id}`, `/payments`.
//!
//! An account is a wallet seen in one currency, a payment is a transfer in the buyer's. What that system says of HTTP and of JSON is in
//! `words`, what it says of accounts and of payments in the files of those names. An `Idempotency-Key` header makes a request safe to repeat.

mod accounts;
mod list;
mod payments;
mod words;

use actix_web::web;

use super::Dialect;
use crate::http::endpoint::{Endpoint, Scope};

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
    ],
    refuse: |_, _, unserved| words::refuse(unserved),
    start_at_zero: |_| {},
};
