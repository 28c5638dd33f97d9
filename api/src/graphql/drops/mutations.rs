//! To draft, change, announce, take back and call off drops.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, OneofObject};
use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    drops::{
        create::{self, CreateDrop, CreateDropRefusal},
        items::{self, ItemChange, ItemRefusal, NewItem},
        publish::{self, CancelDropRefusal, PublishRefusal, WithdrawRefusal},
        queries,
        terms::{Balance, Deposit, HOLD_SECS_DEFAULT, Tier},
        update::{self, UpdateDrop, UpdateDropRefusal},
    },
    platform::{
        self, Units,
        access::{CreatorScope, Permission},
        ids::{CreatorId, DropItemId},
        tags::{Tag, Tags},
        text::Markdown,
    },
};

use super::{Drop, DropItem, ReferredDrop, ReferredItem};
use crate::graphql::{
    context::{Reach, id, id_at},
    creators::{CreatorById, manage, slug},
    errors::{CommonCode, Complaints, Internal, Stop, payload, user_error},
    scalars::Decimal,
};

user_error!(
    DropCreateError,
    DropCreateErrorCode,
    CreateDropRefusal {
        SlugTaken: "Another drop of the creator has, or once had, this slug.",
        SlugNeeded: "No slug was given, and none can be made of the title.",
        WindowEmpty: "The window ends before it begins.",
    }
);
user_error!(DropUpdateError, DropUpdateErrorCode, UpdateDropRefusal {
    Conflict: "The drop was changed since the version that you gave.",
    SlugTaken: "Another drop of the creator has, or once had, this slug.",
    WindowInvalid: "The window would end before it begins, or last longer than 31 days.",
    WindowShortened: "An announced window can only be lengthened, and one that is over stays over.",
    DepositFrozen: "Deposit terms froze with the first reservation.",
    DepositAbovePrice: "A fixed deposit is above the lowest price of a unit.",
    Frozen: "This cannot change once the drop is published.",
    Cancelled: "The drop was cancelled.",
} not_found: NotFound);
user_error!(DropItemError, DropItemErrorCode, ItemRefusal {
    VariantNotFound: "There is no such variant of the creator, or it is archived.",
    Duplicate: "The variant is in the drop already.",
    TooManyItems: "The drop has 100 items.",
    UnitsOutOfRange: "Units must be 1 to 1,000,000.",
    LimitOutOfRange: "One buyer may have at least one unit.",
    BelowReserved: "Fewer units than are held and paid for.",
    BelowMinimumRun: "Fewer units in all than a published drop needs to be made.",
    TierCount: "An item has 1 to 10 price tiers.",
    LastTierBounded: "The last tier has a bound: it must be the base price.",
    TierUnbounded: "A tier before the last has no bound.",
    TiersNotGrowing: "The numbers of units do not grow from tier to tier.",
    PriceOutOfRange: "A price is zero, negative or too high.",
    PriceBelowDeposit: "A price is below the fixed deposit that was announced.",
    Frozen: "This cannot change once the drop is published.",
    Cancelled: "The drop was cancelled.",
} not_found: NotFound);
user_error!(DropPublishError, DropPublishErrorCode, PublishRefusal {
    NotDraft: "Only a draft can be published.",
    NoItems: "Add at least one item.",
    VariantArchived: "A variant was archived since it was added.",
    LimitAboveUnits: "One buyer may have more units than there are.",
    TierBeyondUnits: "A price tier does not end before the units do.",
    WindowInvalid: "The window is over, or lasts longer than 31 days.",
    LimitOutOfRange: "A limit per person is 1 or more.",
    MinimumOutOfRange: "A minimum run is 1 unit to as many as there are.",
    HoldOutOfRange: "A hold must last 1 to 60 minutes.",
    DepositInvalid: "The deposit is nothing, or above a price.",
    BalanceTooEarly: "The balance would be due before the window closes.",
    LeadTimeTooLong: "The lead time is longer than 730 days.",
    NoDelivery: "Neither shipping nor pickup is offered.",
} not_found: NotFound);
user_error!(DropWithdrawError, DropWithdrawErrorCode, WithdrawRefusal {
    NotPublished: "Only a published drop can be withdrawn.",
    Reserved: "Units are held or paid for: cancel the drop instead.",
} not_found: NotFound);
user_error!(DropCancelError, DropCancelErrorCode, CancelDropRefusal {
    AlreadyCancelled: "The drop was cancelled before.",
} not_found: NotFound);

