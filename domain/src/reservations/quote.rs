//! Prices: one pure function, [`quote`], is used for quotes and for reserving alike.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    catalog::{Grams, TaxClass},
    drops::terms::{Balance, Deposit, Tier},
    platform::{
        BasisPoints, Country, Currency, Days, Money, Quantity, TariffGrams, TimeZone, Units,
        ids::{CreatorId, DropId, DropItemId, PickupPlaceId, VariantId},
        money::MoneyError,
    },
};

/// How the line is delivered to the buyer.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    sea_orm::EnumIter,
    sea_orm::DeriveActiveEnum,
)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveryMethod {
    /// Shipped to the address of the checkout.
    #[sea_orm(string_value = "SHIPPING")]
    Shipping,
    /// Picked up at one of the drop's pickup places.
    #[sea_orm(string_value = "PICKUP")]
    Pickup,
}

/// The tax rate of a country and tax class, valid from an instant on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxRate {
    /// The country.
    pub country: Country,
    /// The tax class of the goods.
    pub class: TaxClass,
    /// When the rate becomes valid.
    pub starts_at: DateTime<Utc>,
    /// The rate, in basis points of the net price.
    pub rate_bp: BasisPoints,
}

/// A creator's flat price for shipping a parcel to a country, up to a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippingTariff {
    /// The creator.
    pub creator: CreatorId,
    /// The destination.
    pub country: Country,
    /// The maximum weight of the parcel.
    pub weight_grams_max: TariffGrams,
    /// The price, gross or net like the creator's prices.
    pub price: Money,
}

/// A pickup place that a drop offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferedPlace {
    /// The place.
    pub id: PickupPlaceId,
    /// Its country, whose tax applies to what is picked up there.
    pub country: Country,
}

/// The terms of one drop item that a quote depends on.
#[derive(Debug, Clone)]
pub struct ItemTerms {
    /// The item.
    pub item: DropItemId,
    /// Its drop.
    pub drop: DropId,
    /// Its creator.
    pub creator: CreatorId,
    /// Its variant.
    pub variant: VariantId,
    /// The drop's currency.
    pub currency: Currency,
    /// The price tiers, in order.
    pub tiers: Vec<Tier>,
    /// The deposit, which is due now.
    pub deposit: Deposit,
    /// When the balance is due.
    pub balance: Balance,
    /// When the window closes; the lead time starts then.
    pub closes_at: DateTime<Utc>,
    /// The days from the close of the window to shipping.
    pub lead_time_days: Days,
    /// Whether the item can be picked up.
    pub pickup: bool,
    /// The drop's pickup places. Drops from before there were places have none: there the creator and the
    /// buyer agree on the place.
    pub pickup_places: Vec<OfferedPlace>,
    /// Whether the item can be shipped.
    pub shipping: bool,
    /// Whether the prices include tax.
    pub prices_include_tax: bool,
    /// The creator's country, whose tax applies to a pickup from a drop without places.
    pub origin_country: Country,
    /// The creator's time zone, in which due dates are computed.
    pub time_zone: TimeZone,
    /// The tax class of the goods.
    pub tax_class: TaxClass,
    /// The weight of one unit.
    pub weight_grams: Grams,
}

/// One requested line.
#[derive(Debug, Clone, Copy)]
pub struct LineAsked<'a> {
    /// The terms of the item.
    pub terms: &'a ItemTerms,
    /// The number of units.
    pub units: Quantity,
    /// How it reaches the buyer.
    pub delivery: DeliveryMethod,
    /// The chosen pickup place. It may be left out if the drop has only one.
    pub pickup_place: Option<PickupPlaceId>,
    /// The units of the item that are already held or confirmed. They determine the price tier.
    pub taken: u32,
}

/// The tax rates and tariffs that a quote may need.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// The tax rates, of any country and date.
    pub rates: Vec<TaxRate>,
    /// The tariffs, of any creator and country.
    pub tariffs: Vec<ShippingTariff>,
}

/// An amount, split into net and tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taxed {
    /// The amount without tax, in minor units.
    pub net: i64,
    /// The tax, in minor units.
    pub tax: i64,
}

impl Taxed {
    /// Returns the amount with tax, in minor units.
    pub fn gross(self) -> i64 {
        self.net.saturating_add(self.tax)
    }
}

