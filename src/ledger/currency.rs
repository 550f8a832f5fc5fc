//! Currencies: a code, a number for systems that use ids, and how many decimals an amount may have.

use std::collections::HashMap;
use std::fmt;

use arrayvec::ArrayString;

use super::{Amount, Rejection};

/// Longest currency code, in bytes: room for every ISO 4217 code and the longer crypto tickers.
pub const CODE_BYTES_MAX: usize = 16;

/// Largest scale, in decimal places: 18 is what the finest-grained tokens in use divide by.
pub const SCALE_MAX: u32 = 18;

/// A currency's name, such as `USD`: 1 to 16 printable ASCII characters, case kept as given.
///
/// Well-formed only; whether the currency exists is asked by the rules.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CurrencyCode(ArrayString<CODE_BYTES_MAX>);

impl CurrencyCode {
    /// `None` when the text cannot be the code of any currency.
    pub fn new(code: &str) -> Option<Self> {
        if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        ArrayString::from(code).ok().map(Self)
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CurrencyCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for CurrencyCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One currency as Purser knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency {
    /// What callers name it by.
    pub code: CurrencyCode,
    /// What systems that use ids name it by.
    pub number: i16,
    /// Decimal places an amount may have, 0 to [`SCALE_MAX`].
    pub scale: u32,
}

impl Currency {
    /// Refuses an amount with more decimals than there are in this currency.
    pub fn takes(&self, amount: Amount) -> Result<(), Rejection> {
        if amount.scale() > self.scale { Err(Rejection::TooManyDecimals) } else { Ok(()) }
    }
}

/// Every known currency, by code.
#[derive(Clone, Debug, Default)]
pub struct Currencies(HashMap<CurrencyCode, Currency>);

impl Currencies {
    /// The currency of that code, if it is known.
    pub fn find(&self, code: CurrencyCode) -> Option<&Currency> {
        self.0.get(&code)
    }
}

impl FromIterator<Currency> for Currencies {
    fn from_iter<I: IntoIterator<Item = Currency>>(currencies: I) -> Self {
        Self(currencies.into_iter().map(|currency| (currency.code, currency)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_one_to_sixteen_printable_characters() {
        for good in ["USD", "usdt", "A", "1INCH", "0123456789abcdef"] {
            assert_eq!(CurrencyCode::new(good).map(|code| code.to_string()).as_deref(), Some(good));
        }
        for bad in ["", " USD", "US D", "рубль", "0123456789abcdefg", "A\0B", "A\n"] {
            assert_eq!(CurrencyCode::new(bad), None, "{bad:?}");
        }
    }
}
