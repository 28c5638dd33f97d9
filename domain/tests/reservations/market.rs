//! The market of these tests: one creator with an open drop of two items. Also helpers that read what
//! operations wrote.

use std::fmt::Debug;

use chrono::{DateTime, Utc};
use domain::{
    drops::{CreateDrop, Drop, DropItem},
    platform::{
        Db, OpError,
        access::{BuyerScope, CreatorScope},
        ids::{CheckoutId, VariantId},
    },
    reservations::{ReserveRefusal, ReserveRequest, Reserved, reserve},
};
use sea_orm::{ConnectionTrait, Statement};
use testkit::{
    Kit,
    market::{self, MadeDrop, item},
    requests,
};
pub(crate) use testkit::{
    market::system,
    requests::{euros, key, tiers},
};

/// Returns the codes of a refusal. Panics if the result is not a refusal.
pub(crate) fn codes<T: Debug, R: Debug + Copy>(result: Result<T, OpError<R>>) -> Vec<R> {
    match result {
        Err(OpError::Refused(why)) => why.iter().map(|refused| refused.code).collect(),
        other => panic!("{other:?}"),
    }
}

pub(crate) struct Market {
    market: market::Market,
    pub(crate) creator: CreatorScope,
    pub(crate) drop: Drop,
    /// Ten units, at most three per person, at 40.00 for the first four and 50.00 from the fifth on.
    pub(crate) cup: DropItem,
    /// Two units, at most two per person, at 20.00.
    pub(crate) bowl: DropItem,
}

pub(crate) async fn market(kit: &Kit) -> Market {
    let mut market = market::Market::new(kit).await;
    market.publish_terms().await;
    let creator = market.creator("Salt Glaze").await;
    let (cup, bowl) = (
        item("CUP").prices(&[(4_000, Some(4)), (5_000, None)]),
        item("BOWL").units(2).prices(&[(2_000, None)]),
    );
    let MadeDrop { drop, items } = market.drop(&creator, "First firing").with(cup).with(bowl).open().await;
    let [cup, bowl] = items.try_into().unwrap();
    Market { market, creator, drop, cup, bowl }
}

pub(crate) async fn creator(kit: &Kit, name: &str) -> CreatorScope {
    market::Market::over(&kit.db).creator(name).await
}

pub(crate) async fn variant(kit: &Kit, scope: &CreatorScope, sku: &str) -> VariantId {
    market::Market::over(&kit.db).variant(scope, sku).await
}

pub(crate) async fn buyer(kit: &Kit, name: &str) -> BuyerScope {
    market::Market::over(&kit.db).buyer(name).await
}

pub(crate) fn draft_of(kit: &Kit, title: &str) -> CreateDrop {
    requests::drop(kit.db.now(), title)
}

/// Returns the terms of a draft with a pickup place, so that it can be published.
pub(crate) async fn draft_with_place(kit: &Kit, scope: &CreatorScope, title: &str) -> CreateDrop {
    let place = market::Market::over(&kit.db).pickup_place(scope, "Workshop").await;
    CreateDrop { pickup_places: vec![place], ..draft_of(kit, title) }
}

impl Market {
    pub(crate) fn request(
        &self,
        at: DateTime<Utc>,
        lines: &[(&DropItem, u32)],
        total: i64,
        name: &str,
    ) -> ReserveRequest {
        ReserveRequest { arrived_at: at, expected_total: euros(total), ..self.market.request(lines, name) }
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

    /// Reserves lines and panics if that fails.
    pub(crate) async fn held(
        &self,
        db: &Db,
        buyer: &BuyerScope,
        lines: &[(&DropItem, u32)],
        name: &str,
    ) -> CheckoutId {
        match self.reserve(db, buyer, lines, 100_000, name).await.unwrap() {
            Reserved::Made { checkout, replayed: false, .. } => checkout,
            other => panic!("{other:?}"),
        }
    }
}

/// Returns the number that an SQL query selects.
pub(crate) async fn number(db: &Db, sql: &str) -> i64 {
    let statement = Statement::from_string(db.backend(), format!("SELECT CAST(({sql}) AS BIGINT)"));
    db.reader()
        .query_one_raw(statement)
        .await
        .unwrap()
        .unwrap()
        .try_get_by_index::<Option<i64>>(0)
        .unwrap()
        .unwrap_or(0)
}

/// Checks the books: no unit is sold twice, counts match, captured money is allocated, and the ledger sums to
/// zero.
pub(crate) async fn check_books(db: &Db) {
    // A hold that has run out takes no units, although its row stays until its timer fires.
    let oversold = "SELECT COUNT(*) FROM drop_items i WHERE i.confirmed_units + COALESCE(\
                    (SELECT SUM(r.units) FROM reservations r JOIN checkouts c ON c.id = r.checkout_id \
                    WHERE r.drop_item_id = i.id AND r.state = 'HELD' AND c.expires_at > $1), 0) > i.units";
    let oversold = Statement::from_sql_and_values(db.backend(), oversold, [db.now().into()]);
    let row = db.reader().query_one_raw(oversold).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 0, "items are oversold");
    let miscounted = "SELECT COUNT(*) FROM drop_items i WHERE i.confirmed_units <> COALESCE(\
                      (SELECT SUM(r.units) FROM reservations r \
                      WHERE r.drop_item_id = i.id AND r.state = 'CONFIRMED'), 0)";
    let unallocated = "SELECT COUNT(*) FROM payments p WHERE p.captured_minor <> COALESCE(\
                       (SELECT SUM(a.amount_minor) FROM payment_allocations a \
                       WHERE a.payment_id = p.id), 0)";
    let uncovered = "SELECT COUNT(*) FROM payment_allocations a \
                     JOIN reservations r ON r.id = a.reservation_id \
                     WHERE r.state NOT IN ('CONFIRMED', 'REFUNDED')";
    let unbalanced = "SELECT COUNT(*) FROM (SELECT movement FROM ledger_entries \
                      GROUP BY movement HAVING SUM(amount_minor) <> 0) m";
    for sql in [miscounted, unallocated, uncovered, unbalanced] {
        assert_eq!(number(db, sql).await, 0, "{sql}");
    }
}
