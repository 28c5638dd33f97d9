//! Money: an integer number of minor units with an ISO 4217 currency. Arithmetic is checked and never uses
//! floats.

use std::{fmt, str::FromStr};

use iso_currency::Currency as Iso;
use sea_orm::{
    ColIdx, QueryResult, TryGetError, TryGetable, Value,
    sea_query::{ArrayType, ColumnType, Nullable, StringLen, ValueType, ValueTypeErr},
};
use serde::{Deserialize, Serialize};

use super::stored::misread;

/// An active ISO 4217 currency for which the standard defines a number of decimals (zero for JPY).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(Iso);

/// Why an amount could not be read or computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not the three-letter code of a [`Currency`].
    #[error("unknown currency")]
    UnknownCurrency,
    /// The text is not a decimal number in plain digits.
    #[error("not a decimal amount")]
    Malformed,
    /// The amount has more decimals than the currency.
    #[error("more decimals than the currency has")]
    ExcessDecimals,
    /// The operands have different currencies.
    #[error("amounts of different currencies cannot be combined")]
    MixedCurrencies,
    /// The amount does not fit into 64 bits.
    #[error("amount out of range")]
    Overflow,
}

impl Currency {
    /// Parses a code such as `EUR`, in upper case as in ISO 4217.
    pub fn from_code(code: &str) -> Result<Self, MoneyError> {
        let iso = Iso::from_code(code).ok_or(MoneyError::UnknownCurrency)?;
        // For some codes (gold, testing) ISO 4217 defines no decimals. They are not money.
        iso.exponent().map(|_| Self(iso)).ok_or(MoneyError::UnknownCurrency)
    }

    /// Returns the three-letter code.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Returns the number of decimals of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn decimals(self) -> u32 {
        self.0.exponent().map_or(2, u32::from)
    }

    fn minor_per_major(self) -> i64 {
        10_i64.saturating_pow(self.decimals())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(code: &str) -> Result<Self, MoneyError> {
        Self::from_code(code)
    }
}
impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}
impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::from_code(&code).map_err(serde::de::Error::custom)
    }
}

impl From<Currency> for Value {
    fn from(currency: Currency) -> Self {
        Value::from(currency.code().to_owned())
    }
}
impl TryGetable for Currency {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
        let code = String::try_get_by(row, index)?;
        Self::from_code(&code).map_err(|_| misread::<Self, I>(row, index, &code, "a code of ISO 4217"))
    }
}
impl ValueType for Currency {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        let code = <String as ValueType>::try_from(value)?;
        Self::from_code(&code).map_err(|_| ValueTypeErr)
    }
    fn type_name() -> String {
        "Currency".to_owned()
    }
    fn array_type() -> ArrayType {
        ArrayType::String
    }
    fn column_type() -> ColumnType {
        ColumnType::String(StringLen::N(3))
    }
}
impl Nullable for Currency {
    fn null() -> Value {
        Value::String(None)
    }
}

/// An amount in one currency, in minor units (cents, yen, fils).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// The minor units; negative only where a rule allows it.
    pub minor: i64,
    /// The currency of the amount.
    pub currency: Currency,
}

