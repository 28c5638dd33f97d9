//! Drops: one preorder run each, with its items, prices and stock.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    drops::{
        self as rules, queries,
        state::DropPhase as Phase,
        terms::{Balance, Deposit, Tier},
    },
    platform::{
        self,
        ids::{DropId, DropItemId},
        tags::{self, Tag, TagKind},
    },
    reservations::quote::{price_parts, tier_units_left},
};

use super::{
    catalog::{ReferredVariant, Variant},
    connection::{PageArgs, connection, counting},
    context::{Reach, global, id},
    creators::{Creator, CreatorById},
    errors::Internal,
    loaders::edge,
    money::{Money, MoneyInput},
    scalars::{CurrencyCode, Decimal, Html},
};

pub mod mutations;

edge!(
    /// The items of a drop, in order.
    ItemsOf(DropId) -> Vec<rules::DropItem>, |loaders, ids| queries::items_of(&loaders.db, ids)
);
edge!(
    /// A drop that the viewer sees.
    SeenDrop(DropId) -> rules::Drop, |loaders, ids| queries::by_ids(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// A drop that something in the viewer's scope refers to.
    ReferredDrop(DropId) -> rules::Drop, |loaders, ids| queries::referred(&loaders.db, ids)
);
edge!(
    /// An item that something in the viewer's scope refers to.
    ReferredItem(DropItemId) -> rules::DropItem, |loaders, ids| queries::items_by_ids(&loaders.db, ids)
);
edge!(
    /// The price tiers of an item.
    TiersOf(DropItemId) -> Vec<Tier>, |loaders, ids| queries::tiers_of(&loaders.db, ids)
);
edge!(
    /// The held units of the items of a drop.
    HeldOf(DropId) -> Vec<(DropItemId, queries::ItemStockView)>, |loaders, ids| loaders.live.held(ids)
);
edge!(
    /// The tags of a drop.
    TagsOfDrop(DropId) -> Vec<Tag>, |loaders, ids| tags::tags_of(&loaders.db, TagKind::Drop, ids)
);

/// Where a drop stands now. Time alone moves it from SCHEDULED to OPEN to CLOSED.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "Phase")]
pub enum DropPhase {
    /// Being prepared; only its creator sees it.
    Draft,
    /// Announced; the window opens at `opensAt`.
    Scheduled,
    /// Reservations are taken until `closesAt`.
    Open,
    /// The window is over; the run is being made.
    Closed,
    /// Called off; deposits went back.
    Cancelled,
}

/// In which order drops are listed.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "queries::DropSort")]
pub enum DropSort {
    /// The youngest first.
    Newest,
    /// By the opening of the window.
    OpensSoonest,
    /// By the end of the window.
    ClosesSoonest,
    /// By the lowest price of a unit, rising; of use with one currency.
    PriceAscending,
    /// By the lowest price of a unit, falling; of use with one currency.
    PriceDescending,
}

/// How a deposit is reckoned.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
pub enum DepositKind {
    /// A part of the line's goods, tax included.
    Percent,
    /// An amount for each unit.
    Fixed,
}

/// What is paid at reservation.
#[derive(SimpleObject, Debug, Clone)]
pub struct DepositTerms {
    /// How it is reckoned.
    pub kind: DepositKind,
    /// The part in percent, when the kind is PERCENT.
    pub percent: Option<Decimal>,
    /// The amount for each unit, when the kind is FIXED.
    pub amount: Option<Money>,
}

/// When the rest is due.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
pub enum BalanceKind {
    /// On a date.
    OnDate,
    /// When the run is made, before it is shipped.
    BeforeShipping,
}

/// When the rest is due.
#[derive(SimpleObject, Debug, Clone)]
pub struct BalanceTerms {
    /// On a date, or before shipping.
    pub kind: BalanceKind,
    /// The date, in the creator's time zone, when the kind is ON_DATE.
    pub date: Option<NaiveDate>,
}

/// A price that holds for the first units, or until an instant; the last tier has neither bound.
#[derive(SimpleObject, Debug, Clone)]
pub struct PriceTier {
    /// The price of one unit, with or without tax as the creator's prices are.
    pub price: Money,
    /// Holds for units number 1 to this, counted over all buyers.
    pub up_to_units: Option<i32>,
    /// Holds before this instant.
    pub until: Option<DateTime<Utc>>,
    /// How many more units can be had at this price now, as long as nobody else takes them. A hold that runs out gives its own back.
    pub units_left: Option<i32>,
}

/// How far a drop is towards the smallest run that is made.
#[derive(SimpleObject, Debug, Clone)]
pub struct MinimumRun {
    /// So many units must be paid for, or the run is not made.
    pub units: i32,
    /// How many are paid for.
    pub confirmed: i32,
    /// How many are kept for somebody who has not paid yet: they do not count before they are paid for.
    pub held: i32,
    /// Whether enough are paid for.
    pub reached: bool,
}

impl MinimumRun {
    pub(crate) fn of(drop: &rules::Drop, items: &[rules::DropItem], held: &[(DropItemId, queries::ItemStockView)]) -> Option<Self> {
        let units = drop.minimum_units?.into();
        // At most 100 items of at most a million units each.
        let confirmed = items.iter().map(|item| i32::from(item.confirmed_units)).fold(0, i32::saturating_add);
        let held = held.iter().map(|(_, held)| i32::from(held.held)).fold(0, i32::saturating_add);
        Some(Self { units, confirmed, held, reached: confirmed >= units })
    }
}

/// How many units of an item are where. Only reserving binds.
#[derive(SimpleObject, Debug, Clone)]
pub struct ItemStock {
    /// How many there are in this run.
    pub units: i32,
    /// How many are kept for somebody who has not paid yet.
    pub held: i32,
    /// How many are paid for.
    pub confirmed: i32,
    /// How many can be reserved now.
    pub free: i32,
    /// When the first of the holds ends: units may come back then.
    pub next_hold_ends_at: Option<DateTime<Utc>>,
    /// When this was read.
    pub as_of: DateTime<Utc>,
}

impl ItemStock {
    /// How many are held or paid for. Neither number is ever negative.
    fn taken(&self) -> Result<u32, std::num::TryFromIntError> {
        u32::try_from(self.held.saturating_add(self.confirmed))
    }
}

/// One preorder run: what is offered, for how much, and when.
#[derive(Clone)]
pub struct Drop(pub(crate) rules::Drop);

connection!(DropConnection, DropEdge, Drop);

/// One preorder run: what is offered, for how much, and when.
#[Object]
impl Drop {
    /// Global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The present slug, unique within the creator. If you asked by another one, redirect to this.
    async fn slug(&self) -> &str {
        &self.0.slug
    }
    /// The series that this run belongs to, if it is one of several.
    async fn series(&self) -> Option<&str> {
        self.0.series.as_deref()
    }
    /// Title.
    async fn title(&self) -> &str {
        &self.0.title
    }
    /// In one or two sentences; may be empty.
    async fn summary(&self) -> &str {
        &self.0.summary
    }
    /// The description as its creator wrote it.
    async fn description_markdown(&self) -> &str {
        &self.0.description_markdown
    }
    /// The description, rendered and sanitised.
    async fn description_html(&self) -> Html {
        Html(self.0.description_html.clone())
    }
    /// The words by which it is found.
    async fn tags(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<String>> {
        let tags = ctx.loader().load_one(TagsOfDrop(self.0.id)).await.internal()?.unwrap_or_default();
        Ok(tags.iter().map(|tag| tag.as_str().to_owned()).collect())
    }
    /// Who makes it.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.loader().load_one(CreatorById(self.0.creator_id)).await.internal()?.map(Creator))
    }
    /// Where it stands now.
    async fn phase(&self, ctx: &Context<'_>) -> DropPhase {
        self.0.phase(ctx.db().now()).into()
    }
    /// Whether it is open and closes within six hours.
    async fn closing_soon(&self, ctx: &Context<'_>) -> bool {
        self.0.closing_soon(ctx.db().now())
    }
    /// Whether no unit of any item can be reserved now because all are held or paid for.
    async fn sold_out(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        let items = ctx.loader().load_one(ItemsOf(self.0.id)).await.internal()?.unwrap_or_default();
        let held = ctx.loader().load_one(HeldOf(self.0.id)).await.internal()?.unwrap_or_default();
        Ok(!items.is_empty() && items.iter().all(|item| stock(item, &held, ctx.db().now()).free == 0))
    }
    /// The window opens.
    async fn opens_at(&self) -> DateTime<Utc> {
        self.0.opens_at
    }
    /// The window closes: from this instant on nothing is taken.
    async fn closes_at(&self) -> DateTime<Utc> {
        self.0.closes_at
    }
    /// How long units are kept for a buyer who has not paid, in seconds.
    async fn hold_seconds(&self) -> i32 {
        self.0.hold_secs.into()
    }
    /// How many units of all items together one person may have, over all of their checkouts; null where only the items' limits count.
    async fn per_buyer_max(&self) -> Option<i32> {
        self.0.per_buyer_max.map(Into::into)
    }
    /// How far it is towards the smallest run that is made; null where it is made whatever comes.
    async fn minimum_run(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<MinimumRun>> {
        if self.0.minimum_units.is_none() {
            return Ok(None);
        }
        let items = ctx.loader().load_one(ItemsOf(self.0.id)).await.internal()?.unwrap_or_default();
        let held = ctx.loader().load_one(HeldOf(self.0.id)).await.internal()?.unwrap_or_default();
        Ok(MinimumRun::of(&self.0, &items, &held))
    }
    /// The currency of all its prices.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }
    /// What is paid at reservation.
    async fn deposit(&self) -> async_graphql::Result<DepositTerms> {
        Ok(match self.0.deposit().internal()? {
            Deposit::Percent(points) => {
                DepositTerms { kind: DepositKind::Percent, percent: Some(Decimal::percent(i64::from(points))), amount: None }
            }
            Deposit::Fixed(minor) => {
                DepositTerms { kind: DepositKind::Fixed, percent: None, amount: Some(Money::minor(minor, self.0.currency)) }
            }
        })
    }
    /// When the rest is due. The quote of a line has the date.
    async fn balance(&self) -> async_graphql::Result<BalanceTerms> {
        Ok(match self.0.balance().internal()? {
            Balance::OnDate(date) => BalanceTerms { kind: BalanceKind::OnDate, date: Some(date) },
            Balance::BeforeShipping => BalanceTerms { kind: BalanceKind::BeforeShipping, date: None },
        })
    }
    /// Days from the end of the window to shipping.
    async fn lead_time_days(&self) -> i32 {
        self.0.lead_time_days.into()
    }
    /// Whether it can be fetched at the creator's place.
    async fn pickup(&self) -> bool {
        self.0.pickup
    }
    /// Whether it is sent.
    async fn shipping(&self) -> bool {
        self.0.shipping
    }
    /// The lowest price of a unit over all items and tiers; null while there is no item.
    async fn price_min(&self) -> Option<Money> {
        (self.0.price_min_minor > 0).then(|| Money::minor(self.0.price_min_minor, self.0.currency))
    }
    /// What is offered, in the creator's order; at most 100.
    async fn items(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<DropItem>> {
        let items = ctx.loader().load_one(ItemsOf(self.0.id)).await.internal()?.unwrap_or_default();
        Ok(items.into_iter().map(|item| DropItem::new(item, self.0.currency)).collect())
    }
    /// Counts changes of the drop; give it to `dropUpdate` to be told of a change in between.
    async fn version(&self) -> i64 {
        self.0.version
    }
    /// When it was drafted.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When it was announced.
    async fn published_at(&self) -> Option<DateTime<Utc>> {
        self.0.published_at
    }
}

/// A variant within a drop: how many, for whom, for how much.
#[derive(Clone)]
pub struct DropItem {
    pub(crate) item: rules::DropItem,
    pub(crate) currency: platform::Currency,
    /// Its stock, where it was read before; else it is read when it is asked for.
    pub(crate) stock: Option<ItemStock>,
}

pub(crate) fn stock(item: &rules::DropItem, held: &[(DropItemId, queries::ItemStockView)], as_of: DateTime<Utc>) -> ItemStock {
    let view = held.iter().find(|(id, _)| *id == item.id).map(|(_, view)| *view).unwrap_or_default();
    let (units, confirmed, held) = (i32::from(item.units), i32::from(item.confirmed_units), i32::from(view.held));
    // Item and holds are read one after the other: what was confirmed in between is in both.
    let free = units.saturating_sub(confirmed).saturating_sub(held).max(0);
    ItemStock { units, held, confirmed, free, next_hold_ends_at: view.next_hold_ends_at, as_of }
}

impl DropItem {
    pub(crate) fn new(item: rules::DropItem, currency: platform::Currency) -> Self {
        Self { item, currency, stock: None }
    }

    async fn tiers_loaded(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Tier>> {
        Ok(ctx.loader().load_one(TiersOf(self.item.id)).await.internal()?.unwrap_or_default())
    }

    async fn stock_now(&self, ctx: &Context<'_>) -> async_graphql::Result<ItemStock> {
        if let Some(stock) = &self.stock {
            return Ok(stock.clone());
        }
        let held = ctx.loader().load_one(HeldOf(self.item.drop_id)).await.internal()?.unwrap_or_default();
        Ok(stock(&self.item, &held, ctx.db().now()))
    }
}

/// A variant within a drop: how many, for whom, for how much.
#[Object]
impl DropItem {
    /// Global id: name it in the lines of a checkout.
    pub(crate) async fn id(&self) -> ID {
        global(self.item.id)
    }
    /// The drop.
    async fn drop(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Drop>> {
        Ok(ctx.loader().load_one(ReferredDrop(self.item.drop_id)).await.internal()?.map(Drop))
    }
    /// What is made.
    async fn variant(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Variant>> {
        Ok(ctx.loader().load_one(ReferredVariant(self.item.variant_id)).await.internal()?.map(Variant))
    }
    /// How many there are in this run.
    async fn units(&self) -> i32 {
        self.item.units.into()
    }
    /// How many one person may have, over all of their checkouts.
    async fn per_buyer_max(&self) -> i32 {
        self.item.per_buyer_max.into()
    }
    /// The price of the next unit, with or without tax as the creator's prices are. `checkoutQuote` knows the whole price.
    async fn price(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Money>> {
        let tiers = self.tiers_loaded(ctx).await?;
        let stock = self.stock_now(ctx).await?;
        let next = price_parts(&tiers, stock.taken().internal()?, 1, stock.as_of);
        Ok(next.first().map(|part| Money::minor(part.price_minor, self.currency)))
    }
    /// The prices, in the order in which they are tried.
    async fn tiers(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<PriceTier>> {
        let tiers = self.tiers_loaded(ctx).await?;
        let left = if ctx.look_ahead().field("unitsLeft").exists() {
            let stock = self.stock_now(ctx).await?;
            tier_units_left(&tiers, stock.taken().internal()?, self.item.units.get(), stock.as_of)
        } else {
            Vec::new()
        };
        let tier = |(at, tier): (usize, Tier)| {
            Ok(PriceTier {
                price: Money::minor(tier.price_minor, self.currency),
                up_to_units: tier.up_to_units.map(Into::into),
                until: tier.until,
                units_left: left.get(at).map(|left| i32::try_from(*left)).transpose().internal()?,
            })
        };
        tiers.into_iter().enumerate().map(tier).collect()
    }
    /// How many units are where, as of now.
    async fn stock(&self, ctx: &Context<'_>) -> async_graphql::Result<ItemStock> {
        self.stock_now(ctx).await
    }
}

/// Which drops; without a phase: all that are scheduled, open or closed.
#[derive(InputObject, Default)]
pub struct DropFilter {
    /// Of one creator.
    pub creator_id: Option<ID>,
    /// With this tag.
    pub tag: Option<String>,
    /// In one of these phases.
    #[graphql(validator(max_items = 5))]
    pub phases: Option<Vec<DropPhase>>,
    /// Open, and closing within six hours.
    pub closing_soon: Option<bool>,
    /// Open, and with units that can be reserved now.
    pub available: Option<bool>,
    /// With a lowest price at or above this; only drops of its currency.
    pub price_min: Option<MoneyInput>,
    /// With a lowest price at or below this; only drops of its currency.
    pub price_max: Option<MoneyInput>,
}

impl DropFilter {
    fn parse(self) -> async_graphql::Result<queries::DropFilter> {
        let bad = |name: &str, error: &dyn std::fmt::Display| super::errors::bad_input(format!("`filter.{name}`: {error}"));
        let price =
            |name, price: Option<MoneyInput>| price.map(|price| price.parse().map_err(|error| bad(name, &error))).transpose();
        let (min, max) = (price("priceMin", self.price_min)?, price("priceMax", self.price_max)?);
        if let (Some(min), Some(max)) = (min, max)
            && min.currency != max.currency
        {
            return Err(bad("priceMax", &"must be of the currency of `priceMin`"));
        }
        Ok(queries::DropFilter {
            creator: self.creator_id.map(|creator| id(&creator).map_err(|error| bad("creatorId", &error))).transpose()?,
            tag: self.tag.map(|tag| tag.parse().map_err(|error: tags::TagError| bad("tag", &error))).transpose()?,
            phases: self.phases.map(|phases| phases.into_iter().map(Into::into).collect()),
            closing_soon: self.closing_soon.unwrap_or(false),
            available: self.available.unwrap_or(false),
            price_min_minor: min.map(|price| price.minor),
            price_max_minor: max.map(|price| price.minor),
            currency: min.or(max).map(|price| price.currency),
        })
    }
}

/// Reads of drops.
#[derive(Default)]
pub struct DropsQuery;

#[Object]
impl DropsQuery {
    /// Drops that the viewer may see, as a list to page through.
    #[expect(clippy::too_many_arguments, reason = "a list field has the arguments of the Relay specification")]
    async fn drops(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which drops.")] filter: Option<DropFilter>,
        #[graphql(desc = "In which order.", default_with = "DropSort::Newest")] sort: DropSort,
        #[graphql(desc = "The first so many rows, 0 to 100; 20 if neither `first` nor `last` is given.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<DropConnection> {
        let list = format!("drops:{sort:?}");
        let page = PageArgs { first, after, last, before }.page(&list)?;
        let filter = filter.unwrap_or_default().parse()?;
        let sight = ctx.sight()?;
        let slice = queries::list(ctx.db(), &sight, &filter, sort.into(), &page).await.internal()?;
        let counting =
            counting(ctx.db(), (sight, filter), |db, (sight, filter)| async move { queries::count(&db, &sight, &filter).await });
        Ok(DropConnection::new(list, slice.map(Drop), counting))
    }

    /// A drop by the slugs of its creator and its own, present or past. Null when there is none that the viewer may see.
    async fn drop(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The creator's slug.")] creator: String,
        #[graphql(desc = "The drop's slug.")] slug: String,
    ) -> async_graphql::Result<Option<Drop>> {
        let sight = ctx.sight()?;
        let Some(creator) = super::creators::creator_id_by_slug(ctx, &creator).await? else { return Ok(None) };
        Ok(queries::by_slug(ctx.db(), &sight, creator, &slug).await.internal()?.map(Drop))
    }
}
