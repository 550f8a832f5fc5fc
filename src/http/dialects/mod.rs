//! The older systems' interfaces: dictionaries only, one file each. Words in, words out; no rule of their own.
//!
//! A dialect is removed by removing its file here, its folder with all that tests it (`tests/golden`) and its line in `list.rs`. Left to look after is
//! what is about all of them: `tests/golden/together.rs`, and its settings, which nobody reads then. All five systems were written in Go: how Go reads
//! is [`wire::go`](crate::wire::go).

#[macro_use]
mod list;

use actix_web::HttpResponse;
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::endpoint::Endpoint;
use super::error::Unserved;
use super::server::Context;
use crate::settings;
use crate::telemetry::Metrics;

macro_rules! declare {
    ($($name:ident,)*) => {
        $(mod $name;)*
        /// All of them, served or not.
        const ALL: &[Dialect] = &[$($name::DIALECT),*];
    };
}

with_dialects!(declare);

/// One older system's interface, as the server sees it.
#[derive(Debug)]
pub struct Dialect {
    /// Whether it is to be served.
    pub is_enabled: fn(&settings::Dialects) -> bool,
    /// What it serves.
    pub endpoints: &'static [Endpoint],
    /// What HTTP itself refuses at one of its paths, in its words: the path is the pattern as it is declared.
    pub refuse: fn(&Context, &str, Unserved) -> HttpResponse,
    /// Makes its own counters, so that they start at 0.
    pub start_at_zero: fn(&Metrics),
}

/// Those that are served.
pub fn served(settings: &settings::Dialects) -> impl Iterator<Item = &'static Dialect> {
    ALL.iter().filter(|dialect| (dialect.is_enabled)(settings))
}

/// What any of them may serve: a closed set.
pub fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    ALL.iter().flat_map(|dialect| dialect.endpoints)
}

/// What HTTP itself refuses at `path`, in the words of whose path it is; `None` if it is no dialect's.
pub fn refuse_at(context: &Context, path: &str, unserved: Unserved) -> Option<HttpResponse> {
    let is_its_own = |dialect: &&Dialect| dialect.endpoints.iter().any(|endpoint| endpoint.path == path);
    let dialect = served(&context.state.settings.dialects).find(is_its_own)?;
    Some((dialect.refuse)(context, path, unserved))
}

/// A JSON number that holds every digit of `value`, with at least `decimals_min` decimals.
fn number(value: Decimal, decimals_min: u32) -> Box<RawValue> {
    let mut value = value.normalize();
    value.rescale(value.scale().max(decimals_min));
    RawValue::from_string(value.to_string()).expect("a decimal is a JSON number")
}
