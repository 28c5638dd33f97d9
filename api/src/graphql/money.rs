//! Money in and out.

use async_graphql::{InputObject, SimpleObject};
use domain::platform::{self, money::MoneyError};

use super::{
    input::{Form, Parsed, both},
    scalars::{CurrencyCode, Decimal},
};

/// An amount of one currency.
#[derive(SimpleObject, Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// In major units, with all decimals of the currency: `"12.50"` euros, `"5200"` yen.
    pub amount: Decimal,
    /// The currency of the amount.
    pub currency: CurrencyCode,
}

impl From<platform::Money> for Money {
    fn from(money: platform::Money) -> Self {
        Self { amount: Decimal(money.amount()), currency: CurrencyCode(money.currency) }
    }
}

impl Money {
    /// Minor units of a currency.
    pub(crate) fn minor(minor: i64, currency: platform::Currency) -> Self {
        platform::Money::new(minor, currency).into()
    }
}

/// An amount of one currency.
#[derive(InputObject, Debug, Clone)]
pub struct MoneyInput {
    /// In major units as a text, such as `"12.50"`; at most as many decimals as the currency has.
    pub amount: Decimal,
    /// The currency of the amount.
    pub currency: CurrencyCode,
}

impl MoneyInput {
    /// The amount, if its decimals fit its currency.
    pub(crate) fn parse(&self) -> Result<platform::Money, MoneyError> {
        platform::Money::parse(&self.amount.0, self.currency.0)
    }
}

/// An amount with the tax in it.
#[derive(SimpleObject, Debug, Clone)]
pub struct TaxedMoney {
    /// Without tax.
    pub net: Money,
    /// The tax.
    pub tax: Money,
    /// With tax: what is paid.
    pub gross: Money,
}

impl TaxedMoney {
    /// Minor units of a currency.
    pub(crate) fn minor(net: i64, tax: i64, currency: platform::Currency) -> Self {
        let gross = Money::minor(net.saturating_add(tax), currency);
        Self { net: Money::minor(net, currency), tax: Money::minor(tax, currency), gross }
    }
}

/// Reads the two ends of a range of prices, which must be of one currency.
pub(crate) fn prices(
    form: &mut Form,
    min: Option<MoneyInput>,
    max: Option<MoneyInput>,
) -> Parsed<(Option<platform::Money>, Option<platform::Money>)> {
    let min = form.optional("priceMin", min.as_ref().map(MoneyInput::parse));
    let max = form.optional("priceMax", max.as_ref().map(MoneyInput::parse));
    match both(min, max)? {
        (Some(min), Some(max)) if min.currency != max.currency => {
            form.field("priceMax", Err("must be of the currency of `priceMin`"))
        }
        range => Ok(range),
    }
}
