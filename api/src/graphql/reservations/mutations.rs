//! To ask for a price, reserve, pay and cancel; and to set what prices depend on.

use std::time::Duration;

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use domain::{
    payments::pay::{self, PayRefusal, PayRequest, PaymentMethod, ReturnUrl},
    platform::{
        Country, OpError, Quantity,
        access::{Administer, Browse, Buy, Permission},
        idempotency::IdempotencyKey,
        ids::{CheckoutId, CreatorId, LegalTextId, ReservationId},
        text::{Line as TextLine, Markdown},
    },
    reservations::{
        address::Address,
        cancel::{self, CancelRefusal},
        legal,
        lines::{self, AskRefusal, LINE_UNITS_MAX, LINES_MAX, Line},
        queries,
        quote::QuoteRefusal,
        reserve::{ReserveRefusal, ReserveRequest, Reserved},
        tables::{self, NewTariff, TableRefusal},
    },
};

use super::{Checkout, Delivery, LegalKind, LegalText, LegalTextById, Quote, ShippingTariff, TaxRate};
use crate::graphql::{
    catalog::TaxClass,
    context::{Reach, id, id_at},
    creators::manage,
    errors::{CommonCode, Complaints, Internal, Stop, bad_input, complaint, payload, user_error},
    money::MoneyInput,
    payments::{Payment, PaymentOf},
    scalars::Decimal,
};

user_error!(CheckoutQuoteError, CheckoutQuoteErrorCode, AskRefusal {
    LineCount: "A checkout has 1 to 20 lines.",
    MixedCurrencies (Quote(QuoteRefusal::MixedCurrencies)): "Lines of drops with different currencies.",
    CountryNotServed (Quote(QuoteRefusal::CountryNotServed)): "There is no tax rate for that country.",
    NotShippedThere (Quote(QuoteRefusal::NotShippedThere)): "The creator does not ship to that country.",
    DeliveryNotOffered (Quote(QuoteRefusal::DeliveryNotOffered)): "The drop is not offered with that kind of delivery.",
    AmountTooLarge (Quote(QuoteRefusal::AmountTooLarge)): "The amount is too large.",
} not_found: ItemNotFound);
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

payload!(
    CheckoutQuotePayload,
    CheckoutQuoteError {
        /// What the lines would cost now.
        quote: Quote
    }
);
payload!(
    CheckoutReservePayload,
    CheckoutReserveError {
        /// The checkout with its held lines.
        checkout: Checkout,
        /// Whether an earlier call with the same key made it.
        replayed: bool,
        /// The new price, when the error is PRICE_CHANGED.
        quote: Quote,
        /// When to come again, when the error is NOT_OPEN or HOLDS_LAPSED.
        retry_at: DateTime<Utc>
    }
);
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
payload!(TaxRateSetPayload, TableError {
    /// The whole table.
    tax_rates: Vec<TaxRate>
});
payload!(CreatorShippingTariffsSetPayload, TableError {
    /// The creator's tariffs as they are now.
    tariffs: Vec<ShippingTariff>
});

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
    /// The total of the quote that the buyer has seen. A lower price passes; a higher one is refused with the new quote.
    pub expected_total: MoneyInput,
    /// The current version of every legal text.
    pub accepted_legal_text_ids: Vec<ID>,
    /// 8 to 64 characters, new for each intention of the buyer: the same key makes a repetition harmless. Kept 7 days.
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

fn lines<C: CommonCode>(complaints: &mut Complaints<C>, input: &[CheckoutLineInput]) -> Vec<Line> {
    let mut lines = Vec::new();
    // One more than allowed, so that the rule refuses; no more work than that.
    for (at, line) in input.iter().enumerate().take(LINES_MAX.saturating_add(1)) {
        let at = at.to_string();
        let item = complaints.take(&["lines", &at, "itemId"], id(&line.item_id));
        let units = Quantity::try_from(line.units).ok().filter(|units| units.get() <= LINE_UNITS_MAX);
        let units = complaints.take(&["lines", &at, "units"], units.ok_or("must be 1 to 1000"));
        if let (Some(item), Some(units)) = (item, units) {
            lines.push(Line { item, units, delivery: line.delivery.into() });
        }
    }
    lines
}

