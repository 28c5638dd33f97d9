//! Mutations that create, change, publish, withdraw and cancel drops.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, OneofObject};
use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    catalog::{ProductTitle, Summary},
    drops::{
        self, CreateDrop, CreateDropRefusal, DROP_PLACES_MAX, PublishRefusal, UpdateDrop, UpdateDropRefusal,
        terms::{Balance, Deposit, HOLD_SECS_DEFAULT},
    },
    platform::{
        self,
        access::{CreatorScope, Permission},
        ids::{CreatorId, PickupPlaceId},
        tags::{Tag, Tags},
        text::Markdown,
    },
    reservations::{CancelDropRefusal, WithdrawDropRefusal, cancel_drop, withdraw_drop},
};

use super::{Drop, ReferredDrop};
use crate::graphql::{
    context::ContextExt,
    creators::CreatorById,
    input::{Form, Parsed, count, id_at, parsed, slug},
    payload::{MutationStop, answer, payload},
    scalars::Decimal,
    user_error::{ErrorCode, user_error},
};

user_error!(
    DropCreateError,
    DropCreateErrorCode,
    CreateDropRefusal {
        SlugTaken: "Another drop of the creator has, or once had, this slug.",
        SlugNeeded: "No slug was given, and none can be derived from the title.",
        WindowEmpty: "The window must close after it opens.",
        PickupPlaceNotFound: "The creator has no such pickup place, or it is archived.",
        TooManyPickupPlaces: "A drop can have at most {DROP_PLACES} pickup places.",
    }
);
user_error!(DropUpdateError, DropUpdateErrorCode, UpdateDropRefusal {
    Conflict: "The drop has changed since the version in the input. Read it again.",
    SlugTaken: "Another drop of the creator has, or once had, this slug.",
    WindowInvalid: "The window must close after it opens, and last at most {WINDOW_DAYS} days.",
    WindowShortened: "The window of a published drop can only be lengthened, and a window that has closed \
        cannot be reopened.",
    DepositFrozen: "The deposit and balance terms cannot change after the first reservation.",
    DepositAbovePrice: "The fixed deposit is above the lowest price of a unit.",
    DepositInvalid: "The deposit is zero, or above the whole price.",
    BalanceTooEarly: "The balance would be due before the window closes.",
    MinimumOutOfRange: "The minimum run must be at least 1.",
    Frozen: "This field cannot change after the drop is published.",
    Cancelled: "The drop is cancelled.",
    PickupPlaceNotFound: "The creator has no such pickup place, or it is archived.",
    TooManyPickupPlaces: "A drop can have at most {DROP_PLACES} pickup places.",
} not_found: NotFound);
user_error!(DropPublishError, DropPublishErrorCode, PublishRefusal {
    NotDraft: "Only a draft can be published.",
    NoItems: "The drop has no items. Add at least one.",
    VariantArchived: "A variant was archived after it was added to the drop.",
    LimitAboveUnits: "The limit per buyer is above the number of units.",
    TierBeyondUnits: "A price tier that is not the last one covers all units or more.",
    WindowInvalid: "The window has closed already, or lasts longer than {WINDOW_DAYS} days.",
    LimitOutOfRange: "A limit per buyer must be at least 1.",
    MinimumOutOfRange: "The minimum run must be between 1 and the number of units of all items.",
    HoldOutOfRange: "A hold must last {HOLD_MINUTES} minutes.",
    DepositInvalid: "The deposit is zero, or above the price of a unit.",
    BalanceTooEarly: "The balance would be due before the window closes.",
    LeadTimeTooLong: "The lead time is longer than {LEAD_TIME_DAYS} days.",
    NoDelivery: "The drop offers neither shipping nor pickup.",
    NoPickupPlace: "The drop offers pickup, but has no pickup place.",
    PickupPlaceArchived: "A pickup place was archived after it was added to the drop.",
} not_found: NotFound);
user_error!(DropWithdrawError, DropWithdrawErrorCode, WithdrawDropRefusal {
    NotPublished: "Only a published drop can be withdrawn.",
    Reserved: "Units are held or paid for. Cancel the drop instead.",
} not_found: NotFound);
user_error!(DropCancelError, DropCancelErrorCode, CancelDropRefusal {
    AlreadyCancelled: "The drop is cancelled already.",
} not_found: NotFound);

