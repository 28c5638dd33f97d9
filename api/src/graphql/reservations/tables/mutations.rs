//! Mutations that set tax rates and shipping tariffs, and publish legal texts.

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use domain::{
    platform::{
        Country,
        access::{Administer, Permission},
        ids::CreatorId,
        text::{Markdown, TextLine},
    },
    reservations::{
        self, NewTariff, TARIFFS_MAX, legal,
        tables::{TableRefusal, tariffs_of},
    },
};

use super::{
    LegalText, LegalTextById, ShippingTariff,
    queries::tax_rates,
    types::{LegalKind, TaxRate},
};
use crate::graphql::{
    catalog::TaxClass,
    context::ContextExt,
    errors::Internal,
    input::{Form, argument, both, id_at, parsed},
    money::MoneyInput,
    payload::{answer, payload},
    scalars::Decimal,
    user_error::user_error,
};

user_error!(
    TableError,
    TableErrorCode,
    TableRefusal {
        RateOutOfRange: "A tax rate must be 0 to 100 percent.",
        TooManyTariffs: "A creator can have at most {TARIFFS} shipping tariffs.",
        CurrencyMismatch: "A tariff is not in the creator's currency.",
        Duplicate: "Two tariffs have the same country and weight.",
        OutOfRange: "A price is negative, or a weight is not positive.",
    }
);

payload!(TaxRateSetPayload, TableError {
    /// The whole tax table after the change.
    tax_rates: Vec<TaxRate>
});
payload!(CreatorShippingTariffsSetPayload, TableError {
    /// The creator's tariffs after the change.
    tariffs: Vec<ShippingTariff>
});

/// A tax rate that holds from an instant on.
#[derive(InputObject)]
pub struct TaxRateSetInput {
    /// The country as a code of ISO 3166-1 alpha-2, such as `PT`.
    pub country: String,
    /// The tax class of the goods.
    pub tax_class: TaxClass,
    /// The tax rate in percent, such as `"19"`.
    pub rate: Decimal,
    /// When the rate starts to apply. The default is now.
    pub starts_at: Option<DateTime<Utc>>,
}

/// A shipping tariff.
#[derive(InputObject)]
pub struct ShippingTariffInput {
    /// The country of delivery as a code of ISO 3166-1 alpha-2, such as `PT`.
    pub country: String,
    /// The highest weight of a parcel, in grams.
    pub weight_grams_max: i32,
    /// The price of a parcel. It includes tax if the creator's `pricesIncludeTax` is true.
    pub price: MoneyInput,
}

/// All shipping tariffs of a creator.
#[derive(InputObject)]
pub struct CreatorShippingTariffsSetInput {
    /// The global id of the creator.
    pub creator_id: ID,
    /// The tariffs, at most {TARIFFS}. They replace all present ones.
    pub tariffs: Vec<ShippingTariffInput>,
}

/// A new version of a legal text.
#[derive(InputObject)]
pub struct LegalTextPublishInput {
    /// The kind of the legal text.
    pub kind: LegalKind,
    /// The title, at most {LEGAL_TITLE_CHARS} characters.
    pub title: String,
    /// The text in Markdown, at most {MARKDOWN_CHARS} characters.
    pub body: String,
}

/// The mutations of tax rates, shipping tariffs and legal texts.
#[derive(Default)]
pub struct TablesMutation;

#[Object]
impl TablesMutation {
    /// Sets a tax rate of the marketplace from an instant on. For administrators.
    async fn tax_rate_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The tax rate.")] input: TaxRateSetInput,
    ) -> async_graphql::Result<TaxRateSetPayload> {
        answer(async {
            let scope = ctx.scope(Administer)?;
            let mut form = Form::new();
            let country = form.field("country", input.country.parse::<Country>());
            let rate = form.field("rate", input.rate.basis_points());
            let (country, rate) = form.finish(both(country, rate))?;
            let starts_at = input.starts_at.unwrap_or(ctx.db().now());
            reservations::set_tax_rate(ctx.db(), &scope, country, input.tax_class.into(), starts_at, rate)
                .await?;
            Ok(TaxRateSetPayload::done(tax_rates(ctx).await?))
        })
        .await
    }

    /// Replaces all shipping tariffs of a creator. For the creator's members, and for its secret tokens with
    /// `PROFILE_WRITE`.
    async fn creator_shipping_tariffs_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The creator and its tariffs.")] input: CreatorShippingTariffsSetInput,
    ) -> async_graphql::Result<CreatorShippingTariffsSetPayload> {
        answer(async {
            // Reads one tariff more than allowed, so that the domain refuses the list, but bounds the work.
            const LOOKED_AT: usize = TARIFFS_MAX.saturating_add(1);
            let creator = id_at::<CreatorId>("creatorId", &input.creator_id)?;
            let scope = ctx.manage(creator, Permission::ProfileWrite, "creatorId")?;
            let mut form = Form::new();
            let tariffs = form.each_object("tariffs", &input.tariffs, LOOKED_AT, |form, tariff| {
                parsed!(NewTariff {
                    country: form.field("country", tariff.country.parse::<Country>()),
                    weight_grams_max: Ok(tariff.weight_grams_max),
                    price: form.field("price", tariff.price.parse()),
                })
            });
            reservations::set_tariffs(ctx.db(), &scope, &form.finish(tariffs)?).await?;
            let rows =
                tariffs_of(ctx.db(), &[creator]).await.internal()?.remove(&creator).unwrap_or_default();
            let tariffs: Vec<_> = rows.into_iter().map(ShippingTariff::from).collect();
            Ok(CreatorShippingTariffsSetPayload::done(tariffs))
        })
        .await
    }

    /// Publishes a new version of a legal text. From now on, buyers must accept this version. For
    /// administrators.
    async fn legal_text_publish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new version.")] input: LegalTextPublishInput,
    ) -> async_graphql::Result<Option<LegalText>> {
        let scope = ctx.scope(Administer)?;
        let title = argument("title", TextLine::new(&input.title))?;
        let body = argument("body", Markdown::new(&input.body))?;
        let id = legal::publish(ctx.db(), &scope, input.kind.into(), &title, &body).await.internal()?;
        Ok(ctx.load(LegalTextById(id)).await?.map(LegalText))
    }
}
