//! What every run begins with: creators, variants and buyers, in a database that is copied; and the drops of a run.

use chrono::TimeDelta;
use domain::{
    accounts::{AccountName, CreateAccount, Email, create_account},
    catalog::{TaxClass, create_product, create_variant},
    creators::create_for,
    drops::{
        create::{CreateDrop, create},
        items::{self, NewItem},
        publish::publish,
    },
    platform::{
        Db,
        access::{Buyer, BuyerScope, CreatorScope, SystemScope},
        ids::{AccountId, CreatorId, LegalTextId, VariantId},
        text::{Line as Text, Markdown},
    },
    reservations::{
        legal::{self, LegalKind},
        tables::set_tax_rate,
    },
};
pub(crate) use testkit::requests::{address, euros};
use testkit::{Kit, TestDb, requests, requests::tiers};

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
        set_tax_rate(&kit.db, &admin, "DE".parse().unwrap(), TaxClass::Standard, long_ago, 1_900).await.unwrap();
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
    let creator = create_for(db, &system(), None, requests::creator(name)).await.unwrap();
    let scope = system().as_creator(creator.id);
    let product = create_product(db, &scope, requests::product("A thing")).await.unwrap();
    let mut made = Vec::new();
    for number in 0..variants {
        let variant = requests::variant(product.id, &format!("SKU-{number}"), euros(PRICE_MINOR));
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
        let request = CreateDrop { opens_at, closes_at, hold_secs: hold_secs.try_into().unwrap(), ..requests::drop(now, "A run") };
        let drop = create(db, &scope, request).await.unwrap();
        model.drops.push(DropModel { id: drop.id, opens_at, closes_at, hold_secs: hold_secs.into(), called_off: false });
        for variant in variants {
            let units = dice.between(1, 8);
            let limit = dice.between(1, units.min(4));
            let tiers = tiers(&[(PRICE_MINOR, None)]);
            let item = NewItem { variant: *variant, units, per_buyer_max: limit, tiers };
            let item = items::add(db, &scope, drop.id, item).await.unwrap();
            model.items.push(ItemModel { id: item.id, drop: number, units, limit });
        }
        publish(db, &scope, drop.id).await.unwrap();
        creators.push(scope);
    }
    (model, creators)
}
