//! Quotes and their lines.

use async_graphql::{Context, Enum, Object, SimpleObject};
use chrono::NaiveDate;
use domain::{
    platform::Currency,
    reservations::quote::{self, Delivery as How},
};

use crate::graphql::{
    context::Reach,
    drops::items::{DropItem, ReferredItem},
    errors::Internal,
    money::{Money, TaxedMoney},
    scalars::{CurrencyCode, Decimal},
};

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
        let item = ctx.load(ReferredItem(self.line.item)).await?;
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
