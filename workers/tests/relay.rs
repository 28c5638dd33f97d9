//! Tests of the relay: each fact gets one position in a gapless sequence, with any number of writers and
//! relays.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use domain::{
    platform::{
        Db,
        access::Actor,
        facts::Fact,
        ids::{AccountId, CheckoutId},
        in_tx, outbox,
    },
    registry,
    reservations::DeskActivity,
};
use sea_orm::{ConnectionTrait, DbErr};
use testkit::{Kit, on_both};
use tokio::{sync::broadcast::Receiver, task::JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workers::{
    bus::{Bus, embedded::EmbeddedBus},
    relay,
};

const ACTOR: Actor = Actor::System("test");

async fn publish(db: &Db, fact: Fact) {
    in_tx(db, ACTOR, async |tx| outbox::publish(tx, 1, &fact).await).await.unwrap();
}

fn changed(number: u128) -> Fact {
    Fact::AccountChanged { account: AccountId(Uuid::from_u128(number)) }
}

async fn execute(db: &Db, sql: &str) {
    in_tx(db, ACTOR, async |tx| tx.conn().execute_unprepared(sql).await).await.unwrap();
}

async fn eventually(holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("the condition holds in time");
}

async fn eventually_stamped(db: &Db) {
    eventually(async || outbox::unstamped_count(db).await.unwrap() == 0).await;
}

struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    facts: Receiver<Arc<outbox::Stamped>>,
}

fn start(db: Db) -> Running {
    let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::new(db.clone()));
    let stop = CancellationToken::new();
    let facts = bus.facts();
    Running { task: tokio::spawn(relay::run(db, bus, DeskActivity::default(), stop.clone())), stop, facts }
}

impl Running {
    /// Stops the relay, and returns the positions of the facts that it has broadcast. A fact that is stamped
    /// may not be broadcast yet, so only a relay that has ended can be asked.
    async fn end(mut self) -> Vec<i64> {
        self.stop.cancel();
        self.task.await.unwrap();
        std::iter::from_fn(|| self.facts.try_recv().ok()).map(|fact| fact.position).collect()
    }
}

on_both! {
    async fn positions_have_no_gap_with_many_writers_and_two_relays(kit: Kit) {
        const WRITERS: u128 = 6;
        const EACH: u128 = 20;
        let first = start(kit.db.clone());
        let second = start(kit.connect(4).await);
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let db = kit.connect(2).await;
            writers.spawn(async move {
                for number in 0..EACH {
                    publish(&db, changed(writer * EACH + number)).await;
                    // A transaction that is rolled back leaves no gap.
                    let undone = in_tx(&db, ACTOR, async |tx| {
                        outbox::publish(tx, 1, &changed(9_999)).await?;
                        Err::<(), _>(DbErr::Custom("changed my mind".to_owned()))
                    });
                    assert!(undone.await.is_err());
                }
            });
        }
        while let Some(ended) = writers.join_next().await {
            ended.unwrap();
        }
        eventually_stamped(&kit.db).await;
        let (a, b) = (first.end().await, second.end().await);
        assert!(a.is_sorted() && b.is_sorted());
        let mut all = [a, b].concat();
        all.sort_unstable();
        assert_eq!(all, (1..=i64::try_from(WRITERS * EACH).unwrap()).collect::<Vec<_>>());
    }

    async fn another_relay_takes_over_immediately_when_the_lease_is_released(kit: Kit) {
        let first = start(kit.db.clone());
        publish(&kit.db, changed(1)).await;
        eventually_stamped(&kit.db).await;
        let second = start(kit.connect(2).await);
        first.end().await;
        publish(&kit.db, changed(2)).await;
        eventually_stamped(&kit.db).await;
        assert_eq!(second.end().await, [2]);
    }

    async fn another_relay_takes_over_when_the_lease_of_a_dead_one_expires(kit: Kit) {
        let first = start(kit.db.clone());
        publish(&kit.db, changed(1)).await;
        eventually_stamped(&kit.db).await;
        first.task.abort();
        assert!(first.task.await.unwrap_err().is_cancelled());
        let second = start(kit.connect(2).await);
        kit.clock.advance(TimeDelta::seconds(outbox::LEASE_SECS + 1));
        publish(&kit.db, changed(2)).await;
        eventually_stamped(&kit.db).await;
        assert_eq!(second.end().await, [2]);
    }

    async fn a_relay_that_lost_its_lease_stamps_nothing(kit: Kit) {
        let lease = async |holder: u128| {
            in_tx(&kit.db, ACTOR, async |tx| outbox::lease(tx, Uuid::from_u128(holder)).await).await.unwrap()
        };
        let stamp = async |fence| {
            in_tx(&kit.db, ACTOR, async |tx| {
                outbox::stamp(tx, fence, 10, |fact| registry::letters().following(fact)).await
            })
            .await
            .unwrap()
            .len()
        };
        publish(&kit.db, changed(1)).await;
        let old = lease(1).await.unwrap();
        assert_eq!(lease(2).await, None);
        assert_eq!(lease(1).await, Some(old), "renewed");
        kit.clock.advance(TimeDelta::seconds(outbox::LEASE_SECS + 1));
        let new = lease(2).await.unwrap();
        assert!(new > old);
        assert_eq!(stamp(old).await, 0);
        assert_eq!(stamp(new).await, 1);
    }

    async fn the_letter_that_follows_from_a_fact_is_queued_once(kit: Kit) {
        let (first, second) = (start(kit.db.clone()), start(kit.connect(2).await));
        for number in 0..10 {
            publish(&kit.db, Fact::Reserved { checkout: CheckoutId(Uuid::from_u128(number)) }).await;
        }
        eventually_stamped(&kit.db).await;
        first.end().await;
        second.end().await;
        assert_eq!(testkit::letters(&kit).await.len(), 10);
    }

    async fn more_facts_than_one_batch_are_stamped(kit: Kit) {
        let many: Vec<_> = (0..1_100).map(|number| (1, changed(number))).collect();
        in_tx(&kit.db, ACTOR, async |tx| outbox::publish_all(tx, &many).await).await.unwrap();
        let relay = start(kit.db.clone());
        eventually_stamped(&kit.db).await;
        assert_eq!(relay.end().await, (1..=1_100).collect::<Vec<_>>());
    }

    async fn a_fact_of_an_unknown_kind_stays_unstamped_and_later_ones_are_stamped(kit: Kit) {
        for number in 1..4 {
            publish(&kit.db, changed(number)).await;
        }
        // By id, one unknown fact comes before the first known fact, and others come between.
        let newer = "UPDATE outbox SET kind = 'of_a_newer_version', \
                     payload = '{\"kind\": \"of_a_newer_version\"}'";
        execute(&kit.db, &format!("{newer} WHERE aggregate <> (SELECT MAX(aggregate) FROM outbox)")).await;
        let relay = start(kit.db.clone());
        eventually(async || !outbox::any_unstamped(&kit.db).await.unwrap()).await;
        publish(&kit.db, changed(4)).await;
        eventually(async || outbox::position_last(&kit.db).await.unwrap() == 2).await;
        // The relay keeps its lease, although rows of unknown kinds remain.
        let others = kit.connect(2).await;
        assert!(outbox::is_leased_to_another(&others, Uuid::from_u128(9)).await.unwrap());
        assert_eq!(relay.end().await, [1, 2]);
        assert_eq!(outbox::unstamped_count(&kit.db).await.unwrap(), 2, "they wait for a newer relay");
    }
}