/// A number of units at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricePart {
    /// The number of units.
    pub units: u32,
    /// The price of one unit in minor units, gross or net like the creator's prices.
    pub price_minor: i64,
}

/// The prices of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotedLine {
    /// The item.
    pub item: DropItemId,
    /// Its drop.
    pub drop: DropId,
    /// Its creator.
    pub creator: CreatorId,
    /// Its variant.
    pub variant: VariantId,
    /// The number of units.
    pub units: Quantity,
    /// How it reaches the buyer.
    pub delivery: DeliveryMethod,
    /// Where the buyer picks it up. Quotes that are older than pickup places lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pickup_place: Option<PickupPlaceId>,
    /// The units by price tier.
    pub parts: Vec<PricePart>,
    /// Whether the prices of the parts include tax.
    pub prices_include_tax: bool,
    /// The tax rate.
    pub tax_rate_bp: BasisPoints,
    /// The price of the goods.
    pub goods: Taxed,
    /// The line's share of the shipping price of its parcel.
    pub shipping: Taxed,
    /// The deposit, in minor units.
    pub due_now_minor: i64,
    /// The balance including shipping, in minor units.
    pub due_later_minor: i64,
    /// The date on which the balance is due, in the creator's time zone. If the balance is due before
    /// shipping, this is an estimate.
    pub balance_due_on: NaiveDate,
    /// Whether `balance_due_on` is an estimate.
    pub balance_estimated: bool,
}

impl QuotedLine {
    /// Returns the price of goods and shipping with tax, in minor units.
    pub fn total_minor(&self) -> i64 {
        self.goods.gross().saturating_add(self.shipping.gross())
    }
}

/// The prices of several lines together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sea_orm::FromJsonQueryResult)]
pub struct Quote {
    /// The currency of all lines.
    pub currency: Currency,
    /// The lines, in the order of the request.
    pub lines: Vec<QuotedLine>,
    /// The total with tax, in minor units.
    pub total_minor: i64,
    /// The sum of the deposits, in minor units.
    pub due_now_minor: i64,
    /// The sum of the balances, in minor units.
    pub due_later_minor: i64,
}

impl Quote {
    /// Returns the total with tax.
    pub fn total(&self) -> Money {
        Money::new(self.total_minor, self.currency)
    }
    /// Returns the sum of the deposits.
    pub fn due_now(&self) -> Money {
        Money::new(self.due_now_minor, self.currency)
    }
}

/// Why lines cannot be priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuoteRefusal {
    /// The lines are in drops with different currencies.
    #[error("all lines must have the same currency; make a separate checkout for each currency")]
    MixedCurrencies,
    /// There is no tax rate for the destination.
    #[error("the marketplace does not sell to that country")]
    CountryNotServed,
    /// The creator has no tariff for the destination.
    #[error("the creator does not ship to that country")]
    NotShippedThere,
    /// The drop does not offer shipping, or does not offer pickup.
    #[error("this drop does not offer that kind of delivery")]
    DeliveryNotOffered,
    /// The drop does not offer the pickup place, or the line is not picked up.
    #[error("this drop does not offer that pickup place, or the line is not picked up")]
    PickupPlaceNotOffered,
    /// The drop has several pickup places, and the line names none.
    #[error("this drop has several pickup places: choose one")]
    PickupPlaceNeeded,
    /// The amount exceeds what can be computed.
    #[error("the amount is too large")]
    AmountTooLarge,
}

impl QuoteRefusal {
    /// Returns the field of the line that is at fault.
    pub fn field(self) -> &'static str {
        match self {
            Self::PickupPlaceNotOffered | Self::PickupPlaceNeeded => "pickupPlaceId",
            Self::MixedCurrencies
            | Self::CountryNotServed
            | Self::NotShippedThere
            | Self::DeliveryNotOffered
            | Self::AmountTooLarge => "itemId",
        }
    }
}

impl From<MoneyError> for QuoteRefusal {
    fn from(_: MoneyError) -> Self {
        Self::AmountTooLarge
    }
}