payload!(
    DropCreatePayload,
    DropCreateError {
        /// The draft.
        drop: Drop
    }
);
payload!(
    DropUpdatePayload,
    DropUpdateError {
        /// The drop as it is now.
        drop: Drop
    }
);
payload!(
    DropItemAddPayload,
    DropItemError {
        /// The new item.
        item: DropItem
    }
);
payload!(
    DropItemUpdatePayload,
    DropItemError {
        /// The item as it is now.
        item: DropItem
    }
);
payload!(
    DropItemRemovePayload,
    DropItemError {
        /// The drop without the item.
        drop: Drop
    }
);
payload!(
    DropPublishPayload,
    DropPublishError {
        /// The announced drop.
        drop: Drop
    }
);
payload!(
    DropWithdrawPayload,
    DropWithdrawError {
        /// The draft that it is again.
        drop: Drop
    }
);
payload!(
    DropCancelPayload,
    DropCancelError {
        /// The drop that was called off.
        drop: Drop
    }
);

/// What is paid at reservation: one of two ways.
#[derive(OneofObject)]
pub enum DepositInput {
    /// A part of the line's goods in percent, tax included; at most two decimals: `"30"`.
    Percent(Decimal),
    /// An amount for each unit, in the creator's currency: `"20.00"`.
    Amount(Decimal),
}

/// When the rest is due: one of two ways.
#[derive(OneofObject)]
pub enum BalanceInput {
    /// On that date in the creator's time zone.
    OnDate(NaiveDate),
    /// When the run is made, before it is shipped; give `true`.
    BeforeShipping(bool),
}

/// A drop to be drafted. Its currency is the creator's.
#[derive(InputObject)]
pub struct DropCreateInput {
    /// Whose.
    pub creator_id: ID,
    /// 2 to 80 characters of a-z, 0-9 and hyphens; made of the title if absent.
    pub slug: Option<String>,
    /// The series that this run belongs to.
    pub series: Option<String>,
    /// At most 120 characters.
    pub title: String,
    /// At most 300 characters.
    pub summary: Option<String>,
    /// Markdown, at most 20,000 characters.
    #[graphql(default)]
    pub description: String,
    /// At most 20 tags.
    #[graphql(default)]
    pub tags: Vec<String>,
    /// The window opens.
    pub opens_at: DateTime<Utc>,
    /// The window closes.
    pub closes_at: DateTime<Utc>,
    /// How long units are kept for a buyer who has not paid, in seconds: 60 to 3600.
    pub hold_seconds: Option<i32>,
    /// How many units of all items together one person may have, over all of their checkouts; as many as the items allow if absent.
    pub per_buyer_max: Option<i32>,
    /// So many units of all items together must be paid for, or the run is not made; it is made whatever comes if absent.
    pub minimum_units: Option<i32>,
    /// What is paid at reservation.
    pub deposit: DepositInput,
    /// When the rest is due.
    pub balance: BalanceInput,
    /// Days from the end of the window to shipping, at most 730.
    pub lead_time_days: i32,
    /// Whether it can be fetched at the creator's place.
    #[graphql(default)]
    pub pickup: bool,
    /// Whether it is sent.
    #[graphql(default = true)]
    pub shipping: bool,
}

