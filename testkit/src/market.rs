//! A marketplace for tests, made by the operations of `domain`. A test names only the values that matter:
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
    creators::{create_for, pickup_places},
    drops::{CreateDrop, Drop, DropItem, NewItem, add_item, create, publish},
    platform::{
        Db, Quantity,
        access::{Buyer, BuyerScope, CreatorScope, SystemScope},
        ids::{AccountId, CheckoutId, LegalTextId, PickupPlaceId, VariantId},
        page::Page,
        text::Markdown,
    },
    reservations::{
        NewTariff, RequestedLine, ReserveRequest, Reserved, legal, legal::LegalKind, quote::DeliveryMethod,
        reserve, set_tariffs, set_tax_rate,
    },
};

use crate::{Kit, requests};

/// Returns the system scope that tests act in.
pub fn system() -> SystemScope {
    SystemScope::new("test")
}

/// A marketplace, and the legal texts that its buyers accept.
pub struct Market {
    db: Db,
    /// The legal texts that [`Market::request`] accepts.
    pub legal: Vec<LegalTextId>,
}

impl Market {
    /// Creates a marketplace with a German tax rate of 19 %, without creators and without legal texts.
    pub async fn new(kit: &Kit) -> Self {
        let market = Self::over(&kit.db);
        let long_ago = kit.db.now().checked_sub_signed(TimeDelta::days(365)).expect("a date in range");
        let germany = "DE".parse().expect("a country");
        let taxed =
            set_tax_rate(&kit.db, &system().as_admin(), germany, TaxClass::Standard, long_ago, 1_900).await;
        taxed.expect("a tax rate can be set");
        market
    }

    /// Wraps a marketplace that already exists, such as a copy of another test's database.
    pub fn over(db: &Db) -> Self {
        Self { db: db.clone(), legal: Vec::new() }
    }

    /// Publishes terms, which buyers must accept from now on.
    pub async fn publish_terms(&mut self) -> LegalTextId {
        let body = Markdown::new("Terms.").expect("a text");
        let published =
            legal::publish(&self.db, &system().as_admin(), LegalKind::Terms, &requests::line("Terms"), &body)
                .await;
        let terms = published.expect("terms can be published");
        self.legal.push(terms);
        terms
    }

    /// Creates a creator without an owner. Shipping within Germany costs five euros.
    pub async fn creator(&self, name: &str) -> CreatorScope {
        self.creator_of(None, name).await
    }

    /// Creates a creator with an owner. Shipping within Germany costs five euros.
    pub async fn creator_of(&self, owner: Option<AccountId>, name: &str) -> CreatorScope {
        let creator = create_for(&self.db, &system(), owner, requests::creator(name))
            .await
            .expect("a creator can be created");
        let scope = system().as_creator(creator.id);
        let country = "DE".parse().expect("a country");
        let tariff = NewTariff { country, weight_grams_max: 10_000, price: requests::euros(500) };
        set_tariffs(&self.db, &scope, &[tariff]).await.expect("tariffs can be set");
        scope
    }

    /// Creates a pickup place in Berlin.
    pub async fn pickup_place(&self, creator: &CreatorScope, name: &str) -> PickupPlaceId {
        let request = requests::pickup_place(name);
        pickup_places::create(&self.db, creator, request).await.expect("a place can be created").id
    }

    /// Returns the creator's newest pickup place, and creates one if there is none.
    async fn some_pickup_place(&self, creator: &CreatorScope) -> PickupPlaceId {
        let known = pickup_places::queries::list(&self.db, creator, false, &Page::first(1)).await;
        match known.expect("places can be listed").rows.pop() {
            Some((_, place)) => place.id,
            None => self.pickup_place(creator, "Workshop").await,
        }
    }

    /// Creates a variant at 50 euros, with a product of its own.
    pub async fn variant(&self, creator: &CreatorScope, sku: &str) -> VariantId {
        self.variant_of(creator, &item(sku)).await
    }

    async fn variant_of(&self, creator: &CreatorScope, plan: &ItemPlan) -> VariantId {
        let title = plan.product.clone().unwrap_or_else(|| format!("A thing called {}", plan.sku));
        let product = create_product(&self.db, creator, requests::product(&title))
            .await
            .expect("a product can be created");
        let price = plan.prices.last().map_or(0, |(price, _)| *price);
        let mut variant = requests::variant(product.id, &plan.sku, requests::euros(price));
        if let Some(title) = &plan.title {
            variant.title = requests::line(title);
        }
        create_variant(&self.db, creator, variant).await.expect("a variant can be created").id
    }

