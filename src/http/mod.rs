//! HTTP: actix-web around the engine.
//!
//! A request becomes an [`Operation`](crate::ledger::Operation), an [`Outcome`](crate::ledger::Outcome) becomes a response. No rule about
//! money lives here, and nothing is written but through [`Processor::submit_with`](crate::engine::Processor::submit_with).

pub mod auth;
mod dialects;
pub mod dictionary;
pub mod document;
mod endpoint;
mod error;
mod extract;
mod measure;
pub mod moments;
pub mod month;
mod ops;
pub mod pages;
pub mod parameters;
mod rate;
pub mod report_file;
mod server;
mod submit;
mod tls;
pub mod v1;

pub use auth::KeySecret;
pub use server::{State, serve};

#[cfg(test)]
mod tests;