/// What is to be changed of a drop. What was announced stays: texts, prices and units may change, the window may
/// only get longer, deposit terms freeze with the first reservation.
#[derive(InputObject)]
pub struct DropUpdateInput {
    /// Which drop.
    pub id: ID,
    /// The version that you have seen: the change is refused if there is a newer one.
    pub version: Option<i64>,
    /// The old slug goes on leading here.
    pub slug: Option<String>,
    /// At most 120 characters.
    pub title: Option<String>,
    /// At most 300 characters.
    pub summary: Option<String>,
    /// Markdown, at most 20,000 characters.
    pub description: Option<String>,
    /// All tags.
    pub tags: Option<Vec<String>>,
    /// Once published: only earlier, and only before it opened.
    pub opens_at: Option<DateTime<Utc>>,
    /// Once published: only later.
    pub closes_at: Option<DateTime<Utc>>,
    /// Frozen by publishing.
    pub hold_seconds: Option<i32>,
    /// Frozen by publishing; null takes the limit away.
    pub per_buyer_max: MaybeUndefined<i32>,
    /// Once published: only lower, or null, which takes it away.
    pub minimum_units: MaybeUndefined<i32>,
    /// Frozen by the first reservation.
    pub deposit: Option<DepositInput>,
    /// Frozen by the first reservation.
    pub balance: Option<BalanceInput>,
    /// Frozen by publishing.
    pub lead_time_days: Option<i32>,
    /// Frozen by publishing.
    pub pickup: Option<bool>,
    /// Frozen by publishing.
    pub shipping: Option<bool>,
}

/// One of a drop.
#[derive(InputObject)]
pub struct DropIdInput {
    /// Which drop.
    pub id: ID,
}

/// A price tier. The last one of an item is the base price: it has neither bound.
#[derive(InputObject)]
pub struct PriceTierInput {
    /// The price of one unit in the creator's currency, such as `"48.00"`.
    pub price: Decimal,
    /// Holds for units number 1 to this.
    pub up_to_units: Option<i32>,
    /// Holds before this instant.
    pub until: Option<DateTime<Utc>>,
}

/// An item to be added to a draft.
#[derive(InputObject)]
pub struct DropItemAddInput {
    /// To which drop.
    pub drop_id: ID,
    /// Which variant of the creator.
    pub variant_id: ID,
    /// How many may be sold.
    pub units: i32,
    /// How many one person may have.
    pub per_buyer_max: i32,
    /// The prices, in the order in which they are tried.
    pub tiers: Vec<PriceTierInput>,
}

/// What is to be changed of an item.
#[derive(InputObject)]
pub struct DropItemUpdateInput {
    /// Which item.
    pub id: ID,
    /// At or above what is held and paid for.
    pub units: Option<i32>,
    /// Frozen by publishing.
    pub per_buyer_max: Option<i32>,
    /// All prices; what was reserved keeps its own.
    pub tiers: Option<Vec<PriceTierInput>>,
}

/// One of a drop's items.
#[derive(InputObject)]
pub struct DropItemRemoveInput {
    /// Which item.
    pub id: ID,
}

/// A number of the input as one that counts something.
fn count<T: TryFrom<i32>>(number: i32) -> Result<T, &'static str> {
    T::try_from(number).map_err(|_| "must not be negative")
}

fn deposit<C: CommonCode>(complaints: &mut Complaints<C>, input: &DepositInput, currency: platform::Currency) -> Option<Deposit> {
    match input {
        DepositInput::Percent(percent) => complaints.take(&["deposit", "percent"], percent.basis_points()).map(Deposit::Percent),
        DepositInput::Amount(amount) => {
            let amount = platform::Money::parse(&amount.0, currency);
            complaints.take(&["deposit", "amount"], amount).map(|money| Deposit::Fixed(money.minor))
        }
    }
}

fn balance(input: &BalanceInput) -> Result<Balance, &'static str> {
    match input {
        BalanceInput::OnDate(date) => Ok(Balance::OnDate(*date)),
        BalanceInput::BeforeShipping(true) => Ok(Balance::BeforeShipping),
        BalanceInput::BeforeShipping(false) => Err("`beforeShipping` can only be true; give `onDate` instead"),
    }
}

fn tags<C: CommonCode>(complaints: &mut Complaints<C>, texts: &[String]) -> Vec<Tag> {
    let mut tags = Vec::new();
    for text in texts.iter().take(1_000) {
        tags.extend(complaints.take(&["tags"], text.parse::<Tag>()));
    }
    complaints.take(&["tags"], Tags::new(tags)).map(|tags| tags.to_vec()).unwrap_or_default()
}

