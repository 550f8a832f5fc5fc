//! A record's fields as texts: cut out of CSV or JSON, and not yet understood.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::cli::failure::Failure;

/// A field's name in the header and in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    WalletId,
    ExternalId,
    Name,
    Labels,
    Currency,
    Amount,
}

const COLUMNS: [(&str, Column); 6] = [
    ("wallet_id", Column::WalletId),
    ("external_id", Column::ExternalId),
    ("name", Column::Name),
    ("labels", Column::Labels),
    ("currency", Column::Currency),
    ("amount", Column::Amount),
];

/// What the fields say; what is empty or `null` is `None`.
#[derive(Default)]
pub struct Texts {
    pub wallet_id: Option<String>,
    pub external_id: Option<String>,
    pub name: Option<String>,
    pub labels: Option<BTreeMap<String, String>>,
    pub currency: Option<String>,
    pub amount: Option<String>,
}

/// The same as JSON has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonLine<'a> {
    #[serde(borrow)]
    wallet_id: Option<&'a RawValue>,
    #[serde(borrow)]
    external_id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    currency: Option<&'a RawValue>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
}

/// The columns that a CSV header names. An unknown one is an error: a misspelt one would leave its values out without a word.
pub fn columns(header: &str) -> anyhow::Result<Vec<Column>> {
    let known = COLUMNS.map(|(name, _)| name).join(", ");
    let hint = format!("the first line names the columns, separated by commas: {known}");
    let fields = fields(header).map_err(|reason| Failure::new(format!("the header: {reason}"), hint.clone()))?;
    let mut columns = Vec::new();
    for field in &fields {
        let found = COLUMNS.iter().find(|(name, _)| field.trim().eq_ignore_ascii_case(name));
        let Some((_, column)) = found else {
            return Err(Failure::new(format!("the header names a column {field:?}"), hint).into());
        };
        columns.push(*column);
    }
    if columns.iter().collect::<HashSet<_>>().len() < columns.len() {
        return Err(Failure::new("the header names a column twice", hint).into());
    }
    if !columns.contains(&Column::WalletId) && !columns.contains(&Column::ExternalId) {
        return Err(Failure::new("the header has neither wallet_id nor external_id", hint).into());
    }
    Ok(columns)
}

impl Texts {
    /// Of a line of CSV. The error says for people what is wrong, as all here do.
    pub fn of_csv(columns: &[Column], text: &str) -> Result<Self, String> {
        let fields = fields(text)?;
        if fields.len() != columns.len() {
            return Err(format!("it has {} fields, the header {}", fields.len(), columns.len()));
        }
        let mut texts = Self::default();
        for (column, value) in columns.iter().zip(fields) {
            // psql writes NULL as nothing.
            let value = Some(value).filter(|value| !value.is_empty());
            match column {
                Column::WalletId => texts.wallet_id = value,
                Column::ExternalId => texts.external_id = value,
                Column::Name => texts.name = value,
                Column::Currency => texts.currency = value,
                Column::Amount => texts.amount = value,
                Column::Labels => texts.labels = value.as_deref().map(labels).transpose()?.flatten(),
            }
        }
        Ok(texts)
    }

    /// Of a line of JSON.
    pub fn of_json(text: &str) -> Result<Self, String> {
        has_no_line_end(text)?;
        // A struct could be read from an array, too, by the order of its fields.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(
                r#"it is no JSON object: a line is one, such as {"wallet_id": 1, "currency": "USD", "amount": 5}"#
                    .to_owned(),
            );
        }
        let line: JsonLine<'_> = serde_json::from_str(text).map_err(|error| for_people(&error))?;
        Ok(Self {
            wallet_id: line.wallet_id.map(|value| number_or_string("wallet_id", value)).transpose()?,
            external_id: line.external_id.map(|value| string("external_id", value)).transpose()?,
            name: line.name.map(|value| string("name", value)).transpose()?,
            labels: line.labels.map(|value| labels(value.get())).transpose()?.flatten(),
            currency: line.currency.map(|value| string("currency", value)).transpose()?,
            amount: line.amount.map(|value| number_or_string("amount", value)).transpose()?,
        })
    }
}

/// The fields of one line of CSV. Stricter than most readers, which guess what a stray quote means: a guess can join or move fields.
fn fields(text: &str) -> Result<Vec<String>, String> {
    has_no_line_end(text)?;
    let mut fields = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (field, behind) = match text.strip_prefix('"') {
            Some(quoted) => unquoted(quoted, fields.len() + 1)?,
            None => {
                let (field, behind) = text.split_at(text.find(',').unwrap_or(text.len()));
                if field.contains('"') {
                    let place = fields.len() + 1;
                    return Err(format!(
                        "field {place} has a quote within it: such a field stands in quotes, and the quote is written twice"
                    ));
                }
                (field.to_owned(), behind)
            }
        };
        fields.push(field);
        rest = behind.strip_prefix(',');
    }
    Ok(fields)
}

/// A field behind the quote that opens it, and what stands behind the one that closes it: a comma or nothing.
fn unquoted(mut text: &str, place: usize) -> Result<(String, &str), String> {
    let mut field = String::new();
    loop {
        let (part, behind) =
            text.split_once('"').ok_or_else(|| format!("field {place} has a quote that is not closed"))?;
        field.push_str(part);
        match behind.strip_prefix('"') {
            Some(behind) => {
                field.push('"');
                text = behind;
            }
            None if behind.is_empty() || behind.starts_with(',') => return Ok((field, behind)),
            None => {
                return Err(format!(
                    "field {place} goes on behind the quote that closes it: a quote within a text is written twice"
                ));
            }
        }
    }
}

/// A file whose lines end otherwise is one line, of which all but the first record would be lost.
fn has_no_line_end(text: &str) -> Result<(), String> {
    if text.contains('\r') {
        return Err("it has a carriage return within it: lines end with LF or CRLF".to_owned());
    }
    Ok(())
}

fn labels(json: &str) -> Result<Option<BTreeMap<String, String>>, String> {
    value(json).ok_or_else(|| format!("{json}: labels are a JSON object of strings"))
}

fn string(name: &str, json: &RawValue) -> Result<String, String> {
    value(json.get()).ok_or_else(|| format!("{name} must be a string"))
}

/// A number's digits as they stand there, or what a string says.
fn number_or_string(name: &str, json: &RawValue) -> Result<String, String> {
    let text = json.get();
    if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    value(text).ok_or_else(|| format!("{name} must be a number, or a string that holds one"))
}

fn value<T: DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).ok()
}

/// Without a place in a file that is a line long.
fn for_people(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let text = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    if error.is_data() { text.to_owned() } else { format!("it is no JSON: {text} at byte {column}") }
}
