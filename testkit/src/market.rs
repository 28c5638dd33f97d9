//! A marketplace for tests, made by the domain's own operations. A test names only what it is about:
//!
//! ```
//! # async fn story(kit: testkit::Kit) {
//! use testkit::market::{Market, item};
//!
//! let market = Market::new(&kit).await;
//! let potter = market.creator("Salt Glaze").await;
//! let firing = market.drop(&potter, "First firing").terms(|drop| drop.hold_secs = 60.into());
//! let firing = firing.with(item("CUP").units(2)).with(item("BOWL").prices(&[(2_000, None)])).open().await;
//! let ada = market.buyer("ada").await;
//! market.hold(&ada, &[(&firing.items[0], 1)], "first").await;
//! # }
//! ```

use chrono::TimeDelta;
use domain::{
    accounts::{CreateAccount, Email, create_account},
    catalog::{TaxClass, create_product, create_variant},
    creators::create_for,
    drops::{
        Drop, DropItem, NewItem, add_item,
        create::{CreateDrop, create},
        publish::publish,
    },
    platform::{
        Db, Quantity,
        access::{Buyer, BuyerScope, CreatorScope, SystemScope},
        ids::{AccountId, CheckoutId, LegalTextId, VariantId},
        text::Markdown,
    },
    reservations::{
        legal,
        legal::LegalKind,
        lines::Line,
        quote::Delivery,
        reserve::{ReserveRequest, Reserved, reserve},
        tables::{NewTariff, set_tariffs, set_tax_rate},
    },
};

use crate::{Kit, requests};

/// The operator of every test.
pub fn system() -> SystemScope {
    SystemScope::new("test")
}

/// A marketplace, and the texts that its buyers accept.
pub struct Market {
    db: Db,
    /// What [`Market::request`] accepts.
    pub legal: Vec<LegalTextId>,
}

impl Market {
    /// A marketplace in which Germany taxes at 19 %. Nobody sells yet, and there are no texts to accept.
    pub async fn new(kit: &Kit) -> Self {
        let market = Self::over(&kit.db);
        let long_ago = kit.db.now().checked_sub_signed(TimeDelta::days(365)).expect("a day of the calendar");
        let germany = "DE".parse().expect("a country");
        let taxed =
            set_tax_rate(&kit.db, &system().as_admin(), germany, TaxClass::Standard, long_ago, 1_900).await;
        taxed.expect("a tax rate can be set");
        market
    }

    /// A marketplace that is there already, such as a copy of another test's.
    pub fn over(db: &Db) -> Self {
        Self { db: db.clone(), legal: Vec::new() }
    }

    /// Publishes terms, which buyers have to accept from now on.
    pub async fn publish_terms(&mut self) -> LegalTextId {
        let body = Markdown::new("Terms.").expect("a text");
        let published =
            legal::publish(&self.db, &system().as_admin(), LegalKind::Terms, &requests::line("Terms"), &body)
                .await;
        let terms = published.expect("terms can be published");
        self.legal.push(terms);
        terms
    }

    /// A creator whom nobody owns, and who ships within Germany for five euros.
    pub async fn creator(&self, name: &str) -> CreatorScope {
        self.creator_of(None, name).await
    }

    /// The same with an owner.
    pub async fn creator_of(&self, owner: Option<AccountId>, name: &str) -> CreatorScope {
        let creator = create_for(&self.db, &system(), owner, requests::creator(name))
            .await
            .expect("a creator can be made");
        let scope = system().as_creator(creator.id);
        let country = "DE".parse().expect("a country");
        let tariff = NewTariff { country, weight_grams_max: 10_000, price: requests::euros(500) };
        set_tariffs(&self.db, &scope, &[tariff]).await.expect("tariffs can be set");
        scope
    }

    /// A variant at 50 euros, of a product of its own.
    pub async fn variant(&self, creator: &CreatorScope, sku: &str) -> VariantId {
        self.variant_of(creator, &item(sku)).await
    }

    async fn variant_of(&self, creator: &CreatorScope, plan: &ItemPlan) -> VariantId {
        let title = plan.product.clone().unwrap_or_else(|| format!("A thing called {}", plan.sku));
        let product = create_product(&self.db, creator, requests::product(&title))
            .await
            .expect("a product can be made");
        let price = plan.prices.last().map_or(0, |(price, _)| *price);
        let mut variant = requests::variant(product.id, &plan.sku, requests::euros(price));
        if let Some(title) = &plan.title {
            variant.title = requests::line(title);
        }
        create_variant(&self.db, creator, variant).await.expect("a variant can be made").id
    }

