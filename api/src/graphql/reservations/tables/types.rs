//! Legal texts, tax rates and shipping tariffs.

use std::collections::HashMap;

use async_graphql::{Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::{
    platform::{
        Db,
        ids::{CreatorId, LegalTextId},
    },
    reservations::{legal, quote, tables},
};
use sea_orm::DbErr;

use crate::graphql::{
    catalog::TaxClass,
    context::global,
    loaders::edge,
    money::Money,
    scalars::{Decimal, Html},
};

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
        Self {
            country: tariff.country.to_string(),
            weight_grams_max: tariff.weight_grams_max.into(),
            price: tariff.price.into(),
        }
    }
}
