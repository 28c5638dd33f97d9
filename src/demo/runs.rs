//! The runs of the demo's series. They are drafted and published as their creators would do it, some of them
//! in the past.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use domain::{
    catalog::Sight,
    drops::{
        CreateDrop, Drop, NewItem, add_item, create, publish,
        queries::{self, DropFilter, DropSort},
        state::DropPhase,
        terms::{Balance, Deposit, Tier},
    },
    platform::{Currency, Db, Money, Seconds, clock::ManualClock, ids::DropId, page::Page, slugs::Slug},
};

use super::{
    buyers::{Buyers, Demand},
    content::{BalanceText, DepositText, Phase, Series, TierText},
    load::{LoadError, Shop},
    series::{Window, next_number, wanting, window},
};
use crate::terminal::Step;

/// How long before its window opens a run is announced, at least.
const ANNOUNCED_BEFORE: TimeDelta = TimeDelta::days(3);

/// How long after a window opens the buyers buy.
const BOUGHT_AFTER: TimeDelta = TimeDelta::minutes(20);

/// Adds the next run of each series whose phase has no run. Returns the number of added runs.
pub(super) async fn add(
    db: &Db,
    buyers: &Buyers,
    sight: &Sight,
    shops: &[Shop<'_>],
    step: &Step,
) -> Result<usize, LoadError> {
    let all: Vec<(&Shop<'_>, &Series)> =
        shops.iter().flat_map(|shop| shop.content.series.iter().map(move |series| (shop, series))).collect();
    let phases: Vec<Phase> = all.iter().map(|(_, series)| series.phase).collect();
    let next = wanting(&present(db, sight, shops).await?, &phases);
    for (place, (shop, series)) in next.iter().filter_map(|place| all.get(*place)).enumerate() {
        step.at(place, next.len());
        add_run(db, buyers, shop, series, place).await.map_err(|error| error.within(series.slug.as_str()))?;
    }
    Ok(next.len())
}

/// Returns the phases that have runs of the demo.
async fn present(db: &Db, sight: &Sight, shops: &[Shop<'_>]) -> Result<Vec<Phase>, LoadError> {
    let now = db.now();
    let mut present = Vec::new();
    for shop in shops {
        let filter = DropFilter { creator: Some(shop.scope.creator()), ..DropFilter::default() };
        let drops = queries::list(db, sight, &filter, DropSort::Newest, &Page::first(100)).await?;
        let drops: Vec<Drop> = drops.rows.into_iter().map(|(_, drop)| drop).collect();
        let sold_out = sold_out(db, &drops).await?;
        for drop in &drops {
            present.extend(match drop.phase(now) {
                DropPhase::Scheduled => Some(Phase::Scheduled),
                DropPhase::Open if sold_out.contains(&drop.id) => Some(Phase::SoldOut),
                DropPhase::Open if drop.closing_soon(now) => Some(Phase::ClosingSoon),
                DropPhase::Open => Some(Phase::Open),
                DropPhase::Closed => Some(Phase::Closed),
                DropPhase::Draft | DropPhase::Cancelled => None,
            });
        }
    }
    Ok(present)
}

async fn sold_out(db: &Db, drops: &[Drop]) -> Result<Vec<DropId>, LoadError> {
    let ids: Vec<DropId> = drops.iter().map(|drop| drop.id).collect();
    let items = queries::items_of(db, &ids).await?;
    let gone = |drop: &DropId| {
        items.get(drop).is_some_and(|items| items.iter().all(|item| item.confirmed_units >= item.units))
    };
    Ok(ids.into_iter().filter(gone).collect())
}

async fn add_run(
    db: &Db,
    buyers: &Buyers,
    shop: &Shop<'_>,
    series: &Series,
    place: usize,
) -> Result<(), LoadError> {
    let window = window(series.phase, series.window_hours, place, db.now());
    // A run in the past is created with an earlier clock, because a run that is over cannot be announced.
    let announced_at =
        db.now().min(window.opens_at.checked_sub_signed(ANNOUNCED_BEFORE).unwrap_or(window.opens_at));
    let then = db.with_clock(Arc::new(ManualClock::new(announced_at)));
    let known = queries::series_slugs(db, shop.scope.creator(), series.slug.as_str()).await?;
    let number = next_number(series.slug.as_str(), known.iter().map(String::as_str));
    let name = format!("{}-{number}", series.slug.as_str());
    let slug: Slug = name.parse().map_err(|()| LoadError::new("not a valid slug"))?;
    let currency = shop.content.currency;
    let places = if series.pickup { shop.places.clone() } else { Vec::new() };
    let request = CreateDrop {
        slug: Some(slug),
        series: Some(series.slug.clone()),
        title: series.title.clone(),
        summary: Some(series.summary.clone()),
        description: series.description.clone(),
        tags: series.tags.to_vec(),
        opens_at: window.opens_at,
        closes_at: window.closes_at,
        hold_secs: Seconds::try_from(series.hold_minutes.saturating_mul(60)).map_err(LoadError::new)?,
        per_buyer_max: None,
        minimum_units: None,
        deposit: deposit(&series.deposit, currency)?,
        balance: balance(&series.balance, window),
        lead_time_days: series.lead_time_days,
        pickup: series.pickup,
        pickup_places: places.clone(),
        shipping: true,
    };
    let drop = create(&then, &shop.scope, request).await?;
    let mut made = Vec::new();
    for item in &series.items {
        let variant = shop.variants.get(item.sku.as_str()).copied();
        let variant =
            variant.ok_or_else(|| LoadError::new(format_args!("no variant {}", item.sku.as_str())))?;
        let tiers = item.tiers.iter().map(|text| tier(text, currency, window)).collect::<Result<_, _>>()?;
        let new = NewItem { variant, units: item.units, per_buyer_max: item.per_buyer_max, tiers };
        made.push(add_item(&then, &shop.scope, drop.id, new).await?);
    }
    publish(&then, &shop.scope, drop.id).await?;
    let demand = match series.phase {
        Phase::Scheduled => Demand::None,
        Phase::Open => Demand::Some(1 + place % 3),
        Phase::ClosingSoon => Demand::Some(5),
        Phase::Closed => Demand::Some(7),
        Phase::SoldOut => Demand::All,
    };
    let bought_at = window.opens_at.checked_add_signed(BOUGHT_AFTER).unwrap_or(window.opens_at);
    let then = db.with_clock(Arc::new(ManualClock::new(bought_at)));
    let run = format!("{}.{name}", shop.content.slug.as_str());
    buyers.buy(&then, &run, &made, shop.content.country, &places, demand).await
}

fn deposit(text: &DepositText, currency: Currency) -> Result<Deposit, LoadError> {
    match text {
        DepositText::Percent(percent) => {
            let percent: u32 = percent.parse().map_err(LoadError::new)?;
            Ok(Deposit::Percent(percent.saturating_mul(100)))
        }
        DepositText::Fixed(amount) => {
            Ok(Deposit::Fixed(Money::parse(amount, currency).map_err(LoadError::new)?.minor))
        }
    }
}

fn balance(text: &BalanceText, window: Window) -> Balance {
    match text {
        BalanceText::BeforeShipping => Balance::BeforeShipping,
        BalanceText::DaysAfterClose(days) => {
            let due = window.closes_at.checked_add_signed(TimeDelta::days(i64::from(*days)));
            Balance::OnDate(due.unwrap_or(window.closes_at).with_timezone(&Utc).date_naive())
        }
    }
}

fn tier(text: &TierText, currency: Currency, window: Window) -> Result<Tier, LoadError> {
    let price_minor = Money::parse(&text.price, currency).map_err(LoadError::new)?.minor;
    let hours = text.until_hours_after_open.map(|hours| TimeDelta::hours(i64::from(hours)));
    let until = hours.and_then(|hours| window.opens_at.checked_add_signed(hours));
    Ok(Tier { price_minor, up_to_units: text.up_to_units, until })
}
