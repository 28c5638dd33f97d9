//! The actions of the buyer, and the expected outcome.

use domain::platform::faults::Point;
use serde_json::{Value, json};

use crate::faults::{base::UNITS, books::number, cell::Cell, market::paying};

const HELD: &str = "Reserved until";
const CONFIRMED: &str = "Your reservation is confirmed";
const ENDED: &str = "Your reservation has ended";

const CHECKOUT: &str = "query($id: ID!) { checkout(id: $id) { \
     status payment { status refunded { amount } } reservations { id } } }";

/// The story of one purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Story {
    /// The buyer reserves and pays.
    Bought,
    /// The buyer reserves, pays, and cancels; the money is refunded.
    GivenBack,
    /// The buyer reserves and begins to pay, but the hold lapses.
    Lapsed,
}

/// Returns the shortest story that reaches a fault point.
pub(crate) fn of(point: Point) -> Story {
    match point {
        Point::ReserveKeyed
        | Point::ReserveGated
        | Point::ReserveWritten
        | Point::ReserveCommitted
        | Point::PayKeyed
        | Point::PayGated
        | Point::PayWritten
        | Point::PayCommitted
        | Point::GatewayIntentMade
        | Point::GatewayIntentRemembered
        | Point::GatewayConfirmed
        | Point::ApplyGated
        | Point::ApplyWritten
        | Point::ApplyCommitted
        | Point::WebhookNoted
        | Point::WebhookTaken
        | Point::WebhookFetched
        | Point::WebhookApplied
        | Point::RelayLeased
        | Point::RelayStamped
        | Point::RelayCommitted
        | Point::RelayBroadcast
        | Point::ConsumeClaimed
        | Point::ConsumeHandled
        | Point::ConsumeSettled
        | Point::ConsumeAcked
        | Point::MailSent => Story::Bought,
        Point::CancelKeyed
        | Point::CancelGated
        | Point::CancelWritten
        | Point::CancelCommitted
        | Point::GatewayRefundMade
        | Point::GatewayRefundBooked => Story::GivenBack,
        Point::TimerQueued
        | Point::TimerFired
        | Point::LapseGated
        | Point::LapseWritten
        | Point::LapseCommitted
        | Point::GatewayCancelled => Story::Lapsed,
    }
}

impl Story {
    pub(crate) async fn tell(self, cell: &mut Cell<'_>) {
        let reserving = cell.base.reserving();
        let payload = cell.done("checkoutReserve", "checkout { id }", reserving).await;
        let checkout = payload["checkout"]["id"].as_str().unwrap().to_owned();
        cell.letter(HELD).await;
        match self {
            Self::Bought => buy(cell, &checkout).await,
            Self::GivenBack => {
                buy(cell, &checkout).await;
                give_back(cell, &checkout).await;
            }
            Self::Lapsed => let_lapse(cell, &checkout).await,
        }
        cell.peace().await;
        self.check(cell).await;
    }

