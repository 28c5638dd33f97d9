//! The demo's tax rates and its creators' shipping tariffs. These are examples of such tables, not tax
//! advice.

use domain::{
    catalog::{Grams, TaxClass},
    platform::{Country, Currency},
};

/// A country of the demo with its tax rates, in basis points.
struct Rates {
    country: &'static str,
    standard: u32,
    reduced: u32,
    books: u32,
    food: u32,
}

const RATES: &[Rates] = &[
    Rates { country: "AT", standard: 2000, reduced: 1000, books: 1000, food: 1000 },
    Rates { country: "BE", standard: 2100, reduced: 600, books: 600, food: 600 },
    Rates { country: "DE", standard: 1900, reduced: 700, books: 700, food: 700 },
    Rates { country: "DK", standard: 2500, reduced: 2500, books: 0, food: 2500 },
    Rates { country: "ES", standard: 2100, reduced: 1000, books: 400, food: 1000 },
    Rates { country: "FR", standard: 2000, reduced: 1000, books: 550, food: 550 },
    Rates { country: "GB", standard: 2000, reduced: 500, books: 0, food: 0 },
    Rates { country: "IE", standard: 2300, reduced: 1350, books: 0, food: 0 },
    Rates { country: "IT", standard: 2200, reduced: 1000, books: 400, food: 1000 },
    Rates { country: "JP", standard: 1000, reduced: 800, books: 1000, food: 800 },
    Rates { country: "NL", standard: 2100, reduced: 900, books: 900, food: 900 },
    Rates { country: "PT", standard: 2300, reduced: 1300, books: 600, food: 600 },
    Rates { country: "SE", standard: 2500, reduced: 1200, books: 600, food: 1200 },
];

/// Returns the country, the tax class and the rate in basis points of every tax rate.
pub(super) fn rates() -> impl Iterator<Item = (&'static str, TaxClass, u32)> {
    RATES.iter().flat_map(|row| {
        [
            (row.country, TaxClass::Standard, row.standard),
            (row.country, TaxClass::Reduced, row.reduced),
            (row.country, TaxClass::Books, row.books),
            (row.country, TaxClass::Food, row.food),
            (row.country, TaxClass::Zero, 0),
        ]
    })
}

/// The weight classes in grams, with the prices of a parcel within the country, to a near country and to a
/// far one, in euro cents.
const PARCELS: &[(i32, i64, i64, i64)] = &[
    (500, 390, 790, 1490),
    (2_000, 590, 1190, 2490),
    (10_000, 990, 1990, 5990),
    (31_500, 1990, 3990, 14_990),
];
/// The weight class and the prices of heavier shipments, which go by freight.
const FREIGHT: (i32, i64, i64, i64) = (Grams::MAX, 5_900, 11_900, 39_900);

/// Returns the country, the maximum weight in grams and the price in minor units of each tariff, for a
/// creator in the country `home`.
pub(super) fn tariffs(home: Country, currency: Currency) -> impl Iterator<Item = (&'static str, i32, i64)> {
    RATES.iter().flat_map(move |row| {
        PARCELS.iter().chain(std::iter::once(&FREIGHT)).map(move |(grams, at_home, near, far)| {
            let euro_cents = if row.country == home.code() {
                at_home
            } else if (row.country == "JP") == (home.code() == "JP") {
                near
            } else {
                far
            };
            (row.country, *grams, round(*euro_cents, currency))
        })
    })
}

/// Converts euro cents to a rounded price in another currency, at an approximate exchange rate.
fn round(euro_cents: i64, currency: Currency) -> i64 {
    match currency.code() {
        // 1 euro = 160 yen, rounded down to tens of yen.
        "JPY" => euro_cents.saturating_mul(16).div_euclid(100).saturating_mul(10),
        "GBP" => euro_cents.saturating_mul(85).div_euclid(100),
        "DKK" | "SEK" => euro_cents.saturating_mul(75).div_euclid(1_000).saturating_mul(100),
        _ => euro_cents,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_has_every_class_and_a_tariff_for_every_weight() {
        let countries: std::collections::BTreeSet<_> = rates().map(|(country, _, _)| country).collect();
        assert_eq!(rates().count(), countries.len() * 5);
        for (home, currency) in [("DE", "EUR"), ("JP", "JPY"), ("GB", "GBP")] {
            let tariffs: Vec<_> =
                tariffs(home.parse().unwrap(), Currency::from_code(currency).unwrap()).collect();
            assert_eq!(tariffs.len(), countries.len() * 5);
            assert!(
                tariffs.iter().all(|(country, _, price)| country.parse::<Country>().is_ok() && *price > 0)
            );
        }
    }
}
