//! Purser: a wallet transaction processor.
//!
//! Operations on wallets arrive over RabbitMQ and HTTP; every wallet has one actor that keeps its operations in line; the actors' work is
//! committed in groups to PostgreSQL. `docs/architecture.md` is the map, [`posting`] the heart.

pub mod app;
pub mod broker;
pub mod cli;
pub mod engine;
pub mod http;
pub mod ledger;
pub mod pause;
pub mod posting;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod wire;
