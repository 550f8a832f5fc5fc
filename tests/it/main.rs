//! Integration tests: one binary, real PostgreSQL, real RabbitMQ. `make test` runs them.

mod broker;
mod cli;
#[path = "../golden/mod.rs"]
mod dialects;
mod engine;
mod http;
mod posting;
mod races;
mod readme;
#[allow(dead_code, unused_imports, reason = "shared with the crash test")]
mod support;
