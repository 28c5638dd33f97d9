//! Tests of projections: facts are applied in order despite failures, losses and delays, and a projection
//! that is too far behind is rebuilt.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{sync::Arc, time::Duration};

use domain::platform::{
    Db,
    access::Actor,
    facts::Fact,
    ids::AccountId,
    in_tx,
    outbox::{self, Stamped},
};
use domain::reservations::DeskActivity;
use sea_orm::{ConnectionTrait, DbErr};
use testkit::{Kit, ProjectionFault, RecordingProjection, on_both};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workers::{
    Workers,
    bus::{Bus, embedded::EmbeddedBus},
    projections, relay,
};

const ACTOR: Actor = Actor::System("test");

/// A running projection loop.
struct Running {
    bus: Arc<dyn Bus>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn start(db: &Db, projection: &Arc<RecordingProjection>) -> Running {
    start_on(db, Arc::new(EmbeddedBus::new(db.clone())), projection)
}

fn start_on(db: &Db, bus: Arc<dyn Bus>, projection: &Arc<RecordingProjection>) -> Running {
    let stop = CancellationToken::new();
    let task = tokio::spawn(projections::run(db.clone(), Arc::clone(&bus), projection.clone(), stop.clone()));
    Running { bus, stop, task }
}

impl Running {
    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Aborts the loop, like a crash.
    async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

fn never_built() -> Arc<RecordingProjection> {
    Arc::new(RecordingProjection::new("recorder"))
}

fn at(position: i64) -> Arc<RecordingProjection> {
    Arc::new(RecordingProjection::at("recorder", position))
}

async fn publish(db: &Db, count: u128) {
    let fact = |number| Fact::AccountChanged { account: AccountId(Uuid::from_u128(number)) };
    let facts: Vec<_> = (0..count).map(|number| (1, fact(number))).collect();
    in_tx(db, ACTOR, async |tx| outbox::publish_all(tx, &facts).await).await.unwrap();
}

/// Publishes `count` facts and stamps them without broadcasting them.
async fn stamp(db: &Db, count: u128) -> Vec<Stamped> {
    publish(db, count).await;
    in_tx(db, ACTOR, async |tx| {
        let fence = outbox::lease(tx, Uuid::from_u128(1)).await?.ok_or(DbErr::RecordNotUpdated)?;
        outbox::stamp(tx, fence, 10_000, |fact| domain::registry::letters().following(fact)).await
    })
    .await
    .unwrap()
}

/// Deletes all stamped facts, as housekeeping does after seven days.
async fn sweep(kit: &Kit) {
    kit.clock.advance(chrono::TimeDelta::days(8));
    in_tx(&kit.db, ACTOR, async |tx| outbox::sweep(tx, tx.now()).await).await.unwrap();
}

/// Changes a fact to a kind that this version does not know.
async fn make_unknown(kit: &Kit, position: i64) {
    let sql = format!(
        "UPDATE outbox SET kind = 'novelty', payload = '{{\"kind\": \"novelty\"}}' \
         WHERE position = {position}"
    );
    kit.db.schema_connection().execute_unprepared(&sql).await.unwrap();
}

on_both! {
    async fn broadcast_facts_are_applied_once_each_and_in_order(kit: Kit) {
        let projection = never_built();
        let running = start(&kit.db, &projection);
        let recorded = projection.until(|recorded| recorded.position.is_some()).await;
        assert_eq!((recorded.position, recorded.rebuilds), (Some(0), vec![0]));
        let relay = tokio::spawn(relay::run(
            kit.db.clone(),
            Arc::clone(&running.bus),
            DeskActivity::default(),
            running.stop.clone(),
        ));
        for _ in 0..20 {
            publish(&kit.db, 7).await;
        }
        let recorded = projection.reaches(140).await;
        assert_eq!(recorded.batches.concat(), (1..=140).collect::<Vec<_>>());
        running.end().await;
        relay.await.unwrap();
    }

    async fn a_long_backlog_is_applied_in_bounded_batches(kit: Kit) {
        stamp(&kit.db, 1_200).await;
        let projection = at(100);
        let running = start(&kit.db, &projection);
        let batches = projection.reaches(1_200).await.batches;
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 100]);
        assert_eq!(batches.concat(), (101..=1_200).collect::<Vec<_>>());
        running.end().await;
    }

