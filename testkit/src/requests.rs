//! Requests of which every field is made up, so that a test names only what it is about:
//! `CreateDrop { hold_secs: 60.into(), ..requests::drop(now, "Mugs") }`.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    catalog::{CreateProduct, CreateVariant, TaxClass},
    creators::CreateCreator,
    drops::{
        create::CreateDrop,
        terms::{Balance, Deposit, Tier},
    },
    payments::{gateway::GatewayIdentity, method::PaymentMethod},
    platform::{
        Currency, Money,
        idempotency::IdempotencyKey,
        ids::{CheckoutId, ProductId},
        tags::Tags,
        text::{Line, Markdown},
    },
    reservations::{address::Address, pay::PayRequest},
};

/// An amount in cents.
pub fn euros(minor: i64) -> Money {
    Money::new(minor, Currency::from_code("EUR").expect("a currency"))
}

/// A line of text.
pub fn line<const MAX: usize>(text: &str) -> Line<MAX> {
    Line::new(text).expect("a line")
}

fn nothing() -> Markdown {
    Markdown::new("").expect("no text is a text")
}

/// A creator in Berlin who prices in euros, taxes included.
pub fn creator(name: &str) -> CreateCreator {
    CreateCreator {
        slug: None,
        name: line(name),
        tagline: None,
        place: None,
        country: "DE".parse().expect("a country"),
        time_zone: "Europe/Berlin".parse().expect("a time zone"),
        currency: Currency::from_code("EUR").expect("a currency"),
        prices_include_tax: true,
        story: nothing(),
    }
}

/// A product of which nothing is told.
pub fn product(title: &str) -> CreateProduct {
    CreateProduct {
        slug: None,
        title: line(title),
        summary: None,
        description: nothing(),
        tags: Tags::default(),
    }
}

/// A variant of 400 g in a box of ten centimetres.
pub fn variant(product: ProductId, sku: &str, price: Money) -> CreateVariant {
    let side = || 100.try_into().expect("a length");
    CreateVariant {
        product,
        sku: sku.parse().expect("a SKU"),
        title: line("One size"),
        price,
        weight: 400.try_into().expect("a weight"),
        length: side(),
        width: side(),
        height: side(),
        tax_class: TaxClass::Standard,
    }
}

/// A drop that opens now for a day, holds for ten minutes and takes a quarter at once.
pub fn drop(now: DateTime<Utc>, title: &str) -> CreateDrop {
    CreateDrop {
        slug: None,
        series: None,
        title: line(title),
        summary: None,
        description: nothing(),
        tags: Vec::new(),
        opens_at: now,
        closes_at: now.checked_add_signed(TimeDelta::hours(24)).expect("a day of the calendar"),
        per_buyer_max: None,
        minimum_units: None,
        hold_secs: 600.into(),
        deposit: Deposit::Percent(2_500),
        balance: Balance::BeforeShipping,
        lead_time_days: 30.into(),
        pickup: true,
        shipping: true,
    }
}

/// Prices, each up to so many units.
pub fn tiers(prices: &[(i64, Option<u32>)]) -> Vec<Tier> {
    let tier = |(price_minor, up_to_units): &(i64, Option<u32>)| Tier {
        price_minor: *price_minor,
        up_to_units: up_to_units.map(|units| units.try_into().expect("a number of units")),
        until: None,
    };
    prices.iter().map(tier).collect()
}

/// Where a buyer in Berlin lives.
pub fn address() -> Address {
    Address {
        name: line("Ada Example"),
        line1: line("Kiln Lane 1"),
        line2: None,
        postal_code: line("10115"),
        city: line("Berlin"),
        country: "DE".parse().expect("a country"),
        phone: None,
    }
}

/// The gateway that [`pay`] names.
pub fn gateway() -> GatewayIdentity {
    GatewayIdentity::in_test("sandbox")
}

/// An idempotency key; any text makes one.
pub fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(&format!("key-for-{text}")).expect("a key")
}

/// A choice of a method that pays at once, by the key of that name. The buyer comes back to nowhere.
pub fn pay(checkout: CheckoutId, name: &str) -> PayRequest {
    PayRequest {
        checkout,
        method: PaymentMethod::new("pm_sandbox_success").expect("a method"),
        return_url: None,
        gateway: gateway(),
        key: key(name),
    }
}
