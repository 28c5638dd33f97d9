//! Checkouts, reservations, quotes, and what they refer to: legal texts, tax rates, shipping tariffs.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    platform::{
        Currency, Db,
        access::{Buy, Manage, Permission},
        ids::{CheckoutId, CreatorId, LegalTextId},
    },
    reservations::{
        self as rules, AddressView, legal, queries,
        quote::{self, Delivery as How},
        reserve::Made,
        state::ReservationState as State,
        tables,
    },
};
use sea_orm::DbErr;

use super::{
    catalog::{ReferredVariant, TaxClass, Variant},
    connection::{PageArgs, connection, counting},
    context::{Reach, global, id},
    creators::{Creator, CreatorById},
    drops::{Drop, DropItem, ReferredDrop, ReferredItem},
    errors::{Internal, bad_input, denied},
    loaders::edge,
    money::{Money, TaxedMoney},
    payments::{Payment, PaymentOf},
    scalars::{CurrencyCode, Decimal, Html},
};

pub mod mutations;

edge!(
    /// The lines of a checkout, in order.
    LinesOf(CheckoutId) -> Vec<rules::Reservation>, |loaders, ids| queries::lines_of(&loaders.db, ids)
);
edge!(
    /// The address of a checkout.
    AddressOf(CheckoutId) -> AddressView, |loaders, ids| queries::addresses_of(&loaders.db, ids)
);
edge!(
    /// The shipping tariffs of a creator, by country and weight.
    TariffsOf(CreatorId) -> Vec<quote::ShippingTariff>, |loaders, ids| tables::tariffs_of(&loaders.db, ids)
);
edge!(
    /// One version of a legal text.
    LegalTextById(LegalTextId) -> legal::LegalText, |loaders, ids| legal_texts(&loaders.db, ids)
);

async fn legal_texts(db: &Db, ids: &[LegalTextId]) -> Result<HashMap<LegalTextId, legal::LegalText>, DbErr> {
    Ok(legal::by_ids(db, ids).await?.into_iter().map(|text| (text.id, text)).collect())
}

/// How a line reaches its buyer.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "How")]
pub enum Delivery {
    /// Sent to the address of the checkout.
    Shipping,
    /// Fetched at the creator's place.
    Pickup,
}

/// So many units at one price.
#[derive(SimpleObject, Debug, Clone)]
pub struct PricePart {
    /// How many.
    pub units: i32,
    /// The price of one, with or without tax as the line's `pricesIncludeTax` says.
    pub price: Money,
}

/// What lines cost together.
#[derive(Clone)]
pub struct Quote(pub(crate) quote::Quote);

/// What lines cost together.
#[Object]
impl Quote {
    /// The one currency of all lines.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }
    /// All, tax and shipping included: give it to `checkoutReserve` as `expectedTotal`.
    async fn total(&self) -> Money {
        self.0.total().into()
    }
    /// The deposits: what is paid at reservation.
    async fn due_now(&self) -> Money {
        self.0.due_now().into()
    }
    /// The balances, shipping included.
    async fn due_later(&self) -> Money {
        Money::minor(self.0.due_later_minor, self.0.currency)
    }
    /// In the order in which they were asked for.
    async fn lines(&self) -> Vec<QuoteLine> {
        self.0.lines.iter().map(|line| QuoteLine { line: line.clone(), currency: self.0.currency }).collect()
    }
}

/// What one line costs.
#[derive(Clone)]
pub struct QuoteLine {
    line: quote::QuotedLine,
    currency: Currency,
}

