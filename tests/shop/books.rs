//! The invariants of the stored data, checked by plain SQL and independently of the product's code.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use domain::platform::ids::{CheckoutId, EntityId};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement};
use uuid::Uuid;

/// When the invariants are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// At any instant: checks the invariants that every transaction keeps.
    AnyInstant,
    /// When no work is left: also checks that all follow-up work is done.
    Peace,
}

/// The result of a check.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// The state of each checkout's first line, by its public id.
    pub(crate) checkouts: BTreeMap<String, String>,
    found: Vec<String>,
}

/// I1, units: no more units of an item are taken than exist, and the counter of confirmed units is right.
const STOCK: &str = "SELECT CAST(i.units AS BIGINT) AS units, CAST(i.confirmed_units AS BIGINT) AS counted, \
    CAST(COALESCE(SUM(CASE WHEN r.state = 'CONFIRMED' THEN r.units ELSE 0 END), 0) AS BIGINT) AS confirmed, \
    CAST(COALESCE(SUM(CASE WHEN r.state = 'HELD' THEN r.units ELSE 0 END), 0) AS BIGINT) AS held \
    FROM drop_items i LEFT JOIN reservations r ON r.drop_item_id = i.id \
    GROUP BY i.id, i.units, i.confirmed_units";
/// I2, limits: nobody has more units of an item than the limit per person.
const LIMITS: &str = "SELECT CAST(SUM(r.units) AS BIGINT) AS units, \
    CAST(i.per_buyer_max AS BIGINT) AS allowed \
    FROM reservations r JOIN drop_items i ON r.drop_item_id = i.id WHERE r.state IN ('CONFIRMED', 'HELD') \
    GROUP BY r.drop_item_id, r.person_key, i.per_buyer_max HAVING SUM(r.units) > i.per_buyer_max";
/// I3, deposits: the deposit of every confirmed reservation is paid.
const UNPAID: &str = "SELECT CAST(r.due_now_minor AS BIGINT) AS due, \
    CAST(COALESCE(SUM(a.amount_minor), 0) AS BIGINT) AS paid \
    FROM reservations r LEFT JOIN payment_allocations a ON a.reservation_id = r.id \
    WHERE r.state = 'CONFIRMED' \
    GROUP BY r.id, r.due_now_minor HAVING COALESCE(SUM(a.amount_minor), 0) <> r.due_now_minor";
/// I3, allocations: every captured amount is allocated to reservations that are confirmed or refunded.
const UNALLOCATED: &str = "SELECT CAST(p.captured_minor AS BIGINT) AS captured, \
    CAST(COALESCE(SUM(a.amount_minor), 0) AS BIGINT) AS allocated \
    FROM payments p LEFT JOIN payment_allocations a ON a.payment_id = p.id \
    GROUP BY p.id, p.captured_minor HAVING COALESCE(SUM(a.amount_minor), 0) <> p.captured_minor";
const MISALLOCATED: &str = "SELECT r.state AS state \
    FROM payment_allocations a JOIN reservations r ON r.id = a.reservation_id \
    WHERE r.state NOT IN ('CONFIRMED', 'REFUNDED')";
/// I4, the gateway: its captured and refunded amounts equal ours, with one intent per payment.
const GATEWAY: &str = "SELECT CAST(p.captured_minor AS BIGINT) AS captured, \
    CAST(s.captured_minor AS BIGINT) AS theirs, \
    CAST(p.refunded_minor AS BIGINT) AS refunded, CAST(s.refunded_minor AS BIGINT) AS given_back \
    FROM payments p JOIN sandbox_intents s ON p.intent = s.name \
    WHERE p.captured_minor <> s.captured_minor OR p.refunded_minor <> s.refunded_minor";
const INTENTS: &str =
    "SELECT reference AS reference FROM sandbox_intents GROUP BY reference HAVING COUNT(*) > 1";
/// The ledger: each movement sums to zero.
const LEDGER: &str = "SELECT CAST(SUM(amount_minor) AS BIGINT) AS sum FROM ledger_entries \
    GROUP BY movement HAVING SUM(amount_minor) <> 0";
/// I6: all refunds are done when no work is left.
const REFUNDS: &str = "SELECT state AS state FROM refunds WHERE state <> 'DONE'";
/// I6: the positions in the outbox have no gaps.
const POSITIONS: &str = "SELECT CAST(COALESCE(MAX(position), 0) AS BIGINT) AS last, \
    CAST(COUNT(position) AS BIGINT) AS count FROM outbox";
/// There are no dead letters.
const DEAD: &str = "SELECT kind AS kind, COALESCE(last_error, '') AS error FROM tasks WHERE state = 'DEAD'";
/// The work that is left: facts without a position, tasks, and webhooks that are not applied.
const UNREST: &str = "SELECT \
    CAST((SELECT COUNT(*) FROM outbox WHERE position IS NULL) AS BIGINT) AS unstamped, \
    CAST((SELECT COUNT(*) FROM tasks WHERE state IN ('READY', 'RUNNING')) AS BIGINT) AS tasks, \
    CAST((SELECT COUNT(*) FROM webhook_inbox WHERE applied_at IS NULL AND intent IS NOT NULL) AS BIGINT) \
    AS webhooks";
