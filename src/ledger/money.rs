//! Amounts: exact decimals, never a float, never silently rounded.

use std::fmt;

use rust_decimal::Decimal;

use super::{CurrencyCode, Rejection};

/// Most significant digits an amount or a balance may have.
///
/// The decimal type holds 96 bits, so every number of 28 digits is exact and the sum of two of them is too.
pub const DIGITS_MAX: u32 = 28;

/// A positive amount in major units, of at most [`DIGITS_MAX`] digits, without trailing zeros.
///
/// Whether its decimals fit its currency is asked by the rules, once the currency is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(Decimal);

impl Amount {
    /// Refuses zero, negative numbers and numbers of more than [`DIGITS_MAX`] digits.
    pub fn new(value: Decimal) -> Result<Self, Rejection> {
        if value <= Decimal::ZERO {
            return Err(Rejection::AmountNotPositive);
        }
        let value = value.normalize();
        if !fits(value) {
            return Err(Rejection::AmountTooLarge);
        }
        Ok(Self(value))
    }

    /// Reads a number as JSON and SQL write it (`12`, `-0.50`, `1.5e3`), exactly.
    ///
    /// A number that is positive but has more digits than an amount may have is
    /// [`Rejection::AmountTooLarge`], one that is no number at all is [`Rejection::AmountInvalid`].
    pub fn parse(text: &str) -> Result<Self, Rejection> {
        let literal = Literal::split(text).ok_or(Rejection::AmountInvalid)?;
        if literal.is_negative || literal.is_zero() {
            return Err(Rejection::AmountNotPositive);
        }
        Self::new(literal.value().ok_or(Rejection::AmountTooLarge)?)
    }

    /// The number itself, in major units.
    pub fn value(self) -> Decimal {
        self.0
    }

    /// Decimal places in use, 0 when it is a whole number.
    pub fn scale(self) -> u32 {
        self.0.scale()
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// An amount in a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    /// How much, in major units.
    pub amount: Amount,
    /// Of what.
    pub currency: CurrencyCode,
}

/// Whether a number has at most [`DIGITS_MAX`] significant digits.
pub fn fits(value: Decimal) -> bool {
    value.mantissa().unsigned_abs() < 10_u128.pow(DIGITS_MAX)
}

/// Adds exactly, or not at all: `None` when the sum would need more than [`DIGITS_MAX`] digits.
pub fn add(left: Decimal, right: Decimal) -> Option<Decimal> {
    // Zeros at their ends may have been all that was too long.
    sum(left, right).or_else(|| sum(left.normalize(), right.normalize()))
}

fn sum(left: Decimal, right: Decimal) -> Option<Decimal> {
    let sum = left.checked_add(right)?;
    // The library makes room in a crowded sum by dropping decimals; for money that is an overflow.
    let is_exact = sum.scale() >= left.scale().max(right.scale());
    let sum = sum.normalize();
    (is_exact && fits(sum)).then_some(sum)
}

/// A number's text, taken apart without reading it as anything inexact.
struct Literal<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Literal<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = is_digits(whole) && is_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
        is_number.then_some(Self { is_negative, whole, fraction, exponent })
    }

    fn is_zero(&self) -> bool {
        self.whole.bytes().chain(self.fraction.bytes()).all(|byte| byte == b'0')
    }

    /// The number without its sign, or `None` when it does not fit.
    fn value(&self) -> Option<Decimal> {
        let fraction = self.fraction.trim_end_matches('0');
        let mut mantissa: i128 = 0;
        let mut zeros_pending: u32 = 0;
        let mut digits: u32 = 0;
        let whole_trimmed = self.whole.trim_start_matches('0');
        for digit in whole_trimmed.bytes().chain(fraction.bytes()).map(|byte| byte - b'0') {
            if digit == 0 {
                zeros_pending = zeros_pending.checked_add(1)?;
                continue;
            }
            // Leading zeros of a fraction cost no digits, zeros between digits do.
            if mantissa != 0 {
                digits = digits.checked_add(zeros_pending)?;
                if digits > DIGITS_MAX {
                    return None;
                }
                mantissa *= 10_i128.pow(zeros_pending);
            }
            zeros_pending = 0;
            digits += 1;
            if digits > DIGITS_MAX {
                return None;
            }
            mantissa = mantissa * 10 + i128::from(digit);
        }
        // `mantissa` stands `zeros_pending` places left of the last digit read, `fraction` right of the point.
        let exponent =
            self.exponent.checked_add(i64::from(zeros_pending))?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        if exponent >= 0 {
            let shift = u32::try_from(exponent).ok().filter(|shift| digits + shift <= DIGITS_MAX)?;
            return Decimal::try_from_i128_with_scale(mantissa * 10_i128.pow(shift), 0).ok();
        }
        let scale = u32::try_from(exponent.checked_neg()?).ok()?;
        Decimal::try_from_i128_with_scale(mantissa, scale).ok()
    }
}

