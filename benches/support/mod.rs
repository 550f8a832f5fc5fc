//! What the benchmarks share: databases of their own, streams of operations, lanes to post them on.

#![allow(dead_code, unused_imports, reason = "every benchmark is a program of its own and uses its part of this")]

pub mod database;
pub mod lanes;
pub mod operations;

pub use operations::{Spread, Stream};

/// The currency that everything is measured in.
pub const CURRENCY: &str = "USD";

/// Wallets where "many" are measured.
pub const WALLETS_MANY: i64 = 10_000;

/// What every wallet is given before the measuring, in major units: more than is ever withdrawn from it.
pub const FUNDS: i64 = 1_000_000_000;
