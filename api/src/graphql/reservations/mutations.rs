//! Mutations that reserve units, pay for them, and cancel reservations.

use std::time::Duration;

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use domain::{
    payments::method::{PaymentMethod, ReturnUrl},
    platform::{
        Country, OpError, Refused,
        access::Buy,
        ids::{CheckoutId, LegalTextId, ReservationId},
        text::TextLine,
    },
    reservations::{
        self, CancelRefusal, PayRefusal, PayRequest, ReserveRefusal, ReserveRequest, Reserved,
        address::Address, quote::QuoteRefusal,
    },
};

use super::{
    Checkout,
    queries::own_checkout,
    quote::{
        Quote,
        queries::{CheckoutLineInput, lines},
    },
};
use crate::graphql::{
    context::ContextExt,
    errors::bad_input,
    input::{Form, Parsed, id_at, parsed},
    money::MoneyInput,
    payload::{Payload, answer, payload, refusal},
    payments::{Payment, PaymentOf},
    user_error::user_error,
};

user_error!(CheckoutReserveError, CheckoutReserveErrorCode, ReserveRefusal {
    LineCount: "A checkout must have 1 to {LINES} lines.",
    NotOpen: "The reservation window has not opened yet. It opens at `retryAt`.",
    Closed: "The reservation window has closed, or the drop is cancelled.",
    SoldOut: "Fewer units are free than requested. Held units may become free again.",
    LimitExceeded: "The number of units exceeds the limit of one person, over all of their checkouts.",
    TooManyHolds: "The buyer has {OPEN_HOLDS} unpaid checkouts in the drop. Pay for one or cancel one first.",
    HoldsLapsed: "Too many of the buyer's holds in the drop ended unpaid. Try again at `retryAt`.",
    PriceChanged: "The price is higher than `expectedTotal`. The payload has the new quote.",
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
    LegalTextsNotAccepted: "The current version of a legal text was not accepted. See the query \
        `legalTexts`.",
    KeyReused: "The idempotency key was used for another request.",
} not_found: ItemNotFound);
user_error!(CheckoutPayError, CheckoutPayErrorCode, PayRefusal {
    HoldOver: "The hold ended, or the checkout was cancelled. Reserve again.",
    AlreadyPaid: "The deposit is paid already.",
    PaymentInProcess: "A payment is being processed. Wait for its outcome.",
    KeyReused: "The idempotency key was used for another request.",
} not_found: NotFound);
user_error!(ReservationCancelError, ReservationCancelErrorCode, CancelRefusal {
    Over: "The reservation has ended already.",
    WindowClosed: "The reservation is paid and the window has closed, so the run is being made.",
    PaymentInProcess: "A payment is being processed. Wait for its outcome.",
    KeyReused: "The idempotency key was used for another request.",
} not_found: NotFound);

payload!(CheckoutReservePayload, CheckoutReserveError {
    /// The checkout with its held lines.
    checkout: Checkout,
    /// Whether an earlier call with the same idempotency key created the checkout.
    replayed: bool
} or {
    /// The new quote, if the error is PRICE_CHANGED.
    quote: Quote,
    /// When to try again, if the error is NOT_OPEN or HOLDS_LAPSED.
    retry_at: DateTime<Utc>
});
payload!(
    CheckoutPayPayload,
    CheckoutPayError {
        /// The payment. Follow its `status` and `action`.
        payment: Payment,
        /// Whether an earlier call with the same idempotency key chose the method.
        replayed: bool
    }
);
payload!(
    ReservationCancelPayload,
    ReservationCancelError {
        /// The checkout after the change.
        checkout: Checkout,
        /// Whether an earlier call with the same idempotency key cancelled the reservation.
        replayed: bool
    }
);

/// A postal address.
#[derive(InputObject)]
pub struct AddressInput {
    /// The name of the recipient, at most {RECIPIENT_CHARS} characters.
    pub name: String,
    /// The street and number, at most {STREET_CHARS} characters.
    pub line1: String,
    /// A second address line, at most {STREET_CHARS} characters.
    pub line2: Option<String>,
    /// The postal code in the format of the country, at most {POSTAL_CODE_CHARS} characters.
    pub postal_code: String,
    /// The town, at most {CITY_CHARS} characters.
    pub city: String,
    /// The country as a code of ISO 3166-1 alpha-2, such as `PT`.
    pub country: String,
    /// A phone number for the courier, at most {PHONE_CHARS} characters.
    pub phone: Option<String>,
}

