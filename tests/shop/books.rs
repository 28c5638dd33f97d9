//! The books of facts/reliability: what must be true of the rows, read by plain SQL and reckoned here, beside
//! the product.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use domain::platform::ids::{CheckoutId, EntityId};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement};
use uuid::Uuid;

/// When the books are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// In the middle of everything: what every transaction keeps.
    AnyInstant,
    /// When nothing is left to do: what follows is done, too.
    Peace,
}

/// What the books say.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// The state of each checkout's first line, by its public id.
    pub(crate) checkouts: BTreeMap<String, String>,
    found: Vec<String>,
}

/// I1, units: no item has more taken than it has, and what it counts as confirmed is confirmed.
const STOCK: &str = "SELECT CAST(i.units AS BIGINT) AS units, CAST(i.confirmed_units AS BIGINT) AS counted, \
    CAST(COALESCE(SUM(CASE WHEN r.state = 'CONFIRMED' THEN r.units ELSE 0 END), 0) AS BIGINT) AS confirmed, \
    CAST(COALESCE(SUM(CASE WHEN r.state = 'HELD' THEN r.units ELSE 0 END), 0) AS BIGINT) AS held \
    FROM drop_items i LEFT JOIN reservations r ON r.drop_item_id = i.id GROUP BY i.id, i.units, i.confirmed_units";
/// I2, limits: nobody has more of an item than one person may have.
const LIMITS: &str = "SELECT CAST(SUM(r.units) AS BIGINT) AS units, CAST(i.per_buyer_max AS BIGINT) AS allowed \
    FROM reservations r JOIN drop_items i ON r.drop_item_id = i.id WHERE r.state IN ('CONFIRMED', 'HELD') \
    GROUP BY r.drop_item_id, r.person_key, i.per_buyer_max HAVING SUM(r.units) > i.per_buyer_max";
/// I3, deposits: what is confirmed is paid for.
const UNPAID: &str = "SELECT CAST(r.due_now_minor AS BIGINT) AS due, CAST(COALESCE(SUM(a.amount_minor), 0) AS BIGINT) AS paid \
    FROM reservations r LEFT JOIN payment_allocations a ON a.reservation_id = r.id WHERE r.state = 'CONFIRMED' \
    GROUP BY r.id, r.due_now_minor HAVING COALESCE(SUM(a.amount_minor), 0) <> r.due_now_minor";
/// I3, allocations: what was captured is somebody's, and his reservation is confirmed or was refunded.
const UNALLOCATED: &str = "SELECT CAST(p.captured_minor AS BIGINT) AS captured, CAST(COALESCE(SUM(a.amount_minor), 0) AS BIGINT) AS allocated \
    FROM payments p LEFT JOIN payment_allocations a ON a.payment_id = p.id \
    GROUP BY p.id, p.captured_minor HAVING COALESCE(SUM(a.amount_minor), 0) <> p.captured_minor";
const MISALLOCATED: &str = "SELECT r.state AS state FROM payment_allocations a JOIN reservations r ON r.id = a.reservation_id \
    WHERE r.state NOT IN ('CONFIRMED', 'REFUNDED')";
/// I4, the gateway: it has captured and given back what we say, with one intent a payment.
const GATEWAY: &str = "SELECT CAST(p.captured_minor AS BIGINT) AS captured, CAST(s.captured_minor AS BIGINT) AS theirs, \
    CAST(p.refunded_minor AS BIGINT) AS refunded, CAST(s.refunded_minor AS BIGINT) AS given_back \
    FROM payments p JOIN sandbox_intents s ON p.intent = s.name \
    WHERE p.captured_minor <> s.captured_minor OR p.refunded_minor <> s.refunded_minor";
const INTENTS: &str =
    "SELECT reference AS reference FROM sandbox_intents GROUP BY reference HAVING COUNT(*) > 1";
/// The ledger: each movement sums to zero.
const LEDGER: &str = "SELECT CAST(SUM(amount_minor) AS BIGINT) AS sum FROM ledger_entries GROUP BY movement HAVING SUM(amount_minor) <> 0";
/// I6, refunds are done when all is still.
const REFUNDS: &str = "SELECT state AS state FROM refunds WHERE state <> 'DONE'";
/// I6, positions have no gap.
const POSITIONS: &str = "SELECT CAST(COALESCE(MAX(position), 0) AS BIGINT) AS last, CAST(COUNT(position) AS BIGINT) AS count FROM outbox";
/// Nothing was given up on.
const DEAD: &str = "SELECT kind AS kind, COALESCE(last_error, '') AS error FROM tasks WHERE state = 'DEAD'";
/// All is still: everything is stamped, nothing is due or in hand, and every webhook is applied.
const UNREST: &str = "SELECT CAST((SELECT COUNT(*) FROM outbox WHERE position IS NULL) AS BIGINT) AS unstamped, \
    CAST((SELECT COUNT(*) FROM tasks WHERE state IN ('READY', 'RUNNING')) AS BIGINT) AS tasks, \
    CAST((SELECT COUNT(*) FROM webhook_inbox WHERE applied_at IS NULL AND intent IS NOT NULL) AS BIGINT) AS webhooks";
/// A checkout is whole: it has lines, a payment, an address, the fact that it was made, and the key that made
/// it.
const PARTS: &str = "SELECT id AS id FROM checkouts c WHERE 0 = (SELECT COUNT(*) FROM reservations WHERE checkout_id = c.id) \
    OR 1 <> (SELECT COUNT(*) FROM payments WHERE checkout_id = c.id) \
    OR 1 <> (SELECT COUNT(*) FROM checkout_addresses WHERE checkout_id = c.id)";
const MADE: &str = "SELECT 1 AS made WHERE (SELECT COUNT(*) FROM checkouts) <> (SELECT COUNT(*) FROM outbox WHERE kind = 'reserved')";
const KEYS: &str = "SELECT 1 AS keys WHERE (SELECT COUNT(*) FROM checkouts) <> \
    (SELECT COUNT(*) FROM idempotency_keys WHERE operation = 'checkout.reserve')";
/// The ledger: it says of the gateway what the payments do.
const BOOKED: &str = "SELECT 1 AS booked WHERE COALESCE((SELECT SUM(captured_minor - refunded_minor) FROM payments), 0) <> \
    COALESCE((SELECT SUM(amount_minor) FROM ledger_entries WHERE account = 'gateway'), 0)";
const CHECKOUTS: &str = "SELECT checkout_id AS id, state AS state FROM reservations WHERE position = 0";

/// The books once everything is still. What is not still in that time is a complaint.
pub(crate) async fn when_at_peace(url: &str, within: Duration) -> Books {
    let database = Database::connect(url).await.unwrap();
    let patience = Instant::now();
    let mut unrest = unrest(&database).await;
    while !unrest.is_empty() && patience.elapsed() < within {
        tokio::time::sleep(Duration::from_millis(50)).await;
        unrest = self::unrest(&database).await;
    }
    let mut books = read(&database, At::Peace).await;
    books.found.extend((!unrest.is_empty()).then(|| format!("I6: after {within:?} there wait {unrest}")));
    database.close().await.unwrap();
    books
}

/// What is left to do, in words; empty when nothing is.
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

/// The books as they are.
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
    // The sandbox writes an intent's name in another form than its key: they are joined here.
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
    /// What is not as it must be.
    pub(crate) fn complaints(&self) -> &[String] {
        &self.found
    }
}
