//! Requests with default values for every field, so that a test names only the fields that matter:
//! `CreateDrop { hold_secs: 60.into(), ..requests::drop(now, "Mugs") }`.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    catalog::{CreateProduct, CreateVariant, TaxClass},
    creators::{CreateCreator, pickup_places::CreatePickupPlace},
    drops::{
        CreateDrop,
        terms::{Balance, Deposit, Tier},
    },
    payments::{gateway::GatewayIdentity, method::PaymentMethod},
    platform::{
        Currency, Money,
        idempotency::IdempotencyKey,
        ids::{CheckoutId, ProductId},
        tags::Tags,
        text::{Markdown, TextLine},
    },
    reservations::{PayRequest, address::Address},
};

/// Returns an amount of euros, given in cents.
pub fn euros(minor: i64) -> Money {
    Money::new(minor, Currency::from_code("EUR").expect("a currency"))
}

/// Returns a single-line text.
pub fn line<const MAX: usize>(text: &str) -> TextLine<MAX> {
    TextLine::new(text).expect("a line")
}

fn nothing() -> Markdown {
    Markdown::new("").expect("an empty text is valid")
}

/// A request to create a creator in Berlin who prices in euros, tax included.
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

/// A request to create a pickup place in Berlin.
pub fn pickup_place(name: &str) -> CreatePickupPlace {
    CreatePickupPlace {
        name: line(name),
        line1: line("Kiln Lane 1, second yard"),
        line2: None,
        postal_code: Some(line("10115")),
        city: line("Berlin"),
        country: "DE".parse().expect("a country"),
        hours: Some(line("Fri 15:00 to 18:00")),
        note: Some(line("Ring twice.")),
    }
}

/// A request to create a product without a description.
pub fn product(title: &str) -> CreateProduct {
    CreateProduct {
        slug: None,
        title: line(title),
        summary: None,
        description: nothing(),
        tags: Tags::default(),
    }
}

/// A request to create a variant of 400 g in a box of 10 cm × 10 cm × 10 cm.
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

/// A request to create a drop that opens now for 24 hours, holds units for ten minutes and takes a deposit of
/// 25 %.
pub fn drop(now: DateTime<Utc>, title: &str) -> CreateDrop {
    CreateDrop {
        slug: None,
        series: None,
        title: line(title),
        summary: None,
        description: nothing(),
        tags: Vec::new(),
        opens_at: now,
        closes_at: now.checked_add_signed(TimeDelta::hours(24)).expect("a date in range"),
        per_buyer_max: None,
        minimum_units: None,
        hold_secs: 600.into(),
        deposit: Deposit::Percent(2_500),
        balance: Balance::BeforeShipping,
        lead_time_days: 30.into(),
        pickup: true,
        pickup_places: Vec::new(),
        shipping: true,
    }
}

/// Returns price tiers from prices in cents, each with the number of units up to which it applies.
pub fn tiers(prices: &[(i64, Option<u32>)]) -> Vec<Tier> {
    let tier = |(price_minor, up_to_units): &(i64, Option<u32>)| Tier {
        price_minor: *price_minor,
        up_to_units: up_to_units.map(|units| units.try_into().expect("a number of units")),
        until: None,
    };
    prices.iter().map(tier).collect()
}

/// Returns an address in Berlin.
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

/// Returns the identity of the gateway that [`pay`] names.
pub fn gateway() -> GatewayIdentity {
    GatewayIdentity::test_account("sandbox")
}

/// Returns an idempotency key made from any text.
pub fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(&format!("key-for-{text}")).expect("a key")
}

/// A request to pay for a checkout with a method that succeeds immediately. The idempotency key is made from
/// `name`; there is no return URL.
pub fn pay(checkout: CheckoutId, name: &str) -> PayRequest {
    PayRequest {
        checkout,
        method: PaymentMethod::new("pm_sandbox_success").expect("a method"),
        return_url: None,
        gateway: gateway(),
        key: key(name),
    }
}
