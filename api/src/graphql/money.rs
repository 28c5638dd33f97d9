//! Amounts of money in inputs and results.

use async_graphql::{InputObject, SimpleObject};
use domain::platform::{self, money::MoneyError};

use super::{
    input::{Form, Parsed, both},
    scalars::{CurrencyCode, Decimal},
};

/// An amount of money in one currency.
#[derive(SimpleObject, Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// The amount in major units, with all decimals of the currency, such as `"12.50"` for euros or `"5200"`
    /// for yen.
    pub amount: Decimal,
    /// The currency.
    pub currency: CurrencyCode,
}

impl From<platform::Money> for Money {
    fn from(money: platform::Money) -> Self {
        Self { amount: Decimal(money.amount()), currency: CurrencyCode(money.currency) }
    }
}

impl Money {
    /// Makes an amount from minor units.
    pub(crate) fn minor(minor: i64, currency: platform::Currency) -> Self {
        platform::Money::new(minor, currency).into()
    }
}

/// An amount of money in one currency.
#[derive(InputObject, Debug, Clone)]
pub struct MoneyInput {
    /// The amount in major units, such as `"12.50"`, with at most as many decimals as the currency has.
    pub amount: Decimal,
    /// The currency.
    pub currency: CurrencyCode,
}

impl MoneyInput {
    /// Reads the amount, whose decimals must fit its currency.
    pub(crate) fn parse(&self) -> Result<platform::Money, MoneyError> {
        platform::Money::parse(&self.amount.0, self.currency.0)
    }
}

/// An amount with its tax.
#[derive(SimpleObject, Debug, Clone)]
pub struct TaxedMoney {
    /// The amount without tax.
    pub net: Money,
    /// The tax.
    pub tax: Money,
    /// The amount with tax, which is what the buyer pays.
    pub gross: Money,
}

impl TaxedMoney {
    /// Makes an amount from minor units.
    pub(crate) fn minor(net: i64, tax: i64, currency: platform::Currency) -> Self {
        let gross = Money::minor(net.saturating_add(tax), currency);
        Self { net: Money::minor(net, currency), tax: Money::minor(tax, currency), gross }
    }
}

/// Reads the two ends of a price range, which must have the same currency.
pub(crate) fn prices(
    form: &mut Form,
    min: Option<MoneyInput>,
    max: Option<MoneyInput>,
) -> Parsed<(Option<platform::Money>, Option<platform::Money>)> {
    let min = form.optional("priceMin", min.as_ref().map(MoneyInput::parse));
    let max = form.optional("priceMax", max.as_ref().map(MoneyInput::parse));
    match both(min, max)? {
        (Some(min), Some(max)) if min.currency != max.currency => {
            form.field("priceMax", Err("must have the same currency as `priceMin`"))
        }
        range => Ok(range),
    }
}
