//! The clock of a demo: all processes of the deployment share it. Elsewhere the machine's time applies.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::platform::{
    Db, OpError,
    access::{Actor, SystemScope},
    clock::{Clock, SystemClock},
    connect,
    demo_clock::{DeploymentClock, TravelRefusal, mark, travel},
    in_tx,
};
use sea_orm::DbErr;
use testkit::{Kit, on_both};

/// Opens the database as a process of the deployment does.
async fn process(kit: &Kit) -> Db {
    let db =
        connect(kit.store.url(), 2, Arc::<DeploymentClock>::default(), kit.entropy.clone()).await.unwrap();
    db.refresh_clock().await.unwrap();
    db
}

async fn decision_now(db: &Db) -> DateTime<Utc> {
    in_tx(db, Actor::Public, async |tx| Ok::<_, DbErr>(tx.decision_now().await?)).await.unwrap()
}

/// Returns how far a time is ahead of the machine's, in whole minutes.
fn ahead(time: DateTime<Utc>) -> i64 {
    (time - SystemClock.now() + TimeDelta::seconds(30)).num_minutes()
}

fn code<T: std::fmt::Debug>(refused: Result<T, OpError<TravelRefusal>>) -> TravelRefusal {
    match refused {
        Err(OpError::Refused(why)) => why.first().unwrap().code,
        other => panic!("{other:?}"),
    }
}

on_both! {
    async fn without_a_demo_the_clock_cannot_be_set(kit: Kit) {
        let db = process(&kit).await;
        let before = kit.state().await;
        let travelled = travel(&db, &SystemScope::new("test"), TimeDelta::days(2)).await;
        assert_eq!(code(travelled), TravelRefusal::NoDemo);
        assert_eq!(kit.state().await, before);
        assert!(!db.is_demo());
        assert_eq!((ahead(db.now()), ahead(decision_now(&db).await)), (0, 0));
    }

    async fn all_processes_of_a_demo_share_its_clock(kit: Kit) {
        let (here, there) = (process(&kit).await, process(&kit).await);
        let system = SystemScope::new("test");
        mark(&here, &system).await.unwrap();
        there.refresh_clock().await.unwrap();
        assert!(here.is_demo() && there.is_demo());
        assert_eq!((ahead(here.now()), ahead(there.now())), (0, 0));

        let woken = there.commits();
        let now = travel(&here, &system, TimeDelta::days(2)).await.unwrap();
        assert_eq!((ahead(now), ahead(here.now()), ahead(decision_now(&here).await)), (2_880, 2_880, 2_880));
        if there.backend() == sea_orm::DbBackend::Postgres {
            let decided = ahead(decision_now(&there).await);
            assert_eq!(decided, 2_880, "a decision reads the time from the database");
        }
        there.refresh_clock().await.unwrap();
        assert_eq!(ahead(there.now()), 2_880);
        if there.backend() == sea_orm::DbBackend::Sqlite {
            assert!(woken.has_changed().unwrap(), "loops that wait for an instant are woken");
        }

        // Offsets add up, and marking a demo again changes nothing.
        travel(&there, &system, TimeDelta::hours(1)).await.unwrap();
        mark(&there, &system).await.unwrap();
        assert_eq!((ahead(there.now()), ahead(process(&kit).await.now())), (2_940, 2_940));
    }

    async fn the_clock_of_a_demo_goes_forward_at_most_ten_years(kit: Kit) {
        let db = process(&kit).await;
        let system = SystemScope::new("test");
        mark(&db, &system).await.unwrap();
        travel(&db, &system, TimeDelta::days(3_000)).await.unwrap();
        let before = kit.state().await;
        for (by, refusal) in [
            (TimeDelta::zero(), TravelRefusal::NotForward),
            (TimeDelta::hours(-1), TravelRefusal::NotForward),
            (TimeDelta::days(651), TravelRefusal::TooFar),
            (TimeDelta::MAX, TravelRefusal::TooFar),
        ] {
            assert_eq!(code(travel(&db, &system, by).await), refusal, "{by}");
        }
        assert_eq!(kit.state().await, before);
        assert_eq!(ahead(db.now()), 3_000 * 24 * 60);
    }
}