/// An exponent's digits with their sign. One too long for a number is as large as a number gets: far outside any amount.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let magnitude: i64 = digits.parse().unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let got = match Amount::parse(text) {
            Ok(amount) => amount.to_string(),
            Err(rejection) => rejection.code().to_owned(),
        };
        assert_eq!(got, expected, "{}", text.get(..40).unwrap_or(text));
    }

    #[test]
    fn amounts_are_read_exactly_or_refused() {
        check("1", "1");
        check("0.1", "0.1");
        check("12.3400", "12.34");
        check("007.50", "7.5");
        check("1e3", "1000");
        check("1.5E+2", "150");
        check("25e-4", "0.0025");
        check("100", "100");
        check("1000.000", "1000");
        check("10203.0405", "10203.0405");
        check("0.000000000000000001", "0.000000000000000001");
        check("9999999999999999999999999999", "9999999999999999999999999999");
        check("99999999999999999999999999.99", "99999999999999999999999999.99");
        check("10000000000000000000000000000", "amount_too_large");
        check("0.12345678901234567890123456789", "amount_too_large");
        check("1e400", "amount_too_large");
        check("1e-400", "amount_too_large");
        check("1e99999999999999999999", "amount_too_large");
        check("0e400", "amount_not_positive");
        check("0", "amount_not_positive");
        check("-0", "amount_not_positive");
        check("0.00", "amount_not_positive");
        check("-1", "amount_not_positive");
        check("-1e400", "amount_not_positive");
        for bad in ["", ".", "-", "NaN", "inf", "1,5", "1.2.3", "0x10", "1e", "1e+", "e5", " 1", "1 ", "--1", "١"] {
            check(bad, "amount_invalid");
        }
    }

    #[test]
    fn a_very_long_literal_is_read_in_bounded_work() {
        check(&format!("1{}", "0".repeat(1_000_000)), "amount_too_large");
        check(&format!("0.{}1", "0".repeat(1_000_000)), "amount_too_large");
        check(&format!("5.{}", "0".repeat(1_000_000)), "5");
    }

    #[test]
    fn a_sum_is_exact_or_refused() {
        let large = Decimal::from_str_exact("9000000000000000000000000000").unwrap();
        assert_eq!(add(large, Decimal::new(1, 2)), None);
        assert_eq!(add(large, large), None);
        assert_eq!(add(Decimal::new(10, 2), Decimal::new(90, 2)), Some(Decimal::ONE));
        // However a number is written, zeros at its end take no room.
        for zero in [Decimal::new(0, 0), Decimal::new(0, 2), Decimal::new(0, 28)] {
            assert_eq!(add(Decimal::new(5, 0), zero), Some(Decimal::new(5, 0)));
            assert_eq!(add(zero, large), Some(large));
            assert_eq!(add(zero, zero), Some(Decimal::ZERO));
        }
        let (ten, sum) = (Decimal::new(10_000, 3), Decimal::from_str_exact("9000000000000000000000000010").unwrap());
        assert_eq!((add(large, ten), add(sum, -ten)), (Some(sum), Some(large)));
    }
}
