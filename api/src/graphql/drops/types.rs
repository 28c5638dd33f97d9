//! Drops, their phases and their terms.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    drops as rules,
    drops::{
        queries,
        state::DropPhase as Phase,
        terms::{Balance, Deposit},
    },
    platform::{
        ids::{DropId, DropItemId},
        tags,
        tags::{Tag, TagKind},
    },
    reservations::claims::ItemStockView,
};

use super::items::{DropItem, HeldOf, ItemsOf, stock};
use crate::graphql::{
    connection::ListNode,
    context::{Reach, global},
    creators::{Creator, CreatorById},
    errors::Internal,
    loaders::edge,
    money::Money,
    scalars::{CurrencyCode, Decimal, Html},
};

edge!(
    /// A drop that the viewer sees.
    SeenDrop(DropId) -> rules::Drop, |loaders, ids| queries::by_ids(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// A drop that something in the viewer's scope refers to.
    ReferredDrop(DropId) -> rules::Drop, |loaders, ids| queries::referred(&loaders.db, ids)
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
    fn of(
        drop: &rules::Drop,
        items: &[rules::DropItem],
        held: &[(DropItemId, ItemStockView)],
    ) -> Option<Self> {
        let units = drop.minimum_units?.into();
        // At most 100 items of at most a million units each.
        let confirmed = items.iter().map(|item| i32::from(item.confirmed_units)).fold(0, i32::saturating_add);
        let held = held.iter().map(|(_, held)| i32::from(held.held)).fold(0, i32::saturating_add);
        Some(Self { units, confirmed, held, reached: confirmed >= units })
    }
}

/// One preorder run: what is offered, for how much, and when.
#[derive(Clone)]
pub struct Drop(pub(crate) rules::Drop);

impl ListNode for Drop {}

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
        let tags = ctx.load(TagsOfDrop(self.0.id)).await?.unwrap_or_default();
        Ok(tags.iter().map(|tag| tag.as_str().to_owned()).collect())
    }
    /// Who makes it.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.load(CreatorById(self.0.creator_id)).await?.map(Creator))
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
        let items = ctx.load(ItemsOf(self.0.id)).await?.unwrap_or_default();
        let held = ctx.load(HeldOf(self.0.id)).await?.unwrap_or_default();
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
    /// How many units of all items together one person may have, over all of their checkouts; null where only
    /// the items' limits count.
    async fn per_buyer_max(&self) -> Option<i32> {
        self.0.per_buyer_max.map(Into::into)
    }
    /// How far it is towards the smallest run that is made; null where it is made whatever comes.
    async fn minimum_run(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<MinimumRun>> {
        if self.0.minimum_units.is_none() {
            return Ok(None);
        }
        let items = ctx.load(ItemsOf(self.0.id)).await?.unwrap_or_default();
        let held = ctx.load(HeldOf(self.0.id)).await?.unwrap_or_default();
        Ok(MinimumRun::of(&self.0, &items, &held))
    }
    /// The currency of all its prices.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }
    /// What is paid at reservation.
    async fn deposit(&self) -> async_graphql::Result<DepositTerms> {
        Ok(match self.0.deposit().internal()? {
            Deposit::Percent(points) => DepositTerms {
                kind: DepositKind::Percent,
                percent: Some(Decimal::percent(i64::from(points))),
                amount: None,
            },
            Deposit::Fixed(minor) => DepositTerms {
                kind: DepositKind::Fixed,
                percent: None,
                amount: Some(Money::minor(minor, self.0.currency)),
            },
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
        let items = ctx.load(ItemsOf(self.0.id)).await?.unwrap_or_default();
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