    /// Checks that letters, units, money and the gateway's state have changed exactly once.
    async fn check(self, cell: &mut Cell<'_>) {
        let (confirmed, ended, stock) = match self {
            Self::Bought => (1, 0, (UNITS - 1, 0, 1)),
            Self::GivenBack => (1, 0, (UNITS, 0, 0)),
            Self::Lapsed => (0, 1, (UNITS, 0, 0)),
        };
        let letters = (cell.letters(HELD), cell.letters(CONFIRMED), cell.letters(ENDED));
        assert_eq!(letters, (1, confirmed, ended), "letters: reserved, confirmed, ended");
        let query = "query($id: ID!) { node(id: $id) { ... on DropItem { stock { free held confirmed } } } }";
        let item = cell.base.item().to_owned();
        let seen = cell.ask(query, json!({ "id": item })).await["node"]["stock"].clone();
        let (free, held, sold) = stock;
        assert_eq!(seen, json!({ "free": free, "held": held, "confirmed": sold }));
        let intents = match self {
            Self::Bought => "state = 'SUCCEEDED' AND captured_minor = amount_minor AND refunded_minor = 0",
            Self::GivenBack => {
                "state = 'SUCCEEDED' AND captured_minor = amount_minor AND refunded_minor = amount_minor"
            }
            Self::Lapsed => "state = 'CANCELLED' AND captured_minor = 0",
        };
        for (what, sql, expected) in [
            ("intents", "SELECT COUNT(*) FROM sandbox_intents".to_owned(), 1),
            ("intents as they should be", format!("SELECT COUNT(*) FROM sandbox_intents WHERE {intents}"), 1),
            ("timers", "SELECT COUNT(*) FROM timers".to_owned(), 0),
            ("refunds", "SELECT COUNT(*) FROM refunds".to_owned(), i64::from(self == Self::GivenBack)),
            (
                "movements",
                "SELECT COUNT(DISTINCT movement) FROM ledger_entries".to_owned(),
                match self {
                    Self::Bought => 1,
                    Self::GivenBack => 2,
                    Self::Lapsed => 0,
                },
            ),
            (
                "facts of a confirmation",
                "SELECT COUNT(*) FROM outbox WHERE kind = 'confirmed'".to_owned(),
                i64::from(self != Self::Lapsed),
            ),
            (
                "facts of a lapse",
                "SELECT COUNT(*) FROM outbox WHERE kind = 'lapsed'".to_owned(),
                i64::from(self == Self::Lapsed),
            ),
            (
                "facts of a cancel",
                "SELECT COUNT(*) FROM outbox WHERE kind = 'reservation_cancelled'".to_owned(),
                i64::from(self == Self::GivenBack),
            ),
        ] {
            assert_eq!(number(&cell.database, &sql).await, expected, "{what}");
        }
    }
}

async fn pay(cell: &mut Cell<'_>, checkout: &str, method: &str) {
    cell.done("checkoutPay", "payment { status }", paying(checkout, method, "this-pays-for-it")).await;
}

async fn until(cell: &mut Cell<'_>, checkout: &str, good: impl Fn(&Value) -> bool) {
    cell.until(CHECKOUT, json!({ "id": checkout }), |data| good(&data["checkout"])).await;
}

async fn buy(cell: &mut Cell<'_>, checkout: &str) {
    pay(cell, checkout, "pm_sandbox_success").await;
    until(cell, checkout, |seen| seen["status"] == "CONFIRMED").await;
    cell.letter(CONFIRMED).await;
    // The webhook arrives last.
    until_applied(cell, "payment.succeeded").await;
}

async fn give_back(cell: &mut Cell<'_>, checkout: &str) {
    let seen = cell.ask(CHECKOUT, json!({ "id": checkout })).await["checkout"].clone();
    let cancel =
        json!({ "reservationId": seen["reservations"][0]["id"], "idempotencyKey": "this-gives-it-up" });
    cell.done("reservationCancel", "checkout { status }", cancel).await;
    until(cell, checkout, |seen| seen["payment"]["refunded"]["amount"] == crate::faults::market::DEPOSIT)
        .await;
}

async fn let_lapse(cell: &mut Cell<'_>, checkout: &str) {
    pay(cell, checkout, "pm_sandbox_confirm").await;
    until(cell, checkout, |seen| seen["payment"]["status"] == "REQUIRES_ACTION").await;
    until_applied(cell, "payment.requires_action").await;
    cell.travel("20m");
    until(cell, checkout, |seen| seen["status"] == "LAPSED").await;
    cell.letter(ENDED).await;
    until_applied(cell, "payment.cancelled").await;
}

/// Waits until a webhook of this kind is applied, and restarts the server if it ends.
async fn until_applied(cell: &mut Cell<'_>, kind: &str) {
    let sql =
        format!("SELECT COUNT(*) FROM webhook_inbox WHERE body LIKE '%{kind}%' AND applied_at IS NOT NULL");
    let patience = std::time::Instant::now();
    while number(&cell.database, &sql).await == 0 {
        cell.keep_alive().await;
        assert!(patience.elapsed() < crate::faults::harness::SOON, "no webhook {kind} was applied");
        tokio::time::sleep(crate::faults::cell::POLL_EVERY).await;
    }
}
