//! The measured page of drops, and new drops that are modelled on one of the demo's.

use serde_json::json;

use crate::{
    Outcome, Trouble,
    desk::{Desk, text_at},
};

/// The number of drops on the page.
pub const PAGE: usize = 24;
/// The maximum number of units of an item.
pub const UNITS_MAX: u32 = 1_000_000;

/// The query for a page, as a storefront sends it.
pub const PAGE_QUERY: &str = "query Page { drops(first: 24) { \
    nodes { id slug title summary tags phase closingSoon soldOut opensAt closesAt \
    priceMin { amount currency } creator { id slug name place } \
    items { id units perBuyerMax price { amount currency } \
    tiers { price { amount currency } upToUnits until } variant { id sku title } \
    stock { units held confirmed free } } } \
    pageInfo { hasNextPage endCursor } } }";

/// The terms of a drop.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The slug, which must be unique.
    pub slug: &'a str,
    /// The title.
    pub title: &'a str,
    /// The number of units of the drop's only item.
    pub units: u32,
    /// The maximum number of units per buyer.
    pub per_buyer_max: u32,
    /// The duration of a hold in seconds.
    pub hold_secs: u32,
}

/// A published drop.
#[derive(Debug, Clone)]
pub struct Announced {
    /// The slug.
    pub slug: String,
    /// The id of the drop's only item.
    pub item: String,
}

/// An open drop of the demo, whose creator, variant and window are used for new drops.
#[derive(Debug, Clone)]
pub struct Model {
    creator_id: String,
    /// The slug of the creator.
    pub creator_slug: String,
    variant: String,
    price: String,
    opens_at: String,
    closes_at: String,
}

impl Model {
    /// Finds the newest open drop.
    pub async fn find(desk: &mut Desk) -> Outcome<Self> {
        let query = "{ drops(first: 1, filter: { phases: [OPEN] }, sort: NEWEST) { nodes { opensAt closesAt \
            creator { id slug } items { variant { id price { amount } } } } } }";
        let found = desk.ask(None, query, json!({})).await?;
        let text = |path: &str| {
            let value = text_at(&found, &format!("/drops/nodes/0{path}"));
            value.map_err(|_| Trouble::new(format_args!("no open drop with {path} in {found}")))
        };
        Ok(Self {
            creator_id: text("/creator/id")?,
            creator_slug: text("/creator/slug")?,
            variant: text("/items/0/variant/id")?,
            price: text("/items/0/variant/price/amount")?,
            opens_at: text("/opensAt")?,
            closes_at: text("/closesAt")?,
        })
    }

    /// Creates and publishes a drop with one item, with the token of its creator.
    pub async fn announce(&self, desk: &mut Desk, token: &str, offer: Offer<'_>) -> Outcome<Announced> {
        let drop = json!({
            "creatorId": self.creator_id, "slug": offer.slug, "title": offer.title,
            "summary": "Units for everybody.",
            "description": "## Units for everybody\n\nThis drop does not sell out.", "tags": [],
            "opensAt": self.opens_at, "closesAt": self.closes_at, "holdSeconds": offer.hold_secs,
            "deposit": { "percent": "30" }, "balance": { "beforeShipping": true }, "leadTimeDays": 30,
            "pickup": false, "shipping": true,
        });
        let made = desk.change(token, "dropCreate", "DropCreateInput", "drop { id slug }", drop).await?;
        let id = text_at(&made, "/drop/id")?;
        let item = json!({
            "dropId": id, "variantId": self.variant, "units": offer.units, "perBuyerMax": offer.per_buyer_max,
            "tiers": [{ "price": self.price }],
        });
        let added = desk.change(token, "dropItemAdd", "DropItemAddInput", "item { id }", item).await?;
        desk.change(token, "dropPublish", "DropIdInput", "drop { id }", json!({ "id": id })).await?;
        Ok(Announced { slug: text_at(&made, "/drop/slug")?, item: text_at(&added, "/item/id")? })
    }
}