/// What one line costs.
#[Object]
impl QuoteLine {
    /// The item.
    async fn item(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<DropItem>> {
        let item = ctx.loader().load_one(ReferredItem(self.line.item)).await.internal()?;
        Ok(item.map(|item| DropItem::new(item, self.currency)))
    }
    /// How many.
    async fn units(&self) -> i32 {
        self.line.units.into()
    }
    /// How it reaches the buyer.
    async fn delivery(&self) -> Delivery {
        self.line.delivery.into()
    }
    /// The prices that the units fall into; several when the line straddles price tiers.
    async fn prices(&self) -> async_graphql::Result<Vec<PricePart>> {
        let part = |part: &quote::PricePart| {
            let units = i32::try_from(part.units).internal()?;
            Ok(PricePart { units, price: Money::minor(part.price_minor, self.currency) })
        };
        self.line.parts.iter().map(part).collect()
    }
    /// Whether `prices` include tax.
    async fn prices_include_tax(&self) -> bool {
        self.line.prices_include_tax
    }
    /// The tax rate in percent, such as `"19"`.
    async fn tax_rate(&self) -> Decimal {
        Decimal::percent(self.line.tax_rate_bp.into())
    }
    /// The goods.
    async fn goods(&self) -> TaxedMoney {
        TaxedMoney::minor(self.line.goods.net, self.line.goods.tax, self.currency)
    }
    /// This line's share of its drop's parcel.
    async fn shipping(&self) -> TaxedMoney {
        TaxedMoney::minor(self.line.shipping.net, self.line.shipping.tax, self.currency)
    }
    /// Goods and shipping, tax included.
    async fn total(&self) -> Money {
        Money::minor(self.line.total_minor(), self.currency)
    }
    /// The deposit.
    async fn due_now(&self) -> Money {
        Money::minor(self.line.due_now_minor, self.currency)
    }
    /// The balance, shipping included.
    async fn due_later(&self) -> Money {
        Money::minor(self.line.due_later_minor, self.currency)
    }
    /// When the balance is due: a date in the creator's time zone.
    async fn balance_due_on(&self) -> NaiveDate {
        self.line.balance_due_on
    }
    /// Whether that date is an estimate, because the balance is due before shipping.
    async fn balance_estimated(&self) -> bool {
        self.line.balance_estimated
    }
}

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

connection!(CheckoutConnection, CheckoutEdge, Checkout);

impl Checkout {
    pub(crate) fn made(made: Made) -> Self {
        Self { row: made.checkout.clone(), made: Some(Arc::new(made)) }
    }

