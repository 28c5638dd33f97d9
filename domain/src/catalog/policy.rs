//! The rules of the catalogue that need no database.

use crate::platform::{Currency, Money};

/// The most products of a creator, archived ones included.
pub const PRODUCTS_MAX: u64 = 5_000;
/// The most variants of a product, archived ones included. One page reads them all.
pub const VARIANTS_MAX: u64 = 100;
/// The highest price of a unit, in minor units. It keeps the sums of any checkout far below 64 bits.
pub const PRICE_MINOR_MAX: i64 = 1_000_000_000;

/// The reasons why a price is not valid for a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceError {
    /// The price is not in the creator's currency.
    CurrencyMismatch,
    /// The price is zero, negative or above [`PRICE_MINOR_MAX`].
    OutOfRange,
}

/// Checks the price of one unit against its product's currency.
pub fn check_price(price: Money, currency: Currency) -> Result<(), PriceError> {
    if price.currency != currency {
        Err(PriceError::CurrencyMismatch)
    } else if (1..=PRICE_MINOR_MAX).contains(&price.minor) {
        Ok(())
    } else {
        Err(PriceError::OutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_positive_bounded_and_in_the_creators_currency() {
        let currency = |code| Currency::from_code(code).unwrap();
        for (minor, code, expected) in [
            (1, "EUR", Ok(())),
            (PRICE_MINOR_MAX, "EUR", Ok(())),
            (0, "EUR", Err(PriceError::OutOfRange)),
            (-1, "EUR", Err(PriceError::OutOfRange)),
            (PRICE_MINOR_MAX + 1, "EUR", Err(PriceError::OutOfRange)),
            (1, "JPY", Err(PriceError::CurrencyMismatch)),
        ] {
            assert_eq!(
                check_price(Money::new(minor, currency(code)), currency("EUR")),
                expected,
                "{minor} {code}"
            );
        }
    }
}
