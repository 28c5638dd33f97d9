//! To set what prices depend on, and to publish legal texts.

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use domain::{
    platform::{
        Country,
        access::{Administer, Permission},
        ids::CreatorId,
        text::{Line, Markdown},
    },
    reservations::{
        legal,
        tables::{self, NewTariff, TableRefusal},
    },
};

use super::{
    LegalText, LegalTextById, ShippingTariff,
    queries::tax_rates,
    types::{LegalKind, TaxRate},
};
use crate::graphql::{
    catalog::TaxClass,
    context::Reach,
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
        RateOutOfRange: "A tax rate lies between 0 and 100 percent.",
        TooManyTariffs: "A creator has at most 500 shipping tariffs.",
        CurrencyMismatch: "A tariff is in the creator's currency.",
        Duplicate: "Two tariffs for one country and weight.",
        OutOfRange: "A price is negative, or a weight is not positive.",
    }
);

payload!(TaxRateSetPayload, TableError {
    /// The whole table.
    tax_rates: Vec<TaxRate>
});
payload!(CreatorShippingTariffsSetPayload, TableError {
    /// The creator's tariffs as they are now.
    tariffs: Vec<ShippingTariff>
});

/// A tax rate from an instant on.
#[derive(InputObject)]
pub struct TaxRateSetInput {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// For which goods.
    pub tax_class: TaxClass,
    /// In percent, such as `"19"`.
    pub rate: Decimal,
    /// From when; now if absent.
    pub starts_at: Option<DateTime<Utc>>,
}

/// One tariff.
#[derive(InputObject)]
pub struct ShippingTariffInput {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// For parcels up to this weight, in grams.
    pub weight_grams_max: i32,
    /// With or without tax as the creator's prices are.
    pub price: MoneyInput,
}

/// All tariffs of a creator.
#[derive(InputObject)]
pub struct CreatorShippingTariffsSetInput {
    /// Whose.
    pub creator_id: ID,
    /// They replace those that there are; at most 500.
    pub tariffs: Vec<ShippingTariffInput>,
}

/// The next version of a legal text.
#[derive(InputObject)]
pub struct LegalTextPublishInput {
    /// Which text.
    pub kind: LegalKind,
    /// At most 160 characters.
    pub title: String,
    /// Markdown, at most 20,000 characters.
    pub body: String,
}

/// Writes of what prices and checkouts refer to.
#[derive(Default)]
pub struct TablesMutation;

#[Object]
impl TablesMutation {
    /// Set a tax rate of the marketplace from an instant on. For administrators.
    async fn tax_rate_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rate.")] input: TaxRateSetInput,
    ) -> async_graphql::Result<TaxRateSetPayload> {
        answer(async {
            let scope = ctx.scope(Administer)?;
            let mut form = Form::new();
            let country = form.field("country", input.country.parse::<Country>());
            let rate = form.field("rate", input.rate.basis_points());
            let (country, rate) = form.finish(both(country, rate))?;
            let starts_at = input.starts_at.unwrap_or(ctx.db().now());
            tables::set_tax_rate(ctx.db(), &scope, country, input.tax_class.into(), starts_at, rate).await?;
            Ok(TaxRateSetPayload::done(tax_rates(ctx).await?))
        })
        .await
    }

    /// Replace all shipping tariffs of a creator.
    async fn creator_shipping_tariffs_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose tariffs, and which.")] input: CreatorShippingTariffsSetInput,
    ) -> async_graphql::Result<CreatorShippingTariffsSetPayload> {
        answer(async {
            // One more than allowed, so that the rule refuses; no more work than that.
            const LOOKED_AT: usize = 501;
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
            tables::set_tariffs(ctx.db(), &scope, &form.finish(tariffs)?).await?;
            let rows = tables::tariffs_of(ctx.db(), &[creator])
                .await
                .internal()?
                .remove(&creator)
                .unwrap_or_default();
            let tariffs: Vec<_> = rows.into_iter().map(ShippingTariff::from).collect();
            Ok(CreatorShippingTariffsSetPayload::done(tariffs))
        })
        .await
    }

    /// Publish the next version of a legal text: from now on buyers accept that one. For administrators.
    async fn legal_text_publish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The text.")] input: LegalTextPublishInput,
    ) -> async_graphql::Result<Option<LegalText>> {
        let scope = ctx.scope(Administer)?;
        let title = argument("title", Line::new(&input.title))?;
        let body = argument("body", Markdown::new(&input.body))?;
        let id = legal::publish(ctx.db(), &scope, input.kind.into(), &title, &body).await.internal()?;
        Ok(ctx.load(LegalTextById(id)).await?.map(LegalText))
    }
}