fn tiers<C: CommonCode>(complaints: &mut Complaints<C>, input: &[PriceTierInput], currency: platform::Currency) -> Vec<Tier> {
    let mut tiers = Vec::new();
    for (at, tier) in input.iter().enumerate().take(100) {
        let at = at.to_string();
        let price = complaints.take(&["tiers", &at, "price"], platform::Money::parse(&tier.price.0, currency));
        let up_to_units = complaints.take_some(&["tiers", &at, "upToUnits"], tier.up_to_units.map(count));
        tiers.extend(price.map(|price| Tier { price_minor: price.minor, up_to_units, until: tier.until }));
    }
    tiers
}

/// The scope in which a drop may be changed: one that is unknown or another's reads the same, whoever asks.
async fn scope_of_drop<C: CommonCode>(
    ctx: &Context<'_>,
    text: &ID,
    path: &str,
) -> Result<(CreatorScope, domain::drops::Drop), Stop<C>> {
    let row = ctx.loader().load_one(ReferredDrop(id_at(text, path)?)).await.internal()?;
    let scope = manage(ctx, row.as_ref().map(|row| row.creator_id), Permission::CatalogWrite, path)?;
    Ok((scope, row.ok_or_else(|| Stop::not_found(path))?))
}

/// The same for an item, with the currency of its drop.
async fn scope_of_item<C: CommonCode>(
    ctx: &Context<'_>,
    text: &ID,
) -> Result<(CreatorScope, DropItemId, platform::Currency), Stop<C>> {
    let item = ctx.loader().load_one(ReferredItem(id_at(text, "id")?)).await.internal()?;
    let scope = manage(ctx, item.as_ref().map(|item| item.creator_id), Permission::CatalogWrite, "id")?;
    let item = item.ok_or_else(|| Stop::not_found("id"))?;
    let drop = ctx.loader().load_one(ReferredDrop(item.drop_id)).await.internal()?.ok_or_else(|| Stop::not_found("id"))?;
    Ok((scope, item.id, drop.currency))
}

/// Writes of drops.
#[derive(Default)]
pub struct DropsMutation;

#[Object]
impl DropsMutation {
    /// Draft a drop. What it lacks is told when it is published.
    async fn drop_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The draft.")] input: DropCreateInput,
    ) -> async_graphql::Result<DropCreatePayload> {
        DropCreatePayload::of(create_drop(ctx, input).await)
    }

    /// Change a drop.
    async fn drop_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: DropUpdateInput,
    ) -> async_graphql::Result<DropUpdatePayload> {
        DropUpdatePayload::of(update_drop(ctx, input).await)
    }

    /// Announce a draft. It is checked as a whole: every complaint comes in one answer.
    async fn drop_publish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which drop.")] input: DropIdInput,
    ) -> async_graphql::Result<DropPublishPayload> {
        let work = async {
            let (scope, row) = scope_of_drop::<DropPublishErrorCode>(ctx, &input.id, "id").await?;
            let drop = publish::publish(ctx.db(), &scope, row.id).await?;
            Ok(DropPublishPayload { drop: Some(Drop(drop)), ..Default::default() })
        };
        DropPublishPayload::of::<DropPublishErrorCode>(work.await)
    }

    /// Take an announced drop back to a draft, while nothing is held or paid for.
    async fn drop_withdraw(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which drop.")] input: DropIdInput,
    ) -> async_graphql::Result<DropWithdrawPayload> {
        let work = async {
            let (scope, row) = scope_of_drop::<DropWithdrawErrorCode>(ctx, &input.id, "id").await?;
            let drop = publish::withdraw(ctx.db(), &scope, row.id).await?;
            Ok(DropWithdrawPayload { drop: Some(Drop(drop)), ..Default::default() })
        };
        DropWithdrawPayload::of::<DropWithdrawErrorCode>(work.await)
    }

    /// Call a drop off, in any phase: holds end, and every deposit that was paid for it goes back.
    async fn drop_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which drop.")] input: DropIdInput,
    ) -> async_graphql::Result<DropCancelPayload> {
        let work = async {
            let (scope, row) = scope_of_drop::<DropCancelErrorCode>(ctx, &input.id, "id").await?;
            let drop = publish::cancel(ctx.db(), &scope, row.id).await?;
            Ok(DropCancelPayload { drop: Some(Drop(drop)), ..Default::default() })
        };
        DropCancelPayload::of::<DropCancelErrorCode>(work.await)
    }

    /// Add an item to a draft.
    async fn drop_item_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The item.")] input: DropItemAddInput,
    ) -> async_graphql::Result<DropItemAddPayload> {
        DropItemAddPayload::of(add_item(ctx, input).await)
    }

    /// Change an item: its units at any time, its prices for new quotes.
    async fn drop_item_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: DropItemUpdateInput,
    ) -> async_graphql::Result<DropItemUpdatePayload> {
        DropItemUpdatePayload::of(update_item(ctx, input).await)
    }

    /// Take an item out of a draft.
    async fn drop_item_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which item.")] input: DropItemRemoveInput,
    ) -> async_graphql::Result<DropItemRemovePayload> {
        let work = async {
            let (scope, item, _) = scope_of_item::<DropItemErrorCode>(ctx, &input.id).await?;
            let drop = items::remove(ctx.db(), &scope, item).await?;
            let drop = queries::referred(ctx.db(), &[drop]).await.internal()?.remove(&drop);
            Ok(DropItemRemovePayload { drop: drop.map(Drop), ..Default::default() })
        };
        DropItemRemovePayload::of::<DropItemErrorCode>(work.await)
    }
}