payload!(
    DropCreatePayload,
    DropCreateError {
        /// The new draft.
        drop: Drop
    }
);
payload!(
    DropUpdatePayload,
    DropUpdateError {
        /// The drop after the change.
        drop: Drop
    }
);
payload!(
    DropPublishPayload,
    DropPublishError {
        /// The published drop.
        drop: Drop
    }
);
payload!(
    DropWithdrawPayload,
    DropWithdrawError {
        /// The drop, which is a draft again.
        drop: Drop
    }
);
payload!(
    DropCancelPayload,
    DropCancelError {
        /// The cancelled drop.
        drop: Drop
    }
);

/// The deposit: what is paid at reservation. Set exactly one field.
#[derive(OneofObject)]
pub enum DepositInput {
    /// A percentage of the line's goods, tax included, with at most two decimals, such as `"30"`.
    Percent(Decimal),
    /// A fixed amount for each unit, in the creator's currency, such as `"20.00"`.
    Amount(Decimal),
}

/// When the balance is due. Set exactly one field.
#[derive(OneofObject)]
pub enum BalanceInput {
    /// The balance is due on this date in the creator's time zone.
    OnDate(NaiveDate),
    /// The balance is due when the run is made, before it is shipped. The value must be `true`.
    BeforeShipping(bool),
}

/// A new draft. The drop's currency is the creator's.
#[derive(InputObject)]
pub struct DropCreateInput {
    /// The global id of the creator.
    pub creator_id: ID,
    /// The slug: {SLUG_CHARS} characters of `a-z`, `0-9` and hyphens. By default it is derived from the
    /// title.
    pub slug: Option<String>,
    /// The slug of the series that this run belongs to, if any.
    pub series: Option<String>,
    /// The title, at most {TITLE_CHARS} characters.
    pub title: String,
    /// A summary in one or two sentences, at most {SUMMARY_CHARS} characters.
    pub summary: Option<String>,
    /// The description in Markdown, at most {MARKDOWN_CHARS} characters.
    #[graphql(default)]
    pub description: String,
    /// The tags, at most {TAGS}.
    #[graphql(default)]
    pub tags: Vec<String>,
    /// When the reservation window opens.
    pub opens_at: DateTime<Utc>,
    /// When the reservation window closes.
    pub closes_at: DateTime<Utc>,
    /// How long units are held for a buyer who has not paid yet, in seconds: {HOLD_SECS}. The default is
    /// {HOLD_SECS_DEFAULT}.
    pub hold_seconds: Option<i32>,
    /// How many units of all items together one person may reserve, over all of their checkouts. By default
    /// only the limits of the items apply.
    pub per_buyer_max: Option<i32>,
    /// The minimum run: how many units of all items together must be paid for, or the run is not made. By
    /// default the run is always made.
    pub minimum_units: Option<i32>,
    /// The deposit: what is paid at reservation.
    pub deposit: DepositInput,
    /// When the balance is due.
    pub balance: BalanceInput,
    /// The number of days from the end of the window to shipping, at most {LEAD_TIME_DAYS}.
    pub lead_time_days: i32,
    /// Whether buyers may pick up their units.
    #[graphql(default)]
    pub pickup: bool,
    /// The global ids of the creator's pickup places that buyers choose from, in their order, at most
    /// {DROP_PLACES}. A drop that offers pickup needs one before it is published.
    #[graphql(default)]
    pub pickup_place_ids: Vec<ID>,
    /// Whether units are shipped.
    #[graphql(default = true)]
    pub shipping: bool,
}

/// The changes to a drop. Fields that are left out stay as they are. After a drop is published, its texts,
/// prices and units may still change, and its window may become longer. The deposit and balance terms are
/// fixed by the first reservation.
#[derive(InputObject)]
pub struct DropUpdateInput {
    /// The global id of the drop.
    pub id: ID,
    /// The `version` that you last read. If the drop has changed since, nothing is changed and the error is
    /// `CONFLICT`.
    pub version: Option<i64>,
    /// A new slug. The old slug keeps leading to the drop.
    pub slug: Option<String>,
    /// The title, at most {TITLE_CHARS} characters.
    pub title: Option<String>,
    /// A summary in one or two sentences, at most {SUMMARY_CHARS} characters.
    pub summary: Option<String>,
    /// The description in Markdown, at most {MARKDOWN_CHARS} characters.
    pub description: Option<String>,
    /// The tags, at most {TAGS}. They replace all present tags.
    pub tags: Option<Vec<String>>,
    /// When the window opens. After the drop is published, this can only become earlier, and only before the
    /// window opens.
    pub opens_at: Option<DateTime<Utc>>,
    /// When the window closes. After the drop is published, this can only become later, and only before the
    /// window closes.
    pub closes_at: Option<DateTime<Utc>>,
    /// How long units are held, in seconds. Fixed once the drop is published.
    pub hold_seconds: Option<i32>,
    /// The limit per buyer over all items; null removes it. Fixed once the drop is published.
    pub per_buyer_max: MaybeUndefined<i32>,
    /// The minimum run; null removes it. After the drop is published, it can only become lower or be removed.
    pub minimum_units: MaybeUndefined<i32>,
    /// The deposit. Fixed by the first reservation.
    pub deposit: Option<DepositInput>,
    /// When the balance is due. Fixed by the first reservation.
    pub balance: Option<BalanceInput>,
    /// The number of days from the end of the window to shipping. Fixed once the drop is published.
    pub lead_time_days: Option<i32>,
    /// Whether buyers may pick up their units. Fixed once the drop is published.
    pub pickup: Option<bool>,
    /// The global ids of the pickup places, at most {DROP_PLACES}. They replace all present ones. After the
    /// drop is published, places can only be added.
    pub pickup_place_ids: Option<Vec<ID>>,
    /// Whether units are shipped. Fixed once the drop is published.
    pub shipping: Option<bool>,
}