/// Prices lines for a destination at an instant. A pure function. The error contains the index of the line.
///
/// Units fall into tiers by their number, counted over held and confirmed units; a line may straddle two
/// tiers. The tax is that of the destination, or of the country of the pickup place, and is rounded once per
/// line. Shipped lines of the same drop share a parcel. The deposit is a part of the price of the goods;
/// shipping is due with the balance.
pub fn quote(
    lines: &[LineAsked<'_>],
    destination: Country,
    tables: &Tables,
    at: DateTime<Utc>,
) -> Result<Quote, (usize, QuoteRefusal)> {
    let Some(first) = lines.first() else { return Err((0, QuoteRefusal::AmountTooLarge)) };
    let currency = first.terms.currency;
    let mut asked_before: BTreeMap<DropItemId, u32> = BTreeMap::new();
    let mut quoted = Vec::with_capacity(lines.len());
    let parcels = parcels(lines, destination, tables)?;
    for (at_line, (line, parcel)) in lines.iter().zip(parcels).enumerate() {
        let fail = |refusal: QuoteRefusal| (at_line, refusal);
        if line.terms.currency != currency {
            return Err(fail(QuoteRefusal::MixedCurrencies));
        }
        let before = asked_before.entry(line.terms.item).or_default();
        let taken = line.taken.saturating_add(*before);
        *before = before.saturating_add(line.units.get());
        quoted.push(quote_line(line, taken, parcel, destination, tables, at).map_err(fail)?);
    }
    let sum = |part: fn(&QuotedLine) -> i64| {
        let total = quoted.iter().map(part).try_fold(0_i64, i64::checked_add);
        total.ok_or((0, QuoteRefusal::AmountTooLarge))
    };
    let (total_minor, due_now_minor) = (sum(QuotedLine::total_minor)?, sum(|line| line.due_now_minor)?);
    let due_later_minor = sum(|line| line.due_later_minor)?;
    Ok(Quote { currency, total_minor, due_now_minor, due_later_minor, lines: quoted })
}

fn quote_line(
    line: &LineAsked<'_>,
    taken: u32,
    parcel_minor: i64,
    destination: Country,
    tables: &Tables,
    at: DateTime<Utc>,
) -> Result<QuotedLine, QuoteRefusal> {
    let terms = line.terms;
    let parts = price_parts(&terms.tiers, taken, line.units.get(), at);
    let goods_minor = parts
        .iter()
        .try_fold(0_i64, |sum, part| sum.checked_add(part.price_minor.checked_mul(i64::from(part.units))?));
    let goods_minor = goods_minor.ok_or(QuoteRefusal::AmountTooLarge)?;
    let place = pickup_place(line)?;
    let country = match line.delivery {
        DeliveryMethod::Shipping => destination,
        DeliveryMethod::Pickup => place.map_or(terms.origin_country, |place| place.country),
    };
    let tax_rate_bp = tax_rate(tables, country, terms.tax_class, at).ok_or(QuoteRefusal::CountryNotServed)?;
    let taxed = |minor| with_tax(Money::new(minor, terms.currency), tax_rate_bp, terms.prices_include_tax);
    let (goods, shipping) = (taxed(goods_minor)?, taxed(parcel_minor)?);
    let gross = Money::new(goods.gross(), terms.currency);
    let due_now_minor = match terms.deposit {
        Deposit::Percent(points) => gross.ratio(i64::from(points), 10_000)?.minor.max(1),
        Deposit::Fixed(minor) => Money::new(minor, terms.currency).times(i64::from(line.units))?.minor,
    };
    let due_now_minor = due_now_minor.min(gross.minor);
    let total = gross.minor.checked_add(shipping.gross()).ok_or(QuoteRefusal::AmountTooLarge)?;
    let (balance_due_on, balance_estimated) = match terms.balance {
        Balance::OnDate(date) => (date, false),
        Balance::BeforeShipping => {
            let closes_on = terms.time_zone.date_at(terms.closes_at);
            (terms.lead_time_days.after(closes_on).unwrap_or(closes_on), true)
        }
    };
    Ok(QuotedLine {
        item: terms.item,
        drop: terms.drop,
        creator: terms.creator,
        variant: terms.variant,
        units: line.units,
        delivery: line.delivery,
        pickup_place: place.map(|place| place.id),
        parts,
        prices_include_tax: terms.prices_include_tax,
        tax_rate_bp,
        goods,
        shipping,
        due_now_minor,
        due_later_minor: total.checked_sub(due_now_minor).ok_or(QuoteRefusal::AmountTooLarge)?,
        balance_due_on,
        balance_estimated,
    })
}

/// Returns where a line is picked up: at the place that it names, or at the only place of its drop.
fn pickup_place(line: &LineAsked<'_>) -> Result<Option<OfferedPlace>, QuoteRefusal> {
    let places = &line.terms.pickup_places;
    match (line.delivery, line.pickup_place, places.as_slice()) {
        (DeliveryMethod::Shipping, None, _) | (DeliveryMethod::Pickup, None, []) => Ok(None),
        (DeliveryMethod::Shipping, Some(_), _) => Err(QuoteRefusal::PickupPlaceNotOffered),
        (DeliveryMethod::Pickup, None, [only]) => Ok(Some(*only)),
        (DeliveryMethod::Pickup, None, _) => Err(QuoteRefusal::PickupPlaceNeeded),
        (DeliveryMethod::Pickup, Some(wanted), _) => {
            let offered = places.iter().find(|place| place.id == wanted);
            offered.copied().map(Some).ok_or(QuoteRefusal::PickupPlaceNotOffered)
        }
    }
}

/// Returns the prices of the units numbered `taken + 1` to `taken + units`.
pub fn price_parts(tiers: &[Tier], taken: u32, units: u32, at: DateTime<Utc>) -> Vec<PricePart> {
    let mut parts: Vec<PricePart> = Vec::new();
    let end = taken.saturating_add(units);
    let mut next = taken;
    while next < end {
        let Some(tier) = tiers.iter().find(|tier| tier.holds(next, at)) else { break };
        // The tier applies up to its own bound, because no earlier tier starts to apply at a higher number.
        let until = tier.up_to_units.map_or(end, |bound| bound.get().min(end)).max(next.saturating_add(1));
        let units = until.saturating_sub(next);
        match parts.last_mut() {
            Some(part) if part.price_minor == tier.price_minor => {
                part.units = part.units.saturating_add(units)
            }
            Some(_) | None => parts.push(PricePart { units, price_minor: tier.price_minor }),
        }
        next = until;
    }
    parts
}

/// Returns how many of an item's units are left at each tier's price at an instant. `units` is the number of
/// units of the item, and `taken` is the number of units taken.
pub fn tier_units_left(tiers: &[Tier], taken: u32, units: u32, at: DateTime<Utc>) -> Vec<u32> {
    let mut next = taken;
    let left = tiers.iter().map(|tier| {
        if !tier.holds(next, at) {
            return 0;
        }
        let end = tier.up_to_units.map_or(units, Units::get).min(units).max(next);
        let left = end.saturating_sub(next);
        next = end;
        left
    });
    left.collect()
}

/// Returns the tax rate of a class in a country at an instant: the newest rate that is valid by then.
pub fn tax_rate(
    tables: &Tables,
    country: Country,
    class: TaxClass,
    at: DateTime<Utc>,
) -> Option<BasisPoints> {
    let begun = tables
        .rates
        .iter()
        .filter(|rate| rate.country == country && rate.class == class && rate.starts_at <= at);
    begun.max_by_key(|rate| rate.starts_at).map(|rate| rate.rate_bp)
}

fn with_tax(amount: Money, rate_bp: BasisPoints, included: bool) -> Result<Taxed, MoneyError> {
    let rate = i64::from(rate_bp);
    if included {
        let tax = amount.ratio(rate, rate.saturating_add(10_000))?;
        Ok(Taxed { net: amount.minus(tax)?.minor, tax: tax.minor })
    } else {
        let tax = amount.ratio(rate, 10_000)?;
        // The sum must be a valid amount too, otherwise this fails.
        amount.plus(tax)?;
        Ok(Taxed { net: amount.minor, tax: tax.minor })
    }
}

/// Returns each line's share of its drop's parcel, in minor units, gross or net like the creator's prices.
/// The price is split by weight without losing a minor unit.
fn parcels(
    lines: &[LineAsked<'_>],
    destination: Country,
    tables: &Tables,
) -> Result<Vec<i64>, (usize, QuoteRefusal)> {
    let mut by_drop: BTreeMap<DropId, Vec<(usize, u64)>> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let offered = match line.delivery {
            DeliveryMethod::Shipping => line.terms.shipping,
            DeliveryMethod::Pickup => line.terms.pickup,
        };
        if !offered {
            return Err((at, QuoteRefusal::DeliveryNotOffered));
        }
        if line.delivery == DeliveryMethod::Shipping {
            let weight = u64::from(line.terms.weight_grams.get()).saturating_mul(u64::from(line.units));
            by_drop.entry(line.terms.drop).or_default().push((at, weight));
        }
    }
    let mut shares = vec![0_i64; lines.len()];
    for parcel in by_drop.values() {
        let Some(&(first, _)) = parcel.first() else { continue };
        let Some(terms) = lines.get(first).map(|line| line.terms) else { continue };
        let weight = parcel.iter().map(|(_, weight)| *weight).fold(0_u64, u64::saturating_add);
        let price = parcel_price(tables, terms.creator, destination, weight)
            .ok_or((first, QuoteRefusal::NotShippedThere))?;
        if price.currency != terms.currency {
            return Err((first, QuoteRefusal::NotShippedThere));
        }
        let weights: Vec<u64> = parcel.iter().map(|(_, weight)| *weight).collect();
        let parts = price.split(&weights).map_err(|error| (first, error.into()))?;
        for ((at, _), part) in parcel.iter().zip(parts) {
            if let Some(share) = shares.get_mut(*at) {
                *share = part.minor;
            }
        }
    }
    Ok(shares)
}

/// Returns the price of a parcel. A parcel that is heavier than the heaviest tariff costs a multiple of that
/// tariff.
fn parcel_price(tables: &Tables, creator: CreatorId, country: Country, weight_grams: u64) -> Option<Money> {
    let bound = |tariff: &&ShippingTariff| u64::from(tariff.weight_grams_max);
    let fits =
        || tables.tariffs.iter().filter(|tariff| tariff.creator == creator && tariff.country == country);
    if let Some(tariff) = fits().filter(|tariff| bound(tariff) >= weight_grams).min_by_key(bound) {
        return Some(tariff.price);
    }
    let heaviest = fits().max_by_key(bound)?;
    let count = weight_grams.div_ceil(bound(&heaviest));
    heaviest.price.times(i64::try_from(count).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn now() -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn country(code: &str) -> Country {
        code.parse().unwrap()
    }

    fn quantity(units: u32) -> Quantity {
        Quantity::try_from(units).unwrap()
    }

    fn terms(number: u128) -> ItemTerms {
        ItemTerms {
            item: DropItemId(Uuid::from_u128(number)),
            drop: DropId(Uuid::from_u128(1)),
            creator: CreatorId(Uuid::from_u128(2)),
            variant: VariantId(Uuid::from_u128(number)),
            currency: Currency::from_code("EUR").unwrap(),
            tiers: vec![
                Tier { price_minor: 4_000, up_to_units: Some(Units::from(10)), until: None },
                Tier { price_minor: 4_500, up_to_units: None, until: Some(now() + TimeDelta::hours(1)) },
                Tier { price_minor: 5_000, up_to_units: None, until: None },
            ],
            deposit: Deposit::Percent(3_000),
            balance: Balance::BeforeShipping,
            closes_at: now() + TimeDelta::hours(10),
            lead_time_days: Days::from(30),
            pickup: true,
            pickup_places: Vec::new(),
            shipping: true,
            prices_include_tax: true,
            origin_country: country("DE"),
            time_zone: "Europe/Berlin".parse().unwrap(),
            tax_class: TaxClass::Standard,
            weight_grams: Grams::try_from(400).unwrap(),
        }
    }

    fn tables() -> Tables {
        let rate = |code: &str, starts_at, rate_bp: i32| TaxRate {
            country: country(code),
            class: TaxClass::Standard,
            starts_at,
            rate_bp: BasisPoints::try_from(rate_bp).unwrap(),
        };
        let tariff = |weight_grams_max: i32, minor| ShippingTariff {
            creator: CreatorId(Uuid::from_u128(2)),
            country: country("DE"),
            weight_grams_max: TariffGrams::try_from(weight_grams_max).unwrap(),
            price: Money::new(minor, Currency::from_code("EUR").unwrap()),
        };
        let past = now() - TimeDelta::days(100);
        Tables {
            rates: vec![
                rate("DE", past, 1_900),
                rate("DE", now() + TimeDelta::days(1), 2_500),
                rate("FR", past, 2_000),
            ],
            tariffs: vec![tariff(1_000, 490), tariff(5_000, 690)],
        }
    }

    fn line(terms: &ItemTerms, units: u32, taken: u32) -> LineAsked<'_> {
        let delivery = DeliveryMethod::Shipping;
        LineAsked { terms, units: quantity(units), delivery, pickup_place: None, taken }
    }

    #[test]
    fn a_line_that_straddles_tiers_is_priced_unit_by_unit() {
        let terms = terms(3);
        for (taken, units, at, expected) in [
            (0, 2, now(), vec![(2, 4_000)]),
            (9, 3, now(), vec![(1, 4_000), (2, 4_500)]),
            (10, 1, now(), vec![(1, 4_500)]),
            (9, 2, now() + TimeDelta::hours(1), vec![(1, 4_000), (1, 5_000)]),
        ] {
            let parts = price_parts(&terms.tiers, taken, units, at);
            let parts: Vec<_> = parts.iter().map(|part| (part.units, part.price_minor)).collect();
            assert_eq!(parts, expected, "{taken} {units}");
        }
    }

    #[test]
    fn gross_prices_hold_their_tax_and_net_prices_get_it_on_top() {
        let gross = terms(3);
        let net = ItemTerms { prices_include_tax: false, ..terms(3) };
        let priced = quote(&[line(&gross, 1, 0)], country("DE"), &tables(), now()).unwrap();
        let only = priced.lines.first().unwrap();
        assert_eq!(
            (only.goods, only.shipping),
            (Taxed { net: 3_361, tax: 639 }, Taxed { net: 412, tax: 78 })
        );
        assert_eq!((priced.total_minor, priced.due_now_minor, priced.due_later_minor), (4_490, 1_200, 3_290));
        let priced = quote(&[line(&net, 1, 0)], country("DE"), &tables(), now()).unwrap();
        assert_eq!(priced.lines.first().unwrap().goods, Taxed { net: 4_000, tax: 760 });
        assert_eq!(priced.total_minor, 4_760 + 583);
    }

    #[test]
    fn the_balance_of_an_estimate_is_a_date_at_the_creators_place() {
        let terms = ItemTerms { closes_at: "2026-11-23T23:30:00Z".parse().unwrap(), ..terms(3) };
        let priced = quote(&[line(&terms, 1, 0)], country("DE"), &tables(), now()).unwrap();
        let due = priced.lines.first().unwrap();
        assert_eq!((due.balance_due_on.to_string().as_str(), due.balance_estimated), ("2026-12-24", true));
    }

    #[test]
    fn lines_of_a_drop_share_a_parcel_and_pickup_needs_none() {
        let (one, two) = (terms(3), terms(4));
        let priced = quote(&[line(&one, 1, 0), line(&two, 2, 0)], country("DE"), &tables(), now()).unwrap();
        assert_eq!(priced.lines.iter().map(|line| line.shipping.gross()).collect::<Vec<_>>(), [230, 460]);
        let fetched = LineAsked { delivery: DeliveryMethod::Pickup, ..line(&one, 1, 0) };
        assert_eq!(quote(&[fetched], country("JP"), &tables(), now()).unwrap().total_minor, 4_000);
        let heavy = quote(&[line(&one, 30, 0)], country("DE"), &tables(), now()).unwrap();
        assert_eq!(heavy.lines.first().unwrap().shipping.gross(), 3 * 690);
    }

    #[test]
    fn what_cannot_be_sold_says_why_and_where() {
        let one = terms(3);
        let yen = ItemTerms {
            currency: Currency::from_code("JPY").unwrap(),
            drop: DropId(Uuid::from_u128(9)),
            ..terms(4)
        };
        let shipped_only = ItemTerms { pickup: false, ..terms(5) };
        let pickup = |terms| LineAsked { delivery: DeliveryMethod::Pickup, ..line(terms, 1, 0) };
        for (lines, code, expected) in [
            (vec![line(&one, 1, 0), pickup(&yen)], "DE", (1, QuoteRefusal::MixedCurrencies)),
            (vec![line(&one, 1, 0)], "FR", (0, QuoteRefusal::NotShippedThere)),
            (vec![line(&one, 1, 0)], "JP", (0, QuoteRefusal::NotShippedThere)),
            (vec![pickup(&shipped_only)], "DE", (0, QuoteRefusal::DeliveryNotOffered)),
        ] {
            assert_eq!(quote(&lines, country(code), &tables(), now()).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_pickup_is_at_the_chosen_or_only_place_and_taxed_in_its_country() {
        use QuoteRefusal::{PickupPlaceNeeded, PickupPlaceNotOffered};
        let place = |number, code: &str| OfferedPlace {
            id: PickupPlaceId(Uuid::from_u128(number)),
            country: country(code),
        };
        let (berlin, paris) = (place(1, "DE"), place(2, "FR"));
        let (pickup, shipping) = (DeliveryMethod::Pickup, DeliveryMethod::Shipping);
        for (offered, delivery, asked, expected) in [
            (vec![], pickup, None, Ok((None, 1_900))),
            (vec![], pickup, Some(berlin), Err(PickupPlaceNotOffered)),
            (vec![paris], pickup, None, Ok((Some(paris), 2_000))),
            (vec![paris], pickup, Some(paris), Ok((Some(paris), 2_000))),
            (vec![paris], pickup, Some(berlin), Err(PickupPlaceNotOffered)),
            (vec![berlin, paris], pickup, None, Err(PickupPlaceNeeded)),
            (vec![berlin, paris], pickup, Some(paris), Ok((Some(paris), 2_000))),
            (vec![berlin, paris], shipping, None, Ok((None, 1_900))),
            (vec![berlin, paris], shipping, Some(berlin), Err(PickupPlaceNotOffered)),
        ] {
            let terms = ItemTerms { pickup_places: offered, ..terms(3) };
            let pickup_place = asked.map(|place| place.id);
            let asked = LineAsked { delivery, pickup_place, ..line(&terms, 1, 0) };
            let priced = quote(&[asked], country("DE"), &tables(), now());
            let seen = priced.map(|quote| {
                let line = quote.lines.first().unwrap();
                (line.pickup_place, u32::from(line.tax_rate_bp))
            });
            let expected = expected
                .map(|(place, rate)| (place.map(|place| place.id), rate))
                .map_err(|refusal| (0, refusal));
            assert_eq!(seen, expected, "{asked:?}");
        }
    }

    #[test]
    fn a_quote_from_before_there_were_places_can_be_read() {
        let terms = terms(3);
        let priced = quote(&[line(&terms, 1, 0)], country("DE"), &tables(), now()).unwrap();
        let stored = serde_json::to_value(&priced).unwrap();
        assert!(!stored.to_string().contains("pickup_place"), "{stored}");
        assert_eq!(serde_json::from_value::<Quote>(stored).unwrap(), priced);
    }

    #[test]
    fn the_rate_is_the_newest_that_has_begun() {
        let rate = |at| tax_rate(&tables(), country("DE"), TaxClass::Standard, at).map(u32::from);
        assert_eq!((rate(now()), rate(now() + TimeDelta::days(1))), (Some(1_900), Some(2_500)));
        assert_eq!(tax_rate(&tables(), country("DE"), TaxClass::Books, now()), None);
    }

    proptest! {
        #[test]
        fn parts_sum_up_and_nothing_is_lost(
            units in 1_u32..40,
            taken in 0_u32..30,
            points in 1_u32..=10_000,
            net in any::<bool>(),
        ) {
            let terms = ItemTerms { deposit: Deposit::Percent(points), prices_include_tax: !net, ..terms(3) };
            let priced = quote(&[line(&terms, units, taken)], country("DE"), &tables(), now()).unwrap();
            let only = priced.lines.first().unwrap();
            prop_assert_eq!(only.parts.iter().map(|part| part.units).sum::<u32>(), units);
            prop_assert_eq!(priced.due_now_minor + priced.due_later_minor, priced.total_minor);
            prop_assert_eq!(only.total_minor(), priced.total_minor);
            prop_assert!(priced.due_now_minor >= 1 && priced.due_later_minor >= 0);
        }

        #[test]
        fn two_lines_of_an_item_cost_what_one_does(
            first in 1_u32..10,
            second in 1_u32..10,
            taken in 0_u32..15,
        ) {
            let terms = terms(3);
            let parts = price_parts(&terms.tiers, taken, first + second, now());
            let whole: i64 = parts.iter().map(|part| part.price_minor * i64::from(part.units)).sum();
            let pickup = |units| LineAsked { delivery: DeliveryMethod::Pickup, ..line(&terms, units, taken) };
            let priced = quote(&[pickup(first), pickup(second)], country("DE"), &tables(), now()).unwrap();
            prop_assert_eq!(priced.total_minor, whole);
        }
    }
}