fn address<C: CommonCode>(complaints: &mut Complaints<C>, input: &AddressInput) -> Option<Address> {
    let name = complaints.take(&["address", "name"], TextLine::new(&input.name));
    let line1 = complaints.take(&["address", "line1"], TextLine::new(&input.line1));
    let line2 =
        complaints.take_some(&["address", "line2"], input.line2.as_deref().filter(|text| !text.is_empty()).map(TextLine::new));
    let postal_code = complaints.take(&["address", "postalCode"], TextLine::new(&input.postal_code));
    let city = complaints.take(&["address", "city"], TextLine::new(&input.city));
    let country = complaints.take(&["address", "country"], input.country.parse::<Country>());
    let phone =
        complaints.take_some(&["address", "phone"], input.phone.as_deref().filter(|text| !text.is_empty()).map(TextLine::new));
    Some(Address { name: name?, line1: line1?, line2, postal_code: postal_code?, city: city?, country: country?, phone })
}

fn key<C: CommonCode>(complaints: &mut Complaints<C>, text: &str) -> Option<IdempotencyKey> {
    let key = IdempotencyKey::new(text).ok_or("must be 8 to 64 characters of A-Z, a-z, 0-9 and _ . : -");
    complaints.take(&["idempotencyKey"], key)
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
        let work = async {
            let scope = ctx.scope(Browse)?;
            let mut complaints = Complaints::<CheckoutQuoteErrorCode>::new();
            let lines = lines(&mut complaints, &input.lines);
            let country = complaints.take(&["country"], input.country.parse::<Country>());
            let (Some(country), true) = (country, complaints.is_empty()) else { return Err(complaints.into()) };
            let quote = lines::ask(ctx.db(), &scope, &lines, country).await?;
            Ok(CheckoutQuotePayload { quote: Some(Quote(quote)), ..Default::default() })
        };
        CheckoutQuotePayload::of(work.await)
    }
}

/// Writes of checkouts and reservations, and of what prices depend on.
#[derive(Default)]
pub struct ReservationsMutation;

#[Object]
impl ReservationsMutation {
    /// Hold the units of all lines, or of none, until the one deadline of the checkout. The gateway is not called: the payment is
    /// PREPARING until `checkoutPay`.
    async fn checkout_reserve(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is held, for whom.")] input: CheckoutReserveInput,
    ) -> async_graphql::Result<CheckoutReservePayload> {
        CheckoutReservePayload::of(reserve_checkout(ctx, input).await)
    }

    /// Pay what is due now. The gateway is told by a task, oldest hold first; follow the payment's `status` and `action`. The time
    /// that this waits in our queue does not run off the hold.
    async fn checkout_pay(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is paid, and how.")] input: CheckoutPayInput,
    ) -> async_graphql::Result<CheckoutPayPayload> {
        CheckoutPayPayload::of(pay_checkout(ctx, input).await)
    }

