//! Checkouts, their addresses, and reservations.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    platform::ids::CheckoutId,
    reservations::{self as rules, AddressView, queries, reserve::Made, state::ReservationState as State},
};

use super::{
    quote::{Delivery, Quote},
    tables::{LegalText, LegalTextById},
};
use crate::graphql::{
    catalog::{ReferredVariant, Variant},
    connection::ListNode,
    context::{Reach, global},
    creators::{Creator, CreatorById},
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
/// Where a checkout stands, from its lines.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
pub enum CheckoutStatus {
    /// Units are kept until `expiresAt`; the deposit is not paid.
    Held,
    /// The deposit is paid.
    Confirmed,
    /// The hold ran out.
    Lapsed,
    /// Given up before it was paid.
    Cancelled,
    /// All of the deposit went, or goes, back.
    Refunded,
}

/// What one `checkoutReserve` made: its lines are paid together, or lapse together.
#[derive(Clone)]
pub struct Checkout {
    row: rules::Checkout,
    /// Its lines and its payment, where this request has just written them.
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

/// What one `checkoutReserve` made: its lines are paid together, or lapse together.
#[Object]
impl Checkout {
    /// Global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.row.id)
    }
    /// Where it stands now. A hold that ran out is LAPSED at once, whoever notices when.
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
    /// The one deadline of the deposit. It moves while a payment is under way.
    async fn expires_at(&self) -> DateTime<Utc> {
        self.row.expires_at
    }
    /// The one currency.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.row.currency)
    }
    /// All, tax and shipping included.
    async fn total(&self) -> Money {
        Money::minor(self.row.total_minor, self.row.currency)
    }
    /// The deposits.
    async fn due_now(&self) -> Money {
        self.row.due_now().into()
    }
    /// The balances, shipping included.
    async fn due_later(&self) -> Money {
        Money::minor(self.row.due_later_minor, self.row.currency)
    }
    /// The price as it was agreed, line by line.
    async fn quote(&self) -> Quote {
        Quote(self.row.quote.clone())
    }
    /// The lines, in the order in which they were asked for.
    async fn reservations(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Reservation>> {
        Ok(self.lines(ctx).await?.into_iter().map(Reservation).collect())
    }
    /// The deposit's payment.
    async fn payment(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Payment>> {
        if let Some(made) = &self.made {
            return Ok(Some(Payment(made.payment.clone())));
        }
        Ok(ctx.load(PaymentOf(self.row.id)).await?.map(Payment))
    }
    /// Where it goes, or who fetches it.
    async fn address(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Address>> {
        Ok(ctx.load(AddressOf(self.row.id)).await?.map(Address::from))
    }
    /// The versions of the legal texts that were accepted.
    async fn legal_texts(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<LegalText>> {
        let keys: Vec<_> = self.row.legal_text_ids.0.iter().copied().map(LegalTextById).collect();
        let texts = ctx.loader().load_many(&keys).await.internal()?;
        let mut texts: Vec<_> = texts.into_values().collect();
        texts.sort_by_key(|text| text.id);
        Ok(texts.into_iter().map(LegalText).collect())
    }
    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }
    /// Counts changes.
    async fn version(&self) -> i64 {
        self.row.version
    }
}

/// A postal address.
#[derive(SimpleObject, Debug, Clone)]
pub struct Address {
    /// The recipient.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// More of the address.
    pub line2: Option<String>,
    /// As the country writes it.
    pub postal_code: String,
    /// Town.
    pub city: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// For the courier.
    pub phone: Option<String>,
}

impl From<AddressView> for Address {
    fn from(row: AddressView) -> Self {
        let AddressView { checkout_id: _, name, line1, line2, postal_code, city, country, phone } = row;
        Self { name, line1, line2, postal_code, city, country: country.to_string(), phone }
    }
}

/// Where a reservation stands.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "State")]
pub enum ReservationState {
    /// Units are kept until `expiresAt`; the deposit is not paid.
    Held,
    /// The deposit is paid.
    Confirmed,
    /// The hold ran out.
    Expired,
    /// Given up before anything was paid.
    Cancelled,
    /// Given up, or come too late, after the deposit was paid: it goes back.
    Refunded,
}

/// A buyer's claim on units of one drop item.
#[derive(Clone)]
pub struct Reservation(pub(crate) rules::Reservation);

impl ListNode for Reservation {}

impl Reservation {
    fn money(&self, minor: i64) -> Money {
        Money::minor(minor, self.0.currency)
    }
}

/// A buyer's claim on units of one drop item.
#[Object]
impl Reservation {
    /// Global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Where it stands.
    async fn state(&self) -> ReservationState {
        self.0.state.into()
    }
    /// The drop.
    async fn drop(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Drop>> {
        Ok(ctx.load(ReferredDrop(self.0.drop_id)).await?.map(Drop))
    }
    /// The item.
    async fn item(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<DropItem>> {
        let item = ctx.load(ReferredItem(self.0.drop_item_id)).await?;
        Ok(item.map(|item| DropItem::new(item, self.0.currency)))
    }
    /// What is made.
    async fn variant(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Variant>> {
        Ok(ctx.load(ReferredVariant(self.0.variant_id)).await?.map(Variant))
    }
    /// Who makes it.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.load(CreatorById(self.0.creator_id)).await?.map(Creator))
    }
    /// How many.
    async fn units(&self) -> i32 {
        self.0.units.into()
    }
    /// How it reaches the buyer.
    async fn delivery(&self) -> Delivery {
        self.0.delivery.into()
    }
    /// The tax in `total`.
    async fn tax(&self) -> Money {
        self.money(self.0.tax_minor)
    }
    /// Goods and shipping, tax included.
    async fn total(&self) -> Money {
        self.money(self.0.total_minor)
    }
    /// The deposit.
    async fn due_now(&self) -> Money {
        self.money(self.0.due_now_minor)
    }
    /// The balance, shipping included.
    async fn due_later(&self) -> Money {
        self.money(self.0.due_later_minor)
    }
    /// When the balance is due, in the creator's time zone.
    async fn balance_due_on(&self) -> Option<NaiveDate> {
        self.0.balance_due_on
    }
    /// The end of the hold.
    async fn expires_at(&self) -> DateTime<Utc> {
        self.0.expires_at
    }
    /// When the deposit was paid.
    async fn confirmed_at(&self) -> Option<DateTime<Utc>> {
        self.0.confirmed_at
    }
    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}
