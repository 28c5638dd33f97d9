//! Mutations that create creators and change their profiles.

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
    context::ContextExt,
    input::{Form, both, line_or_none, parsed, slug},
    payload::{answer, payload},
    scalars::CurrencyCode,
    user_error::user_error,
};

/// A new creator. The account that is signed in becomes its owner.
#[derive(InputObject)]
pub struct CreatorCreateInput {
    /// The slug of the creator's page: {SLUG_CHARS} characters of `a-z`, `0-9` and hyphens, unique in the
    /// marketplace. By default it is derived from the name.
    pub slug: Option<String>,
    /// The name, at most {CREATOR_NAME_CHARS} characters.
    pub name: String,
    /// A tagline: what the creator does, in one line of at most {TAGLINE_CHARS} characters.
    pub tagline: Option<String>,
    /// The town or region in which the creator works, at most {PLACE_CHARS} characters.
    pub place: Option<String>,
    /// The country as a code of ISO 3166-1 alpha-2, such as `PT`. Goods that are picked up are taxed in this
    /// country.
    pub country: String,
    /// The time zone as a name of the IANA database, such as `Europe/Lisbon`.
    pub time_zone: String,
    /// The currency of all prices of the creator. It cannot change once there is a product or a drop.
    pub currency: CurrencyCode,
    /// Whether the creator's prices include tax.
    #[graphql(default = true)]
    pub prices_include_tax: bool,
    /// The creator's story in Markdown, at most {MARKDOWN_CHARS} characters.
    pub story: Option<String>,
}

user_error!(
    CreatorCreateError,
    CreatorCreateErrorCode,
    CreateCreatorRefusal {
        SlugTaken: "Another creator has, or once had, this slug.",
        SlugNeeded: "No slug was given, and none can be derived from the name.",
        TooManyCreators: "The account is a member of the maximum number of creators already.",
    }
);
payload!(
    CreatorCreatePayload,
    CreatorCreateError {
        /// The new creator.
        creator: Creator,
    }
);

/// The changes to a creator's profile. Fields that are left out stay as they are.
#[derive(InputObject)]
pub struct CreatorUpdateInput {
    /// The global id of the creator.
    pub id: ID,
    /// The `version` that you last read. If the profile has changed since, nothing is changed and the error
    /// is `CONFLICT`.
    pub version: Option<i64>,
    /// A new slug. The old slug keeps leading to the creator.
    pub slug: Option<String>,
    /// The name, at most {CREATOR_NAME_CHARS} characters.
    pub name: Option<String>,
    /// A tagline: what the creator does, in one line of at most {TAGLINE_CHARS} characters. Null removes it.
    pub tagline: MaybeUndefined<String>,
    /// The town or region in which the creator works, at most {PLACE_CHARS} characters. Null removes it.
    pub place: MaybeUndefined<String>,
    /// The country as a code of ISO 3166-1 alpha-2, such as `PT`.
    pub country: Option<String>,
    /// The time zone as a name of the IANA database, such as `Europe/Lisbon`.
    pub time_zone: Option<String>,
    /// The currency of all prices of the creator. It cannot change once there is a product or a drop.
    pub currency: Option<CurrencyCode>,
    /// Whether the creator's prices include tax.
    pub prices_include_tax: Option<bool>,
    /// The creator's story in Markdown, at most {MARKDOWN_CHARS} characters. An empty string removes it.
    pub story: Option<String>,
}

user_error!(
    CreatorUpdateError,
    CreatorUpdateErrorCode,
    UpdateCreatorRefusal {
        Conflict: "The profile has changed since the version in the input. Read it again.",
        SlugTaken: "Another creator has, or once had, this slug.",
        CurrencyFixed: "The currency cannot change, because there is a product or a drop.",
    }
);
payload!(
    CreatorUpdatePayload,
    CreatorUpdateError {
        /// The creator after the change.
        creator: Creator,
    }
);

/// The mutations of creators.
#[derive(Default)]
pub struct CreatorsMutation;

#[Object]
impl CreatorsMutation {
    /// Creates a creator. The account that is signed in becomes its owner.
    async fn creator_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new creator.")] input: CreatorCreateInput,
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

    /// Changes the profile of a creator. For the creator's members, and for its secret tokens with
    /// `PROFILE_WRITE`.
    async fn creator_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: CreatorUpdateInput,
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
