//! What went wrong, why, and what to do about it.

use std::error::Error;

/// A failure that a person can do something about.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    what: String,
    hint: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// `what` is wrong; `hint` says what to do, if there is anything to say.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into(), source: None }
    }

    /// Why it went wrong.
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// Says what went wrong on stderr.
pub fn report(error: &anyhow::Error) {
    eprint!("{}", render(error));
}

fn render(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Libraries often repeat a cause in the message above it.
        if !said.contains(&cause) {
            text.push_str(&format!("  because: {}\n", cause.replace('\n', " ")));
            said.push_str(&cause);
        }
    }
    let hints = error.chain().filter_map(|error| error.downcast_ref::<Failure>());
    for Failure { hint, .. } in hints.filter(|failure| !failure.hint.is_empty()) {
        text.push_str(&format!("  hint: {hint}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_is_one_line_then_causes_said_once_then_a_hint() {
        let refused = || std::io::Error::other("connection refused");
        let failure = Failure::new("the broker is away", "run `make services`").because(refused());
        let expected = "error: the broker is away\n  because: connection refused\n  hint: run `make services`\n";
        assert_eq!(render(&failure.into()), expected);

        let repeated = Failure::new("failed: connection refused", "").because(refused());
        assert_eq!(render(&repeated.into()), "error: failed: connection refused\n");

        let wrapped = Err::<(), _>(Failure::new("b", "c")).context("a").unwrap_err();
        assert_eq!(render(&wrapped), "error: a\n  because: b\n  hint: c\n");
    }
}
