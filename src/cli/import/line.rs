//! A record's fields: a wallet, and what it held in one currency.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::failure::Failure;
use crate::ledger::{Amount, CurrencyCode, Labels, Money, Rejection};

/// Longest name and external id, in characters: what `/v1/wallets` allows.
const TEXT_CHARACTERS_MAX: usize = 255;
/// Largest id that can be chosen: what `/v1/wallets` allows.
const CHOSEN_ID_MAX: i64 = 1_000_000_000_000_000;

/// A record that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The wallet's number here and in the old system; `None` if the external id alone names it.
    pub wallet_id: Option<i64>,
    /// Never `None` when `wallet_id` is.
    pub external_id: Option<String>,
    pub name: Option<String>,
    /// A JSON object of strings.
    pub labels: Option<String>,
    pub opening: Opening,
}

/// What a wallet held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Nothing is said about it.
    Unsaid,
    /// Nothing of this currency.
    Zero(CurrencyCode),
    /// This much.
    Money(Money),
}

/// Reads records of one file.
pub struct Reader {
    columns: Option<Vec<Column>>,
    /// For records that name none.
    currency: Option<CurrencyCode>,
}

/// A field's name in the header and in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Column {
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

/// A record's fields as text; what is empty or `null` is `None`.
#[derive(Default)]
struct Texts {
    wallet_id: Option<String>,
    external_id: Option<String>,
    name: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    currency: Option<String>,
    amount: Option<String>,
}

/// The same as JSON has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonLine<'a> {
    #[serde(borrow)]
    wallet_id: Option<&'a RawValue>,
    external_id: Option<String>,
    name: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    currency: Option<String>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
}

impl Reader {
    /// For JSON lines, which name their fields themselves.
    pub fn of_json(currency: Option<CurrencyCode>) -> Self {
        Self { columns: None, currency }
    }

    /// For CSV of this header. An unknown column is an error: a misspelt one would leave its values out without a word.
    pub fn of_csv(header: &str, currency: Option<CurrencyCode>) -> anyhow::Result<Self> {
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
        Ok(Self { columns: Some(columns), currency })
    }

    /// Reads a record; the error says for people what is wrong with it.
    pub fn read(&self, text: &str) -> Result<Line, String> {
        let texts = match &self.columns {
            Some(columns) => of_csv(columns, text)?,
            None => of_json(text)?,
        };
        let wallet_id = texts.wallet_id.map(|id| wallet_id(&id)).transpose()?;
        for (name, value) in [("external_id", &texts.external_id), ("name", &texts.name)] {
            let is_fit =
                |value: &String| (1..=TEXT_CHARACTERS_MAX).contains(&value.chars().count()) && !value.contains('\0');
            if value.as_ref().is_some_and(|value| !is_fit(value)) {
                return Err(format!("{name} must have 1 to {TEXT_CHARACTERS_MAX} characters and no NUL among them"));
            }
        }
        if wallet_id.is_none() && texts.external_id.is_none() {
            return Err("it has neither a wallet_id nor an external_id".to_owned());
        }
        Ok(Line {
            wallet_id,
            external_id: texts.external_id,
            name: texts.name,
            labels: texts.labels.map(labels).transpose()?.flatten(),
            opening: self.opening(texts.currency.as_deref(), texts.amount.as_deref())?,
        })
    }

    fn opening(&self, currency: Option<&str>, amount: Option<&str>) -> Result<Opening, String> {
        let currency = match currency {
            Some(code) => Some(CurrencyCode::new(code).ok_or_else(|| format!("{code} is no currency's code"))?),
            None => self.currency,
        };
        let Some(amount) = amount else { return Ok(Opening::Unsaid) };
        let currency = currency.ok_or("it has an amount but no currency, and no --currency was given")?;
        match Amount::parse(amount) {
            Ok(amount) => Ok(Opening::Money(Money { amount, currency })),
            Err(Rejection::AmountNotPositive) if is_zero(amount) => Ok(Opening::Zero(currency)),
            Err(Rejection::AmountNotPositive) => Err(format!("{amount}: an opening balance cannot be below zero")),
            Err(rejection) => Err(format!("{amount}: {rejection}")),
        }
    }
}

