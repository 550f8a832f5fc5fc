//! Labels: what callers attach to a wallet or a transaction, to find it by.

use std::collections::BTreeMap;

use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};

use crate::http::error::Problem;
use crate::ledger::Rejection;
use crate::ledger::details::{
    LABEL_NAME_CHARACTERS_MAX as NAME_LENGTH_MAX, LABEL_VALUE_CHARACTERS_MAX as VALUE_LENGTH_MAX,
    LABELS_MAX as PAIRS_MAX,
};
use crate::wire::Refusal;

/// Names to values.
pub type Labels = BTreeMap<String, String>;

/// The labels of a body, if there are not too many and none is too long.
pub fn checked(labels: Labels) -> Result<Labels, Problem> {
    fitting(labels).map_err(|reason| Refusal { reason, ..Rejection::LabelsInvalid.into() }.into())
}

/// The same of labels from anywhere; otherwise says why not.
pub fn fitting(labels: Labels) -> Result<Labels, String> {
    let refuse = |reason: String| Err(reason);
    if labels.len() > PAIRS_MAX {
        return refuse(format!("there may be at most {PAIRS_MAX} labels"));
    }
    for (name, value) in &labels {
        if name.is_empty() || name.chars().count() > NAME_LENGTH_MAX {
            return refuse(format!("the name of a label has 1 to {NAME_LENGTH_MAX} characters"));
        }
        if value.chars().count() > VALUE_LENGTH_MAX {
            return refuse(format!("the value of a label has at most {VALUE_LENGTH_MAX} characters"));
        }
        if name.contains('\0') || value.contains('\0') {
            return refuse("a label has no NUL characters".to_owned());
        }
    }
    Ok(labels)
}

/// Labels in the document, with their limits.
pub fn schema() -> Object {
    let length =
        |least, most| ObjectBuilder::new().schema_type(Type::String).min_length(Some(least)).max_length(Some(most));
    let no_nul = Some("^[^\\u0000]*$");
    ObjectBuilder::new()
        .property_names(Some(length(1, NAME_LENGTH_MAX).pattern(no_nul).build()))
        .additional_properties(Some(Schema::Object(length(0, VALUE_LENGTH_MAX).pattern(no_nul).build())))
        .max_properties(Some(PAIRS_MAX))
        .build()
}

/// Labels as the database keeps them.
pub fn to_json(labels: &Labels) -> String {
    serde_json::to_string(labels).expect("text is JSON")
}

/// Labels as the database keeps them, read back. What is no label, someone else wrote there: it is not shown.
pub fn from_json(json: Option<&str>) -> Labels {
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[(&str, &str)], is_good: bool) {
        let labels: Labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(checked(labels.clone()).is_ok(), is_good, "{labels:?}");
    }

    #[test]
    fn labels_are_few_and_short() {
        let (name, value) = ("n".repeat(NAME_LENGTH_MAX), "v".repeat(VALUE_LENGTH_MAX));
        check(&[], true);
        check(&[("a", ""), (&name, &value)], true);
        check(&[("", "v")], false);
        check(&[(&format!("{name}n"), "v")], false);
        check(&[("n", &format!("{value}v"))], false);
        check(&[("n", "a\0b")], false);
        let many: Vec<String> = (0..=PAIRS_MAX).map(|number| number.to_string()).collect();
        let pairs: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
        check(&pairs[..PAIRS_MAX], true);
        check(&pairs, false);
    }
}
