//! A small marketplace: one creator, one open drop of two items, buyers.

use std::fmt::Debug;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    accounts::{AccountName, CreateAccount, create_account},
    catalog::{TaxClass, create_product, create_variant},
    creators::create_for,
    drops::{
        Drop, DropItem,
        create::{CreateDrop, create},
        items::{self, NewItem},
        publish::publish,
    },
    platform::{
        Db, OpError,
        access::{Buyer, BuyerScope, CreatorScope, SystemScope},
        idempotency::IdempotencyKey,
        ids::{CheckoutId, LegalTextId, VariantId},
        text::{Line as Text, Markdown},
    },
    reservations::{
        legal::{self, LegalKind},
        lines::Line,
        quote::Delivery,
        reserve::{ReserveRefusal, ReserveRequest, Reserved, reserve},
        tables::{NewTariff, set_tariffs, set_tax_rate},
    },
};
use sea_orm::{ConnectionTrait, Statement};
pub(crate) use testkit::requests::{address, euros, tiers};
use testkit::{Kit, requests};

pub(crate) const SYSTEM: &str = "test";

pub(crate) fn system() -> SystemScope {
    SystemScope::new(SYSTEM)
}

pub(crate) fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(&format!("key-for-{text}")).unwrap()
}

/// The codes of a refusal, or a panic when it was none.
pub(crate) fn codes<T: Debug, R: Debug + Copy>(result: Result<T, OpError<R>>) -> Vec<R> {
    match result {
        Err(OpError::Refused(why)) => why.iter().map(|refused| refused.code).collect(),
        other => panic!("{other:?}"),
    }
}

pub(crate) struct Market {
    pub(crate) creator: CreatorScope,
    pub(crate) drop: Drop,
    /// Ten units, at most three a person: 40.00, then 50.00 from the fifth on.
    pub(crate) cup: DropItem,
    /// Two units, at most two a person: 20.00.
    pub(crate) bowl: DropItem,
    pub(crate) legal: Vec<LegalTextId>,
}

pub(crate) async fn creator(kit: &Kit, name: &str) -> CreatorScope {
    let creator = create_for(&kit.db, &system(), None, requests::creator(name)).await.unwrap();
    let scope = system().as_creator(creator.id);
    let tariff = NewTariff { country: "DE".parse().unwrap(), weight_grams_max: 10_000, price: euros(500) };
    set_tariffs(&kit.db, &scope, &[tariff]).await.unwrap();
    scope
}

pub(crate) async fn variant(kit: &Kit, scope: &CreatorScope, sku: &str) -> VariantId {
    let product = create_product(&kit.db, scope, requests::product(&format!("A thing called {sku}"))).await.unwrap();
    let variant = requests::variant(product.id, sku, euros(5_000));
    create_variant(&kit.db, scope, variant).await.unwrap().id
}

pub(crate) fn draft_of(kit: &Kit, title: &str) -> CreateDrop {
    requests::drop(kit.db.now(), title)
}

pub(crate) async fn market(kit: &Kit) -> Market {
    let creator = creator(kit, "Salt Glaze").await;
    let admin = system().as_admin();
    let long_ago = kit.db.now() - TimeDelta::days(365);
    set_tax_rate(&kit.db, &admin, "DE".parse().unwrap(), TaxClass::Standard, long_ago, 1_900).await.unwrap();
    let (title, body) = (Text::new("Terms").unwrap(), Markdown::new("Terms.").unwrap());
    let legal = legal::publish(&kit.db, &admin, LegalKind::Terms, &title, &body).await.unwrap();
    let drop = create(&kit.db, &creator, draft_of(kit, "First firing")).await.unwrap();
    let (cup, bowl) = (variant(kit, &creator, "CUP").await, variant(kit, &creator, "BOWL").await);
    let cup = NewItem { variant: cup, units: 10, per_buyer_max: 3, tiers: tiers(&[(4_000, Some(4)), (5_000, None)]) };
    let cup = items::add(&kit.db, &creator, drop.id, cup).await.unwrap();
    let bowl = NewItem { variant: bowl, units: 2, per_buyer_max: 2, tiers: tiers(&[(2_000, None)]) };
    let bowl = items::add(&kit.db, &creator, drop.id, bowl).await.unwrap();
    let drop = publish(&kit.db, &creator, drop.id).await.unwrap();
    Market { creator, drop, cup, bowl, legal: vec![legal] }
}

