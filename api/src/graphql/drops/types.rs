//! Drops, their phases and their terms.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    creators::pickup_places,
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
    context::{ContextExt, global},
    creators::{Creator, CreatorById, pickup_places::PickupPlace},
    errors::Internal,
    loaders::edge,
    money::Money,
    scalars::{CurrencyCode, Decimal, Html},
};

edge!(
    /// A drop that the viewer may see.
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

edge!(
    /// The pickup places of a drop.
    PlacesOfDrop(DropId) -> Vec<pickup_places::PickupPlace>,
    |loaders, ids| queries::pickup_places_of(&loaders.db, ids)
);

/// The phase of a drop. A published drop moves from SCHEDULED to OPEN to CLOSED by time alone.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "Phase")]
pub enum DropPhase {
    /// Not published yet; visible only to the creator.
    Draft,
    /// Published; the window opens at `opensAt`.
    Scheduled,
    /// Open for reservations until `closesAt`.
    Open,
    /// The window has closed, and the run is being made.
    Closed,
    /// Cancelled by the creator; deposits are refunded.
    Cancelled,
}

/// How the deposit is calculated.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
pub enum DepositKind {
    /// A percentage of the line's goods, tax included.
    Percent,
    /// A fixed amount for each unit.
    Fixed,
}

/// The deposit: what is paid at reservation.
#[derive(SimpleObject, Debug, Clone)]
pub struct DepositTerms {
    /// How the deposit is calculated.
    pub kind: DepositKind,
    /// The percentage, if the kind is PERCENT.
    pub percent: Option<Decimal>,
    /// The amount for each unit, if the kind is FIXED.
    pub amount: Option<Money>,
}

/// When the balance is due.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
pub enum BalanceKind {
    /// On a fixed date.
    OnDate,
    /// When the run is made, before it is shipped.
    BeforeShipping,
}

/// When the balance is due.
#[derive(SimpleObject, Debug, Clone)]
pub struct BalanceTerms {
    /// Whether the balance is due on a date or before shipping.
    pub kind: BalanceKind,
    /// The date in the creator's time zone, if the kind is ON_DATE.
    pub date: Option<NaiveDate>,
}

/// The progress of a drop towards its minimum run.
#[derive(SimpleObject, Debug, Clone)]
pub struct MinimumRun {
    /// The minimum run: the number of units that must be paid for, or the run is not made.
    pub units: i32,
    /// The number of units that are paid for.
    pub confirmed: i32,
    /// The number of units that are held for buyers who have not paid yet. They do not count towards the
    /// minimum.
    pub held: i32,
    /// Whether enough units are paid for.
    pub reached: bool,
}

impl MinimumRun {
    fn of(
        drop: &rules::Drop,
        items: &[rules::DropItem],
        held: &[(DropItemId, ItemStockView)],
    ) -> Option<Self> {
        let units = drop.minimum_units?.into();
        // A drop has at most 100 items of at most a million units each.
        let confirmed = items.iter().map(|item| i32::from(item.confirmed_units)).fold(0, i32::saturating_add);
        let held = held.iter().map(|(_, held)| i32::from(held.held)).fold(0, i32::saturating_add);
        Some(Self { units, confirmed, held, reached: confirmed >= units })
    }
}

/// A drop.
#[derive(Clone)]
pub struct Drop(pub(crate) rules::Drop);

impl ListNode for Drop {}

/// A drop: one preorder run, with its items, their prices, and a window in which they can be reserved.
#[Object]
impl Drop {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The current slug, unique within the creator. If you looked the drop up by an older slug, redirect to
    /// this one.
    async fn slug(&self) -> &str {
        &self.0.slug
    }
    /// The slug of the series that this run belongs to, if any.
    async fn series(&self) -> Option<&str> {
        self.0.series.as_deref()
    }
    /// The title.
    async fn title(&self) -> &str {
        &self.0.title
    }
    /// The summary in one or two sentences; may be empty.
    async fn summary(&self) -> &str {
        &self.0.summary
    }
    /// The description in Markdown, as the creator wrote it; may be empty.
    async fn description_markdown(&self) -> &str {
        &self.0.description_markdown
    }
    /// The description as sanitised HTML.
    async fn description_html(&self) -> Html {
        Html(self.0.description_html.clone())
    }
    /// The tags.
    async fn tags(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<String>> {
        let tags = ctx.load(TagsOfDrop(self.0.id)).await?.unwrap_or_default();
        Ok(tags.iter().map(|tag| tag.as_str().to_owned()).collect())
    }
    /// The creator.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.load(CreatorById(self.0.creator_id)).await?.map(Creator))
    }
    /// The current phase.
    async fn phase(&self, ctx: &Context<'_>) -> DropPhase {
        self.0.phase(ctx.db().now()).into()
    }
    /// Whether the drop is open and closes within {CLOSING_SOON_HOURS} hours.
    async fn closing_soon(&self, ctx: &Context<'_>) -> bool {
        self.0.closing_soon(ctx.db().now())
    }
    /// Whether no unit of any item can be reserved now, because all are held or paid for.
    async fn sold_out(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        let items = ctx.load(ItemsOf(self.0.id)).await?.unwrap_or_default();
        let held = ctx.load(HeldOf(self.0.id)).await?.unwrap_or_default();
        Ok(!items.is_empty() && items.iter().all(|item| stock(item, &held, ctx.db().now()).free == 0))
    }
    /// When the reservation window opens.
    async fn opens_at(&self) -> DateTime<Utc> {
        self.0.opens_at
    }
    /// When the reservation window closes. From this instant on, no reservation is accepted.
    async fn closes_at(&self) -> DateTime<Utc> {
        self.0.closes_at
    }
    /// How long units are held for a buyer who has not paid yet, in seconds.
    async fn hold_seconds(&self) -> i32 {
        self.0.hold_secs.into()
    }
    /// How many units of all items together one person may reserve, over all of their checkouts. Null if only
    /// the limits of the items apply.
    async fn per_buyer_max(&self) -> Option<i32> {
        self.0.per_buyer_max.map(Into::into)
    }
    /// The progress towards the minimum run. Null if the run is always made.
    async fn minimum_run(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<MinimumRun>> {
        if self.0.minimum_units.is_none() {
            return Ok(None);
        }
        let items = ctx.load(ItemsOf(self.0.id)).await?.unwrap_or_default();
        let held = ctx.load(HeldOf(self.0.id)).await?.unwrap_or_default();
        Ok(MinimumRun::of(&self.0, &items, &held))
    }
    /// The currency of all prices of the drop.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }
    /// The deposit: what is paid at reservation.
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
    /// When the balance is due. The quote of a line has the date.
    async fn balance(&self) -> async_graphql::Result<BalanceTerms> {
        Ok(match self.0.balance().internal()? {
            Balance::OnDate(date) => BalanceTerms { kind: BalanceKind::OnDate, date: Some(date) },
            Balance::BeforeShipping => BalanceTerms { kind: BalanceKind::BeforeShipping, date: None },
        })
    }
    /// The number of days from the end of the window to shipping.
    async fn lead_time_days(&self) -> i32 {
        self.0.lead_time_days.into()
    }
    /// Whether buyers may pick up their units.
    async fn pickup(&self) -> bool {
        self.0.pickup
    }
    /// The places where buyers may pick up their units, in the creator's order; at most {DROP_PLACES}. If
    /// there are several, each line that is picked up names one. Empty if the drop does not offer pickup.
    async fn pickup_places(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<PickupPlace>> {
        if !self.0.pickup {
            return Ok(Vec::new());
        }
        let places = ctx.load(PlacesOfDrop(self.0.id)).await?.unwrap_or_default();
        Ok(places.into_iter().map(PickupPlace).collect())
    }
    /// Whether units are shipped.
    async fn shipping(&self) -> bool {
        self.0.shipping
    }
    /// The lowest price of a unit over all items and price tiers. Null while the drop has no item.
    async fn price_min(&self) -> Option<Money> {
        (self.0.price_min_minor > 0).then(|| Money::minor(self.0.price_min_minor, self.0.currency))
    }
    /// The items, in the creator's order; at most {ITEMS}.
    async fn items(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<DropItem>> {
        let items = ctx.load(ItemsOf(self.0.id)).await?.unwrap_or_default();
        Ok(items.into_iter().map(|item| DropItem::new(item, self.0.currency)).collect())
    }
    /// The version of the drop, which grows with every change. Pass it to `dropUpdate` to detect changes by
    /// others.
    async fn version(&self) -> i64 {
        self.0.version
    }
    /// When the draft was created.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When the drop was published. Null if it is not published.
    async fn published_at(&self) -> Option<DateTime<Utc>> {
        self.0.published_at
    }
}