/// Every checkout is complete: it has lines, a payment, an address, its fact in the outbox, and its
/// idempotency key.
const PARTS: &str = "SELECT id AS id FROM checkouts c \
    WHERE 0 = (SELECT COUNT(*) FROM reservations WHERE checkout_id = c.id) \
    OR 1 <> (SELECT COUNT(*) FROM payments WHERE checkout_id = c.id) \
    OR 1 <> (SELECT COUNT(*) FROM checkout_addresses WHERE checkout_id = c.id)";
const MADE: &str = "SELECT 1 AS made \
    WHERE (SELECT COUNT(*) FROM checkouts) <> (SELECT COUNT(*) FROM outbox WHERE kind = 'reserved')";
const KEYS: &str = "SELECT 1 AS keys WHERE (SELECT COUNT(*) FROM checkouts) <> \
    (SELECT COUNT(*) FROM idempotency_keys WHERE operation = 'checkout.reserve')";
/// The ledger: the balance of the gateway's account equals the sum of the payments.
const BOOKED: &str = "SELECT 1 AS booked \
    WHERE COALESCE((SELECT SUM(captured_minor - refunded_minor) FROM payments), 0) <> \
    COALESCE((SELECT SUM(amount_minor) FROM ledger_entries WHERE account = 'gateway'), 0)";
const CHECKOUTS: &str = "SELECT checkout_id AS id, state AS state FROM reservations WHERE position = 0";

/// Waits until no work is left, and checks the invariants. Work that is left after `within` is a complaint.
pub(crate) async fn when_at_peace(url: &str, within: Duration) -> Books {
    let database = Database::connect(url).await.unwrap();
    let patience = Instant::now();
    let mut unrest = unrest(&database).await;
    while !unrest.is_empty() && patience.elapsed() < within {
        tokio::time::sleep(Duration::from_millis(50)).await;
        unrest = self::unrest(&database).await;
    }
    let mut books = read(&database, At::Peace).await;
    books.found.extend((!unrest.is_empty()).then(|| format!("I6: after {within:?}, work is left: {unrest}")));
    database.close().await.unwrap();
    books
}

/// Returns the work that is left as text, or an empty text if there is none.
pub(crate) async fn unrest(database: &DatabaseConnection) -> String {
    let rows = rows(database, UNREST).await;
    let waiting = ["unstamped", "tasks", "webhooks"].map(|what| (what, number(&rows[0], what)));
    let waiting =
        waiting.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}"));
    waiting.collect::<Vec<_>>().join(", ")
}

async fn rows(database: &DatabaseConnection, sql: &str) -> Vec<QueryResult> {
    database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap()
}

fn number(row: &QueryResult, column: &str) -> i64 {
    row.try_get("", column).unwrap()
}

fn text(row: &QueryResult, column: &str) -> String {
    row.try_get("", column).unwrap()
}

/// Checks the invariants now.
pub(crate) async fn read(database: &DatabaseConnection, at: At) -> Books {
    let mut books = Books::default();
    for row in rows(database, STOCK).await {
        let [units, counted, confirmed, held] =
            ["units", "counted", "confirmed", "held"].map(|column| number(&row, column));
        if counted != confirmed || confirmed + held > units {
            books.found.push(format!(
                "I1: {units} units, {counted} counted as confirmed, {confirmed} confirmed, {held} held"
            ));
        }
    }
    // The name of a sandbox intent is derived from its id, so the join computes the name.
    let gateway = GATEWAY.replace("s.name", intent_name(database));
    let always = [
        ("I2: somebody has more than allowed", LIMITS),
        ("I3: a confirmed line is not paid", UNPAID),
        ("I3: a capture is not allocated", UNALLOCATED),
        ("I3: an allocation belongs to a line that is neither confirmed nor refunded", MISALLOCATED),
        ("I4: a payment has two intents", INTENTS),
        ("a checkout is not whole", PARTS),
        ("a checkout is without its fact, or the other way round", MADE),
        ("a checkout is without its key, or the other way round", KEYS),
        ("the ledger does not sum to zero", LEDGER),
        ("the ledger does not say what the payments do", BOOKED),
        ("I6: a task was given up on", DEAD),
    ];
    let at_peace =
        [("I4: the gateway has other sums", gateway.as_str()), ("I6: a refund is not done", REFUNDS)];
    let at_peace = at_peace.into_iter().filter(|_| at == At::Peace);
    for (what, sql) in always.into_iter().chain(at_peace) {
        let count = rows(database, sql).await.len();
        if count > 0 {
            books.found.push(format!("{what}: {count} times"));
        }
    }
    let positions = rows(database, POSITIONS).await;
    let (last, count) = (number(&positions[0], "last"), number(&positions[0], "count"));
    if last != count {
        books.found.push(format!("I6: {count} facts have positions up to {last}"));
    }
    for row in rows(database, CHECKOUTS).await {
        let id: Uuid = row.try_get("", "id").unwrap();
        books.checkouts.insert(CheckoutId(id).public(), text(&row, "state"));
    }
    books
}

fn intent_name(database: &DatabaseConnection) -> &'static str {
    match database.get_database_backend() {
        sea_orm::DbBackend::Postgres => "'sbxi_' || replace(s.id::text, '-', '')",
        _ => "'sbxi_' || lower(hex(s.id))",
    }
}

impl Books {
    /// Returns the violated invariants.
    pub(crate) fn complaints(&self) -> &[String] {
        &self.found
    }
}
