//! What every run begins with: creators, variants and buyers, in a database that is copied; and the drops of a run.

use chrono::TimeDelta;
use domain::{
    accounts::{AccountName, Buyer, BuyerScope, CreateAccount, CreatorScope, Email, SystemScope, create_account},
    catalog::{CreateProduct, CreateVariant, ProductTitle, TaxClass, create_product, create_variant},
    creators::{CreateCreator, create_for},
    drops::{
        create::{CreateDrop, create},
        items::{self, NewItem},
        publish::publish,
        terms::{Balance, Deposit, Tier},
    },
    platform::{
        Currency, Db, Money,
        ids::{AccountId, CreatorId, LegalTextId, VariantId},
        tags::Tags,
        text::{Line as Text, Markdown},
    },
    reservations::{
        address::Address,
        legal::{self, LegalKind},
        tables::set_tax_rate,
    },
};
use testkit::{Kit, TestDb};

use crate::{
    dice::Dice,
    model::{DropModel, ItemModel, Model},
};

/// Enough for them to take units from each other.
const BUYERS: usize = 5;
/// The variants of each creator.
const VARIANTS: [usize; 2] = [2, 1];
/// What a unit costs, before its deposit of a quarter.
const PRICE_MINOR: i64 = 4_000;

pub(crate) fn system() -> SystemScope {
    SystemScope::new("simulation")
}

pub(crate) fn euros(minor: i64) -> Money {
    Money::new(minor, Currency::from_code("EUR").unwrap())
}

pub(crate) fn address() -> Address {
    Address {
        name: Text::new("Ada Example").unwrap(),
        line1: Text::new("Kiln Lane 1").unwrap(),
        line2: None,
        postal_code: Text::new("10115").unwrap(),
        city: Text::new("Berlin").unwrap(),
        country: "DE".parse().unwrap(),
        phone: None,
    }
}

/// A database that nobody has open, to be copied for each run.
pub(crate) struct Template {
    pub(crate) store: TestDb,
    pub(crate) legal: LegalTextId,
    variants: Vec<(CreatorId, Vec<VariantId>)>,
    accounts: Vec<AccountId>,
}

impl Template {
    pub(crate) async fn make() -> Self {
        let kit = Kit::sqlite().await;
        let admin = system().as_admin();
        let long_ago = kit.db.now() - TimeDelta::days(365);
        set_tax_rate(&kit.db, &admin, &"DE".parse().unwrap(), TaxClass::Standard, long_ago, 1_900).await.unwrap();
        let (title, body) = (Text::new("Terms").unwrap(), Markdown::new("Terms.").unwrap());
        let legal = legal::publish(&kit.db, &admin, LegalKind::Terms, &title, &body).await.unwrap();
        let mut variants = Vec::new();
        for (number, count) in VARIANTS.into_iter().enumerate() {
            variants.push(creator(&kit.db, &format!("Creator {number}"), count).await);
        }
        let mut accounts = Vec::new();
        for number in 0..BUYERS {
            let email = Email::new(&format!("buyer-{number}@shop.example")).unwrap();
            let request = CreateAccount { email, name: AccountName::new("Buyer").unwrap(), password: None };
            accounts.push(create_account(&kit.db, &system(), request).await.unwrap().id);
        }
        // What the buyers' accounts have told is not part of a run.
        for table in ["outbox", "tasks", "audit"] {
            sea_orm::ConnectionTrait::execute_unprepared(kit.db.schema_connection(), &format!("DELETE FROM {table}"))
                .await
                .unwrap();
        }
        for connection in [kit.db.reader().clone(), kit.db.schema_connection().clone()] {
            connection.close().await.unwrap();
        }
        Self { store: kit.store, legal, variants, accounts }
    }

    pub(crate) fn buyers(&self) -> Vec<BuyerScope> {
        self.accounts.iter().map(|account| system().as_buyer(Buyer::Account(*account))).collect()
    }
}

async fn creator(db: &Db, name: &str, variants: usize) -> (CreatorId, Vec<VariantId>) {
    let request = CreateCreator {
        slug: None,
        name: Text::new(name).unwrap(),
        tagline: None,
        place: None,
        country: "DE".parse().unwrap(),
        time_zone: "Europe/Berlin".parse().unwrap(),
        currency: Currency::from_code("EUR").unwrap(),
        prices_include_tax: true,
        story: Markdown::new("").unwrap(),
    };
    let creator = create_for(db, &system(), None, request).await.unwrap();
    let scope = system().as_creator(creator.id);
    let product = CreateProduct {
        slug: None,
        title: ProductTitle::new("A thing").unwrap(),
        summary: None,
        description: Markdown::new("").unwrap(),
        tags: Tags::default(),
    };
    let product = create_product(db, &scope, product).await.unwrap();
    let mut made = Vec::new();
    for number in 0..variants {
        let variant = CreateVariant {
            product: product.id,
            sku: format!("SKU-{number}").parse().unwrap(),
            title: Text::new("One size").unwrap(),
            price: euros(PRICE_MINOR),
            weight: 400.try_into().unwrap(),
            length: 100.try_into().unwrap(),
            width: 100.try_into().unwrap(),
            height: 100.try_into().unwrap(),
            tax_class: TaxClass::Standard,
        };
        made.push(create_variant(db, &scope, variant).await.unwrap().id);
    }
    (creator.id, made)
}

/// Announces a drop of each creator, with the terms that the dice say.
pub(crate) async fn open(db: &Db, template: &Template, dice: &mut Dice) -> (Model, Vec<CreatorScope>) {
    let (mut model, mut creators) = (Model::default(), Vec::new());
    for (number, (creator, variants)) in template.variants.iter().enumerate() {
        let scope = system().as_creator(*creator);
        let now = db.now();
        // The second may open later, and both may close within the run.
        let opens_at = now + TimeDelta::seconds(if number > 0 && dice.percent(30) { dice.between(1, 900).into() } else { 0 });
        let closes_at = opens_at + TimeDelta::seconds(dice.between(1_800, 20_000).into());
        let hold_secs = dice.between(60, 1_200);
        let request = CreateDrop {
            slug: None,
            series: None,
            title: ProductTitle::new("A run").unwrap(),
            summary: None,
            description: Markdown::new("").unwrap(),
            tags: Vec::new(),
            opens_at,
            closes_at,
            per_buyer_max: None,
            minimum_units: None,
            hold_secs,
            deposit: Deposit::Percent(2_500),
            balance: Balance::BeforeShipping,
            lead_time_days: 30,
            pickup: true,
            shipping: true,
        };
        let drop = create(db, &scope, request).await.unwrap();
        model.drops.push(DropModel { id: drop.id, opens_at, closes_at, hold_secs: hold_secs.into(), called_off: false });
        for variant in variants {
            let units = dice.between(1, 8);
            let limit = dice.between(1, units.min(4));
            let tiers = vec![Tier { price_minor: PRICE_MINOR, up_to_units: None, until: None }];
            let item = NewItem { variant: *variant, units, per_buyer_max: limit, tiers };
            let item = items::add(db, &scope, drop.id, item).await.unwrap();
            model.items.push(ItemModel { id: item.id, drop: number, units, limit });
        }
        publish(db, &scope, drop.id).await.unwrap();
        creators.push(scope);
    }
    (model, creators)
}
