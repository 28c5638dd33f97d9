//! Creators: the tenants of the marketplace, with their public profiles.

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object};
use chrono::{DateTime, Utc};
use domain::{
    creators::{
        self as rules, CreateCreator, CreateCreatorRefusal, CreatorName, CreatorSort as Sort, Place, Tagline, UpdateCreator,
        UpdateCreatorRefusal, queries,
    },
    platform::{
        Country, EntityId, TimeZone,
        access::{CreatorScope, Manage, OpenCreator, Permission},
        ids::CreatorId,
        slugs::Slug,
        text::{Line, Markdown, TextError},
    },
};

use super::{
    catalog::imports::{self, ProductImportConnection},
    connection::{PageArgs, connection},
    context::{Reach, global, id},
    errors::{CommonCode, Complaints, Internal, Stop, payload, user_error},
    loaders::edge,
    reservations::{ShippingTariff, TariffsOf},
    scalars::{CurrencyCode, Html},
};

edge!(
    /// A creator.
    CreatorById(CreatorId) -> rules::Creator, |loaders, ids| queries::by_ids(&loaders.db, loaders.sight.public_scope(), ids)
);

/// A workshop that sells small runs of what it makes: its public profile.
#[derive(Clone)]
pub struct Creator(pub(crate) rules::Creator);

connection!(CreatorConnection, CreatorEdge, Creator);

