//! Logs: what is logged, how the lines look, where they go. They go to stderr: stdout belongs to the commands' answers.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For reading.
    Human,
    /// For machines: one JSON object a line.
    Json,
}

impl Format {
    /// Human where a person is looking, JSON elsewhere.
    pub fn for_this_terminal() -> Self {
        if std::io::stderr().is_terminal() { Self::Human } else { Self::Json }
    }
}

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is none.
    #[error("the filter is not one such as \"info\" or \"info,purser=debug\"")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logging was set up before in this process.
    #[error("logging is already set up")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sets up logging for this process. `filter` is a level or a list of `target=level`.
pub fn init(filter: &str, format: Format) -> Result<(), LoggingError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let is_colored =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match format {
        Format::Human => builder.with_ansi(is_colored).try_init(),
        Format::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    }
    .map_err(LoggingError::Twice)
}
