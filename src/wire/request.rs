//! The fields of a request: a JSON object's values by name, each kept as the text it came as until a dialect says what it must be.
//!
//! Nothing is read through a float, nothing recurses: a value that is not wanted is skipped in time linear in its length.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The values that Purser knows a name for. Names are matched without regard to ASCII case; other names are tolerated.
/// A `null` counts as absent.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    values: [Option<Value<'a>>; Field::ALL.len()],
    /// The first name that came twice; the last value stands.
    pub(super) duplicate: Option<Field>,
}

/// What a field is called. Two names may mean the same field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    WalletId,
    ToWalletId,
    Currency,
    Amount,
    IdempotencyKey,
    TransactionId,
    Pending,
    ExpiresIn,
    WaitForFunds,
    Final,
    Labels,
    Description,
    ServiceId,
    OrderId,
    Atomic,
    Operations,
    Operation,
}

/// A value as it stands in the text.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a>(&'a str);

impl Field {
    pub(super) const ALL: [Self; 17] = [
        Self::WalletId,
        Self::ToWalletId,
        Self::Currency,
        Self::Amount,
        Self::IdempotencyKey,
        Self::TransactionId,
        Self::Pending,
        Self::ExpiresIn,
        Self::WaitForFunds,
        Self::Final,
        Self::Labels,
        Self::Description,
        Self::ServiceId,
        Self::OrderId,
        Self::Atomic,
        Self::Operations,
        Self::Operation,
    ];

    /// The name in Purser's own words.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::WalletId => "wallet_id",
            Self::ToWalletId => "to_wallet_id",
            Self::Currency => "currency",
            Self::Amount => "amount",
            Self::IdempotencyKey => "idempotency_key",
            Self::TransactionId => "transaction_id",
            Self::Pending => "pending",
            Self::ExpiresIn => "expires_in",
            Self::WaitForFunds => "wait_for_funds",
            Self::Final => "final",
            Self::Labels => "labels",
            Self::Description => "description",
            Self::ServiceId => "service_id",
            Self::OrderId => "order_id",
            Self::Atomic => "atomic",
            Self::Operations => "operations",
            Self::Operation => "operation",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        // 000's word for a currency, and the word of /v1 for an operation in a list.
        if name.eq_ignore_ascii_case("ticker") {
            return Some(Self::Currency);
        }
        if name.eq_ignore_ascii_case("kind") {
            return Some(Self::Operation);
        }
        Self::ALL.into_iter().find(|field| name.eq_ignore_ascii_case(field.name()))
    }
}

impl<'a> Fields<'a> {
    /// Reads one JSON object and nothing after it.
    pub(super) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The value of a field, if it is there and not `null`.
    pub(super) fn get(&self, field: Field) -> Option<Value<'a>> {
        self.values[field as usize].filter(|value| value.0 != "null")
    }
}

impl<'a> Value<'a> {
    /// A value that is a whole text by itself.
    pub(super) fn of(text: &'a str) -> Self {
        Self(text)
    }

    /// The JSON type: `object`, `array`, `string`, `bool`, `number` or `null`.
    pub(super) fn kind(self) -> &'static str {
        match self.0.as_bytes().first() {
            Some(b'{') => "object",
            Some(b'[') => "array",
            Some(b'"') => "string",
            Some(b't' | b'f') => "bool",
            Some(b'n') | None => "null",
            Some(_) => "number",
        }
    }

    /// The text itself.
    pub(super) fn text(self) -> &'a str {
        self.0
    }

    /// What a bool says.
    pub(super) fn bool(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A number that is written as an integer and fits 64 bits.
    pub(super) fn integer(self) -> Option<i64> {
        // JSON has been checked: what is left to refuse are other types, fractions, exponents and too many digits.
        self.0.parse().ok()
    }

    /// What a string says. `None` for other types, and for escapes that name no character.
    pub(super) fn string(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if inner.contains('\\') {
            return serde_json::from_str(self.0).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(inner))
    }

    /// A number's text, or what a string says: an amount may be written either way.
    pub(super) fn number_or_string(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            "number" => Some(Cow::Borrowed(self.0)),
            _ => self.string(),
        }
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(Name(field)) = map.next_key()? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = Value(map.next_value::<&'de RawValue>()?.get());
            if fields.values[field as usize].replace(value).is_some() {
                fields.duplicate = fields.duplicate.or(Some(field));
            }
        }
        Ok(fields)
    }
}

/// A name, read without keeping it.
struct Name(Option<Field>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a field name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name(Field::parse(name)))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
