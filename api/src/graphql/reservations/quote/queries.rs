//! The query of a price.

use async_graphql::{Context, ID, InputObject, Object};
use domain::{
    platform::{Country, Quantity, access::Browse},
    reservations::{AskRefusal, LINE_UNITS_MAX, LINES_MAX, RequestedLine, ask, quote::QuoteRefusal},
};

use super::{DeliveryMethod, Quote};
use crate::graphql::{
    context::ContextExt,
    input::{Form, Parsed, both, parsed},
    payload::{answer, payload},
    user_error::user_error,
};

user_error!(CheckoutQuoteError, CheckoutQuoteErrorCode, AskRefusal {
    LineCount: "A checkout must have 1 to {LINES} lines.",
    MixedCurrencies (Quote(QuoteRefusal::MixedCurrencies)): "The lines have different currencies.",
    CountryNotServed (Quote(QuoteRefusal::CountryNotServed)): "There is no tax rate for the country.",
    NotShippedThere (Quote(QuoteRefusal::NotShippedThere)): "The creator does not ship to the country.",
    DeliveryNotOffered (Quote(QuoteRefusal::DeliveryNotOffered)): "The drop does not offer this kind of \
        delivery.",
    PickupPlaceNotOffered (Quote(QuoteRefusal::PickupPlaceNotOffered)): "The drop does not offer this pickup \
        place, or the line is not picked up.",
    PickupPlaceNeeded (Quote(QuoteRefusal::PickupPlaceNeeded)): "The drop has several pickup places, and the \
        line names none.",
    AmountTooLarge (Quote(QuoteRefusal::AmountTooLarge)): "The amount is too large.",
} not_found: ItemNotFound);

payload!(
    CheckoutQuotePayload,
    CheckoutQuoteError {
        /// The current price of the lines.
        quote: Quote
    }
);

/// A line: a number of units of one item.
#[derive(InputObject)]
pub struct CheckoutLineInput {
    /// The global id of a drop item.
    pub item_id: ID,
    /// The number of units: 1 to {LINE_UNITS}.
    pub units: i32,
    /// How the units reach the buyer.
    #[graphql(default_with = "DeliveryMethod::Shipping")]
    pub delivery: DeliveryMethod,
    /// The global id of the place where the buyer picks the units up, one of the drop's `pickupPlaces`. It
    /// may be left out if there is only one.
    pub pickup_place_id: Option<ID>,
}

/// A request for a price.
#[derive(InputObject)]
pub struct CheckoutQuoteInput {
    /// The lines: 1 to {LINES}, all in one currency, possibly of several creators.
    pub lines: Vec<CheckoutLineInput>,
    /// The country of delivery as a code of ISO 3166-1 alpha-2, such as `PT`.
    pub country: String,
}

/// Reads lines.
pub(in crate::graphql::reservations) fn lines(
    form: &mut Form,
    input: &[CheckoutLineInput],
) -> Parsed<Vec<RequestedLine>> {
    // Reads one line more than allowed, so that the domain refuses the list, but bounds the work.
    form.each_object("lines", input, LINES_MAX.saturating_add(1), |form, line| {
        let units = Quantity::try_from(line.units).ok().filter(|units| units.get() <= LINE_UNITS_MAX);
        parsed!(RequestedLine {
            item: form.id("itemId", &line.item_id),
            units: form.field("units", units.ok_or_else(|| format!("must be 1 to {LINE_UNITS_MAX}"))),
            delivery: Ok(line.delivery.into()),
            pickup_place: line.pickup_place_id.as_ref().map(|id| form.id("pickupPlaceId", id)).transpose(),
        })
    })
}

/// The query of a price.
#[derive(Default)]
pub struct QuoteQuery;

#[Object]
impl QuoteQuery {
    /// The current price of lines that are delivered to a country. Nothing is held: only `checkoutReserve`
    /// holds units at a price.
    async fn checkout_quote(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The lines and the country of delivery.")] input: CheckoutQuoteInput,
    ) -> async_graphql::Result<CheckoutQuotePayload> {
        answer(async {
            let scope = ctx.scope(Browse)?;
            let mut form = Form::new();
            let lines = lines(&mut form, &input.lines);
            let country = form.field("country", input.country.parse::<Country>());
            let (lines, country) = form.finish(both(lines, country))?;
            Ok(CheckoutQuotePayload::done(Quote(ask(ctx.db(), &scope, &lines, country).await?)))
        })
        .await
    }
}
