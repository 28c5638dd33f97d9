//! To ask for a price.

use async_graphql::{Context, ID, InputObject, Object};
use domain::{
    platform::{Country, Quantity, access::Browse},
    reservations::{
        lines::{self, AskRefusal, LINE_UNITS_MAX, LINES_MAX, Line},
        quote::QuoteRefusal,
    },
};

use super::{Delivery, Quote};
use crate::graphql::{
    context::Reach,
    input::{Form, Parsed, both, parsed},
    payload::{answer, payload},
    user_error::user_error,
};

user_error!(CheckoutQuoteError, CheckoutQuoteErrorCode, AskRefusal {
    LineCount: "A checkout has 1 to 20 lines.",
    MixedCurrencies (Quote(QuoteRefusal::MixedCurrencies)): "Lines of drops with different currencies.",
    CountryNotServed (Quote(QuoteRefusal::CountryNotServed)): "There is no tax rate for that country.",
    NotShippedThere (Quote(QuoteRefusal::NotShippedThere)): "The creator does not ship to that country.",
    DeliveryNotOffered (Quote(QuoteRefusal::DeliveryNotOffered)): "The drop is not offered with that kind of delivery.",
    AmountTooLarge (Quote(QuoteRefusal::AmountTooLarge)): "The amount is too large.",
} not_found: ItemNotFound);

payload!(
    CheckoutQuotePayload,
    CheckoutQuoteError {
        /// What the lines would cost now.
        quote: Quote
    }
);

/// So many units of an item.
#[derive(InputObject)]
pub struct CheckoutLineInput {
    /// Which item of a drop.
    pub item_id: ID,
    /// How many, from 1.
    pub units: i32,
    /// How it reaches the buyer.
    #[graphql(default_with = "Delivery::Shipping")]
    pub delivery: Delivery,
}

/// What a price is asked for.
#[derive(InputObject)]
pub struct CheckoutQuoteInput {
    /// 1 to 20 lines, also of several creators, all of one currency.
    pub lines: Vec<CheckoutLineInput>,
    /// Where it goes: ISO 3166-1 alpha-2.
    pub country: String,
}

/// Reads lines.
pub(in crate::graphql::reservations) fn lines(
    form: &mut Form,
    input: &[CheckoutLineInput],
) -> Parsed<Vec<Line>> {
    // One more than allowed, so that the rule refuses; no more work than that.
    form.each_object("lines", input, LINES_MAX.saturating_add(1), |form, line| {
        let units = Quantity::try_from(line.units).ok().filter(|units| units.get() <= LINE_UNITS_MAX);
        parsed!(Line {
            item: form.id("itemId", &line.item_id),
            units: form.field("units", units.ok_or_else(|| format!("must be 1 to {LINE_UNITS_MAX}"))),
            delivery: Ok(line.delivery.into()),
        })
    })
}

/// Asks for prices.
#[derive(Default)]
pub struct QuoteQuery;

#[Object]
impl QuoteQuery {
    /// What lines would cost now, sent to that country. Nothing is held: only reserving binds.
    async fn checkout_quote(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is priced.")] input: CheckoutQuoteInput,
    ) -> async_graphql::Result<CheckoutQuotePayload> {
        answer(async {
            let scope = ctx.scope(Browse)?;
            let mut form = Form::new();
            let lines = lines(&mut form, &input.lines);
            let country = form.field("country", input.country.parse::<Country>());
            let (lines, country) = form.finish(both(lines, country))?;
            Ok(CheckoutQuotePayload::done(Quote(lines::ask(ctx.db(), &scope, &lines, country).await?)))
        })
        .await
    }
}
