//! The books: the database's content, which is compared with the model after every step, and the sums that
//! must hold at the end (`facts`: units, limits, money, effects).

use std::collections::BTreeMap;

use domain::{
    platform::{Db, EntityId},
    reservations::letters::{ConfirmedLetter, HeldLetter, LapsedLetter},
};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::Value as Json;
use testkit::letter;

use crate::simulation::{
    gateway::Gateway,
    model::{LineState, Model, PaymentState},
};

/// Selects everything that the model knows too, in one statement. The lines have the format of
/// [`Model::lines`].
const SEEN: &str = "SELECT 'drop ' || hex(id) || ' ' || state FROM drops \
    UNION ALL SELECT 'item ' || hex(id) || ' ' || units || ' ' || confirmed_units FROM drop_items \
    UNION ALL SELECT 'line ' || hex(id) || ' ' || state || \
        CASE state WHEN 'HELD' THEN ' ' || expires_at ELSE '' END FROM reservations \
    UNION ALL SELECT 'paid ' || hex(id) || ' ' || state || ' ' || (queued_at IS NOT NULL) || ' ' || \
        captured_minor || ' ' || refunded_minor FROM payments \
    UNION ALL SELECT 'back ' || hex(payment_id) || ' ' || amount_minor || ' ' || state FROM refunds \
    ORDER BY 1";

async fn texts(db: &Db, sql: &str) -> Vec<String> {
    let rows = db.reader().query_all_raw(Statement::from_string(db.backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Returns the content of the database as lines.
pub(crate) async fn seen(db: &Db) -> Vec<String> {
    texts(db, SEEN).await
}

/// Queries that must return no rows at the end of a run.
const NOTHING: &[(&str, &str)] = &[
    ("tasks are left", "SELECT kind || ' ' || state || ' ' || COALESCE(last_error, '') FROM tasks"),
    ("timers are left", "SELECT kind FROM timers"),
    ("facts have no position", "SELECT kind FROM outbox WHERE position IS NULL"),
    (
        "webhooks are not applied",
        "SELECT event FROM webhook_inbox WHERE applied_at IS NULL AND intent IS NOT NULL",
    ),
    ("a hold has not ended", "SELECT hex(id) FROM reservations WHERE state = 'HELD'"),
    (
        "captured money is not allocated",
        "SELECT hex(id) FROM payments p WHERE captured_minor <> COALESCE(\
         (SELECT SUM(amount_minor) FROM payment_allocations WHERE payment_id = p.id), 0)",
    ),
    (
        "money is allocated to an unpaid reservation",
        "SELECT hex(r.id) FROM payment_allocations a JOIN reservations r ON r.id = a.reservation_id \
         WHERE r.state NOT IN ('CONFIRMED', 'REFUNDED')",
    ),
    (
        "a deposit is not covered",
        "SELECT hex(r.id) FROM reservations r WHERE r.state IN ('CONFIRMED', 'REFUNDED') \
         AND r.due_now_minor <> COALESCE(\
         (SELECT SUM(a.amount_minor) FROM payment_allocations a WHERE a.reservation_id = r.id), 0)",
    ),
    (
        "a movement does not sum to zero",
        "SELECT hex(movement) FROM ledger_entries GROUP BY movement HAVING SUM(amount_minor) <> 0",
    ),
    (
        "the ledger does not match a payment",
        "SELECT hex(id) FROM payments p WHERE captured_minor - refunded_minor <> COALESCE(\
         (SELECT SUM(amount_minor) FROM ledger_entries l \
         WHERE l.payment_id = p.id AND account = 'gateway'), 0)",
    ),
    (
        "positions have gaps",
        "SELECT COUNT(*) || ' of ' || MAX(position) FROM outbox \
         HAVING COUNT(*) > 0 AND COUNT(*) <> MAX(position)",
    ),
];

/// Checks the books at the end of a run, when no work is left.
pub(crate) async fn check(db: &Db, model: &Model, gateway: &Gateway, letters: &BTreeMap<String, Json>) {
    for (what, sql) in NOTHING {
        let rows = texts(db, sql).await;
        assert!(rows.is_empty(), "{what}: {rows:#?}");
    }
    for intent in gateway.intents() {
        let checkout = model
            .checkouts
            .iter()
            .find(|checkout| checkout.payment == intent.payment)
            .expect("the intent belongs to a checkout");
        let (captured, refunded) = (intent.captured.minor, gateway.refunded(&intent.id));
        assert_eq!(
            (captured, refunded),
            (checkout.captured, checkout.refunded),
            "the gateway's amounts differ: {checkout:#?}"
        );
    }
    for checkout in &model.checkouts {
        let kept: i64 = checkout
            .lines
            .iter()
            .filter(|line| line.state == LineState::Confirmed)
            .map(|line| line.deposit_minor)
            .sum();
        assert_eq!(
            checkout.captured - checkout.refunded,
            kept,
            "the kept money is not the sum of the confirmed deposits: {checkout:#?}"
        );
        if checkout.state == PaymentState::Succeeded {
            let settled = |state| matches!(state, LineState::Confirmed | LineState::Refunded);
            assert!(
                checkout.lines.iter().all(|line| settled(line.state)),
                "a line is paid, but neither confirmed nor refunded: {checkout:#?}"
            );
        }
        let id = checkout.id.public();
        let count = |wanted: Json| letters.values().filter(|letter| **letter == wanted).count();
        let checkout_id = checkout.id;
        let heard = (
            count(letter(&HeldLetter { checkout: checkout_id })),
            count(letter(&ConfirmedLetter { checkout: checkout_id })),
            count(letter(&LapsedLetter { checkout: checkout_id })),
        );
        assert_eq!(
            heard,
            (1, checkout.confirmations, checkout.lapses),
            "letters about {id}: held, confirmed, lapsed"
        );
    }
}
