//! Checkouts, their addresses, and reservations.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    platform::ids::CheckoutId,
    reservations::{self as rules, AddressView, Made, queries, state::ReservationState as State},
};

use super::{
    quote::{DeliveryMethod, Quote},
    tables::{LegalText, LegalTextById},
};
use crate::graphql::{
    catalog::{ReferredVariant, Variant},
    connection::ListNode,
    context::{ContextExt, global},
    creators::{
        Creator, CreatorById,
        pickup_places::{PickupPlace, ReferredPickupPlace},
    },
    drops::{
        Drop, ReferredDrop,
        items::{DropItem, ReferredItem},
    },
    errors::Internal,
    loaders::edge,
    money::Money,
    payments::{Payment, PaymentOf},
    scalars::CurrencyCode,
};

edge!(
    /// The lines of a checkout, in order.
    LinesOf(CheckoutId) -> Vec<rules::Reservation>, |loaders, ids| queries::lines_of(&loaders.db, ids)
);
edge!(
    /// The address of a checkout.
    AddressOf(CheckoutId) -> AddressView, |loaders, ids| queries::addresses_of(&loaders.db, ids)
);
/// The status of a checkout, which follows from the states of its lines.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
pub enum CheckoutStatus {
    /// The units are held until `expiresAt`, and the deposit is not paid yet.
    Held,
    /// The deposit is paid.
    Confirmed,
    /// The hold ended before the deposit was paid.
    Lapsed,
    /// The checkout was cancelled before the deposit was paid.
    Cancelled,
    /// The whole deposit is refunded, or will be.
    Refunded,
}

/// A checkout.
#[derive(Clone)]
pub struct Checkout {
    row: rules::Checkout,
    /// The lines and the payment, if this request has just written them.
    made: Option<Arc<Made>>,
}

impl From<rules::Checkout> for Checkout {
    fn from(row: rules::Checkout) -> Self {
        Self { row, made: None }
    }
}

impl ListNode for Checkout {}

impl Checkout {
    pub(crate) fn made(made: Made) -> Self {
        Self { row: made.checkout.clone(), made: Some(Arc::new(made)) }
    }