/// Whether all its digits are zeros: a number is what it is, whatever its exponent.
fn is_zero(number: &str) -> bool {
    let digits = number.split(['e', 'E']).next().unwrap_or_default();
    digits.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-' | b'+'))
}

fn wallet_id(text: &str) -> Result<i64, String> {
    let id = text.parse().ok().filter(|id| (1..=CHOSEN_ID_MAX).contains(id));
    id.ok_or_else(|| format!("{text}: a wallet_id is a whole number from 1 to {CHOSEN_ID_MAX}"))
}

fn labels(labels: BTreeMap<String, String>) -> Result<Option<String>, String> {
    let labels = Labels::new(labels).map_err(|rejection| rejection.to_string())?;
    let labels: BTreeMap<&str, &str> = labels.iter().collect();
    Ok((!labels.is_empty()).then(|| serde_json::to_string(&labels).expect("strings are JSON")))
}

/// The fields of one CSV record.
fn fields(text: &str) -> Result<csv::StringRecord, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(text.len().max(1))
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    reader.read_record(&mut record).map_err(|error| error.to_string())?;
    Ok(record)
}

fn of_csv(columns: &[Column], text: &str) -> Result<Texts, String> {
    let record = fields(text)?;
    if record.len() != columns.len() {
        return Err(format!("it has {} fields, the header {}", record.len(), columns.len()));
    }
    let mut texts = Texts::default();
    for (column, value) in columns.iter().zip(&record) {
        // psql writes NULL as nothing.
        let value = (!value.is_empty()).then(|| value.to_owned());
        match column {
            Column::WalletId => texts.wallet_id = value,
            Column::ExternalId => texts.external_id = value,
            Column::Name => texts.name = value,
            Column::Currency => texts.currency = value,
            Column::Amount => texts.amount = value,
            Column::Labels => {
                let read = |value: String| {
                    let labels = serde_json::from_str::<Option<BTreeMap<String, String>>>(&value);
                    labels.map_err(|_| format!("{value}: labels are a JSON object of strings"))
                };
                texts.labels = value.map(read).transpose()?.flatten();
            }
        }
    }
    Ok(texts)
}

fn of_json(text: &str) -> Result<Texts, String> {
    let line: JsonLine<'_> = serde_json::from_str(text).map_err(|error| format!("it is no such object: {error}"))?;
    Ok(Texts {
        wallet_id: line.wallet_id.map(number_or_string).transpose()?,
        external_id: line.external_id,
        name: line.name,
        labels: line.labels,
        currency: line.currency,
        amount: line.amount.map(number_or_string).transpose()?,
    })
}

