//! Quotes and their lines.

use async_graphql::{Context, Enum, Object, SimpleObject};
use chrono::NaiveDate;
use domain::{
    platform::Currency,
    reservations::quote::{self, DeliveryMethod as How},
};

use crate::graphql::{
    context::ContextExt,
    creators::pickup_places::{PickupPlace, ReferredPickupPlace},
    drops::items::{DropItem, ReferredItem},
    errors::Internal,
    money::{Money, TaxedMoney},
    scalars::{CurrencyCode, Decimal},
};

/// How a line reaches its buyer.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "How")]
pub enum DeliveryMethod {
    /// The units are shipped to the address of the checkout.
    Shipping,
    /// The buyer picks the units up at one of the drop's pickup places.
    Pickup,
}

/// A number of units at one price.
#[derive(SimpleObject, Debug, Clone)]
pub struct PricePart {
    /// The number of units.
    pub units: i32,
    /// The price of one unit. The line's `pricesIncludeTax` says whether it includes tax.
    pub price: Money,
}

/// The price of lines.
#[derive(Clone)]
pub struct Quote(pub(crate) quote::Quote);

/// The price of lines.
#[Object]
impl Quote {
    /// The currency of all lines.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }
    /// The total, with tax and shipping. Pass it to `checkoutReserve` as `expectedTotal`.
    async fn total(&self) -> Money {
        self.0.total().into()
    }
    /// The sum of the deposits, which are paid at reservation.
    async fn due_now(&self) -> Money {
        self.0.due_now().into()
    }
    /// The sum of the balances, with shipping.
    async fn due_later(&self) -> Money {
        Money::minor(self.0.due_later_minor, self.0.currency)
    }
    /// The lines, in the order of the request.
    async fn lines(&self) -> Vec<QuoteLine> {
        self.0.lines.iter().map(|line| QuoteLine { line: line.clone(), currency: self.0.currency }).collect()
    }
}

/// The price of one line.
#[derive(Clone)]
pub struct QuoteLine {
    line: quote::QuotedLine,
    currency: Currency,
}

/// The price of one line.
#[Object]
impl QuoteLine {
    /// The item.
    async fn item(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<DropItem>> {
        let item = ctx.load(ReferredItem(self.line.item)).await?;
        Ok(item.map(|item| DropItem::new(item, self.currency)))
    }
    /// The number of units.
    async fn units(&self) -> i32 {
        self.line.units.into()
    }
    /// How the units reach the buyer.
    async fn delivery(&self) -> DeliveryMethod {
        self.line.delivery.into()
    }
    /// The place where the buyer picks the units up. Null if they are shipped, or the drop has no pickup
    /// places.
    async fn pickup_place(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<PickupPlace>> {
        let Some(place) = self.line.pickup_place else { return Ok(None) };
        Ok(ctx.load(ReferredPickupPlace(place)).await?.map(PickupPlace))
    }
    /// The prices of the units. There are several if the line spans several price tiers.
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
    /// The price of the goods.
    async fn goods(&self) -> TaxedMoney {
        TaxedMoney::minor(self.line.goods.net, self.line.goods.tax, self.currency)
    }
    /// This line's share of the cost of its drop's parcel.
    async fn shipping(&self) -> TaxedMoney {
        TaxedMoney::minor(self.line.shipping.net, self.line.shipping.tax, self.currency)
    }
    /// The total of goods and shipping, with tax.
    async fn total(&self) -> Money {
        Money::minor(self.line.total_minor(), self.currency)
    }
    /// The deposit.
    async fn due_now(&self) -> Money {
        Money::minor(self.line.due_now_minor, self.currency)
    }
    /// The balance, with shipping.
    async fn due_later(&self) -> Money {
        Money::minor(self.line.due_later_minor, self.currency)
    }
    /// When the balance is due: a date in the creator's time zone.
    async fn balance_due_on(&self) -> NaiveDate {
        self.line.balance_due_on
    }
    /// Whether `balanceDueOn` is an estimate, because the balance is due before shipping.
    async fn balance_estimated(&self) -> bool {
        self.line.balance_estimated
    }
}