    /// Give a reservation up. An unpaid checkout is released whole, because one payment covers its lines; of a paid one, this
    /// line's deposit goes back, as long as the window is open.
    async fn reservation_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which reservation.")] input: ReservationCancelInput,
    ) -> async_graphql::Result<ReservationCancelPayload> {
        ReservationCancelPayload::of(cancel_reservation(ctx, input).await)
    }

    /// Set a tax rate of the marketplace from an instant on. For administrators.
    async fn tax_rate_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rate.")] input: TaxRateSetInput,
    ) -> async_graphql::Result<TaxRateSetPayload> {
        let work = async {
            let scope = ctx.scope(Administer)?;
            let mut complaints = Complaints::<TableErrorCode>::new();
            let country = complaints.take(&["country"], input.country.parse::<Country>());
            let rate = complaints.take(&["rate"], input.rate.basis_points());
            let (Some(country), Some(rate)) = (country, rate) else { return Err(complaints.into()) };
            let starts_at = input.starts_at.unwrap_or(ctx.db().now());
            tables::set_tax_rate(ctx.db(), &scope, country, input.tax_class.into(), starts_at, rate).await?;
            Ok(TaxRateSetPayload { tax_rates: Some(super::tax_rates(ctx).await?), ..Default::default() })
        };
        TaxRateSetPayload::of(work.await)
    }

    /// Replace all shipping tariffs of a creator.
    async fn creator_shipping_tariffs_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose tariffs, and which.")] input: CreatorShippingTariffsSetInput,
    ) -> async_graphql::Result<CreatorShippingTariffsSetPayload> {
        let work = async {
            let creator: CreatorId = id_at::<_, TableErrorCode>(&input.creator_id, "creatorId")?;
            let scope = manage(ctx, Some(creator), Permission::ProfileWrite, "creatorId")?;
            let mut complaints = Complaints::new();
            let mut tariffs = Vec::new();
            for (at, tariff) in input.tariffs.iter().enumerate().take(501) {
                let at = at.to_string();
                let country = complaints.take(&["tariffs", &at, "country"], tariff.country.parse::<Country>());
                let price = complaints.take(&["tariffs", &at, "price"], tariff.price.parse());
                if let (Some(country), Some(price)) = (country, price) {
                    tariffs.push(NewTariff { country, weight_grams_max: tariff.weight_grams_max, price });
                }
            }
            if !complaints.is_empty() {
                return Err(complaints.into());
            }
            tables::set_tariffs(ctx.db(), &scope, &tariffs).await?;
            let rows = tables::tariffs_of(ctx.db(), &[creator]).await.internal()?.remove(&creator).unwrap_or_default();
            let tariffs = rows.into_iter().map(ShippingTariff::from).collect();
            Ok(CreatorShippingTariffsSetPayload { tariffs: Some(tariffs), ..Default::default() })
        };
        CreatorShippingTariffsSetPayload::of(work.await)
    }

    /// Publish the next version of a legal text: from now on buyers accept that one. For administrators.
    async fn legal_text_publish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The text.")] input: LegalTextPublishInput,
    ) -> async_graphql::Result<Option<LegalText>> {
        let scope = ctx.scope(Administer)?;
        let title = TextLine::new(&input.title).map_err(|error| bad_input(format!("`title` {error}")))?;
        let body = Markdown::new(&input.body).map_err(|error| bad_input(format!("`body` {error}")))?;
        let id = legal::publish(ctx.db(), &scope, input.kind.into(), &title, &body).await.internal()?;
        Ok(ctx.loader().load_one(LegalTextById(id)).await.internal()?.map(LegalText))
    }
}

async fn own_checkout(ctx: &Context<'_>, id: CheckoutId) -> async_graphql::Result<Option<Checkout>> {
    let scope = ctx.scope(Buy)?;
    Ok(queries::checkout(ctx.db(), &scope, id).await.internal()?.map(Checkout::from))
}