    async fn lines(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<rules::Reservation>> {
        if let Some(made) = &self.made {
            return Ok(made.lines.clone());
        }
        Ok(ctx.load(LinesOf(self.row.id)).await?.unwrap_or_default())
    }
}

/// A checkout: the reservations that one call of `checkoutReserve` made. They are paid together, or their
/// holds end together.
#[Object]
impl Checkout {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.row.id)
    }
    /// The current status. It becomes LAPSED as soon as the hold ends.
    async fn status(&self, ctx: &Context<'_>) -> async_graphql::Result<CheckoutStatus> {
        let (lines, now) = (self.lines(ctx).await?, ctx.db().now());
        let any = |state| lines.iter().any(|line| line.state == state);
        Ok(match () {
            () if any(State::Confirmed) => CheckoutStatus::Confirmed,
            () if lines.iter().any(|line| line.state == State::Held && line.expires_at > now) => {
                CheckoutStatus::Held
            }
            () if any(State::Held) || any(State::Expired) => CheckoutStatus::Lapsed,
            () if any(State::Refunded) => CheckoutStatus::Refunded,
            () => CheckoutStatus::Cancelled,
        })
    }
    /// The deadline for the deposit, which holds for all lines. It moves while a payment is in progress.
    async fn expires_at(&self) -> DateTime<Utc> {
        self.row.expires_at
    }
    /// The currency of all amounts.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.row.currency)
    }
    /// The total, with tax and shipping.
    async fn total(&self) -> Money {
        Money::minor(self.row.total_minor, self.row.currency)
    }
    /// The sum of the deposits.
    async fn due_now(&self) -> Money {
        self.row.due_now().into()
    }
    /// The sum of the balances, with shipping.
    async fn due_later(&self) -> Money {
        Money::minor(self.row.due_later_minor, self.row.currency)
    }
    /// The quote that the buyer agreed to, with all lines.
    async fn quote(&self) -> Quote {
        Quote(self.row.quote.clone())
    }
    /// The reservations, in the order of the requested lines.
    async fn reservations(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Reservation>> {
        Ok(self.lines(ctx).await?.into_iter().map(Reservation).collect())
    }
    /// The payment of the deposit.
    async fn payment(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Payment>> {
        if let Some(made) = &self.made {
            return Ok(Some(Payment(made.payment.clone())));
        }
        Ok(ctx.load(PaymentOf(self.row.id)).await?.map(Payment))
    }
    /// The address of delivery, or of the person who picks the units up.
    async fn address(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Address>> {
        Ok(ctx.load(AddressOf(self.row.id)).await?.map(Address::from))
    }
    /// The versions of the legal texts that the buyer accepted.
    async fn legal_texts(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<LegalText>> {
        let keys: Vec<_> = self.row.legal_text_ids.0.iter().copied().map(LegalTextById).collect();
        let texts = ctx.loader().load_many(&keys).await.internal()?;
        let mut texts: Vec<_> = texts.into_values().collect();
        texts.sort_by_key(|text| text.id);
        Ok(texts.into_iter().map(LegalText).collect())
    }
    /// When the checkout was created.
    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }
    /// The version of the checkout, which grows with every change.
    async fn version(&self) -> i64 {
        self.row.version
    }
}

/// A postal address.
#[derive(SimpleObject, Debug, Clone)]
pub struct Address {
    /// The name of the recipient.
    pub name: String,
    /// The street and number.
    pub line1: String,
    /// A second address line.
    pub line2: Option<String>,
    /// The postal code in the format of the country.
    pub postal_code: String,
    /// The town.
    pub city: String,
    /// The country as a code of ISO 3166-1 alpha-2, such as `PT`.
    pub country: String,
    /// A phone number for the courier.
    pub phone: Option<String>,
}

impl From<AddressView> for Address {
    fn from(row: AddressView) -> Self {
        let AddressView { checkout_id: _, name, line1, line2, postal_code, city, country, phone } = row;
        Self { name, line1, line2, postal_code, city, country: country.to_string(), phone }
    }
}

/// The state of a reservation.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "State")]
pub enum ReservationState {
    /// The units are held until `expiresAt`, and the deposit is not paid yet.
    Held,
    /// The deposit is paid.
    Confirmed,
    /// The hold ended before the deposit was paid.
    Expired,
    /// The reservation was cancelled before the deposit was paid.
    Cancelled,
    /// The reservation was cancelled after the deposit was paid, or the deposit came too late. The deposit is
    /// refunded.
    Refunded,
}

/// A reservation.
#[derive(Clone)]
pub struct Reservation(pub(crate) rules::Reservation);

impl ListNode for Reservation {}

impl Reservation {
    fn money(&self, minor: i64) -> Money {
        Money::minor(minor, self.0.currency)
    }
}

/// A reservation: a buyer's claim on units of one drop item.
#[Object]
impl Reservation {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The state.
    async fn state(&self) -> ReservationState {
        self.0.state.into()
    }
    /// The drop.
    async fn drop(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Drop>> {
        Ok(ctx.load(ReferredDrop(self.0.drop_id)).await?.map(Drop))
    }
    /// The item of the drop.
    async fn item(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<DropItem>> {
        let item = ctx.load(ReferredItem(self.0.drop_item_id)).await?;
        Ok(item.map(|item| DropItem::new(item, self.0.currency)))
    }
    /// The variant.
    async fn variant(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Variant>> {
        Ok(ctx.load(ReferredVariant(self.0.variant_id)).await?.map(Variant))
    }
    /// The creator.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.load(CreatorById(self.0.creator_id)).await?.map(Creator))
    }
    /// The number of units.
    async fn units(&self) -> i32 {
        self.0.units.into()
    }
    /// How the units reach the buyer.
    async fn delivery(&self) -> DeliveryMethod {
        self.0.delivery.into()
    }
    /// The place where the buyer picks the units up. Null if they are shipped, or the drop had no pickup
    /// places when they were reserved. The buyer sees the address once the deposit is paid.
    async fn pickup_place(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<PickupPlace>> {
        let Some(place) = self.0.pickup_place_id else { return Ok(None) };
        Ok(ctx.load(ReferredPickupPlace(place)).await?.map(PickupPlace))
    }
    /// The tax that `total` includes.
    async fn tax(&self) -> Money {
        self.money(self.0.tax_minor)
    }
    /// The total of goods and shipping, with tax.
    async fn total(&self) -> Money {
        self.money(self.0.total_minor)
    }
    /// The deposit.
    async fn due_now(&self) -> Money {
        self.money(self.0.due_now_minor)
    }
    /// The balance, with shipping.
    async fn due_later(&self) -> Money {
        self.money(self.0.due_later_minor)
    }
    /// When the balance is due: a date in the creator's time zone.
    async fn balance_due_on(&self) -> Option<NaiveDate> {
        self.0.balance_due_on
    }
    /// When the hold ends.
    async fn expires_at(&self) -> DateTime<Utc> {
        self.0.expires_at
    }
    /// When the deposit was paid. Null if it was not paid.
    async fn confirmed_at(&self) -> Option<DateTime<Utc>> {
        self.0.confirmed_at
    }
    /// When the reservation was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}