/// The drop that a mutation applies to.
#[derive(InputObject)]
pub struct DropIdInput {
    /// The global id of the drop.
    pub id: ID,
}

fn deposit(form: &mut Form, input: &DepositInput, currency: platform::Currency) -> Parsed<Deposit> {
    form.inside("deposit", |form| match input {
        DepositInput::Percent(percent) => form.field("percent", percent.basis_points()).map(Deposit::Percent),
        DepositInput::Amount(amount) => {
            let amount = platform::Money::parse(&amount.0, currency);
            form.field("amount", amount).map(|money| Deposit::Fixed(money.minor))
        }
    })
}

fn balance(input: &BalanceInput) -> Result<Balance, &'static str> {
    match input {
        BalanceInput::OnDate(date) => Ok(Balance::OnDate(*date)),
        BalanceInput::BeforeShipping(true) => Ok(Balance::BeforeShipping),
        BalanceInput::BeforeShipping(false) => {
            Err("`beforeShipping` can only be true; give `onDate` instead")
        }
    }
}

/// Reads tags. A tag that does not parse is reported at the path `tags`.
fn tags(form: &mut Form, texts: &[String]) -> Parsed<Vec<Tag>> {
    let mut tags = Vec::new();
    for text in texts.iter().take(1_000) {
        tags.extend(form.field("tags", text.parse::<Tag>()));
    }
    form.field("tags", Tags::new(tags)).map(|tags| tags.to_vec())
}

/// Reads the ids of pickup places.
fn places(form: &mut Form, ids: &[ID]) -> Parsed<Vec<PickupPlaceId>> {
    // Reads one more than allowed, so that the domain refuses the list, but bounds the work.
    form.each("pickupPlaceIds", ids, DROP_PLACES_MAX.saturating_add(1), |form, at, id| form.id(at, id))
}

/// Returns the drop and the scope in which it may be changed. An unknown drop and another tenant's drop give
/// the same error.
pub(super) async fn scope_of_drop<C: ErrorCode>(
    ctx: &Context<'_>,
    id: &ID,
    path: &str,
) -> Result<(CreatorScope, drops::Drop), MutationStop<C>> {
    let row = ctx.load(ReferredDrop(id_at(path, id)?)).await?;
    let scope = ctx.manage(row.as_ref().map(|row| row.creator_id), Permission::CatalogWrite, path)?;
    Ok((scope, row.ok_or_else(|| MutationStop::not_found(path))?))
}

/// The mutations of drops.
#[derive(Default)]
pub struct DropsMutation;

