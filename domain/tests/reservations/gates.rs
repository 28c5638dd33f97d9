//! Tests of the gates on PostgreSQL, where a transaction waits for another's row lock: which operations take
//! which gates, and in which order.
//!
//! SQLite has a single writer, so no transaction waits for a gate there.

use std::{collections::BTreeSet, time::Duration};

use domain::{
    drops::{DropItem, NewItem, add_item, create, publish, remove_item, update},
    platform::{
        Db, EntityId,
        access::Actor,
        ids::{DropId, DropItemId},
        in_tx,
    },
    reservations::{ItemChange, cancel_drop, change_item, withdraw_drop},
};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use testkit::Kit;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::reservations::market::{Market, buyer, creator, draft_with_place, market, number, tiers, variant};

/// A call that takes longer than this waits for a gate.
const PATIENCE: Duration = Duration::from_secs(10);

fn on_gate(drop: DropId, sql: &str) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, [drop.uuid().into()])
}

/// Another process that holds the gate of a drop until the test releases it.
struct Holder {
    go: oneshot::Sender<()>,
    holding: JoinHandle<()>,
}

impl Holder {
    async fn of(kit: &Kit, drop: DropId) -> Self {
        let db = kit.connect(1).await;
        let (has, holds) = oneshot::channel();
        let (go, gone) = oneshot::channel::<()>();
        let holding = tokio::spawn(async move {
            let held: Result<(), DbErr> = in_tx(&db, Actor::System("test"), async |tx| {
                let sql = "UPDATE stock_gates SET version = version + 1 WHERE drop_id = $1";
                assert_eq!(tx.conn().execute_raw(on_gate(drop, sql)).await?.rows_affected(), 1);
                has.send(()).unwrap();
                gone.await.unwrap();
                Ok(())
            })
            .await;
            held.unwrap();
        });
        holds.await.unwrap();
        Self { go, holding }
    }

    async fn goes(self) {
        self.go.send(()).unwrap();
        self.holding.await.unwrap();
    }
}

/// Waits until a session of this database waits for a lock.
async fn until_somebody_waits(db: &Db) {
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waits = async { while number(db, waiting).await == 0 {} };
    tokio::time::timeout(PATIENCE, waits).await.unwrap();
}

async fn is_free(db: &Db, drop: DropId) -> bool {
    let taken: Result<_, DbErr> = in_tx(db, Actor::System("test"), async |tx| {
        let sql = "SELECT 1 FROM stock_gates WHERE drop_id = $1 FOR UPDATE NOWAIT";
        tx.conn().query_one_raw(on_gate(drop, sql)).await
    })
    .await;
    taken.is_ok()
}

/// Calls each operation of a creator for a drop or an item of another creator. Returns the name of each
/// operation and how many statements it ran.
async fn strangers_calls(kit: &Kit, market: &Market) -> Vec<(&'static str, u64)> {
    let (db, stranger) = (&kit.db, creator(kit, "Blue Loom").await);
    let (drop, item) = (market.drop.id, market.cup.id);
    let new =
        NewItem { variant: market.cup.variant_id, units: 1, per_buyer_max: 1, tiers: tiers(&[(1, None)]) };
    let mut calls = Vec::new();
    macro_rules! refused {
        ($($name:literal => $call:expr),+ $(,)?) => {
            $(let before = db.statements();
            let call = tokio::time::timeout(PATIENCE, $call).await;
            call.expect(concat!($name, " waits for the gate of a stranger's drop")).unwrap_err();
            calls.push(($name, db.statements() - before));)+
        };
    }
    refused! {
        "publish" => publish(db, &stranger, drop),
        "update" => update(db, &stranger, drop, Default::default()),
        "withdraw_drop" => withdraw_drop(db, &stranger, drop),
        "cancel_drop" => cancel_drop(db, &stranger, drop),
        "add_item" => add_item(db, &stranger, drop, new),
        "change_item" => change_item(db, &stranger, item, ItemChange::default()),
        "remove_item" => remove_item(db, &stranger, item),
    }
    calls
}

async fn a_strangers_call_waits_for_no_gate(kit: Kit) {
    let market = market(&kit).await;
    let holder = Holder::of(&kit, market.drop.id).await;
    strangers_calls(&kit, &market).await;
    holder.goes().await;
}

/// Checks that a stranger's call runs only the ownership check, besides the statement that sets up the second
/// wall on PostgreSQL. The second wall hides another creator's gate, so a call cannot wait for it. The
/// ownership check comes first at no extra cost, and it keeps creators apart where there is no second wall.
async fn a_strangers_call_ends_with_the_ownership_check(kit: Kit) {
    let market = market(&kit).await;
    let wall = u64::from(kit.db.backend() == DbBackend::Postgres);
    for (name, statements) in strangers_calls(&kit, &market).await {
        assert_eq!(statements, wall + 1, "{name}");
    }
}

testkit::on_both! { a_strangers_call_ends_with_the_ownership_check }

/// Opens a second drop of the market, with one item.
async fn second_drop(kit: &Kit, market: &Market) -> DropItem {
    let terms = draft_with_place(kit, &market.creator, "Second firing").await;
    let drop = create(&kit.db, &market.creator, terms).await.unwrap();
    let new = NewItem {
        variant: variant(kit, &market.creator, "JUG").await,
        units: 10,
        per_buyer_max: 10,
        tiers: tiers(&[(1_000, None)]),
    };
    let item = add_item(&kit.db, &market.creator, drop.id, new).await.unwrap();
    publish(&kit.db, &market.creator, drop.id).await.unwrap();
    item
}

async fn gates_are_taken_by_ascending_id_whatever_the_order_of_the_lines(kit: Kit) {
    let market = market(&kit).await;
    let jug = second_drop(&kit, &market).await;
    let drops: Vec<DropId> = BTreeSet::from([market.drop.id, jug.drop_id]).into_iter().collect();
    let [first, second] = drops[..] else { panic!("two drops") };
    for (name, lines) in [("ada", [&market.cup, &jug]), ("bob", [&jug, &market.cup])] {
        let holder = Holder::of(&kit, first).await;
        let buyer = buyer(&kit, name).await;
        let lines: Vec<(&DropItem, u32)> = lines.into_iter().map(|item| (item, 1)).collect();
        let reserving = market.held(&kit.db, &buyer, &lines, name);
        let looking = async {
            until_somebody_waits(&kit.db).await;
            let free = is_free(&kit.db, second).await;
            holder.goes().await;
            free
        };
        let (_, second_is_free) = tokio::join!(reserving, looking);
        assert!(second_is_free, "{name} takes the second gate before the first");
    }
    let taken = |item: DropItemId| {
        format!("SELECT SUM(units) FROM reservations WHERE drop_item_id = '{}'", item.uuid())
    };
    assert_eq!((number(&kit.db, &taken(market.cup.id)).await, number(&kit.db, &taken(jug.id)).await), (2, 2));
}

mod waiting {
    #[test]
    fn a_strangers_call_waits_for_no_gate() {
        testkit::run(testkit::Kit::postgres(), super::a_strangers_call_waits_for_no_gate);
    }

    #[test]
    fn gates_are_taken_by_ascending_id_whatever_the_order_of_the_lines() {
        testkit::run(
            testkit::Kit::postgres(),
            super::gates_are_taken_by_ascending_id_whatever_the_order_of_the_lines,
        );
    }
}
