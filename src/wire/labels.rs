//! Labels as JSON: an object of strings. A name that comes twice is refused: one of the two values would be lost, and nobody could say which.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// For `deserialize_with`: names to values, each name once.
pub fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    deserializer.deserialize_map(LabelsVisitor)
}

/// The same where there may be none, but not null.
pub fn each_once_if_given<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    each_once(deserializer).map(Some)
}

/// The same as a type.
pub(super) struct EachOnce(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for EachOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        each_once(deserializer).map(Self)
    }
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object whose values are strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut labels = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            if labels.insert(name, value).is_some() {
                return Err(A::Error::custom("a label's name comes twice"));
            }
        }
        Ok(labels)
    }
}