    /// A drop to be made, on the terms of [`requests::drop`].
    pub fn drop<'m>(&'m self, creator: &CreatorScope, title: &str) -> DropPlan<'m> {
        let terms = requests::drop(self.db.now(), title);
        DropPlan { market: self, creator: *creator, terms, items: Vec::new() }
    }

    /// The account of a buyer with the address `name@example.org`.
    pub async fn account(&self, name: &str) -> AccountId {
        let email = Email::new(&format!("{name}@example.org")).expect("an address");
        let request = CreateAccount { email, name: requests::line(name), password: None };
        create_account(&self.db, &system(), request).await.expect("an account can be made").id
    }

    /// A buyer with an account.
    pub async fn buyer(&self, name: &str) -> BuyerScope {
        system().as_buyer(Buyer::Account(self.account(name).await))
    }

    /// A request for units of items, to be picked up, at whatever they cost.
    pub fn request(&self, lines: &[(&DropItem, u32)], name: &str) -> ReserveRequest {
        let line = |(item, units): &(&DropItem, u32)| Line {
            item: item.id,
            units: Quantity::try_from(*units).expect("at least one unit"),
            delivery: Delivery::Pickup,
        };
        ReserveRequest {
            lines: lines.iter().map(line).collect(),
            address: requests::address(),
            expected_total: requests::euros(1_000_000),
            accepted: self.legal.clone(),
            arrived_at: self.db.arrival_now(),
            key: requests::key(name),
        }
    }

    /// Reserves units of items; nothing may speak against it.
    pub async fn hold(&self, buyer: &BuyerScope, lines: &[(&DropItem, u32)], name: &str) -> CheckoutId {
        match reserve(&self.db, buyer, &self.request(lines, name)).await.expect("units can be reserved") {
            Reserved::Made { checkout, replayed: false, .. } => checkout,
            other => panic!("not reserved: {other:?}"),
        }
    }
}

/// An item of a drop to be made: ten units, three of them a person, at 50 euros each.
#[derive(Debug, Clone)]
pub struct ItemPlan {
    sku: String,
    product: Option<String>,
    title: Option<String>,
    /// An earlier variant; without one the item gets a product and a variant of its own.
    variant: Option<VariantId>,
    units: u32,
    per_buyer_max: u32,
    prices: Vec<(i64, Option<u32>)>,
}

/// An item of a variant of its own.
pub fn item(sku: &str) -> ItemPlan {
    let prices = vec![(5_000, None)];
    ItemPlan {
        sku: sku.to_owned(),
        product: None,
        title: None,
        variant: None,
        units: 10,
        per_buyer_max: 3,
        prices,
    }
}

/// An item of a variant that there is.
pub fn item_of(variant: VariantId) -> ItemPlan {
    ItemPlan { variant: Some(variant), ..item("") }
}

impl ItemPlan {
    /// The product's title.
    pub fn product(self, title: &str) -> Self {
        Self { product: Some(title.to_owned()), ..self }
    }

    /// The variant's title.
    pub fn title(self, title: &str) -> Self {
        Self { title: Some(title.to_owned()), ..self }
    }

    /// How many may be sold.
    pub fn units(self, units: u32) -> Self {
        Self { units, per_buyer_max: self.per_buyer_max.min(units), ..self }
    }

    /// How many one person may have.
    pub fn limit(self, per_buyer_max: u32) -> Self {
        Self { per_buyer_max, ..self }
    }

    /// Prices in cents, each up to so many units; the last one is the base price.
    pub fn prices(self, prices: &[(i64, Option<u32>)]) -> Self {
        Self { prices: prices.to_vec(), ..self }
    }
}

/// A drop to be made.
pub struct DropPlan<'m> {
    market: &'m Market,
    creator: CreatorScope,
    terms: CreateDrop,
    items: Vec<ItemPlan>,
}

/// A drop that was made, with its items in the order in which they were named.
#[derive(Debug, Clone)]
pub struct MadeDrop {
    /// The drop, as it was answered last.
    pub drop: Drop,
    /// Its items.
    pub items: Vec<DropItem>,
}

impl DropPlan<'_> {
    /// Changes terms: the window, the deposit, how long holds last.
    pub fn terms(mut self, change: impl FnOnce(&mut CreateDrop)) -> Self {
        change(&mut self.terms);
        self
    }

    /// Adds an item.
    pub fn with(mut self, item: ItemPlan) -> Self {
        self.items.push(item);
        self
    }

    /// Makes it, and does not publish it.
    pub async fn draft(self) -> MadeDrop {
        let (market, creator) = (self.market, &self.creator);
        let drop = create(&market.db, creator, self.terms).await.expect("a drop can be made");
        let mut made = Vec::with_capacity(self.items.len());
        for plan in self.items {
            let variant = match plan.variant {
                Some(variant) => variant,
                None => market.variant_of(creator, &plan).await,
            };
            let tiers = requests::tiers(&plan.prices);
            let new = NewItem { variant, units: plan.units, per_buyer_max: plan.per_buyer_max, tiers };
            made.push(add_item(&market.db, creator, drop.id, new).await.expect("an item can be added"));
        }
        MadeDrop { drop, items: made }
    }

    /// Makes it and publishes it: it opens when its window does, which is now unless a term says otherwise.
    pub async fn open(self) -> MadeDrop {
        let (market, creator) = (self.market, self.creator);
        let MadeDrop { drop, items } = self.draft().await;
        let drop = publish(&market.db, &creator, drop.id).await.expect("a drop can be published");
        MadeDrop { drop, items }
    }
}
