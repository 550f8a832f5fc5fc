//! Telemetry: metrics and logs. A leaf: every layer but the pure core may use it, it uses none.

pub mod logging;
pub mod metrics;

pub use metrics::Metrics;
