//! To draft, change, announce, take back and call off drops.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, OneofObject};
use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    catalog::{ProductTitle, Summary},
    drops as rules,
    drops::{
        create::{self, CreateDrop, CreateDropRefusal},
        publish::{self, PublishRefusal},
        terms::{Balance, Deposit, HOLD_SECS_DEFAULT},
        update::{self, UpdateDrop, UpdateDropRefusal},
    },
    platform::{
        self,
        access::{CreatorScope, Permission},
        ids::CreatorId,
        tags::{Tag, Tags},
        text::Markdown,
    },
    reservations::{CancelDropRefusal, WithdrawDropRefusal, cancel_drop, withdraw_drop},
};

use super::{Drop, ReferredDrop};
use crate::graphql::{
    context::Reach,
    creators::CreatorById,
    input::{Form, Parsed, count, id_at, parsed, slug},
    payload::{Stop, answer, payload},
    scalars::Decimal,
    user_error::{ErrorCode, user_error},
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
user_error!(DropWithdrawError, DropWithdrawErrorCode, WithdrawDropRefusal {
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
    /// How many units of all items together one person may have, over all of their checkouts; as many as the
    /// items allow if absent.
    pub per_buyer_max: Option<i32>,
    /// So many units of all items together must be paid for, or the run is not made; it is made whatever
    /// comes if absent.
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

/// What is to be changed of a drop. What was announced stays: texts, prices and units may change, the window
/// may only get longer, deposit terms freeze with the first reservation.
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

/// Reads tags. What is wrong with one of them is told of all.
fn tags(form: &mut Form, texts: &[String]) -> Parsed<Vec<Tag>> {
    let mut tags = Vec::new();
    for text in texts.iter().take(1_000) {
        tags.extend(form.field("tags", text.parse::<Tag>()));
    }
    form.field("tags", Tags::new(tags)).map(|tags| tags.to_vec())
}

/// The drop, and the scope in which it may be changed: one that is unknown or another's reads the same,
/// whoever asks.
pub(super) async fn scope_of_drop<C: ErrorCode>(
    ctx: &Context<'_>,
    id: &ID,
    path: &str,
) -> Result<(CreatorScope, rules::Drop), Stop<C>> {
    let row = ctx.load(ReferredDrop(id_at(path, id)?)).await?;
    let scope = ctx.manage(row.as_ref().map(|row| row.creator_id), Permission::CatalogWrite, path)?;
    Ok((scope, row.ok_or_else(|| Stop::not_found(path))?))
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
        answer(async {
            let creator = id_at::<CreatorId>("creatorId", &input.creator_id)?;
            let scope = ctx.manage(creator, Permission::CatalogWrite, "creatorId")?;
            let owner = ctx.load(CreatorById(creator)).await?.ok_or_else(|| Stop::not_found("creatorId"))?;
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
                shipping: Ok(input.shipping),
            });
            let drop = create::create(ctx.db(), &scope, form.finish(request)?).await?;
            Ok(DropCreatePayload::done(Drop(drop)))
        })
        .await
    }

    /// Change a drop.
    async fn drop_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: DropUpdateInput,
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
                shipping: Ok(input.shipping),
            });
            let drop = update::update(ctx.db(), &scope, row.id, form.finish(request)?).await?;
            Ok(DropUpdatePayload::done(Drop(drop)))
        })
        .await
    }

    /// Announce a draft. It is checked as a whole: every complaint comes in one answer.
    async fn drop_publish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which drop.")] input: DropIdInput,
    ) -> async_graphql::Result<DropPublishPayload> {
        answer(async {
            let (scope, row) = scope_of_drop(ctx, &input.id, "id").await?;
            Ok(DropPublishPayload::done(Drop(publish::publish(ctx.db(), &scope, row.id).await?)))
        })
        .await
    }

    /// Take an announced drop back to a draft, while nothing is held or paid for.
    async fn drop_withdraw(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which drop.")] input: DropIdInput,
    ) -> async_graphql::Result<DropWithdrawPayload> {
        answer(async {
            let (scope, row) = scope_of_drop(ctx, &input.id, "id").await?;
            Ok(DropWithdrawPayload::done(Drop(withdraw_drop(ctx.db(), &scope, row.id).await?)))
        })
        .await
    }

    /// Call a drop off, in any phase: holds end, and every deposit that was paid for it goes back.
    async fn drop_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which drop.")] input: DropIdInput,
    ) -> async_graphql::Result<DropCancelPayload> {
        answer(async {
            let (scope, row) = scope_of_drop(ctx, &input.id, "id").await?;
            Ok(DropCancelPayload::done(Drop(cancel_drop(ctx.db(), &scope, row.id).await?)))
        })
        .await
    }
}