    /// Plans a drop on the terms of [`requests::drop`].
    pub fn drop<'m>(&'m self, creator: &CreatorScope, title: &str) -> DropPlan<'m> {
        let terms = requests::drop(self.db.now(), title);
        DropPlan { market: self, creator: *creator, terms, items: Vec::new() }
    }

    /// Creates an account with the e-mail address `name@example.org`.
    pub async fn account(&self, name: &str) -> AccountId {
        let email = Email::new(&format!("{name}@example.org")).expect("an address");
        let request = CreateAccount { email, name: requests::line(name), password: None };
        create_account(&self.db, &system(), request).await.expect("an account can be created").id
    }

    /// Creates a buyer with an account.
    pub async fn buyer(&self, name: &str) -> BuyerScope {
        system().as_buyer(Buyer::Account(self.account(name).await))
    }

    /// Builds a request to reserve units of items for pickup. It accepts any price up to 10,000 euros.
    pub fn request(&self, lines: &[(&DropItem, u32)], name: &str) -> ReserveRequest {
        let line = |(item, units): &(&DropItem, u32)| RequestedLine {
            item: item.id,
            units: Quantity::try_from(*units).expect("at least one unit"),
            delivery: DeliveryMethod::Pickup,
            pickup_place: None,
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

    /// Reserves units of items. Panics if the reservation is refused.
    pub async fn hold(&self, buyer: &BuyerScope, lines: &[(&DropItem, u32)], name: &str) -> CheckoutId {
        match reserve(&self.db, buyer, &self.request(lines, name)).await.expect("units can be reserved") {
            Reserved::Made { checkout, replayed: false, .. } => checkout,
            other => panic!("not reserved: {other:?}"),
        }
    }
}

/// The plan of a drop's item. By default: ten units, at most three per buyer, at 50 euros each.
#[derive(Debug, Clone)]
pub struct ItemPlan {
    sku: String,
    product: Option<String>,
    title: Option<String>,
    /// An existing variant. Without one, a product and a variant are created for the item.
    variant: Option<VariantId>,
    units: u32,
    per_buyer_max: u32,
    prices: Vec<(i64, Option<u32>)>,
}

/// Plans an item with a new variant.
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

/// Plans an item of an existing variant.
pub fn item_of(variant: VariantId) -> ItemPlan {
    ItemPlan { variant: Some(variant), ..item("") }
}

impl ItemPlan {
    /// Sets the title of the product.
    pub fn product(self, title: &str) -> Self {
        Self { product: Some(title.to_owned()), ..self }
    }

    /// Sets the title of the variant.
    pub fn title(self, title: &str) -> Self {
        Self { title: Some(title.to_owned()), ..self }
    }

    /// Sets the number of units for sale, and lowers the limit per buyer to it if necessary.
    pub fn units(self, units: u32) -> Self {
        Self { units, per_buyer_max: self.per_buyer_max.min(units), ..self }
    }

    /// Sets the maximum number of units per buyer.
    pub fn limit(self, per_buyer_max: u32) -> Self {
        Self { per_buyer_max, ..self }
    }

    /// Sets the price tiers in cents, each with the number of units up to which it applies. The price of the
    /// last tier is the base price of a new variant.
    pub fn prices(self, prices: &[(i64, Option<u32>)]) -> Self {
        Self { prices: prices.to_vec(), ..self }
    }
}

/// The plan of a drop.
pub struct DropPlan<'m> {
    market: &'m Market,
    creator: CreatorScope,
    terms: CreateDrop,
    items: Vec<ItemPlan>,
}

/// A created drop and its items in the order in which they were planned.
#[derive(Debug, Clone)]
pub struct MadeDrop {
    /// The drop as returned by the last operation.
    pub drop: Drop,
    /// The items of the drop.
    pub items: Vec<DropItem>,
}

impl DropPlan<'_> {
    /// Changes the terms: the window, the deposit, the duration of holds.
    pub fn terms(mut self, change: impl FnOnce(&mut CreateDrop)) -> Self {
        change(&mut self.terms);
        self
    }

    /// Adds an item.
    pub fn with(mut self, item: ItemPlan) -> Self {
        self.items.push(item);
        self
    }

    /// Creates the drop as a draft. If it offers pickup, it gets a pickup place.
    pub async fn draft(mut self) -> MadeDrop {
        let (market, creator) = (self.market, &self.creator);
        if self.terms.pickup && self.terms.pickup_places.is_empty() {
            self.terms.pickup_places.push(market.some_pickup_place(creator).await);
        }
        let drop = create(&market.db, creator, self.terms).await.expect("a drop can be created");
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

    /// Creates and publishes the drop. It opens at `opens_at`, which is now unless [`terms`](Self::terms)
    /// changes it.
    pub async fn open(self) -> MadeDrop {
        let (market, creator) = (self.market, self.creator);
        let MadeDrop { drop, items } = self.draft().await;
        let drop = publish(&market.db, &creator, drop.id).await.expect("a drop can be published");
        MadeDrop { drop, items }
    }
}
