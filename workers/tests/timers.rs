//! Tests of timers: each due timer becomes a task exactly once, and not before its time.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::TimeDelta;
use domain::{
    platform::{Db, access::Actor, ids::CheckoutId, in_tx, timers},
    registry,
    reservations::tasks::{HoldLapse, LapseCheckout},
};
use sea_orm::ConnectionTrait;
use testkit::{Kit, on_both};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workers::bus::embedded::EmbeddedBus;

const ACTOR: Actor = Actor::System("test");

async fn set(db: &Db, numbers: std::ops::Range<u128>, due_in: TimeDelta) {
    in_tx(db, ACTOR, async |tx| {
        for number in numbers {
            timers::set::<HoldLapse>(tx, CheckoutId(Uuid::from_u128(number)), tx.now() + due_in).await?;
        }
        Ok::<_, sea_orm::DbErr>(())
    })
    .await
    .unwrap();
}

async fn execute(db: &Db, sql: &str) {
    in_tx(db, ACTOR, async |tx| tx.conn().execute_unprepared(sql).await).await.unwrap();
}

fn start(db: Db, stop: &CancellationToken) -> JoinHandle<()> {
    let bus = Arc::new(EmbeddedBus::new(db.clone()));
    tokio::spawn(workers::timers::run(db, bus, stop.clone()))
}

async fn fired(kit: &Kit) -> Vec<u128> {
    testkit::tasks_of::<LapseCheckout>(kit).await.into_iter().map(|task| task.checkout.0.as_u128()).collect()
}

async fn eventually_fired(kit: &Kit, count: usize) {
    let waiting = async {
        while fired(kit).await.len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("timers fire in time");
}

on_both! {
    async fn due_timers_become_tasks_once_when_two_processes_fire_them(kit: Kit) {
        let stop = CancellationToken::new();
        let loops = [start(kit.db.clone(), &stop), start(kit.connect(2).await, &stop)];
        set(&kit.db, 0..450, TimeDelta::minutes(10)).await;
        set(&kit.db, 450..451, TimeDelta::seconds(1)).await;
        kit.clock.advance(TimeDelta::seconds(1));
        eventually_fired(&kit, 1).await;
        assert_eq!(fired(&kit).await, [450], "the others are not due");
        kit.clock.advance(TimeDelta::minutes(10));
        eventually_fired(&kit, 451).await;
        stop.cancel();
        for ended in loops {
            ended.await.unwrap();
        }
        let fired = fired(&kit).await;
        assert_eq!((fired.len(), fired.iter().collect::<BTreeSet<_>>().len()), (451, 451));
        assert_eq!(timers::next_due(&kit.db, &registry::timers()).await.unwrap(), None);
    }

    async fn a_moved_timer_fires_at_its_new_time_and_a_deleted_one_does_not_fire(kit: Kit) {
        set(&kit.db, 1..3, TimeDelta::minutes(10)).await;
        set(&kit.db, 1..2, TimeDelta::minutes(20)).await;
        in_tx(&kit.db, ACTOR, async |tx| timers::drop::<HoldLapse>(tx, CheckoutId(Uuid::from_u128(2))).await)
            .await
            .unwrap();
        let stop = CancellationToken::new();
        let running = start(kit.db.clone(), &stop);
        kit.clock.advance(TimeDelta::minutes(19));
        set(&kit.db, 3..4, TimeDelta::zero()).await;
        eventually_fired(&kit, 1).await;
        assert_eq!(fired(&kit).await, [3]);
        kit.clock.advance(TimeDelta::minutes(1));
        eventually_fired(&kit, 2).await;
        stop.cancel();
        running.await.unwrap();
        assert_eq!(fired(&kit).await, [3, 1]);
    }

    async fn a_timer_of_an_unknown_kind_stays_and_the_others_fire(kit: Kit) {
        set(&kit.db, 1..2, TimeDelta::minutes(1)).await;
        execute(&kit.db, "UPDATE timers SET kind = 'of_a_newer_version'").await;
        set(&kit.db, 2..4, TimeDelta::minutes(2)).await;
        kit.clock.advance(TimeDelta::minutes(3));
        assert_eq!(
            timers::next_due(&kit.db, &registry::timers()).await.unwrap(),
            Some(Kit::start() + TimeDelta::minutes(2))
        );
        let stop = CancellationToken::new();
        let running = start(kit.db.clone(), &stop);
        eventually_fired(&kit, 2).await;
        stop.cancel();
        running.await.unwrap();
        assert_eq!((fired(&kit).await, testkit::tasks(&kit).await.len()), (vec![2, 3], 2));
        assert_eq!(kit.state().await.count("timers"), 1, "it waits for a newer version");
        assert_eq!(
            timers::next_due(&kit.db, &registry::timers()).await.unwrap(),
            None,
            "nothing polls for it"
        );
    }
}
