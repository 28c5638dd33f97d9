//! To open creators, and to change their profiles.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object};
use domain::{
    creators::{
        self as rules, CreateCreator, CreateCreatorRefusal, CreatorName, UpdateCreator, UpdateCreatorRefusal,
    },
    platform::{
        access::{OpenCreator, Permission},
        ids::CreatorId,
        text::Markdown,
    },
};

use super::Creator;
use crate::graphql::{
    context::Reach,
    input::{Form, both, line_or_none, parsed, slug},
    payload::{answer, payload},
    scalars::CurrencyCode,
    user_error::user_error,
};

/// A creator to be opened. You become its owner.
#[derive(InputObject)]
pub struct CreatorCreateInput {
    /// The slug of its page, 2 to 80 of `a-z`, `0-9` and hyphens; left out, one is made of the name. Slugs
    /// are unique in the marketplace.
    pub slug: Option<String>,
    /// What it is called, at most 80 characters.
    pub name: String,
    /// What it does, in one line of at most 160 characters.
    pub tagline: Option<String>,
    /// The town or region that it works in, at most 120 characters.
    pub place: Option<String>,
    /// Its country, by the code of ISO 3166-1 alpha-2, such as `PT`: goods that are fetched there are taxed
    /// there.
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

/// What is to change of a creator's profile. Fields that are left out stay as they are.
#[derive(InputObject)]
pub struct CreatorUpdateInput {
    /// Which creator.
    pub id: ID,
    /// The `version` that you read: when somebody has changed the profile since, nothing is changed and the
    /// error is CONFLICT.
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
        answer(async {
            let scope = ctx.scope(OpenCreator)?;
            let mut form = Form::new();
            let request = parsed!(CreateCreator {
                slug: form.optional("slug", input.slug.as_deref().map(slug)),
                name: form.field("name", CreatorName::new(&input.name)),
                tagline: form
                    .optional("tagline", input.tagline.as_deref().map(line_or_none))
                    .map(Option::flatten),
                place: form.optional("place", input.place.as_deref().map(line_or_none)).map(Option::flatten),
                country: form.field("country", input.country.parse()),
                time_zone: form.field("timeZone", input.time_zone.parse()),
                currency: Ok(input.currency.0),
                prices_include_tax: Ok(input.prices_include_tax),
                story: form.field("story", Markdown::new(input.story.as_deref().unwrap_or_default())),
            });
            let creator = rules::create(ctx.db(), &scope, form.finish(request)?).await?;
            Ok(CreatorCreatePayload::done(Creator(creator)))
        })
        .await
    }

    /// Changes the profile of a creator. For its members, and its secret tokens with `profile:write`.
    async fn creator_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: CreatorUpdateInput,
    ) -> async_graphql::Result<CreatorUpdatePayload> {
        answer(async {
            let mut form = Form::new();
            let creator = form.id::<CreatorId>("id", &input.id);
            let request = parsed!(UpdateCreator {
                version: Ok(input.version),
                tagline: form.change("tagline", input.tagline, |text| line_or_none(&text)),
                place: form.change("place", input.place, |text| line_or_none(&text)),
                slug: form.optional("slug", input.slug.as_deref().map(slug)),
                name: form.optional("name", input.name.as_deref().map(CreatorName::new)),
                country: form.optional("country", input.country.as_deref().map(str::parse)),
                time_zone: form.optional("timeZone", input.time_zone.as_deref().map(str::parse)),
                currency: Ok(input.currency.map(|currency| currency.0)),
                prices_include_tax: Ok(input.prices_include_tax),
                story: form.optional("story", input.story.as_deref().map(Markdown::new)),
            });
            let (creator, request) = form.finish(both(creator, request))?;
            let scope = ctx.manage(creator, Permission::ProfileWrite, "id")?;
            Ok(CreatorUpdatePayload::done(Creator(rules::update(ctx.db(), &scope, request).await?)))
        })
        .await
    }
}