async fn create_drop(ctx: &Context<'_>, input: DropCreateInput) -> Result<DropCreatePayload, Stop<DropCreateErrorCode>> {
    let creator: CreatorId = id_at(&input.creator_id, "creatorId")?;
    let scope = manage(ctx, Some(creator), Permission::CatalogWrite, "creatorId")?;
    let owner = ctx.loader().load_one(CreatorById(creator)).await.internal()?.ok_or_else(|| Stop::not_found("creatorId"))?;
    let mut complaints = Complaints::new();
    let named = complaints.take_some(&["slug"], input.slug.as_deref().map(slug));
    let series = complaints.take_some(&["series"], input.series.as_deref().map(slug));
    let title = complaints.take(&["title"], domain::catalog::ProductTitle::new(&input.title));
    let summary = complaints.take_some(&["summary"], input.summary.map(|text| domain::catalog::Summary::new(&text)));
    let description = complaints.take(&["description"], Markdown::new(&input.description));
    let tags = tags(&mut complaints, &input.tags);
    let hold_secs = complaints.take_some(&["holdSeconds"], input.hold_seconds.map(count));
    let per_buyer_max = complaints.take_some(&["perBuyerMax"], input.per_buyer_max.map(count));
    let minimum_units = complaints.take_some(&["minimumUnits"], input.minimum_units.map(count));
    let deposit = deposit(&mut complaints, &input.deposit, owner.currency);
    let balance = complaints.take(&["balance"], balance(&input.balance));
    let lead_time_days = complaints.take(&["leadTimeDays"], count(input.lead_time_days));
    let (Some(title), Some(description), Some(deposit), Some(balance), Some(lead_time_days), true) =
        (title, description, deposit, balance, lead_time_days, complaints.is_empty())
    else {
        return Err(complaints.into());
    };
    let request = CreateDrop {
        slug: named,
        series,
        title,
        summary,
        description,
        tags,
        opens_at: input.opens_at,
        closes_at: input.closes_at,
        hold_secs: hold_secs.unwrap_or(HOLD_SECS_DEFAULT.into()),
        per_buyer_max,
        minimum_units,
        deposit,
        balance,
        lead_time_days,
        pickup: input.pickup,
        shipping: input.shipping,
    };
    let drop = create::create(ctx.db(), &scope, request).await?;
    Ok(DropCreatePayload { drop: Some(Drop(drop)), ..Default::default() })
}

