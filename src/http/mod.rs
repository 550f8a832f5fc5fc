//! HTTP: actix-web around the engine.
//!
//! A request becomes an [`Operation`](crate::ledger::Operation), an [`Outcome`](crate::ledger::Outcome) becomes a response. No rule about
//! money lives here, and nothing is written but through [`Processor::submit_with`](crate::engine::Processor::submit_with).

pub mod auth;
mod dialects;
mod dictionary;
mod document;
mod endpoint;
mod error;
mod extract;
mod measure;
mod month;
mod ops;
mod pages;
mod parameters;
mod rate;
mod report_file;
mod server;
mod submit;
mod tls;
pub mod v1;

pub use auth::KeySecret;
pub use server::{State, serve};

#[cfg(test)]
mod tests;