/// A request to reserve units.
#[derive(InputObject)]
pub struct CheckoutReserveInput {
    /// The lines: 1 to {LINES}, all in one currency, possibly of several creators. All of them are held, or
    /// none.
    pub lines: Vec<CheckoutLineInput>,
    /// The address of delivery, or of the person who picks the units up.
    pub address: AddressInput,
    /// The total of the quote that the buyer has seen. If the current price is lower, the lower price
    /// applies. If it is higher, the request is refused with the new quote.
    pub expected_total: MoneyInput,
    /// The ids of the current versions of all legal texts, which the buyer has accepted.
    pub accepted_legal_text_ids: Vec<ID>,
    /// The idempotency key: {KEY_CHARS} characters of `A-Z`, `a-z`, `0-9`, `_`, `.`, `:` and `-`. Use a new
    /// key for each intention of the user, and the same key for a retry, which then has no second effect.
    /// Keys are kept for {KEY_DAYS} days.
    pub idempotency_key: String,
}

/// A choice of how to pay the deposit of a checkout.
#[derive(InputObject)]
pub struct CheckoutPayInput {
    /// The global id of the checkout.
    pub checkout_id: ID,
    /// An opaque reference to a method of payment, from the gateway's own script. The sandbox gateway accepts
    /// `pm_sandbox_success`, `pm_sandbox_declined`, `pm_sandbox_insufficient_funds`, `pm_sandbox_confirm`,
    /// `pm_sandbox_late` and `pm_sandbox_late_declined`.
    pub payment_method: String,
    /// The URL to which the buyer returns after an action. It must use https, or http on localhost.
    pub return_url: Option<String>,
    /// The idempotency key: {KEY_CHARS} characters of `A-Z`, `a-z`, `0-9`, `_`, `.`, `:` and `-`. Use a new
    /// key for each intention of the user, and the same key for a retry, which then has no second effect.
    /// Keys are kept for {KEY_DAYS} days.
    pub idempotency_key: String,
}

/// A reservation to cancel.
#[derive(InputObject)]
pub struct ReservationCancelInput {
    /// The global id of the reservation.
    pub reservation_id: ID,
    /// The idempotency key: {KEY_CHARS} characters of `A-Z`, `a-z`, `0-9`, `_`, `.`, `:` and `-`. Use a new
    /// key for each intention of the user, and the same key for a retry, which then has no second effect.
    /// Keys are kept for {KEY_DAYS} days.
    pub idempotency_key: String,
}

fn address(form: &mut Form, input: &AddressInput) -> Parsed<Address> {
    fn given(text: Option<&String>) -> Option<&str> {
        text.map(String::as_str).filter(|text| !text.is_empty())
    }
    form.inside("address", |form| {
        parsed!(Address {
            name: form.field("name", TextLine::new(&input.name)),
            line1: form.field("line1", TextLine::new(&input.line1)),
            line2: form.optional("line2", given(input.line2.as_ref()).map(TextLine::new)),
            postal_code: form.field("postalCode", TextLine::new(&input.postal_code)),
            city: form.field("city", TextLine::new(&input.city)),
            country: form.field("country", input.country.parse::<Country>()),
            phone: form.optional("phone", given(input.phone.as_ref()).map(TextLine::new)),
        })
    })
}

/// Reads the ids of legal texts. An id that does not parse is reported at the path `acceptedLegalTextIds`.
fn accepted(form: &mut Form, ids: &[ID]) -> Parsed<Vec<LegalTextId>> {
    // There are fewer legal texts than this.
    const LOOKED_AT: usize = 20;
    let read: Vec<_> = ids.iter().take(LOOKED_AT).map(|id| form.id("acceptedLegalTextIds", id)).collect();
    read.into_iter().collect()
}

/// The mutations of checkouts and reservations.
#[derive(Default)]
pub struct ReservationsMutation;

