//! The start of every run: creators, variants and buyers in a template database that is copied for the run,
//! and the drops of the run.

use chrono::TimeDelta;
use domain::platform::{
    Db,
    access::{Buyer, BuyerScope, CreatorScope, SystemScope},
    ids::{AccountId, CreatorId, LegalTextId, VariantId},
};
pub(crate) use testkit::requests::{address, euros};
use testkit::{
    Kit, TestDb,
    market::{Market, item_of},
};

use crate::simulation::{
    dice::Dice,
    model::{DropModel, ItemModel, Model},
};

/// The number of buyers: enough of them to compete for units.
const BUYERS: usize = 5;
/// The number of variants of each creator.
const VARIANTS: [usize; 2] = [2, 1];
/// The price of a unit. The deposit is a quarter of it.
const PRICE_MINOR: i64 = 4_000;

pub(crate) fn system() -> SystemScope {
    SystemScope::new("simulation")
}

/// A closed database that is copied for each run.
pub(crate) struct Template {
    pub(crate) store: TestDb,
    pub(crate) legal: LegalTextId,
    variants: Vec<(CreatorId, Vec<VariantId>)>,
    accounts: Vec<AccountId>,
}

impl Template {
    pub(crate) async fn make() -> Self {
        let kit = Kit::sqlite().await;
        let mut market = Market::new(&kit).await;
        let legal = market.publish_terms().await;
        let mut variants = Vec::new();
        for (number, count) in VARIANTS.into_iter().enumerate() {
            let creator = market.creator(&format!("Creator {number}")).await;
            let mut made = Vec::new();
            for sku in 0..count {
                made.push(market.variant(&creator, &format!("SKU-{sku}")).await);
            }
            variants.push((creator.creator(), made));
        }
        let mut accounts = Vec::new();
        for number in 0..BUYERS {
            accounts.push(market.account(&format!("buyer-{number}")).await);
        }
        // The facts, tasks and audit rows of creating the accounts are not part of a run.
        for table in ["outbox", "tasks", "audit"] {
            sea_orm::ConnectionTrait::execute_unprepared(
                kit.db.schema_connection(),
                &format!("DELETE FROM {table}"),
            )
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

/// Opens a drop for each creator, with random terms.
pub(crate) async fn open(db: &Db, template: &Template, dice: &mut Dice) -> (Model, Vec<CreatorScope>) {
    let (mut model, mut creators) = (Model::default(), Vec::new());
    let market = Market::over(db);
    for (number, (creator, variants)) in template.variants.iter().enumerate() {
        let scope = system().as_creator(*creator);
        // The second drop may open later, and both may close within the run.
        let opens_in = if number > 0 && dice.percent(30) { dice.between(1, 900).into() } else { 0 };
        let opens_at = db.now() + TimeDelta::seconds(opens_in);
        let closes_at = opens_at + TimeDelta::seconds(dice.between(1_800, 20_000).into());
        let hold_secs = dice.between(60, 1_200);
        let mut run = market.drop(&scope, "A run").terms(|terms| {
            (terms.opens_at, terms.closes_at, terms.hold_secs) =
                (opens_at, closes_at, hold_secs.try_into().unwrap());
        });
        let mut bounds = Vec::new();
        for variant in variants {
            let units = dice.between(1, 8);
            let limit = dice.between(1, units.min(4));
            run = run.with(item_of(*variant).units(units).limit(limit).prices(&[(PRICE_MINOR, None)]));
            bounds.push((units, limit));
        }
        let made = run.open().await;
        model.drops.push(DropModel {
            id: made.drop.id,
            opens_at,
            closes_at,
            hold_secs: hold_secs.into(),
            called_off: false,
        });
        for (item, (units, limit)) in made.items.iter().zip(bounds) {
            model.items.push(ItemModel { id: item.id, drop: number, units, limit });
        }
        creators.push(scope);
    }
    (model, creators)
}