pub(crate) async fn buyer(kit: &Kit, name: &str) -> BuyerScope {
    let email = domain::accounts::Email::new(&format!("{name}@shop.example")).unwrap();
    let request = CreateAccount { email, name: AccountName::new(name).unwrap(), password: None };
    let account = create_account(&kit.db, &system(), request).await.unwrap();
    system().as_buyer(Buyer::Account(account.id))
}

impl Market {
    pub(crate) fn request(&self, at: DateTime<Utc>, lines: &[(&DropItem, u32)], total: i64, name: &str) -> ReserveRequest {
        let line = |(item, units): &(&DropItem, u32)| Line {
            item: item.id,
            units: (*units).try_into().unwrap(),
            delivery: Delivery::Pickup,
        };
        ReserveRequest {
            lines: lines.iter().map(line).collect(),
            address: address(),
            expected_total: euros(total),
            accepted: self.legal.clone(),
            arrived_at: at,
            key: key(name),
        }
    }

    pub(crate) async fn reserve(
        &self,
        db: &Db,
        buyer: &BuyerScope,
        lines: &[(&DropItem, u32)],
        total: i64,
        name: &str,
    ) -> Result<Reserved, OpError<ReserveRefusal>> {
        reserve(db, buyer, &self.request(db.now(), lines, total, name)).await
    }

    /// Reserves, and expects that it works.
    pub(crate) async fn held(&self, db: &Db, buyer: &BuyerScope, lines: &[(&DropItem, u32)], name: &str) -> CheckoutId {
        match self.reserve(db, buyer, lines, 100_000, name).await.unwrap() {
            Reserved::Made { checkout, replayed: false, .. } => checkout,
            other => panic!("{other:?}"),
        }
    }
}

/// One number that SQL answers.
pub(crate) async fn number(db: &Db, sql: &str) -> i64 {
    let statement = Statement::from_string(db.backend(), format!("SELECT CAST(({sql}) AS BIGINT)"));
    db.reader().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index::<Option<i64>>(0).unwrap().unwrap_or(0)
}

/// The books: no unit twice, none below zero; captured is allocated; the ledger sums to zero.
pub(crate) async fn check_books(db: &Db) {
    let oversold = "SELECT COUNT(*) FROM drop_items i WHERE i.confirmed_units + COALESCE((SELECT SUM(r.units) FROM reservations r \
                    WHERE r.drop_item_id = i.id AND r.state = 'HELD'), 0) > i.units AND NOT EXISTS (SELECT 1 FROM reservations r \
                    WHERE r.drop_item_id = i.id AND r.state = 'HELD')";
    let miscounted = "SELECT COUNT(*) FROM drop_items i WHERE i.confirmed_units <> COALESCE((SELECT SUM(r.units) FROM reservations r \
                      WHERE r.drop_item_id = i.id AND r.state = 'CONFIRMED'), 0)";
    let unallocated = "SELECT COUNT(*) FROM payments p WHERE p.captured_minor <> COALESCE((SELECT SUM(a.amount_minor) FROM \
                       payment_allocations a WHERE a.payment_id = p.id), 0)";
    let uncovered = "SELECT COUNT(*) FROM payment_allocations a JOIN reservations r ON r.id = a.reservation_id \
                     WHERE r.state NOT IN ('CONFIRMED', 'REFUNDED')";
    let unbalanced = "SELECT COUNT(*) FROM (SELECT movement FROM ledger_entries GROUP BY movement HAVING SUM(amount_minor) <> 0) m";
    for sql in [oversold, miscounted, unallocated, uncovered, unbalanced] {
        assert_eq!(number(db, sql).await, 0, "{sql}");
    }
}
