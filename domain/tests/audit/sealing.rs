//! Every row is sealed exactly once, whichever process writes or seals.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use domain::platform::{Db, audit, in_tx, outbox};
use sea_orm::DbErr;
use testkit::{Kit, on_both};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{ACTOR, ids, lease, seal, verify, write};

/// Seals until all work is done, as a relay that sometimes loses its lease to another.
async fn seal_until(db: Db, holder: u128, ended: Arc<AtomicBool>) -> Vec<(i64, audit::Head)> {
    let mut heads = Vec::new();
    loop {
        let last = ended.load(Ordering::SeqCst);
        if let Some(fence) = lease(&db, holder).await {
            while let Some(sealed) = seal(&db, fence, 7).await {
                heads.push((sealed.segment, sealed.head));
            }
            in_tx(&db, ACTOR, async |tx| outbox::release_lease(tx, Uuid::from_u128(holder)).await)
                .await
                .unwrap();
        }
        if last && audit::unsealed_count(&db).await.unwrap() == 0 {
            return heads;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

on_both! {
    async fn every_row_of_many_writers_is_sealed_once_and_without_a_gap(kit: Kit) {
        const WRITERS: u32 = 6;
        const EACH: u32 = 15;
        let ended = Arc::new(AtomicBool::new(false));
        let (mut writers, mut sealers) = (JoinSet::new(), JoinSet::new());
        for holder in [1, 2] {
            sealers.spawn(seal_until(kit.connect(2).await, holder, Arc::clone(&ended)));
        }
        for writer in 0..WRITERS {
            let db = kit.connect(2).await;
            writers.spawn(async move {
                for number in 0..EACH {
                    write(&db, 1..=1 + (writer + number) % 3).await;
                    // A rolled-back transaction leaves no gap.
                    let undone = in_tx(&db, ACTOR, async |tx| {
                        audit::record_text(tx, "test.undo", "nothing", &[]).await?;
                        Err::<(), _>(DbErr::Custom("changed my mind".to_owned()))
                    });
                    assert!(undone.await.is_err());
                }
            });
        }
        // Verification at the same time finds no differences.
        while !writers.is_empty() {
            verify(&kit.db, &[]).await.unwrap();
            while writers.try_join_next().map(Result::unwrap).is_some() {}
        }
        ended.store(true, Ordering::SeqCst);
        let mut heads = sealers.join_all().await.concat();
        let rows_of = |writer: u32| (0..EACH).map(move |number| 1 + (writer + number) % 3);
        let rows = (0..WRITERS).flat_map(rows_of).sum::<u32>();
        let verified = verify(&kit.db, &heads).await.unwrap();
        assert_eq!((verified.rows, verified.unsealed), (i64::from(rows), 0));
        assert_eq!(ids(&kit.db).await.len(), usize::try_from(rows).unwrap());
        heads.sort_unstable_by_key(|(segment, _)| *segment);
        let numbers: Vec<_> = heads.iter().map(|(segment, _)| *segment).collect();
        assert_eq!(numbers, (1..=verified.segments).collect::<Vec<_>>(), "each has one sealer");
        assert_eq!(verified.heads_known, u64::try_from(heads.len()).unwrap());
        assert_eq!(verified.head, heads.last().map(|(_, head)| *head));
    }

    async fn an_empty_log_verifies(kit: Kit) {
        let verified = verify(&kit.db, &[]).await.unwrap();
        assert_eq!((verified.segments, verified.rows, verified.head, verified.unsealed), (0, 0, None, 0));
        let fence = lease(&kit.db, 1).await.unwrap();
        assert_eq!(seal(&kit.db, fence, 10).await, None);
        write(&kit.db, 1..=3).await;
        let verified = verify(&kit.db, &[]).await.unwrap();
        assert_eq!((verified.segments, verified.rows, verified.head, verified.unsealed), (0, 0, None, 3));
    }

    async fn rows_are_sealed_in_the_order_of_their_ids_and_segments_have_their_limit(kit: Kit) {
        let fence = lease(&kit.db, 1).await.unwrap();
        write(&kit.db, 1..=5).await;
        let sealed = seal(&kit.db, fence, 3).await.unwrap();
        assert_eq!((sealed.segment, sealed.rows, sealed.drained), (1, 3, false));
        let sealed = seal(&kit.db, fence, 3).await.unwrap();
        assert_eq!((sealed.segment, sealed.rows, sealed.drained), (2, 2, true));
        assert_eq!(seal(&kit.db, fence, 3).await, None);
        assert!(ids(&kit.db).await.is_sorted());
        assert_eq!(verify(&kit.db, &[]).await.unwrap().head, Some(sealed.head));
    }

    async fn a_relay_that_lost_its_lease_seals_nothing(kit: Kit) {
        write(&kit.db, 1..=1).await;
        let old = lease(&kit.db, 1).await.unwrap();
        kit.clock.advance(TimeDelta::seconds(outbox::LEASE_SECS + 1));
        let new = lease(&kit.db, 2).await.unwrap();
        assert_eq!(seal(&kit.db, old, 10).await, None);
        assert_eq!(audit::unsealed_count(&kit.db).await.unwrap(), 1);
        assert_eq!(seal(&kit.db, new, 10).await.unwrap().rows, 1);
    }

    async fn rows_written_under_another_clock_keep_their_real_time(kit: Kit) {
        let fence = lease(&kit.db, 1).await.unwrap();
        write(&kit.db, 1..=1).await;
        seal(&kit.db, fence, 10).await.unwrap();
        let clock = domain::platform::clock::ManualClock::new(Kit::start() - TimeDelta::days(80));
        write(&kit.db.with_clock(Arc::new(clock)), 2..=2).await;
        seal(&kit.db, fence, 10).await.unwrap();
        assert_eq!(verify(&kit.db, &[]).await.unwrap().rows, 2);
    }
}
