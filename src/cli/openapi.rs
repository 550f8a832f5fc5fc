//! `purser openapi`: the document of the HTTP interface.

use std::process::ExitCode;

use super::output;
use crate::http::v1;

/// Prints it.
pub fn run() -> anyhow::Result<ExitCode> {
    output::line(v1::document().to_pretty_json()?)?;
    Ok(ExitCode::SUCCESS)
}
