//! Webhooks: only those of the gateway are accepted, each has its effect once, and the gateway is asked
//! before a webhook has any effect.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use domain::platform::clock::{Clock, SystemClock};
use payments::signature::{TOLERANCE_SECS, sign};
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};

use crate::shop::{
    harness::SOON,
    market::{DEPOSIT, Market, address_of},
};

const SECRET: &str = "a secret that the test knows";

on_both! {
    async fn forged_and_stale_webhooks_are_refused_and_the_right_one_counts_once(setup: Setup) {
        let market = Market::open(setup.with("SMALLRUN_SANDBOX_WEBHOOK_SECRET", SECRET), 10, 2).await;
        let [waiting, paying] = market.buyers.as_slice() else { panic!("two buyers") };
        let open = market.reserve(waiting).await;
        market.pay(waiting, &open, "pm_sandbox_confirm").await;
        let paid = market.reserve(paying).await;
        market.pay(paying, &paid, "pm_sandbox_success").await;
        market.letter(&address_of(1), "Subject: Your reservation is confirmed").await;
        let all = |taken: &[Taken]| taken.len() >= 2 && taken.iter().all(|taken| taken.applied);
        let delivered = delivered_when(&market, all).await;
        let (open_before, paid_before) =
            (market.checkout(waiting, &open).await, market.checkout(paying, &paid).await);
        assert_eq!(open_before["payment"]["status"], "REQUIRES_ACTION");
        assert_eq!(
            (&paid_before["status"], &paid_before["payment"]["captured"]["amount"]),
            (&json!("CONFIRMED"), &json!(DEPOSIT))
        );
        let [asked, told] =
            ["payment.requires_action", "payment.succeeded"].map(|kind| event(&delivered, kind));
        let now = SystemClock.now();

        // A forged webhook reports that a waiting payment was paid. It is sent without a signature, with a
        // wrong one, with the signature of another text, and with an old one.
        let lie = json!({ "id": "sbxe_made_up", "kind": "payment.succeeded", "intent": asked["intent"] })
            .to_string();
        let right = sign(SECRET.as_bytes(), now, lie.as_bytes());
        let far = TimeDelta::seconds(TOLERANCE_SECS + 60);
        for (header, body) in [
            (None, lie.clone()),
            (Some(String::new()), lie.clone()),
            (Some(sign(b"another secret, a guess", now, lie.as_bytes())), lie.clone()),
            (Some(right.clone()), lie.replace("made_up", "changed")),
            (Some(right.replace("v1=", "v2=")), lie.clone()),
            (Some(signed_at(now - far, &lie)), lie.clone()),
            (Some(signed_at(now + far, &lie)), lie.clone()),
            (Some(signed_at(now, "not an event")), "not an event".to_owned()),
        ] {
            assert_eq!(post(&market, "sandbox", header.as_deref(), &body).await, 400, "{header:?} {body}");
        }
        assert_eq!(post(&market, "gold", Some(&right), &lie).await, 404);
        let kept = self::delivered(&market).await;
        assert_eq!(kept.len(), delivered.len(), "no forged webhook was stored: {kept:#?}");

        // Send the genuine webhooks again, twice each, and a new one with a valid signature. Its effect is
        // only what the gateway reports when it is asked.
        let fresh = json!({ "id": "sbxe_made_up", "kind": "payment.succeeded", "intent": told["intent"] });
        let unknown = format!("sbxi_{}", "0".repeat(32));
        let nobodys = json!({ "id": "sbxe_nobodys", "kind": "payment.succeeded", "intent": unknown });
        for webhook in [asked, told, &fresh, &nobodys, &lie_of_its_own(asked)] {
            let body = webhook.to_string();
            for _ in 0..2 {
                assert_eq!(
                    post(&market, "sandbox", Some(&signed_at(SystemClock.now(), &body)), &body).await,
                    200,
                    "{body}"
                );
            }
        }
        let others = |taken: &Taken| taken.body["id"] == nobodys["id"] || taken.applied;
        let kept = delivered_when(&market, |taken| taken.iter().all(others)).await;
        assert_eq!(kept.len(), delivered.len() + 3, "each was stored once: {kept:#?}");
        assert_eq!(market.checkout(waiting, &open).await, open_before);
        assert_eq!(market.checkout(paying, &paid).await, paid_before);
        assert_eq!(market.stock().await, (8, 1, 1));
        assert_eq!(market.letters(&address_of(1), "Subject: Your reservation is confirmed"), 1);
        assert_eq!(market.letters(&address_of(0), "Subject: Your reservation is confirmed"), 0);
    }
}

/// Returns a webhook with false content, which is sent with a valid signature.
fn lie_of_its_own(asked: &Value) -> Value {
    json!({ "id": "sbxe_a_lie", "kind": "payment.succeeded", "intent": asked["intent"] })
}

fn signed_at(at: DateTime<Utc>, body: &str) -> String {
    sign(SECRET.as_bytes(), at, body.as_bytes())
}

async fn post(market: &Market, gateway: &str, signature: Option<&str>, body: &str) -> u16 {
    let mut request = market.client().post(market.at(&format!("/webhooks/{gateway}"))).body(body.to_owned());
    if let Some(signature) = signature {
        request = request.header("smallrun-signature", signature);
    }
    request.header("content-type", "application/json").send().await.unwrap().status().as_u16()
}

/// A webhook in the inbox: its body, and whether it has been applied.
#[derive(Debug)]
struct Taken {
    body: Value,
    applied: bool,
}

/// Returns the webhooks in the server's inbox. They are read from the database, because the API does not show
/// the sandbox's names of payments.
async fn delivered(market: &Market) -> Vec<Taken> {
    let database = Database::connect(market.database_url()).await.unwrap();
    let select =
        "SELECT body, CASE WHEN applied_at IS NULL THEN 'no' ELSE 'yes' END AS applied FROM webhook_inbox";
    let rows = database
        .query_all_raw(Statement::from_string(database.get_database_backend(), select))
        .await
        .unwrap();
    let text = |row: &sea_orm::QueryResult, column: &str| row.try_get::<String>("", column).unwrap();
    let taken = rows.iter().map(|row| Taken {
        body: serde_json::from_str(&text(row, "body")).unwrap(),
        applied: text(row, "applied") == "yes",
    });
    let taken = taken.collect();
    database.close().await.unwrap();
    taken
}

/// Waits until the webhooks in the inbox satisfy the condition, and returns them.
async fn delivered_when(market: &Market, good: impl Fn(&[Taken]) -> bool) -> Vec<Taken> {
    let patience = Instant::now();
    loop {
        let taken = delivered(market).await;
        if good(&taken) {
            return taken;
        }
        assert!(patience.elapsed() < SOON, "the condition was not met: {taken:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn event<'a>(taken: &'a [Taken], kind: &str) -> &'a Value {
    &taken.iter().find(|taken| taken.body["kind"] == kind).unwrap().body
}