/// A number's digits as they stand there, or what a string says.
fn number_or_string(value: &RawValue) -> Result<String, String> {
    let text = value.get();
    if text.starts_with('"') {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err("wallet_id and amount are numbers, or strings that hold one".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(read: Result<Line, String>) -> String {
        let line = match read {
            Ok(line) => line,
            Err(reason) => return reason,
        };
        let id = line.wallet_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let texts = [line.external_id, line.name, line.labels].map(|text| text.unwrap_or_else(|| "-".to_owned()));
        let opening = match line.opening {
            Opening::Unsaid => "-".to_owned(),
            Opening::Zero(currency) => format!("0 {currency}"),
            Opening::Money(money) => format!("{} {}", money.amount, money.currency),
        };
        format!("{id} {} {opening}", texts.join(" "))
    }

    #[track_caller]
    fn check_csv(header: &str, record: &str, expected: &str) {
        assert_eq!(said(Reader::of_csv(header, None).unwrap().read(record)), expected, "{record:.200}");
    }

    #[track_caller]
    fn check_json(record: &str, expected: &str) {
        assert_eq!(said(Reader::of_json(CurrencyCode::new("EUR")).read(record)), expected, "{record:.200}");
    }

    #[test]
    fn csv_is_read_as_psql_writes_it() {
        let all = "wallet_id,external_id,name,labels,currency,amount";
        check_csv(
            all,
            r#"1,a-1,"Ann, ""A""","{""tier"": ""gold""}",USD,12.50"#,
            r#"1 a-1 Ann, "A" {"tier":"gold"} 12.5 USD"#,
        );
        check_csv(all, "1,,,,,", "1 - - - -");
        check_csv(all, ",a,,{},USD,", "- a - - -");
        check_csv(all, ",a,\"two\nlines\",null,USD,0.00", "- a two\nlines - 0 USD");
        check_csv(
            " Amount ,WALLET_ID,currency",
            "9999999999999999999999999999,1,USD",
            "1 - - - 9999999999999999999999999999 USD",
        );
        check_csv(all, "1,2", "it has 2 fields, the header 6");
        check_csv(all, ",,x,,USD,1", "it has neither a wallet_id nor an external_id");
        check_csv(all, "1,,,,,5", "it has an amount but no currency, and no --currency was given");
        check_csv(all, "1,,,,US D,5", "US D is no currency's code");
        check_csv(all, "1,,,,USD,-5", "-5: an opening balance cannot be below zero");
        check_csv(all, "1,,,,USD,\"1,5\"", "1,5: the amount must be a decimal number");
        check_csv(all, "1,,,,USD,NaN", "NaN: the amount must be a decimal number");
        check_csv(all, "1,,,,USD,1e400", "1e400: the amount must have at most 28 digits");
        check_csv(all, "0,,,,,", "0: a wallet_id is a whole number from 1 to 1000000000000000");
        check_csv(all, "1.0,,,,,", "1.0: a wallet_id is a whole number from 1 to 1000000000000000");
        check_csv(all, "1,,,[1],,", "[1]: labels are a JSON object of strings");
        let long = "x".repeat(256);
        check_csv(all, &format!("1,{long},,,,"), "external_id must have 1 to 255 characters and no NUL among them");
    }

    #[test]
    fn a_header_that_is_not_understood_is_an_error_before_anything_is_done() {
        let check = |header: &str, expected: &str| {
            let error = Reader::of_csv(header, None).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(expected), "{header}");
        };
        check("wallet_id,ammount", "the header names a column \"ammount\"");
        check("wallet_id,amount,AMOUNT", "the header names a column twice");
        check("name,amount", "the header has neither wallet_id nor external_id");
    }

    #[test]
    fn json_lines_are_read_exactly() {
        check_json(r#"{"wallet_id":1,"amount":0.10}"#, "1 - - - 0.1 EUR");
        check_json(
            r#"{"external_id":"a","name":null,"labels":{"b":"c"},"currency":"USD","amount":"12345678901234567890.12345678"}"#,
            r#"- a - {"b":"c"} 12345678901234567890.12345678 USD"#,
        );
        check_json(r#"{"wallet_id":"7","amount":null}"#, "7 - - - -");
        check_json(r#"{"wallet_id":7,"amount":0e5}"#, "7 - - - 0 EUR");
        check_json(r#"{"wallet_id":true}"#, "wallet_id and amount are numbers, or strings that hold one");
        for bad in [
            r#"{"wallet_id":1,"ammount":1}"#,
            "[1]",
            "nonsense",
            r#"{"wallet_id":1,"wallet_id":2}"#,
            r#"{"wallet_id":1,"labels":{"a":1}}"#,
        ] {
            let reason = said(Reader::of_json(None).read(bad));
            assert!(reason.starts_with("it is no such object: "), "{bad}: {reason}");
        }
        check_json(
            r#"{"wallet_id":1,"external_id":""}"#,
            "external_id must have 1 to 255 characters and no NUL among them",
        );
    }
}
