//! What callers attach to an operation: the ledger keeps it and never acts on it.

use std::collections::BTreeMap;
use std::fmt;

use super::Rejection;

/// Most labels that a transaction or a wallet may have: enough to file it, too few to be a document store.
pub const LABELS_MAX: usize = 16;
/// Longest name of a label, in characters.
pub const LABEL_NAME_CHARACTERS_MAX: usize = 64;
/// Longest value of a label, in characters.
pub const LABEL_VALUE_CHARACTERS_MAX: usize = 256;
/// Longest description, in characters.
pub const DESCRIPTION_CHARACTERS_MAX: usize = 1000;
/// Longest order id, in characters.
pub const ORDER_ID_CHARACTERS_MAX: usize = 255;

/// A service's number: whom revenue is reported for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub i64);

impl fmt::Display for ServiceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Labels by name: at most [`LABELS_MAX`], names of 1 to [`LABEL_NAME_CHARACTERS_MAX`] characters, values of up to [`LABEL_VALUE_CHARACTERS_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Refuses too many labels, names and values that are too long, and the character NUL, which PostgreSQL cannot keep.
    pub fn new(labels: BTreeMap<String, String>) -> Result<Self, Rejection> {
        let fits = |(name, value): (&String, &String)| {
            (1..=LABEL_NAME_CHARACTERS_MAX).contains(&name.chars().count())
                && value.chars().count() <= LABEL_VALUE_CHARACTERS_MAX
                && !name.contains('\0')
                && !value.contains('\0')
        };
        if labels.len() > LABELS_MAX || !labels.iter().all(fits) {
            return Err(Rejection::LabelsInvalid);
        }
        Ok(Self(labels))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Everything that a caller may attach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Details {
    labels: Labels,
    description: Option<String>,
    service: Option<ServiceId>,
    order: Option<String>,
}

impl Details {
    /// Refuses a description of more than [`DESCRIPTION_CHARACTERS_MAX`] characters and an order id that is empty or of more than
    /// [`ORDER_ID_CHARACTERS_MAX`] characters.
    pub fn new(
        labels: Labels,
        description: Option<String>,
        service: Option<ServiceId>,
        order: Option<String>,
    ) -> Result<Self, Rejection> {
        let is_long = |text: &String| text.chars().count() > DESCRIPTION_CHARACTERS_MAX || text.contains('\0');
        if description.as_ref().is_some_and(is_long) {
            return Err(Rejection::DescriptionInvalid);
        }
        let is_unfit =
            |text: &String| !(1..=ORDER_ID_CHARACTERS_MAX).contains(&text.chars().count()) || text.contains('\0');
        if order.as_ref().is_some_and(is_unfit) {
            return Err(Rejection::OrderIdInvalid);
        }
        Ok(Self { labels, description, service, order })
    }

    /// Of these, what an operation on a transaction inherits from it: for whom, and for what order.
    pub fn inherited(&self) -> Option<Self> {
        let inherited =
            Self { labels: Labels::default(), description: None, service: self.service, order: self.order.clone() };
        (inherited != Self::default()).then_some(inherited)
    }

    /// Whether nothing is attached.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// By name.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// For people.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// For whom.
    pub fn service(&self) -> Option<ServiceId> {
        self.service
    }

    /// The caller's order.
    pub fn order(&self) -> Option<&str> {
        self.order.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Result<Labels, Rejection> {
        Labels::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn labels_are_few_and_short() {
        assert!(labels(&[("a", ""), ("region", "north")]).is_ok());
        assert!(labels(&[(&"n".repeat(64), &"v".repeat(256))]).is_ok());
        for bad in [("", "v"), (&*"n".repeat(65), "v"), ("n", &*"v".repeat(257)), ("n\0", "v"), ("n", "\0")] {
            assert_eq!(labels(&[bad]), Err(Rejection::LabelsInvalid), "{bad:?}");
        }
        let many = (0..17).map(|number| (number.to_string(), String::new())).collect();
        assert_eq!(Labels::new(many), Err(Rejection::LabelsInvalid));
    }

    #[test]
    fn texts_have_a_length() {
        let with = |description: &str, order: &str| {
            Details::new(Labels::default(), Some(description.to_owned()), None, Some(order.to_owned()))
        };
        assert!(with(&"я".repeat(1000), &"o".repeat(255)).is_ok());
        assert_eq!(with(&"d".repeat(1001), "o"), Err(Rejection::DescriptionInvalid));
        assert_eq!(with("", ""), Err(Rejection::OrderIdInvalid));
        assert_eq!(with("", &"o".repeat(256)), Err(Rejection::OrderIdInvalid));
    }
}