/// A workshop that sells small runs of what it makes: its public profile. For what it makes and sells, ask `products` and
/// `drops` with its id in the filter.
#[Object]
impl Creator {
    /// Global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The present slug, unique in the marketplace. If you asked by another one, redirect to this.
    async fn slug(&self) -> &str {
        &self.0.slug
    }
    /// What it is called.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// What it does, in one line; may be empty.
    async fn tagline(&self) -> &str {
        &self.0.tagline
    }
    /// The town or region that it works in; may be empty.
    async fn place(&self) -> &str {
        &self.0.place
    }
    /// Its country, by the code of ISO 3166-1 alpha-2, such as `PT`.
    async fn country(&self) -> &str {
        self.0.country.code()
    }
    /// Its time zone, by the name in the IANA database, such as `Europe/Lisbon`. Dates on which a balance is due are dates there.
    async fn time_zone(&self) -> &str {
        self.0.time_zone.name()
    }
    /// The currency of all its prices.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }
    /// Whether its prices include tax.
    async fn prices_include_tax(&self) -> bool {
        self.0.prices_include_tax
    }
    /// Its story as it was written, in Markdown; may be empty.
    async fn story_markdown(&self) -> &str {
        &self.0.story_markdown
    }
    /// Its story, rendered and sanitised.
    async fn story_html(&self) -> Html {
        Html(self.0.story_html.clone())
    }
    /// What it asks for parcels, by country and weight.
    async fn shipping_tariffs(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<ShippingTariff>> {
        let tariffs = ctx.loader().load_one(TariffsOf(self.0.id)).await.internal()?.unwrap_or_default();
        Ok(tariffs.into_iter().map(ShippingTariff::from).collect())
    }
    /// Files of products that came in, newest first. For its members, and its secret tokens with `catalog:read`; null for others.
    async fn product_imports(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many rows, 0 to 100; 20 if neither `first` nor `last` is given.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<Option<ProductImportConnection>> {
        imports::of_creator(ctx, self.0.id, PageArgs { first, after, last, before }).await
    }
    /// Counts changes of the profile; give it to `creatorUpdate` to be told of a change in between.
    async fn version(&self) -> i64 {
        self.0.version
    }
    /// When it opened.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When its profile was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// In which order creators are listed.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "Sort")]
pub enum CreatorSort {
    /// Those that opened last first.
    Newest,
    /// By name, from A to Z.
    Name,
}

/// The id of the creator that a present or past slug leads to.
pub(crate) async fn creator_id_by_slug(ctx: &Context<'_>, slug: &str) -> async_graphql::Result<Option<CreatorId>> {
    let sight = ctx.sight()?;
    let creator = queries::by_slug(ctx.db(), sight.public_scope(), slug).await.internal()?;
    Ok(creator.map(|creator| creator.id))
}

/// The scope in which things of a creator may be changed; `path` names the field that led to it.
///
/// `None` is a thing that does not exist: it belongs to nobody, so it answers exactly as another tenant's.
pub(crate) fn manage<C: CommonCode>(
    ctx: &Context<'_>,
    creator: Option<CreatorId>,
    permission: Permission,
    path: &str,
) -> Result<CreatorScope, Stop<C>> {
    let nobody = CreatorId::from_uuid(uuid::Uuid::nil());
    ctx.scope_at(Manage { creator: creator.unwrap_or(nobody), permission }, path)
}

/// Reads a slug.
pub(crate) fn slug(text: &str) -> Result<Slug, &'static str> {
    text.parse()
        .map_err(|()| "is not a slug: 2 to 80 of a-z, 0-9 and single inner hyphens; neither a bare number nor a reserved word")
}

/// Reads a text that may be left empty.
pub(crate) fn optional<const MAX: usize>(text: &str) -> Result<Option<Line<MAX>>, TextError> {
    if text.trim().is_empty() { Ok(None) } else { Line::new(text).map(Some) }
}

/// What a field that can be emptied is to become: `None` leaves it.
pub(crate) fn change<const MAX: usize, C: CommonCode>(
    wrong: &mut Complaints<C>,
    path: &str,
    text: MaybeUndefined<String>,
) -> Option<Option<Line<MAX>>> {
    match text {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(text) => wrong.take(&[path], optional(&text)),
    }
}

/// The request, if nothing is wrong with the input.
pub(crate) fn checked<T, C: CommonCode>(wrong: Complaints<C>, request: Option<T>) -> Result<T, Stop<C>> {
    match request {
        Some(request) if wrong.is_empty() => Ok(request),
        Some(_) | None => Err(wrong.into()),
    }
}

/// Reads of creators.
#[derive(Default)]
pub struct CreatorsQuery;

#[Object]
impl CreatorsQuery {
    /// The creators of the marketplace, as a list to page through. With a creator's token: that creator only.
    async fn creators(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In which order.", default_with = "CreatorSort::Newest")] sort: CreatorSort,
        #[graphql(desc = "The first so many rows, 0 to 100; 20 if neither `first` nor `last` is given.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<CreatorConnection> {
        let list = format!("creators:{sort:?}");
        let page = PageArgs { first, after, last, before }.page(&list)?;
        let scope = *ctx.sight()?.public_scope();
        let slice = queries::list(ctx.db(), &scope, sort.into(), &page).await.internal()?;
        let db = ctx.db().clone();
        let counting = Box::new(move || {
            let db = db.clone();
            let counted: async_graphql::futures_util::future::BoxFuture<'static, _> =
                Box::pin(async move { queries::count(&db, &scope).await });
            counted
        });
        Ok(CreatorConnection::new(list, slice.map(Creator), counting))
    }

    /// A creator by its slug, present or past: compare `slug` with what you asked for, and redirect when it differs. Null when there is none.
    async fn creator(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The creator's slug.")] slug: String,
    ) -> async_graphql::Result<Option<Creator>> {
        let sight = ctx.sight()?;
        Ok(queries::by_slug(ctx.db(), sight.public_scope(), &slug).await.internal()?.map(Creator))
    }
}

/// A creator to be opened. You become its owner.
#[derive(InputObject)]
pub struct CreatorCreateInput {
    /// The slug of its page, 2 to 80 of `a-z`, `0-9` and hyphens; left out, one is made of the name. Slugs are unique in the marketplace.
    pub slug: Option<String>,
    /// What it is called, at most 80 characters.
    pub name: String,
    /// What it does, in one line of at most 160 characters.
    pub tagline: Option<String>,
    /// The town or region that it works in, at most 120 characters.
    pub place: Option<String>,
    /// Its country, by the code of ISO 3166-1 alpha-2, such as `PT`: goods that are fetched there are taxed there.
    pub country: String,
    /// Its time zone, by the name in the IANA database, such as `Europe/Lisbon`.
    pub time_zone: String,
    /// The currency of all its prices; fixed once it has a product.
    pub currency: CurrencyCode,
    /// Whether its prices include tax.
    #[graphql(default = true)]
    pub prices_include_tax: bool,
    /// Its story in Markdown, at most 20,000 characters.
    pub story: Option<String>,
}

user_error!(
    CreatorCreateError,
    CreatorCreateErrorCode,
    CreateCreatorRefusal {
        SlugTaken: "Another creator has, or once had, this slug.",
        SlugNeeded: "No slug was given, and none can be made of the name.",
        TooManyCreators: "The account has as many creators as it may have.",
    }
);
payload!(
    CreatorCreatePayload,
    CreatorCreateError {
        /// The new creator.
        creator: Creator,
    }
);

async fn create(ctx: &Context<'_>, input: CreatorCreateInput) -> Result<CreatorCreatePayload, Stop<CreatorCreateErrorCode>> {
    let scope = ctx.scope(OpenCreator)?;
    let mut wrong = Complaints::new();
    let own_slug = wrong.take_some(&["slug"], input.slug.as_deref().map(slug));
    let name = wrong.take(&["name"], CreatorName::new(&input.name));
    let tagline = wrong.take_some(&["tagline"], input.tagline.as_deref().map(optional)).flatten();
    let place = wrong.take_some(&["place"], input.place.as_deref().map(optional)).flatten();
    let country = wrong.take(&["country"], input.country.parse());
    let time_zone = wrong.take(&["timeZone"], input.time_zone.parse());
    let story = wrong.take(&["story"], Markdown::new(input.story.as_deref().unwrap_or_default()));
    let parsed = (|| {
        let (name, country, time_zone, story): (CreatorName, Country, TimeZone, Markdown) = (name?, country?, time_zone?, story?);
        let (currency, prices_include_tax) = (input.currency.0, input.prices_include_tax);
        Some(CreateCreator { slug: own_slug, name, tagline, place, country, time_zone, currency, prices_include_tax, story })
    })();
    let creator = rules::create(ctx.db(), &scope, checked(wrong, parsed)?).await?;
    Ok(CreatorCreatePayload { creator: Some(Creator(creator)), errors: Vec::new() })
}

/// What is to change of a creator's profile. Fields that are left out stay as they are.
#[derive(InputObject)]
pub struct CreatorUpdateInput {
    /// Which creator.
    pub id: ID,
    /// The `version` that you read: when somebody has changed the profile since, nothing is changed and the error is CONFLICT.
    pub version: Option<i64>,
    /// A new slug; the old one leads to the creator still.
    pub slug: Option<String>,
    /// What it is called, at most 80 characters.
    pub name: Option<String>,
    /// What it does, in one line of at most 160 characters; null takes it away.
    pub tagline: MaybeUndefined<String>,
    /// The town or region that it works in, at most 120 characters; null takes it away.
    pub place: MaybeUndefined<String>,
    /// Its country, by the code of ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Its time zone, by the name in the IANA database.
    pub time_zone: Option<String>,
    /// The currency of all its prices, while it has no product.
    pub currency: Option<CurrencyCode>,
    /// Whether its prices include tax.
    pub prices_include_tax: Option<bool>,
    /// Its story in Markdown, at most 20,000 characters; an empty text takes it away.
    pub story: Option<String>,
}

user_error!(
    CreatorUpdateError,
    CreatorUpdateErrorCode,
    UpdateCreatorRefusal {
        Conflict: "Somebody has changed the profile since that version. Read it again.",
        SlugTaken: "Another creator has, or once had, this slug.",
        CurrencyFixed: "There is a product, so the currency cannot change.",
    }
);
payload!(
    CreatorUpdatePayload,
    CreatorUpdateError {
        /// The creator as it is now.
        creator: Creator,
    }
);

async fn update(ctx: &Context<'_>, input: CreatorUpdateInput) -> Result<CreatorUpdatePayload, Stop<CreatorUpdateErrorCode>> {
    let mut wrong = Complaints::new();
    let creator = wrong.take(&["id"], id::<CreatorId>(&input.id));
    let tagline: Option<Option<Tagline>> = change(&mut wrong, "tagline", input.tagline);
    let place: Option<Option<Place>> = change(&mut wrong, "place", input.place);
    let request = UpdateCreator {
        version: input.version,
        slug: wrong.take_some(&["slug"], input.slug.as_deref().map(slug)),
        name: wrong.take_some(&["name"], input.name.as_deref().map(CreatorName::new)),
        tagline,
        place,
        country: wrong.take_some(&["country"], input.country.as_deref().map(str::parse)),
        time_zone: wrong.take_some(&["timeZone"], input.time_zone.as_deref().map(str::parse)),
        currency: input.currency.map(|currency| currency.0),
        prices_include_tax: input.prices_include_tax,
        story: wrong.take_some(&["story"], input.story.as_deref().map(Markdown::new)),
    };
    let creator = checked(wrong, creator)?;
    let scope = manage(ctx, Some(creator), Permission::ProfileWrite, "id")?;
    let creator = rules::update(ctx.db(), &scope, request).await?;
    Ok(CreatorUpdatePayload { creator: Some(Creator(creator)), errors: Vec::new() })
}

/// Changes of creators.
#[derive(Default)]
pub struct CreatorsMutation;

#[Object]
impl CreatorsMutation {
    /// Opens a creator, owned by the account that is signed in.
    async fn creator_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The creator to be opened.")] input: CreatorCreateInput,
    ) -> async_graphql::Result<CreatorCreatePayload> {
        CreatorCreatePayload::of(create(ctx, input).await)
    }

    /// Changes the profile of a creator. For its members, and its secret tokens with `profile:write`.
    async fn creator_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: CreatorUpdateInput,
    ) -> async_graphql::Result<CreatorUpdatePayload> {
        CreatorUpdatePayload::of(update(ctx, input).await)
    }
}