async fn reserve_checkout(
    ctx: &Context<'_>,
    input: CheckoutReserveInput,
) -> Result<CheckoutReservePayload, Stop<CheckoutReserveErrorCode>> {
    let scope = ctx.scope(Buy)?;
    let mut complaints = Complaints::new();
    let lines = lines(&mut complaints, &input.lines);
    let address = address(&mut complaints, &input.address);
    let expected_total = complaints.take(&["expectedTotal", "amount"], input.expected_total.parse());
    let mut accepted: Vec<LegalTextId> = Vec::new();
    for text in input.accepted_legal_text_ids.iter().take(20) {
        accepted.extend(complaints.take(&["acceptedLegalTextIds"], id::<LegalTextId>(text)));
    }
    let key = key(&mut complaints, &input.idempotency_key);
    let (Some(address), Some(expected_total), Some(key), true) = (address, expected_total, key, complaints.is_empty()) else {
        return Err(complaints.into());
    };
    let arrived_at = ctx.request().arrived_at;
    let request = ReserveRequest { lines, address, expected_total, accepted, arrived_at, key };
    let decided = tokio::select! {
        decided = ctx.desk().reserve(&scope, request) => decided,
        // Nobody hears the answer; a request that waits for its turn is not decided.
        () = ctx.request().gone.cancelled() => Err(OpError::Busy(Duration::ZERO)),
    };
    match decided {
        Ok(Reserved::Made { checkout, replayed, rows }) => {
            let checkout = match rows {
                Some(rows) => Some(Checkout::made(*rows)),
                None => own_checkout(ctx, checkout).await?,
            };
            Ok(CheckoutReservePayload { checkout, replayed: Some(replayed), ..Default::default() })
        }
        Err(OpError::Refused(why)) => {
            let retry_at = why.iter().filter_map(|refused| refused.code.retry_at()).max();
            let errors = why.into_iter().map(|refused| CheckoutReserveError::from(complaint(refused))).collect();
            Ok(CheckoutReservePayload { retry_at, errors, ..Default::default() })
        }
        Err(error) => Err(error.into()),
        Ok(Reserved::Repriced(quote)) => {
            let error = CheckoutReserveError {
                message: ReserveRefusal::PriceChanged.to_string(),
                path: vec!["expectedTotal".to_owned()],
                code: CheckoutReserveErrorCode::PriceChanged,
            };
            Ok(CheckoutReservePayload { quote: Some(Quote(quote)), errors: vec![error], ..Default::default() })
        }
    }
}

async fn pay_checkout(ctx: &Context<'_>, input: CheckoutPayInput) -> Result<CheckoutPayPayload, Stop<CheckoutPayErrorCode>> {
    let scope = ctx.scope(Buy)?;
    let mut complaints = Complaints::new();
    let checkout: CheckoutId = id_at(&input.checkout_id, "checkoutId")?;
    let method = PaymentMethod::new(&input.payment_method).ok_or("is not a reference to a method of payment");
    let method = complaints.take(&["paymentMethod"], method);
    let wrong_url = "must be an https address (or http on localhost) without credentials";
    let return_url = complaints.take_some(&["returnUrl"], input.return_url.map(|url| ReturnUrl::new(&url).ok_or(wrong_url)));
    let key = key(&mut complaints, &input.idempotency_key);
    let (Some(method), Some(key), true) = (method, key, complaints.is_empty()) else { return Err(complaints.into()) };
    let gateway = ctx.gateways().first().map(|gateway| gateway.name());
    let gateway = gateway.ok_or_else(|| bad_input("this marketplace takes no payments"))?;
    let request = PayRequest { checkout, method, return_url, gateway, key };
    let (_, replayed) = pay::pay(ctx.db(), &scope, &request).await?;
    let payment = ctx.loader().load_one(PaymentOf(checkout)).await.internal()?.map(Payment);
    Ok(CheckoutPayPayload { payment, replayed: Some(replayed), ..Default::default() })
}

async fn cancel_reservation(
    ctx: &Context<'_>,
    input: ReservationCancelInput,
) -> Result<ReservationCancelPayload, Stop<ReservationCancelErrorCode>> {
    let scope = ctx.scope(Buy)?;
    let reservation: ReservationId = id_at(&input.reservation_id, "reservationId")?;
    let mut complaints = Complaints::new();
    let Some(key) = key(&mut complaints, &input.idempotency_key) else { return Err(complaints.into()) };
    let (checkout, replayed) = cancel::cancel(ctx.db(), &scope, reservation, &key).await?;
    let checkout = own_checkout(ctx, checkout).await?;
    Ok(ReservationCancelPayload { checkout, replayed: Some(replayed), ..Default::default() })
}