    async fn lines(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<rules::Reservation>> {
        if let Some(made) = &self.made {
            return Ok(made.lines.clone());
        }
        Ok(ctx.loader().load_one(LinesOf(self.row.id)).await.internal()?.unwrap_or_default())
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
            () if lines.iter().any(|line| line.state == State::Held && line.expires_at > now) => CheckoutStatus::Held,
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
        Ok(ctx.loader().load_one(PaymentOf(self.row.id)).await.internal()?.map(Payment))
    }
    /// Where it goes, or who fetches it.
    async fn address(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Address>> {
        Ok(ctx.loader().load_one(AddressOf(self.row.id)).await.internal()?.map(Address::from))
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

connection!(ReservationConnection, ReservationEdge, Reservation);

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
        Ok(ctx.loader().load_one(ReferredDrop(self.0.drop_id)).await.internal()?.map(Drop))
    }
    /// The item.
    async fn item(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<DropItem>> {
        let item = ctx.loader().load_one(ReferredItem(self.0.drop_item_id)).await.internal()?;
        Ok(item.map(|item| DropItem::new(item, self.0.currency)))
    }
    /// What is made.
    async fn variant(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Variant>> {
        Ok(ctx.loader().load_one(ReferredVariant(self.0.variant_id)).await.internal()?.map(Variant))
    }
    /// Who makes it.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.loader().load_one(CreatorById(self.0.creator_id)).await.internal()?.map(Creator))
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

/// Which legal text.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "legal::LegalKind")]
pub enum LegalKind {
    /// Terms of sale.
    Terms,
    /// Privacy notice.
    Privacy,
    /// Right of withdrawal.
    Withdrawal,
}

/// One version of a legal text of the marketplace.
#[derive(Clone)]
pub struct LegalText(pub(crate) legal::LegalText);

/// One version of a legal text of the marketplace. To reserve, a buyer accepts the current version of each.
#[Object]
impl LegalText {
    /// Global id: give it in `acceptedLegalTextIds`.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Which text.
    async fn kind(&self) -> LegalKind {
        self.0.kind.into()
    }
    /// Which version, counted from 1.
    async fn number(&self) -> i32 {
        self.0.number
    }
    /// Title.
    async fn title(&self) -> &str {
        &self.0.title
    }
    /// As it was written.
    async fn body_markdown(&self) -> &str {
        &self.0.body_markdown
    }
    /// Rendered and sanitised.
    async fn body_html(&self) -> Html {
        Html(self.0.body_html.clone())
    }
    /// Since when it holds.
    async fn published_at(&self) -> DateTime<Utc> {
        self.0.published_at
    }
}

/// A tax rate of a country and class of goods, from an instant on.
#[derive(SimpleObject, Debug, Clone)]
pub struct TaxRate {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// For which goods.
    pub tax_class: TaxClass,
    /// In percent, such as `"19"`.
    pub rate: Decimal,
    /// From when.
    pub starts_at: DateTime<Utc>,
}

/// A flat price for parcels of a creator to a country, up to a weight.
#[derive(SimpleObject, Debug, Clone)]
pub struct ShippingTariff {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// For parcels up to this weight, in grams. Heavier than the heaviest: several of those.
    pub weight_grams_max: i32,
    /// With or without tax as the creator's prices are.
    pub price: Money,
}

impl From<quote::ShippingTariff> for ShippingTariff {
    fn from(tariff: quote::ShippingTariff) -> Self {
        Self { country: tariff.country.to_string(), weight_grams_max: tariff.weight_grams_max.into(), price: tariff.price.into() }
    }
}

/// Which of a creator's reservations.
#[derive(InputObject, Default)]
pub struct ReservationFilter {
    /// Of one drop.
    pub drop_id: Option<ID>,
    /// In one of these states.
    #[graphql(validator(max_items = 5))]
    pub states: Option<Vec<ReservationState>>,
    /// Made at or after.
    pub since: Option<DateTime<Utc>>,
    /// Made before.
    pub until: Option<DateTime<Utc>>,
}

/// Reads of checkouts and reservations.
#[derive(Default)]
pub struct ReservationsQuery;

#[Object]
impl ReservationsQuery {
    /// One of the viewer's own checkouts. Null when there is none of that id.
    async fn checkout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which checkout.")] id: ID,
    ) -> async_graphql::Result<Option<Checkout>> {
        let scope = ctx.scope(Buy)?;
        let Ok(id) = super::context::id(&id) else { return Ok(None) };
        Ok(queries::checkout(ctx.db(), &scope, id).await.internal()?.map(Checkout::from))
    }

    /// The viewer's own checkouts, newest first.
    async fn checkouts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many rows, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<CheckoutConnection> {
        let page = PageArgs { first, after, last, before }.page("checkouts")?;
        let scope = ctx.scope(Buy)?;
        let slice = queries::checkouts(ctx.db(), &scope, &page).await.internal()?;
        let counting = counting(ctx.db(), scope, |db, scope| async move { queries::checkouts_count(&db, &scope).await });
        Ok(CheckoutConnection::new("checkouts", slice.map(Checkout::from), counting))
    }

    /// A creator's reservations, newest first, for its members and its tokens with `reservations:read`.
    #[expect(clippy::too_many_arguments, reason = "a list field has the arguments of the Relay specification")]
    async fn reservations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose.")] creator_id: ID,
        #[graphql(desc = "Which of them.")] filter: Option<ReservationFilter>,
        #[graphql(desc = "The first so many rows, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<Option<ReservationConnection>> {
        let page = PageArgs { first, after, last, before }.page("reservations")?;
        let Ok(creator) = id::<CreatorId>(&creator_id) else { return Ok(None) };
        let scope =
            match domain::platform::access::authorize(ctx.viewer(), Manage { creator, permission: Permission::ReservationsRead }) {
                Ok(scope) => scope,
                // Another's creator reads exactly like one that does not exist.
                Err(domain::platform::access::Denied::NotFound) => return Ok(None),
                Err(why) => return Err(denied(why)),
            };
        let filter = filter.unwrap_or_default();
        let drop =
            filter.drop_id.map(|drop| id(&drop).map_err(|error| bad_input(format!("`filter.dropId`: {error}")))).transpose()?;
        let states = filter.states.map(|states| states.into_iter().map(Into::into).collect());
        let filter = queries::ReservationFilter { drop, states, since: filter.since, until: filter.until };
        let slice = queries::reservations(ctx.db(), &scope, &filter, &page).await.internal()?;
        let counting = counting(ctx.db(), (scope, filter), |db, (scope, filter)| async move {
            queries::reservations_count(&db, &scope, &filter).await
        });
        Ok(Some(ReservationConnection::new("reservations", slice.map(Reservation), counting)))
    }

    /// The current version of every legal text: what a buyer accepts to reserve.
    async fn legal_texts(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<LegalText>> {
        Ok(legal::current(ctx.db().reader()).await.internal()?.into_iter().map(LegalText).collect())
    }

    /// The tax table of the marketplace.
    async fn tax_rates(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<TaxRate>> {
        tax_rates(ctx).await
    }
}

async fn tax_rates(ctx: &Context<'_>) -> async_graphql::Result<Vec<TaxRate>> {
    let rates = tables::tax_rates(ctx.db()).await.internal()?;
    let rate = |rate: quote::TaxRate| TaxRate {
        country: rate.country.to_string(),
        tax_class: rate.class.into(),
        rate: Decimal::percent(rate.rate_bp.into()),
        starts_at: rate.starts_at,
    };
    Ok(rates.into_iter().map(rate).collect())
}
