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
    /// A version of a legal text.
    LegalTextById(LegalTextId) -> legal::LegalText, |loaders, ids| legal_texts(&loaders.db, ids)
);

async fn legal_texts(db: &Db, ids: &[LegalTextId]) -> Result<HashMap<LegalTextId, legal::LegalText>, DbErr> {
    Ok(legal::by_ids(db, ids).await?.into_iter().map(|text| (text.id, text)).collect())
}

/// The kind of a legal text.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "legal::LegalKind")]
pub enum LegalKind {
    /// The terms of sale.
    Terms,
    /// The privacy notice.
    Privacy,
    /// The right of withdrawal.
    Withdrawal,
}

/// A version of a legal text.
#[derive(Clone)]
pub struct LegalText(pub(crate) legal::LegalText);

/// A version of a legal text of the marketplace. A buyer accepts the current version of each text to reserve.
#[Object]
impl LegalText {
    /// The global id. Pass it in `acceptedLegalTextIds`.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The kind of the legal text.
    async fn kind(&self) -> LegalKind {
        self.0.kind.into()
    }
    /// The number of the version, from 1.
    async fn number(&self) -> i32 {
        self.0.number
    }
    /// The title.
    async fn title(&self) -> &str {
        &self.0.title
    }
    /// The text in Markdown, as it was written.
    async fn body_markdown(&self) -> &str {
        &self.0.body_markdown
    }
    /// The text as sanitised HTML.
    async fn body_html(&self) -> Html {
        Html(self.0.body_html.clone())
    }
    /// When the version was published. It holds since then.
    async fn published_at(&self) -> DateTime<Utc> {
        self.0.published_at
    }
}

/// The tax rate of a country for a class of goods, from an instant on.
#[derive(SimpleObject, Debug, Clone)]
pub struct TaxRate {
    /// The country as a code of ISO 3166-1 alpha-2, such as `PT`.
    pub country: String,
    /// The tax class of the goods.
    pub tax_class: TaxClass,
    /// The tax rate in percent, such as `"19"`.
    pub rate: Decimal,
    /// When the rate starts to apply.
    pub starts_at: DateTime<Utc>,
}

/// A flat price for a parcel of a creator to a country, up to a weight.
#[derive(SimpleObject, Debug, Clone)]
pub struct ShippingTariff {
    /// The country of delivery as a code of ISO 3166-1 alpha-2, such as `PT`.
    pub country: String,
    /// The highest weight of a parcel, in grams. A parcel above the heaviest tariff of its country costs
    /// several times that tariff, as if it were split.
    pub weight_grams_max: i32,
    /// The price of a parcel. It includes tax if the creator's `pricesIncludeTax` is true.
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