    async fn a_failed_batch_is_applied_again_as_a_whole(kit: Kit) {
        stamp(&kit.db, 3).await;
        let projection = at(0);
        projection.inject(&[ProjectionFault::FailBefore, ProjectionFault::FailBefore]);
        let running = start(&kit.db, &projection);
        assert_eq!(projection.reaches(3).await.batches, [[1, 2, 3], [1, 2, 3], [1, 2, 3]]);
        // A broadcast batch that failed is read from the table.
        projection.inject(&[ProjectionFault::FailBefore]);
        running.bus.broadcast(&stamp(&kit.db, 2).await).await.unwrap();
        let recorded = projection.reaches(5).await;
        assert_eq!(recorded.facts.into_keys().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        running.end().await;
    }

    async fn a_failure_or_a_crash_before_the_position_is_stored_only_repeats_the_batch(kit: Kit) {
        stamp(&kit.db, 4).await;
        let projection = at(0);
        projection.inject(&[ProjectionFault::FailBetween, ProjectionFault::WaitBetween]);
        let running = start(&kit.db, &projection);
        let recorded =
            projection.until(|recorded| recorded.batches.len() == 2 && recorded.facts.len() == 4).await;
        assert_eq!(recorded.position, Some(0));
        running.crash().await;
        let running = start(&kit.db, &projection);
        let recorded = projection.reaches(4).await;
        assert_eq!(recorded.facts.into_keys().collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(recorded.batches, [[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]);
        running.end().await;
    }

    async fn a_gap_in_the_broadcasts_is_read_from_the_table(kit: Kit) {
        let projection = never_built();
        let running = start(&kit.db, &projection);
        projection.reaches(0).await;
        let stamped = stamp(&kit.db, 6).await;
        running.bus.broadcast(&stamped[..2]).await.unwrap();
        running.bus.broadcast(&stamped[4..5]).await.unwrap();
        assert_eq!(projection.reaches(6).await.batches.concat(), [1, 2, 3, 4, 5, 6]);
        // Broadcast again, and out of order.
        running.bus.broadcast(&stamped[1..3]).await.unwrap();
        let more = stamp(&kit.db, 2).await;
        running.bus.broadcast(&[more[1].clone(), more[0].clone()]).await.unwrap();
        assert_eq!(projection.reaches(8).await.batches.concat(), [1, 2, 3, 4, 5, 6, 7, 8]);
        running.end().await;
    }

    async fn a_fact_of_an_unknown_kind_is_skipped(kit: Kit) {
        stamp(&kit.db, 5).await;
        for position in [1, 3, 5] {
            make_unknown(&kit, position).await;
        }
        let projection = at(0);
        let running = start(&kit.db, &projection);
        assert_eq!(projection.reaches(5).await.batches, [[2, 4]]);
        stamp(&kit.db, 1).await;
        make_unknown(&kit, 6).await;
        assert_eq!(projection.reaches(6).await.batches.concat(), [2, 4], "a batch of unknown facts is empty");
        running.end().await;
    }

    async fn a_projection_that_is_too_far_behind_is_rebuilt_and_continues(kit: Kit) {
        stamp(&kit.db, 5).await;
        sweep(&kit).await;
        let projection = at(2);
        projection.inject(&[ProjectionFault::FailBefore]);
        let running = start(&kit.db, &projection);
        // No newer fact shows the gap.
        let recorded = projection.reaches(5).await;
        assert_eq!(
            (recorded.rebuilds, recorded.batches.len()),
            (vec![5, 5], 0),
            "a failed rebuild is retried"
        );
        stamp(&kit.db, 1).await;
        assert_eq!(projection.reaches(6).await.batches, [[6]]);
        running.end().await;
    }

    async fn a_deleted_row_among_others_is_a_gap(kit: Kit) {
        stamp(&kit.db, 5).await;
        kit.db.schema_connection().execute_unprepared("DELETE FROM outbox WHERE position = 3").await.unwrap();
        let projection = at(0);
        let running = start(&kit.db, &projection);
        let recorded = projection.reaches(5).await;
        assert_eq!((recorded.batches, recorded.rebuilds), (vec![vec![1, 2]], vec![5]));
        running.end().await;
    }

    async fn a_projection_ahead_of_a_restored_database_is_rebuilt(kit: Kit) {
        stamp(&kit.db, 3).await;
        let projection = at(70);
        let running = start(&kit.db, &projection);
        let recorded = projection.reaches(3).await;
        assert_eq!((recorded.rebuilds, recorded.batches.len()), (vec![3], 0));
        running.end().await;
    }

    async fn two_projections_do_not_disturb_each_other(kit: Kit) {
        let (stuck, well) = (at(0), at(0));
        stuck.inject(&[ProjectionFault::FailBefore, ProjectionFault::WaitBetween]);
        let one = start(&kit.db, &stuck);
        let other = start_on(&kit.db, Arc::clone(&one.bus), &well);
        one.bus.broadcast(&stamp(&kit.db, 3).await).await.unwrap();
        stuck.until(|recorded| recorded.facts.len() == 3).await;
        one.bus.broadcast(&stamp(&kit.db, 3).await).await.unwrap();
        assert_eq!(well.reaches(6).await.batches.concat(), (1..=6).collect::<Vec<_>>());
        assert_eq!(stuck.recorded().position, Some(0));
        stuck.release();
        assert_eq!(stuck.reaches(6).await.facts.into_keys().collect::<Vec<_>>(), (1..=6).collect::<Vec<_>>());
        one.end().await;
        other.end().await;
    }

    async fn a_projection_that_panics_is_restarted(kit: Kit) {
        stamp(&kit.db, 3).await;
        let projection = at(0);
        projection.inject(&[ProjectionFault::Panic]);
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::new(kit.db.clone()));
        let mut workers = Workers::announcing(&bus, &kit.db);
        workers.add_projection(&kit.db, projection.clone());
        assert_eq!(projection.reaches(3).await.batches, [[1, 2, 3], [1, 2, 3]]);
        workers.stop(Duration::from_secs(10)).await;
    }

    async fn a_stop_waits_for_a_running_batch_but_not_for_a_rebuild(kit: Kit) {
        stamp(&kit.db, 3).await;
        let projection = at(0);
        projection.inject(&[ProjectionFault::WaitBetween]);
        let running = start(&kit.db, &projection);
        projection.until(|recorded| recorded.facts.len() == 3).await;
        running.stop.cancel();
        projection.release();
        running.task.await.unwrap();
        assert_eq!(projection.recorded().position, Some(3));
        // A rebuild is aborted.
        let projection = never_built();
        projection.inject(&[ProjectionFault::WaitBetween]);
        let running = start(&kit.db, &projection);
        projection.until(|recorded| recorded.rebuilds.len() == 1).await;
        running.end().await;
        assert_eq!(projection.recorded().position, None);
    }
}