#[Object]
impl ReservationsMutation {
    /// Holds the units of all lines, or of none, until the deadline of the checkout. The payment gateway is
    /// not called yet: the payment stays PREPARING until `checkoutPay`.
    async fn checkout_reserve(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The lines and the buyer's address.")] input: CheckoutReserveInput,
    ) -> async_graphql::Result<CheckoutReservePayload> {
        answer(async {
            let scope = ctx.scope(Buy)?;
            let mut form = Form::new();
            let request = parsed!(ReserveRequest {
                lines: lines(&mut form, &input.lines),
                address: address(&mut form, &input.address),
                expected_total: form.money("expectedTotal", &input.expected_total),
                accepted: accepted(&mut form, &input.accepted_legal_text_ids),
                key: form.key(&input.idempotency_key),
                arrived_at: Ok(ctx.request().arrived_at),
            });
            let request = form.finish(request)?;
            let decided = tokio::select! {
                decided = ctx.desk().reserve(&scope, request) => decided,
                // The client is gone, so a request that is still queued need not be decided.
                () = ctx.request().gone.cancelled() => Err(OpError::Busy(Duration::ZERO)),
            };
            match decided {
                Ok(Reserved::Made { checkout, replayed, rows }) => {
                    let checkout = match rows {
                        Some(rows) => Some(Checkout::made(*rows)),
                        None => own_checkout(ctx, &scope, checkout).await?,
                    };
                    Ok(CheckoutReservePayload::done(checkout, replayed))
                }
                Err(OpError::Refused(why)) => {
                    let retry_at = why.iter().filter_map(|refused| refused.code.retry_at()).max();
                    let errors = why.into_iter().map(refusal).collect();
                    Ok(CheckoutReservePayload { retry_at, ..CheckoutReservePayload::refused(errors, None) })
                }
                Err(error) => Err(error.into()),
                Ok(Reserved::Repriced(quote)) => {
                    let error = refusal(Refused::field(ReserveRefusal::PriceChanged, "expectedTotal"));
                    Ok(CheckoutReservePayload {
                        quote: Some(Quote(quote)),
                        ..CheckoutReservePayload::refused(vec![error], None)
                    })
                }
            }
        })
        .await
    }

    /// Pays the deposit of a checkout. A background task calls the payment gateway, for the oldest hold
    /// first. Follow the payment's `status` and `action`. The time that the call waits in the server's queue
    /// does not shorten the hold.
    async fn checkout_pay(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The checkout and the method of payment.")] input: CheckoutPayInput,
    ) -> async_graphql::Result<CheckoutPayPayload> {
        answer(async {
            let scope = ctx.scope(Buy)?;
            let checkout = id_at::<CheckoutId>("checkoutId", &input.checkout_id)?;
            let mut form = Form::new();
            let method =
                PaymentMethod::new(&input.payment_method).ok_or("must be a reference to a method of payment");
            let method = form.field("paymentMethod", method);
            let wrong_url = "must be an https URL (or http on localhost) without credentials";
            let return_url =
                form.optional("returnUrl", input.return_url.map(|url| ReturnUrl::new(&url).ok_or(wrong_url)));
            let key = form.key(&input.idempotency_key);
            let (method, return_url, key) = form.finish((|| Ok((method?, return_url?, key?)))())?;
            let gateway = ctx
                .gateways()
                .for_new_payments()
                .ok_or_else(|| bad_input("this marketplace takes no payments"))?;
            let gateway = gateway.identity().clone();
            let request = PayRequest { checkout, method, return_url, gateway, key };
            let (_, replayed) = reservations::pay(ctx.db(), &scope, &request).await?;
            let payment = ctx.load(PaymentOf(checkout)).await?.map(Payment);
            Ok(CheckoutPayPayload::done(payment, replayed))
        })
        .await
    }

    /// Cancels a reservation. If its checkout is unpaid, the whole checkout is cancelled, because one payment
    /// covers all of its lines. If it is paid, the deposit of this reservation is refunded, as long as the
    /// reservation window is open.
    async fn reservation_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The reservation to cancel.")] input: ReservationCancelInput,
    ) -> async_graphql::Result<ReservationCancelPayload> {
        answer(async {
            let scope = ctx.scope(Buy)?;
            let reservation = id_at::<ReservationId>("reservationId", &input.reservation_id)?;
            let mut form = Form::new();
            let key = form.key(&input.idempotency_key);
            let (checkout, replayed) =
                reservations::cancel(ctx.db(), &scope, reservation, &form.finish(key)?).await?;
            Ok(ReservationCancelPayload::done(own_checkout(ctx, &scope, checkout).await?, replayed))
        })
        .await
    }
}