impl Money {
    /// Returns an amount of `minor` units.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Returns zero in this currency.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// Parses a plain decimal in major units, such as `12.50`. A leading `-` is allowed, an exponent is not.
    /// The amount has at most as many decimals as the currency.
    pub fn parse(amount: &str, currency: Currency) -> Result<Self, MoneyError> {
        if amount.len() > 24 {
            return Err(MoneyError::Malformed);
        }
        let (negative, digits) = match amount.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, amount),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return Err(MoneyError::Malformed),
            Some(parts) => parts,
            None => (digits, ""),
        };
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(fraction) {
            return Err(MoneyError::Malformed);
        }
        let decimals = usize::try_from(currency.decimals()).map_err(|_| MoneyError::Overflow)?;
        if fraction.len() > decimals {
            return Err(MoneyError::ExcessDecimals);
        }
        let number = |text: &str| text.parse::<i64>().map_err(|_| MoneyError::Overflow);
        let fraction = if decimals == 0 { 0 } else { number(&format!("{fraction:0<decimals$}"))? };
        let minor = number(whole)?
            .checked_mul(currency.minor_per_major())
            .and_then(|minor| minor.checked_add(fraction))
            .ok_or(MoneyError::Overflow)?;
        Ok(Self::new(if negative { minor.saturating_neg() } else { minor }, currency))
    }

    /// Returns the amount as a decimal text in major units, with all decimals of its currency.
    pub fn amount(self) -> String {
        let decimals = usize::try_from(self.currency.decimals()).unwrap_or(2);
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = self.minor.unsigned_abs().to_string();
        let padded = format!("{digits:0>width$}", width = decimals.saturating_add(1));
        let (whole, fraction) = padded.split_at(padded.len().saturating_sub(decimals));
        if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }

    /// Returns the sum of two amounts of one currency.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.require_same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(minor, self.currency))
    }

    /// Returns the difference of two amounts of one currency.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.require_same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(minor, self.currency))
    }

    /// Returns the amount multiplied by `count`.
    pub fn times(self, count: i64) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(count).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(minor, self.currency))
    }

    /// Returns `numerator / denominator` of the amount, rounded half away from zero.
    pub fn ratio(self, numerator: i64, denominator: i64) -> Result<Self, MoneyError> {
        let (n, d) = (i128::from(numerator), i128::from(denominator));
        let product = i128::from(self.minor).checked_mul(n).ok_or(MoneyError::Overflow)?;
        let half = d.checked_div(2).ok_or(MoneyError::Overflow)?;
        let shifted =
            if (product < 0) == (d < 0) { product.checked_add(half) } else { product.checked_sub(half) };
        let minor = shifted.and_then(|sum| sum.checked_div(d)).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(
            <i64 as TryFrom<i128>>::try_from(minor).map_err(|_| MoneyError::Overflow)?,
            self.currency,
        ))
    }

    /// Splits the amount by `weights` without losing a unit (largest remainder method; ties go to the earlier
    /// part). If all weights are zero, the first part gets everything.
    pub fn split(self, weights: &[u64]) -> Result<Vec<Self>, MoneyError> {
        let sum = weights.iter().map(|weight| i128::from(*weight)).sum::<i128>();
        let total = i128::from(self.minor);
        if sum == 0 {
            let parts = weights.iter().enumerate();
            return Ok(parts.map(|(at, _)| if at == 0 { self } else { Self::zero(self.currency) }).collect());
        }
        let mut parts = Vec::with_capacity(weights.len());
        let mut left = total;
        for (at, weight) in weights.iter().enumerate() {
            let share = total.checked_mul(i128::from(*weight)).ok_or(MoneyError::Overflow)?;
            let floor = share.div_euclid(sum);
            left = left.saturating_sub(floor);
            parts.push((at, floor, share.rem_euclid(sum)));
        }
        parts.sort_by_key(|(at, _, remainder)| (std::cmp::Reverse(*remainder), *at));
        for part in &mut parts {
            if left > 0 {
                part.1 = part.1.saturating_add(1);
                left = left.saturating_sub(1);
            }
        }
        parts.sort_by_key(|(at, _, _)| *at);
        parts
            .into_iter()
            .map(|(_, minor, _)| {
                let minor = <i64 as TryFrom<i128>>::try_from(minor).map_err(|_| MoneyError::Overflow)?;
                Ok(Self::new(minor, self.currency))
            })
            .collect()
    }

    fn require_same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency { Ok(()) } else { Err(MoneyError::MixedCurrencies) }
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount(), self.currency)
    }
}
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        Currency::from_code(code).unwrap()
    }

    #[test]
    fn amounts_are_read_and_written_with_the_decimals_of_their_currency() {
        for (text, code, expected) in [
            ("12.5", "EUR", Ok((1250, "12.50"))),
            ("-0.05", "EUR", Ok((-5, "-0.05"))),
            ("5200", "JPY", Ok((5200, "5200"))),
            ("1.234", "KWD", Ok((1234, "1.234"))),
            ("1.005", "EUR", Err(MoneyError::ExcessDecimals)),
            ("1.0", "JPY", Err(MoneyError::ExcessDecimals)),
            ("1e3", "EUR", Err(MoneyError::Malformed)),
            ("NaN", "EUR", Err(MoneyError::Malformed)),
            ("", "EUR", Err(MoneyError::Malformed)),
            (".5", "EUR", Err(MoneyError::Malformed)),
            ("5.", "EUR", Err(MoneyError::Malformed)),
            ("+5", "EUR", Err(MoneyError::Malformed)),
            ("99999999999999999999", "EUR", Err(MoneyError::Overflow)),
        ] {
            let money = Money::parse(text, currency(code));
            let seen = money.map(|money| (money.minor, money.amount()));
            assert_eq!(seen, expected.map(|(minor, out)| (minor, out.to_owned())), "{text} {code}");
        }
        assert_eq!(Currency::from_code("XAU"), Err(MoneyError::UnknownCurrency));
        assert_eq!(Currency::from_code("eur"), Err(MoneyError::UnknownCurrency));
    }

    proptest! {
        #[test]
        fn splitting_never_loses_a_unit(
            minor in -1_000_000_i64..1_000_000,
            weights in prop::collection::vec(0_u64..1000, 1..12),
        ) {
            let parts = Money::new(minor, currency("EUR")).split(&weights).unwrap();
            prop_assert_eq!(parts.iter().map(|part| part.minor).sum::<i64>(), minor);
            prop_assert_eq!(parts.len(), weights.len());
        }

        #[test]
        fn an_amount_is_the_same_after_it_is_written_and_read(
            minor in any::<i64>().prop_filter("representable", |m| *m != i64::MIN),
            code in prop::sample::select(vec!["EUR", "JPY", "KWD"]),
        ) {
            let money = Money::new(minor, currency(code));
            prop_assert_eq!(Money::parse(&money.amount(), currency(code)), Ok(money));
        }

        #[test]
        fn a_ratio_is_within_half_a_unit(minor in -1_000_000_i64..1_000_000, n in 0_i64..10_000) {
            let part = Money::new(minor, currency("EUR")).ratio(n, 10_000).unwrap().minor;
            prop_assert!((i128::from(part) * 10_000 - i128::from(minor) * i128::from(n)).abs() <= 5_000);
        }
    }
}
