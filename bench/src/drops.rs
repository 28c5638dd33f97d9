//! The page of drops that everybody looks at, and drops of one's own, made after one of the demo.

use serde_json::json;

use crate::{
    Outcome, Trouble,
    desk::{Desk, text_at},
};

/// The drops of the measured page.
pub const PAGE: usize = 24;
/// As many units as an item may have.
pub const UNITS_MAX: u32 = 1_000_000;

/// A page as a storefront asks for it.
pub const PAGE_QUERY: &str = "query Page { drops(first: 24) { nodes { id slug title summary tags phase closingSoon soldOut opensAt closesAt \
    priceMin { amount currency } creator { id slug name place } items { id units perBuyerMax price { amount currency } \
    tiers { price { amount currency } upToUnits until } variant { id sku title } stock { units held confirmed free } } } \
    pageInfo { hasNextPage endCursor } } }";

/// What a drop offers.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// In its address; no two of them alike.
    pub slug: &'a str,
    /// Its name, for people.
    pub title: &'a str,
    /// How many units of its one item there are.
    pub units: u32,
    /// How many of them one buyer may have.
    pub per_buyer_max: u32,
    /// How long a hold lasts.
    pub hold_secs: u32,
}

/// A drop that was announced.
#[derive(Debug, Clone)]
pub struct Announced {
    /// In its address.
    pub slug: String,
    /// The id of its one item.
    pub item: String,
}

/// An open drop of the demo: its creator and its window serve for ours.
#[derive(Debug, Clone)]
pub struct Model {
    creator_id: String,
    /// In the address of the creator's drops.
    pub creator_slug: String,
    variant: String,
    price: String,
    opens_at: String,
    closes_at: String,
}

impl Model {
    /// The newest that is open.
    pub async fn find(desk: &mut Desk) -> Outcome<Self> {
        let query = "{ drops(first: 1, filter: { phases: [OPEN] }, sort: NEWEST) { nodes { opensAt closesAt creator { id slug } \
            items { variant { id price { amount } } } } } }";
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

    /// Makes a drop with one item and announces it, as the creator whose token that is.
    pub async fn announce(&self, desk: &mut Desk, token: &str, offer: Offer<'_>) -> Outcome<Announced> {
        let drop = json!({
            "creatorId": self.creator_id, "slug": offer.slug, "title": offer.title, "summary": "Units for everybody.",
            "description": "## Units for everybody\n\nThis drop does not sell out.", "tags": [], "opensAt": self.opens_at,
            "closesAt": self.closes_at, "holdSeconds": offer.hold_secs, "deposit": { "percent": "30" },
            "balance": { "beforeShipping": true }, "leadTimeDays": 30, "pickup": false, "shipping": true,
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
