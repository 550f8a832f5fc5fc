//! A record's fields: a wallet, and what it held in one currency.

use std::collections::BTreeMap;

use super::texts::{self, Column, Texts};
use crate::ledger::{Amount, CurrencyCode, Labels, Money, Rejection};

/// Longest name and external id, in characters: what `/v1/wallets` allows.
const TEXT_CHARACTERS_MAX: usize = 255;
/// Largest id that can be chosen: what `/v1/wallets` allows.
const CHOSEN_ID_MAX: i64 = 1_000_000_000_000_000;

/// The label by which system 003's clients see which currency an account is in.
const CURRENCY_LABEL: &str = "currency";

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

impl Opening {
    /// What it is in, if anything is said about it.
    pub fn currency(&self) -> Option<&CurrencyCode> {
        match self {
            Self::Unsaid => None,
            Self::Zero(currency) | Self::Money(Money { currency, .. }) => Some(currency),
        }
    }
}

/// Reads records of one file.
pub struct Reader {
    columns: Option<Vec<Column>>,
    /// For records that name none.
    currency: Option<CurrencyCode>,
}

impl Reader {
    /// For JSON lines, which name their fields themselves.
    pub fn of_json(currency: Option<CurrencyCode>) -> Self {
        Self { columns: None, currency }
    }

    /// For CSV of this header. An unknown column is an error: a misspelt one would leave its values out without a word.
    pub fn of_csv(header: &str, currency: Option<CurrencyCode>) -> anyhow::Result<Self> {
        let columns = texts::columns(header)?;
        Ok(Self { columns: Some(columns), currency })
    }

    /// Reads a record; the error says for people what is wrong with it.
    pub fn read(&self, text: &str) -> Result<Line, String> {
        let texts = match &self.columns {
            Some(columns) => Texts::of_csv(columns, text)?,
            None => Texts::of_json(text)?,
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
        let opening = self.opening(texts.currency.as_deref(), texts.amount.as_deref())?;
        if let Some(label) = texts.labels.as_ref().and_then(|labels| labels.get(CURRENCY_LABEL)) {
            let said = opening.currency().map_or(texts.currency.as_deref().unwrap_or(label), CurrencyCode::as_str);
            if said != label {
                return Err(format!("its label says that its currency is {label}, and its amount is in {said}"));
            }
        }
        Ok(Line {
            wallet_id,
            external_id: texts.external_id,
            name: texts.name,
            labels: texts.labels.map(labels).transpose()?.flatten(),
            opening,
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
        check_csv(all, ",\"\",,,,", "it has neither a wallet_id nor an external_id");
        check_csv(all, ",\"a\",\"\",null,USD,\"0.00\"", "- a - - 0 USD");
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
    fn quotes_stand_around_whole_fields_and_nothing_ends_a_line_within_it() {
        let all = "wallet_id,external_id,name,labels,currency,amount";
        let behind = "field 3 goes on behind the quote that closes it: a quote within a text is written twice";
        check_csv(all, "1,,\"d\"e,,USD,1", behind);
        check_csv(all, "1,,\"d\" ,,USD,1", behind);
        check_csv(all, "1,,\"d\"\"\"e\"\",,USD,1", behind);
        let open = "field 3 has a quote that is not closed";
        check_csv(all, "1,,\"d,,USD,1", open);
        check_csv(all, "1,,\"d\"\",,USD,1", open);
        let within = "field 3 has a quote within it: such a field stands in quotes, and the quote is written twice";
        check_csv(all, "1,,d\"e,,USD,1", within);
        check_csv(all, "1,, \"d\",,USD,1", within);
        let end = "it has a carriage return within it: lines end with LF or CRLF";
        check_csv(all, "1,,\"d\re\",,USD,1", end);
        check_csv(all, "1,,d,,USD,1\r2,,e,,USD,1", end);
        check_json("{\"wallet_id\":1}\r{\"wallet_id\":2}", end);
    }

    #[test]
    fn a_label_that_names_another_currency_is_a_contradiction() {
        let all = "wallet_id,labels,currency,amount";
        let rub = r#"1,"{""currency"":""RUB""}""#;
        let reason = "its label says that its currency is RUB, and its amount is in USD";
        check_csv(all, &format!("{rub},USD,1"), reason);
        check_csv(all, &format!("{rub},USD,0"), reason);
        check_csv(all, &format!("{rub},USD,"), reason);
        check_csv(all, &format!("{rub},RUB,1"), r#"1 - - {"currency":"RUB"} 1 RUB"#);
        check_csv(all, &format!("{rub},,"), r#"1 - - {"currency":"RUB"} -"#);
        check_json(
            r#"{"wallet_id":1,"labels":{"currency":"RUB"},"amount":1}"#,
            "its label says that its currency is RUB, and its amount is in EUR",
        );
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
        check("wallet_id,amount\r1,2", "the header: it has a carriage return within it: lines end with LF or CRLF");
        check("wallet_id,\"amount", "the header: field 2 has a quote that is not closed");
    }

    const NO_OBJECT: &str =
        r#"it is no JSON object: a line is one, such as {"wallet_id": 1, "currency": "USD", "amount": 5}"#;

    #[test]
    fn json_lines_are_read_exactly() {
        check_json(r#"{"wallet_id":1,"amount":0.10}"#, "1 - - - 0.1 EUR");
        check_json(
            r#"{"external_id":"a","name":null,"labels":{"b":"c"},"currency":"USD","amount":"12345678901234567890.12345678"}"#,
            r#"- a - {"b":"c"} 12345678901234567890.12345678 USD"#,
        );
        check_json(r#"{"wallet_id":"7","amount":null}"#, "7 - - - -");
        check_json(r#"{"wallet_id":7,"amount":0e5}"#, "7 - - - 0 EUR");
        for (record, expected) in [
            (r#"{"wallet_id":true}"#, "wallet_id must be a number, or a string that holds one"),
            (r#"{"wallet_id":1,"amount":[]}"#, "amount must be a number, or a string that holds one"),
            (r#"{"wallet_id":1,"name":7}"#, "name must be a string"),
            (r#"{"wallet_id":1,"currency":["USD"]}"#, "currency must be a string"),
            (r#"{"wallet_id":1,"labels":{"a":1}}"#, "{\"a\":1}: labels are a JSON object of strings"),
            (r#"{"wallet_id":1,"labels":["a"]}"#, "[\"a\"]: labels are a JSON object of strings"),
            (
                r#"{"wallet_id":1,"ammount":1}"#,
                "unknown field `ammount`, expected one of `wallet_id`, `external_id`, `name`, `labels`, `currency`, `amount`",
            ),
            (r#"{"wallet_id":1,"wallet_id":2}"#, "duplicate field `wallet_id`"),
            ("[401,null,null,null,\"USD\",1]", NO_OBJECT),
            ("[1]", NO_OBJECT),
            ("401", NO_OBJECT),
            ("nonsense", NO_OBJECT),
            (r#"{"wallet_id":1"#, "it is no JSON: EOF while parsing an object at byte 14"),
            (r#"{"wallet_id":1}{"wallet_id":2}"#, "it is no JSON: trailing characters at byte 16"),
        ] {
            check_json(record, expected);
        }
        check_json(
            r#"{"wallet_id":1,"external_id":""}"#,
            "external_id must have 1 to 255 characters and no NUL among them",
        );
    }
}
