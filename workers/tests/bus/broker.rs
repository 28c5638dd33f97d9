//! Tests specific to a broker: lost connections and redelivery.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use domain::platform::{
    access::Actor,
    in_tx,
    tasks::{self, NewTask, Queue},
};
use domain::reservations::DeskActivity;
use testkit::Numbered;
use tokio_util::sync::CancellationToken;
use workers::{
    bus::{Bus, BusState, Consumer, Permit},
    relay,
};

use crate::bus::{Fixture, run};

async fn until_up(bus: &dyn Bus) {
    let waiting = async {
        while bus.state() != BusState::Up {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("the broker is reached in time");
}

async fn permits(consumer: &mut dyn Consumer, count: usize) -> Vec<Permit> {
    let mut permits = Vec::new();
    let gathering = async {
        while permits.len() < count {
            consumer.wait().await;
            permits.extend(consumer.permits(count));
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gathering).await.expect("permits arrive in time");
    permits
}

#[test]
fn a_consumer_holds_no_more_permits_than_its_prefetch() {
    run(async {
        let fixture = Fixture::rabbit().await;
        let (_, bus) = fixture.process().await;
        until_up(bus.as_ref()).await;
        bus.announce(Queue::Mail, 8).await.unwrap();
        let mut consumer = bus.consumer(Queue::Mail, 3);
        let mut seen = 0;
        while seen < 8 {
            let held = permits(consumer.as_mut(), 3.min(8 - seen)).await;
            assert!(held.len() <= 3, "{}", held.len());
            seen += held.len();
            for permit in held {
                permit.done().await;
            }
        }
    });
}

#[test]
fn an_unfinished_permit_is_redelivered_to_another_process() {
    run(async {
        let fixture = Fixture::rabbit().await;
        let (_, first) = fixture.process().await;
        until_up(first.as_ref()).await;
        first.announce(Queue::Mail, 2).await.unwrap();
        let mut dying = first.consumer(Queue::Mail, 4);
        let mut held = permits(dying.as_mut(), 2).await;
        held.pop().expect("two permits").done().await;
        let (_, second) = fixture.process().await;
        let mut heir = second.consumer(Queue::Mail, 4);
        // The permit is neither acknowledged nor rejected.
        drop((held, dying));
        first.close().await;
        drop(first);
        assert_eq!(permits(heir.as_mut(), 1).await.len(), 1);
    });
}

#[test]
fn the_bus_recovers_after_the_broker_closed_every_connection() {
    run(async {
        let fixture = Fixture::rabbit().await;
        let (_, bus) = fixture.process().await;
        until_up(bus.as_ref()).await;
        let mut consumer = bus.consumer(Queue::Payments, 1);
        bus.announce(Queue::Payments, 1).await.unwrap();
        permits(consumer.as_mut(), 1).await.pop().expect("a permit").done().await;
        let broker = fixture.broker.as_ref().expect("a broker");
        // The broker lists a connection a moment after it was made.
        while broker.cut_connections().await < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        while bus.announce(Queue::Payments, 1).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        permits(consumer.as_mut(), 1).await.pop().expect("a permit").done().await;
        let mut news = bus.news();
        news.mark_unchanged();
        until_up(bus.as_ref()).await;
    });
}

#[test]
fn a_scheduled_task_gets_a_permit_when_it_is_due() {
    run(async {
        let fixture = Fixture::rabbit().await;
        let (db, bus) = fixture.process().await;
        until_up(bus.as_ref()).await;
        let stop = CancellationToken::new();
        let relay =
            tokio::spawn(relay::run(db.clone(), Arc::clone(&bus), DeskActivity::default(), stop.clone()));
        let later = db.now() + TimeDelta::seconds(30);
        in_tx(&db, Actor::System("test"), async |tx| {
            tasks::enqueue(tx, NewTask::from(Numbered { number: 1 }).at(later)).await
        })
        .await
        .unwrap();
        let mut consumer = bus.consumer(Queue::Mail, 1);
        fixture.kit.clock.advance(TimeDelta::seconds(31));
        assert_eq!(permits(consumer.as_mut(), 1).await.len(), 1);
        stop.cancel();
        relay.await.unwrap();
    });
}

#[test]
fn without_a_broker_announcements_fail_and_consumers_poll() {
    run(async {
        let fixture = Fixture::rabbit().await;
        // Nothing listens on this port, which is below the range of ephemeral ports.
        let url = "amqp://guest:guest@127.0.0.1:9/none".parse().expect("a URL");
        let bus = workers::bus::rabbit::RabbitBus::start(&fixture.kit.db, url, None);
        assert_eq!(bus.state(), BusState::Down);
        assert!(bus.announce(Queue::Mail, 1).await.is_err());
        let mut consumer = bus.consumer(Queue::Mail, 1);
        // The consumer still polls.
        consumer.wait().await;
        assert!(consumer.permits(1).is_empty());
    });
}
