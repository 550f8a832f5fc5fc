//! A message's body, written as JSON field by field.

use serde_json::value::RawValue;

use super::operation::{About, Money, Part, Terms};

/// Whose names the fields have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// Purser's own.
    Native,
    /// System 000's.
    TransactionalSystem,
}

/// A JSON object that is being written.
#[derive(Debug, Default)]
pub(super) struct Body(Vec<String>);

impl Body {
    /// Adds a value that is JSON already.
    pub(super) fn json(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.0.push(format!("\"{name}\":{value}"));
        self
    }

    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.json(name, quoted(value))
    }

    pub(super) fn flag(&mut self, name: &str, is_set: bool) -> &mut Self {
        if is_set { self.json(name, "true") } else { self }
    }

    pub(super) fn wallet(&mut self, wallet: i64) -> &mut Self {
        self.json("wallet_id", wallet)
    }

    pub(super) fn about(&mut self, about: &About) -> &mut Self {
        self.wallet(about.wallet).text("transaction_id", &about.transaction_id)
    }

    pub(super) fn part(&mut self, part: &Part) -> &mut Self {
        match &part.amount {
            Some(amount) => self.json("amount", number(amount)),
            None => self,
        }
    }

    pub(super) fn money(&mut self, money: &Money, words: Words) -> &mut Self {
        let currency = match words {
            Words::Native => "currency",
            Words::TransactionalSystem => "ticker",
        };
        self.text(currency, &money.currency).json("amount", number(&money.amount))
    }

    pub(super) fn terms(&mut self, terms: &Terms) -> &mut Self {
        self.flag("pending", terms.pending);
        if let Some(seconds) = terms.expires_in {
            self.json("expires_in", seconds);
        }
        if !terms.labels.is_empty() {
            let labels: Vec<_> =
                terms.labels.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value))).collect();
            self.json("labels", format_args!("{{{}}}", labels.join(",")));
        }
        for (name, text) in [("description", &terms.description), ("order_id", &terms.order)] {
            if let Some(text) = text {
                self.text(name, text);
            }
        }
        if let Some(service) = terms.service {
            self.json("service_id", service);
        }
        self
    }

    pub(super) fn finish(&self) -> String {
        format!("{{{}}}", self.0.join(","))
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("every string is a JSON string")
}

/// A number as JSON has it, digit by digit as it was written; what is no number goes as a string, for the server to refuse.
fn number(amount: &str) -> String {
    let is_number = amount.starts_with(|first: char| first.is_ascii_digit() || first == '-')
        && serde_json::from_str::<&RawValue>(amount).is_ok();
    if is_number { amount.to_owned() } else { quoted(amount) }
}
