//! To reserve, pay and cancel.

use std::time::Duration;

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use domain::{
    payments::method::{PaymentMethod, ReturnUrl},
    platform::{
        Country, OpError, Refused,
        access::Buy,
        ids::{CheckoutId, LegalTextId, ReservationId},
        text::Line,
    },
    reservations::{
        address::Address,
        cancel::{self, CancelRefusal},
        pay::{self, PayRefusal, PayRequest},
        quote::QuoteRefusal,
        reserve::{ReserveRefusal, ReserveRequest, Reserved},
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
    context::Reach,
    errors::bad_input,
    input::{Form, Parsed, id_at, parsed},
    money::MoneyInput,
    payload::{Payload, answer, payload, refusal},
    payments::{Payment, PaymentOf},
    user_error::user_error,
};

user_error!(CheckoutReserveError, CheckoutReserveErrorCode, ReserveRefusal {
    LineCount: "A checkout has 1 to 20 lines.",
    NotOpen: "The window has not opened: it does at `retryAt`.",
    Closed: "The window is over, or the drop was cancelled.",
    SoldOut: "Fewer units are free than were asked for. Units that are held may come back.",
    LimitExceeded: "That is more than one person may have, over all of their checkouts.",
    TooManyHolds: "The buyer has three unpaid checkouts in the drop: pay for one, or give it up.",
    HoldsLapsed: "Too many of the buyer's holds in the drop ran out unpaid: come again at `retryAt`.",
    PriceChanged: "It costs more than `expectedTotal`: the payload has the new quote.",
    MixedCurrencies (Quote(QuoteRefusal::MixedCurrencies)): "Lines of drops with different currencies.",
    CountryNotServed (Quote(QuoteRefusal::CountryNotServed)): "There is no tax rate for that country.",
    NotShippedThere (Quote(QuoteRefusal::NotShippedThere)): "The creator does not ship to that country.",
    DeliveryNotOffered (Quote(QuoteRefusal::DeliveryNotOffered)): "The drop is not offered with that kind of delivery.",
    AmountTooLarge (Quote(QuoteRefusal::AmountTooLarge)): "The amount is too large.",
    LegalTextsNotAccepted: "The current version of a legal text was not accepted: see `legalTexts`.",
    KeyReused: "The idempotency key was used for another request.",
} not_found: ItemNotFound);
user_error!(CheckoutPayError, CheckoutPayErrorCode, PayRefusal {
    HoldOver: "The hold ran out, or was given up: reserve again.",
    AlreadyPaid: "The deposit is paid.",
    PaymentInProcess: "A payment is under way: wait for its outcome.",
    KeyReused: "The idempotency key was used for another request.",
} not_found: NotFound);
user_error!(ReservationCancelError, ReservationCancelErrorCode, CancelRefusal {
    Over: "It is over already.",
    WindowClosed: "It is paid and the window has closed: the run is being made.",
    PaymentInProcess: "A payment is under way: wait for its outcome.",
    KeyReused: "The idempotency key was used for another request.",
} not_found: NotFound);

payload!(CheckoutReservePayload, CheckoutReserveError {
    /// The checkout with its held lines.
    checkout: Checkout,
    /// Whether an earlier call with the same key made it.
    replayed: bool
} or {
    /// The new price, when the error is PRICE_CHANGED.
    quote: Quote,
    /// When to come again, when the error is NOT_OPEN or HOLDS_LAPSED.
    retry_at: DateTime<Utc>
});
payload!(
    CheckoutPayPayload,
    CheckoutPayError {
        /// The payment: follow its `status` and `action`.
        payment: Payment,
        /// Whether an earlier call with the same key did this.
        replayed: bool
    }
);
payload!(
    ReservationCancelPayload,
    ReservationCancelError {
        /// The checkout as it is now.
        checkout: Checkout,
        /// Whether an earlier call with the same key did this.
        replayed: bool
    }
);

/// A postal address.
#[derive(InputObject)]
pub struct AddressInput {
    /// The recipient, at most 120 characters.
    pub name: String,
    /// Street and number, at most 160 characters.
    pub line1: String,
    /// More of the address, at most 160 characters.
    pub line2: Option<String>,
    /// As the country writes it, at most 20 characters.
    pub postal_code: String,
    /// Town, at most 120 characters.
    pub city: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// For the courier, at most 40 characters.
    pub phone: Option<String>,
}

/// What is to be reserved.
#[derive(InputObject)]
pub struct CheckoutReserveInput {
    /// 1 to 20 lines, also of several creators, all of one currency: all of them are held, or none.
    pub lines: Vec<CheckoutLineInput>,
    /// Where it goes, or who fetches it.
    pub address: AddressInput,
    /// The total of the quote that the buyer has seen. A lower price passes; a higher one is refused with the
    /// new quote.
    pub expected_total: MoneyInput,
    /// The current version of every legal text.
    pub accepted_legal_text_ids: Vec<ID>,
    /// 8 to 64 characters, new for each intention of the buyer: the same key makes a repetition harmless.
    /// Kept 7 days.
    pub idempotency_key: String,
}

/// How the deposit is to be paid.
#[derive(InputObject)]
pub struct CheckoutPayInput {
    /// Which checkout.
    pub checkout_id: ID,
    /// An opaque reference to a method of payment, from the gateway's own script. The sandbox knows
    /// `pm_sandbox_success`, `pm_sandbox_declined`, `pm_sandbox_insufficient_funds`, `pm_sandbox_confirm`,
    /// `pm_sandbox_late` and `pm_sandbox_late_declined`.
    pub payment_method: String,
    /// Where the buyer comes back to after an action: https, or http on localhost.
    pub return_url: Option<String>,
    /// 8 to 64 characters, new for each try of the buyer.
    pub idempotency_key: String,
}

/// What is given up.
#[derive(InputObject)]
pub struct ReservationCancelInput {
    /// Which reservation.
    pub reservation_id: ID,
    /// 8 to 64 characters.
    pub idempotency_key: String,
}

/// What an idempotency key is.
const KEY_RULE: &str = "must be 8 to 64 characters of A-Z, a-z, 0-9 and _ . : -";

fn address(form: &mut Form, input: &AddressInput) -> Parsed<Address> {
    fn given(text: Option<&String>) -> Option<&str> {
        text.map(String::as_str).filter(|text| !text.is_empty())
    }
    form.inside("address", |form| {
        parsed!(Address {
            name: form.field("name", Line::new(&input.name)),
            line1: form.field("line1", Line::new(&input.line1)),
            line2: form.optional("line2", given(input.line2.as_ref()).map(Line::new)),
            postal_code: form.field("postalCode", Line::new(&input.postal_code)),
            city: form.field("city", Line::new(&input.city)),
            country: form.field("country", input.country.parse::<Country>()),
            phone: form.optional("phone", given(input.phone.as_ref()).map(Line::new)),
        })
    })
}

/// Reads the ids of legal texts. What is wrong with one of them is told of all.
fn accepted(form: &mut Form, ids: &[ID]) -> Parsed<Vec<LegalTextId>> {
    // More than there are legal texts.
    const LOOKED_AT: usize = 20;
    let read: Vec<_> = ids.iter().take(LOOKED_AT).map(|id| form.id("acceptedLegalTextIds", id)).collect();
    read.into_iter().collect()
}

/// Writes of checkouts and reservations.
#[derive(Default)]
pub struct ReservationsMutation;

#[Object]
impl ReservationsMutation {
    /// Hold the units of all lines, or of none, until the one deadline of the checkout. The gateway is not
    /// called: the payment is PREPARING until `checkoutPay`.
    async fn checkout_reserve(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is held, for whom.")] input: CheckoutReserveInput,
    ) -> async_graphql::Result<CheckoutReservePayload> {
        answer(async {
            let scope = ctx.scope(Buy)?;
            let mut form = Form::new();
            let request = parsed!(ReserveRequest {
                lines: lines(&mut form, &input.lines),
                address: address(&mut form, &input.address),
                expected_total: form.money("expectedTotal", &input.expected_total),
                accepted: accepted(&mut form, &input.accepted_legal_text_ids),
                key: form.key(&input.idempotency_key, KEY_RULE),
                arrived_at: Ok(ctx.request().arrived_at),
            });
            let request = form.finish(request)?;
            let decided = tokio::select! {
                decided = ctx.desk().reserve(&scope, request) => decided,
                // Nobody hears the answer; a request that waits for its turn is not decided.
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

    /// Pay what is due now. The gateway is told by a task, oldest hold first; follow the payment's `status`
    /// and `action`. The time that this waits in our queue does not run off the hold.
    async fn checkout_pay(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is paid, and how.")] input: CheckoutPayInput,
    ) -> async_graphql::Result<CheckoutPayPayload> {
        answer(async {
            let scope = ctx.scope(Buy)?;
            let checkout = id_at::<CheckoutId>("checkoutId", &input.checkout_id)?;
            let mut form = Form::new();
            let method =
                PaymentMethod::new(&input.payment_method).ok_or("is not a reference to a method of payment");
            let method = form.field("paymentMethod", method);
            let wrong_url = "must be an https address (or http on localhost) without credentials";
            let return_url =
                form.optional("returnUrl", input.return_url.map(|url| ReturnUrl::new(&url).ok_or(wrong_url)));
            let key = form.key(&input.idempotency_key, KEY_RULE);
            let (method, return_url, key) = form.finish((|| Ok((method?, return_url?, key?)))())?;
            let gateway = ctx
                .gateways()
                .for_new_payments()
                .ok_or_else(|| bad_input("this marketplace takes no payments"))?;
            let gateway = gateway.identity().clone();
            let request = PayRequest { checkout, method, return_url, gateway, key };
            let (_, replayed) = pay::pay(ctx.db(), &scope, &request).await?;
            let payment = ctx.load(PaymentOf(checkout)).await?.map(Payment);
            Ok(CheckoutPayPayload::done(payment, replayed))
        })
        .await
    }

    /// Give a reservation up. An unpaid checkout is released whole, because one payment covers its lines; of
    /// a paid one, this line's deposit goes back, as long as the window is open.
    async fn reservation_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which reservation.")] input: ReservationCancelInput,
    ) -> async_graphql::Result<ReservationCancelPayload> {
        answer(async {
            let scope = ctx.scope(Buy)?;
            let reservation = id_at::<ReservationId>("reservationId", &input.reservation_id)?;
            let mut form = Form::new();
            let key = form.key(&input.idempotency_key, KEY_RULE);
            let (checkout, replayed) =
                cancel::cancel(ctx.db(), &scope, reservation, &form.finish(key)?).await?;
            Ok(ReservationCancelPayload::done(own_checkout(ctx, &scope, checkout).await?, replayed))
        })
        .await
    }
}