/// A number that may be taken away by null; absent, it stays.
fn count_or_none<C: CommonCode>(complaints: &mut Complaints<C>, name: &str, input: MaybeUndefined<i32>) -> Option<Option<Units>> {
    match input {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(number) => complaints.take(&[name], count(number)).map(Some),
    }
}

async fn update_drop(ctx: &Context<'_>, input: DropUpdateInput) -> Result<DropUpdatePayload, Stop<DropUpdateErrorCode>> {
    let (scope, row) = scope_of_drop(ctx, &input.id, "id").await?;
    let mut complaints = Complaints::new();
    let request = UpdateDrop {
        version: input.version,
        slug: complaints.take_some(&["slug"], input.slug.as_deref().map(slug)),
        title: complaints.take_some(&["title"], input.title.map(|text| domain::catalog::ProductTitle::new(&text))),
        summary: complaints.take_some(&["summary"], input.summary.map(|text| domain::catalog::Summary::new(&text))),
        description: complaints.take_some(&["description"], input.description.map(|text| Markdown::new(&text))),
        tags: input.tags.map(|texts| tags(&mut complaints, &texts)),
        opens_at: input.opens_at,
        closes_at: input.closes_at,
        hold_secs: complaints.take_some(&["holdSeconds"], input.hold_seconds.map(count)),
        per_buyer_max: count_or_none(&mut complaints, "perBuyerMax", input.per_buyer_max),
        minimum_units: count_or_none(&mut complaints, "minimumUnits", input.minimum_units),
        deposit: input.deposit.and_then(|input| deposit(&mut complaints, &input, row.currency)),
        balance: complaints.take_some(&["balance"], input.balance.map(|input| balance(&input))),
        lead_time_days: complaints.take_some(&["leadTimeDays"], input.lead_time_days.map(count)),
        pickup: input.pickup,
        shipping: input.shipping,
    };
    if !complaints.is_empty() {
        return Err(complaints.into());
    }
    let drop = update::update(ctx.db(), &scope, row.id, request).await?;
    Ok(DropUpdatePayload { drop: Some(Drop(drop)), ..Default::default() })
}

async fn add_item(ctx: &Context<'_>, input: DropItemAddInput) -> Result<DropItemAddPayload, Stop<DropItemErrorCode>> {
    let (scope, drop) = scope_of_drop(ctx, &input.drop_id, "dropId").await?;
    let mut complaints = Complaints::new();
    let variant = complaints.take(&["variantId"], id(&input.variant_id));
    let units = complaints.take(&["units"], count(input.units));
    let per_buyer_max = complaints.take(&["perBuyerMax"], count(input.per_buyer_max));
    let tiers = tiers(&mut complaints, &input.tiers, drop.currency);
    let (Some(variant), Some(units), Some(per_buyer_max), true) = (variant, units, per_buyer_max, complaints.is_empty()) else {
        return Err(complaints.into());
    };
    let item = items::add(ctx.db(), &scope, drop.id, NewItem { variant, units, per_buyer_max, tiers }).await?;
    Ok(DropItemAddPayload { item: Some(DropItem::new(item, drop.currency)), ..Default::default() })
}

async fn update_item(ctx: &Context<'_>, input: DropItemUpdateInput) -> Result<DropItemUpdatePayload, Stop<DropItemErrorCode>> {
    let (scope, item, currency) = scope_of_item(ctx, &input.id).await?;
    let mut complaints = Complaints::new();
    let change = ItemChange {
        units: complaints.take_some(&["units"], input.units.map(count)),
        per_buyer_max: complaints.take_some(&["perBuyerMax"], input.per_buyer_max.map(count)),
        tiers: input.tiers.map(|input| tiers(&mut complaints, &input, currency)),
    };
    if !complaints.is_empty() {
        return Err(complaints.into());
    }
    let item = items::change(ctx.db(), &scope, item, change).await?;
    Ok(DropItemUpdatePayload { item: Some(DropItem::new(item, currency)), ..Default::default() })
}