#[Object]
impl DropsMutation {
    /// Creates a draft of a drop. The draft may be incomplete: it is checked as a whole when it is published.
    /// For the creator's members, and for its secret tokens with `CATALOG_WRITE`.
    async fn drop_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The draft.")] input: DropCreateInput,
    ) -> async_graphql::Result<DropCreatePayload> {
        answer(async {
            let creator = id_at::<CreatorId>("creatorId", &input.creator_id)?;
            let scope = ctx.manage(creator, Permission::CatalogWrite, "creatorId")?;
            let owner =
                ctx.load(CreatorById(creator)).await?.ok_or_else(|| MutationStop::not_found("creatorId"))?;
            let mut form = Form::new();
            let request = parsed!(CreateDrop {
                slug: form.optional("slug", input.slug.as_deref().map(slug)),
                series: form.optional("series", input.series.as_deref().map(slug)),
                title: form.field("title", ProductTitle::new(&input.title)),
                summary: form.optional("summary", input.summary.as_deref().map(Summary::new)),
                description: form.field("description", Markdown::new(&input.description)),
                tags: tags(&mut form, &input.tags),
                opens_at: Ok(input.opens_at),
                closes_at: Ok(input.closes_at),
                hold_secs: form
                    .field("holdSeconds", input.hold_seconds.map_or(Ok(HOLD_SECS_DEFAULT.into()), count)),
                per_buyer_max: form.optional("perBuyerMax", input.per_buyer_max.map(count)),
                minimum_units: form.optional("minimumUnits", input.minimum_units.map(count)),
                deposit: deposit(&mut form, &input.deposit, owner.currency),
                balance: form.field("balance", balance(&input.balance)),
                lead_time_days: form.field("leadTimeDays", count(input.lead_time_days)),
                pickup: Ok(input.pickup),
                pickup_places: places(&mut form, &input.pickup_place_ids),
                shipping: Ok(input.shipping),
            });
            let drop = drops::create(ctx.db(), &scope, form.finish(request)?).await?;
            Ok(DropCreatePayload::done(Drop(drop)))
        })
        .await
    }

    /// Changes a drop. For the creator's members, and for its secret tokens with `CATALOG_WRITE`.
    async fn drop_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: DropUpdateInput,
    ) -> async_graphql::Result<DropUpdatePayload> {
        answer(async {
            let (scope, row) = scope_of_drop(ctx, &input.id, "id").await?;
            let mut form = Form::new();
            let request = parsed!(UpdateDrop {
                version: Ok(input.version),
                slug: form.optional("slug", input.slug.as_deref().map(slug)),
                title: form.optional("title", input.title.as_deref().map(ProductTitle::new)),
                summary: form.optional("summary", input.summary.as_deref().map(Summary::new)),
                description: form.optional("description", input.description.as_deref().map(Markdown::new)),
                tags: input.tags.map(|texts| tags(&mut form, &texts)).transpose(),
                opens_at: Ok(input.opens_at),
                closes_at: Ok(input.closes_at),
                hold_secs: form.optional("holdSeconds", input.hold_seconds.map(count)),
                per_buyer_max: form
                    .change("perBuyerMax", input.per_buyer_max, |number| count(number).map(Some)),
                minimum_units: form
                    .change("minimumUnits", input.minimum_units, |number| count(number).map(Some)),
                deposit: input.deposit.map(|input| deposit(&mut form, &input, row.currency)).transpose(),
                balance: form.optional("balance", input.balance.as_ref().map(balance)),
                lead_time_days: form.optional("leadTimeDays", input.lead_time_days.map(count)),
                pickup: Ok(input.pickup),
                pickup_places: input.pickup_place_ids.map(|ids| places(&mut form, &ids)).transpose(),
                shipping: Ok(input.shipping),
            });
            let drop = drops::update(ctx.db(), &scope, row.id, form.finish(request)?).await?;
            Ok(DropUpdatePayload::done(Drop(drop)))
        })
        .await
    }

    /// Publishes a draft, which announces the drop. The draft is checked as a whole, and the payload lists
    /// every error. For the creator's members, and for its secret tokens with `CATALOG_WRITE`.
    async fn drop_publish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The draft to publish.")] input: DropIdInput,
    ) -> async_graphql::Result<DropPublishPayload> {
        answer(async {
            let (scope, row) = scope_of_drop(ctx, &input.id, "id").await?;
            Ok(DropPublishPayload::done(Drop(drops::publish(ctx.db(), &scope, row.id).await?)))
        })
        .await
    }

    /// Withdraws a published drop, which becomes a draft again. This is allowed while no unit is held or paid
    /// for. For the creator's members, and for its secret tokens with `CATALOG_WRITE`.
    async fn drop_withdraw(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The drop to withdraw.")] input: DropIdInput,
    ) -> async_graphql::Result<DropWithdrawPayload> {
        answer(async {
            let (scope, row) = scope_of_drop(ctx, &input.id, "id").await?;
            Ok(DropWithdrawPayload::done(Drop(withdraw_drop(ctx.db(), &scope, row.id).await?)))
        })
        .await
    }

    /// Cancels a drop, in any phase. Its holds end, and every deposit that was paid for it is refunded. For
    /// the creator's members, and for its secret tokens with `CATALOG_WRITE`.
    async fn drop_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The drop to cancel.")] input: DropIdInput,
    ) -> async_graphql::Result<DropCancelPayload> {
        answer(async {
            let (scope, row) = scope_of_drop(ctx, &input.id, "id").await?;
            Ok(DropCancelPayload::done(Drop(cancel_drop(ctx.db(), &scope, row.id).await?)))
        })
        .await
    }
}
