//! Addresses that may hold a password.

use serde::{Deserialize, Serialize};

/// What is shown instead of a secret.
const HIDDEN: &str = "***";

/// An address that may hold a password: it is shown without it.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps `address` from being shown.
    pub fn new(address: impl Into<String>) -> Self {
        Self(address.into())
    }

    /// The address with its password, for connecting only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The address without its password, for people. Where it is not certain what the password is, nothing is shown.
    pub fn redacted(&self) -> String {
        redact(&self.0).unwrap_or_else(|| HIDDEN.to_owned())
    }
}

fn redact(address: &str) -> Option<String> {
    let mut address = url::Url::parse(address).ok()?;
    // A password with an unescaped `/`, `?` or `#` is taken for a part of what follows the host.
    let rest = &address[url::Position::BeforePath..];
    if address.cannot_be_a_base() || address.fragment().is_some() || rest.contains('@') {
        return None;
    }
    if address.password().is_some() {
        address.set_password(Some(HIDDEN)).ok()?;
    }
    // A password can also stand in the query of a PostgreSQL address.
    if address.query().is_some() {
        let shown: Vec<(String, String)> = address
            .query_pairs()
            .map(
                |(name, value)| {
                    if is_secret(&name) { (name.into(), HIDDEN.into()) } else { (name.into(), value.into()) }
                },
            )
            .collect();
        address.query_pairs_mut().clear().extend_pairs(shown);
    }
    Some(address.into())
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "secret", "token", "key"].iter().any(|word| name.contains(word))
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.redacted())
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.redacted())
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, shown: &str) {
        let secret = Secret::new(address);
        assert_eq!(secret.redacted(), shown, "{address}");
        assert_eq!(format!("{secret} {secret:?}"), format!("{shown} {shown}"));
        assert_eq!(serde_json::to_value(&secret).unwrap(), serde_json::Value::from(shown));
        assert_eq!(secret.expose(), address);
    }

    #[test]
    fn a_password_is_hidden_wherever_it_stands() {
        check("postgres://purser:hunter2@db:5432/purser", "postgres://purser:***@db:5432/purser");
        check("amqp://purser:p%40ss%2Fw@mq/%2f", "amqp://purser:***@mq/%2f");
        check("postgres://db/purser?user=purser&password=hunter2", "postgres://db/purser?user=purser&password=***");
        check(
            "postgres://db/purser?sslpassword=hunter2&sslmode=require",
            "postgres://db/purser?sslpassword=***&sslmode=require",
        );
        check("postgres://db/purser?PassWord=a%26b", "postgres://db/purser?PassWord=***");
        check("postgres:///purser?host=/run/postgresql", "postgres:///purser?host=%2Frun%2Fpostgresql");
        check("amqp://guest@mq:5672/%2f", "amqp://guest@mq:5672/%2f");
    }

    #[test]
    fn an_address_that_cannot_be_understood_is_not_shown_at_all() {
        for address in [
            "hunter2",
            "purser:hunter2@db/purser",
            "postgres://purser:hun/ter2@db/purser",
            "postgres://purser:12/34@db/purser",
            "postgres://purser:12?34@db/purser",
            "postgres://purser:12#34@db/purser",
            "postgres://purser:hunter2@db:notaport/purser",
            "",
        ] {
            check(address, "***");
        }
    }
}
