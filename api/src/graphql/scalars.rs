//! The scalars for decimal numbers, currencies and sanitised HTML.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// The maximum length of a decimal number, in characters.
pub(super) const DECIMAL_CHARS_MAX: usize = 24;

/// A decimal number as a string, such as `"12.50"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal(pub String);

/// A decimal number as a string, such as `"12.50"`, of at most {DECIMAL_CHARS} characters. JSON numbers are
/// refused, because a parser may round them to floating-point numbers.
#[Scalar]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) if text.len() <= DECIMAL_CHARS_MAX => Ok(Self(text)),
            Value::String(_) => {
                Err(InputValueError::custom(format!("a decimal has at most {DECIMAL_CHARS_MAX} characters")))
            }
            other => Err(InputValueError::expected_type(other)),
        }
    }
    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

impl Decimal {
    /// Converts basis points into a percentage: 1,900 becomes `"19"`, and 550 becomes `"5.5"`.
    pub(crate) fn percent(basis_points: i64) -> Self {
        let (whole, fraction) = (basis_points.div_euclid(100), basis_points.rem_euclid(100));
        let text = format!("{whole}.{fraction:02}");
        Self(text.trim_end_matches('0').trim_end_matches('.').to_owned())
    }

    /// Converts a percentage into basis points. It must have at most five digits and two decimals.
    pub(crate) fn basis_points(&self) -> Result<u32, &'static str> {
        const WRONG: &str = "must be a number of at most five digits, with at most two decimals";
        let (whole, fraction) = self.0.split_once('.').unwrap_or((self.0.as_str(), "0"));
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole) || !plain(fraction) || whole.len() > 5 || fraction.len() > 2 {
            return Err(WRONG);
        }
        let number = |text: &str| text.parse::<u32>().map_err(|_| WRONG);
        Ok(number(whole)?.saturating_mul(100).saturating_add(number(&format!("{fraction:0<2}"))?))
    }
}

/// A currency as a three-letter code of ISO 4217, such as `EUR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrencyCode(pub domain::platform::Currency);

/// A currency as a three-letter code of ISO 4217, such as `EUR`.
#[Scalar]
impl ScalarType for CurrencyCode {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(code) => {
                domain::platform::Currency::from_code(&code).map(Self).map_err(InputValueError::custom)
            }
            other => Err(InputValueError::expected_type(other)),
        }
    }
    fn to_value(&self) -> Value {
        Value::String(self.0.code().to_owned())
    }
}

/// Sanitised HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Html(pub String);

/// HTML that was rendered from a creator's Markdown and sanitised. It can be put into a page without
/// escaping.
#[Scalar(name = "HTML")]
impl ScalarType for Html {
    fn parse(value: Value) -> InputValueResult<Self> {
        Err(InputValueError::expected_type(value))
    }
    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_exact() {
        for (points, text) in [(1_900, "19"), (550, "5.5"), (5, "0.05"), (0, "0"), (10_000, "100")] {
            assert_eq!(Decimal::percent(points).0, text);
            assert_eq!(Decimal(text.to_owned()).basis_points().map(i64::from), Ok(points));
        }
        for bad in ["", "1.234", "-1", "1e2", "1.", ".5", "a"] {
            assert!(Decimal(bad.to_owned()).basis_points().is_err(), "{bad}");
        }
    }
}
