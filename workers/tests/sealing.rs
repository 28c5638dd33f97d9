//! Tests that the relay seals the audit log, with and without facts to relay.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::platform::{
    Db,
    access::{Actor, SystemScope},
    audit::{self, KnownHeads, SEGMENT_ROWS_MAX, Verified},
    in_tx,
};
use domain::reservations::DeskActivity;
use sea_orm::{ConnectionTrait, DbErr};
use testkit::{Kit, on_both};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workers::{bus::embedded::EmbeddedBus, relay};

const ACTOR: Actor = Actor::System("test");

/// Writes audit rows and no facts, which does not wake the relay.
async fn write(db: &Db, rows: u64) {
    let written = in_tx(db, ACTOR, async |tx| {
        for row in 0..rows {
            audit::record_text(tx, "test.write", &row.to_string(), &[]).await?;
        }
        Ok::<_, DbErr>(())
    });
    written.await.unwrap();
}

fn start(db: Db) -> (CancellationToken, JoinHandle<()>) {
    let (bus, stop) = (Arc::new(EmbeddedBus::new(db.clone())), CancellationToken::new());
    (stop.clone(), tokio::spawn(relay::run(db, bus, DeskActivity::default(), stop)))
}

async fn eventually_sealed(db: &Db) {
    let patience = Instant::now();
    while audit::any_unsealed(db).await.unwrap() {
        assert!(patience.elapsed() < Duration::from_secs(30), "the rows were not sealed in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn verified(db: &Db) -> Verified {
    audit::verify(db, &SystemScope::new("test").as_admin(), &KnownHeads::default(), |_, _| {}).await.unwrap()
}

on_both! {
    async fn rows_are_sealed_without_waking_the_relay(kit: Kit) {
        let (stop, relay) = start(kit.db.clone());
        for round in 1..=3 {
            write(&kit.db, 2).await;
            eventually_sealed(&kit.db).await;
            assert_eq!(verified(&kit.db).await.rows, 2 * round);
        }
        stop.cancel();
        relay.await.unwrap();
    }

    async fn more_rows_than_fit_into_a_segment_are_sealed(kit: Kit) {
        write(&kit.db, 2 * SEGMENT_ROWS_MAX + 1).await;
        let (stop, relay) = start(kit.db.clone());
        eventually_sealed(&kit.db).await;
        assert_eq!(verified(&kit.db).await.segments, 3);
        stop.cancel();
        relay.await.unwrap();
    }

    async fn remaining_rows_are_sealed_at_a_stop(kit: Kit) {
        let (stop, relay) = start(kit.db.clone());
        write(&kit.db, 1).await;
        eventually_sealed(&kit.db).await;
        write(&kit.db, 1).await;
        stop.cancel();
        relay.await.unwrap();
        assert!(!audit::any_unsealed(&kit.db).await.unwrap());
    }

    async fn a_failure_to_seal_does_not_stop_the_facts(kit: Kit) {
        use domain::platform::{outbox, facts::Fact, ids::AccountId};
        // The record of a segment is deleted, so sealing fails: the positions of its rows are taken.
        write(&kit.db, 1).await;
        let (stop, relay) = start(kit.db.clone());
        eventually_sealed(&kit.db).await;
        kit.db.schema_connection().execute_unprepared("DELETE FROM audit_segments").await.unwrap();
        write(&kit.db, 1).await;
        let fact = Fact::AccountChanged { account: AccountId(uuid::Uuid::from_u128(1)) };
        in_tx(&kit.db, ACTOR, async |tx| outbox::publish(tx, 1, &fact).await).await.unwrap();
        let patience = Instant::now();
        while outbox::unstamped_count(&kit.db).await.unwrap() > 0 {
            assert!(patience.elapsed() < Duration::from_secs(30), "the fact was not stamped in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(audit::unsealed_count(&kit.db).await.unwrap(), 1);
        stop.cancel();
        relay.await.unwrap();
    }
}
