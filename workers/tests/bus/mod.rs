//! The contract of a bus, tested on each bus: announcements reach a worker, facts reach every process, and
//! what is lost is found by polling.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod broker;
mod contract;

use std::sync::Arc;

use domain::platform::Db;
use testkit::{Kit, TestBroker};
use workers::bus::{Bus, embedded::EmbeddedBus, rabbit::RabbitBus};

/// A bus under test. Any number of processes can join it, over one database.
struct Fixture {
    kit: Kit,
    broker: Option<TestBroker>,
    embedded: Option<Arc<dyn Bus>>,
}

impl Fixture {
    /// Creates a fixture of the embedded bus, on which all "processes" are parts of this one.
    async fn embedded() -> Self {
        let kit = Kit::sqlite().await;
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::new(kit.db.clone()));
        Self { kit, broker: None, embedded: Some(bus) }
    }

    /// Creates a fixture of RabbitMQ over PostgreSQL.
    async fn rabbit() -> Self {
        let (kit, broker) = (Kit::postgres().await, TestBroker::new().await);
        Self { kit, broker: Some(broker), embedded: None }
    }

    /// Adds a process. Returns its database and its bus.
    async fn process(&self) -> (Db, Arc<dyn Bus>) {
        match (&self.embedded, &self.broker) {
            (Some(bus), _) => (self.kit.db.clone(), Arc::clone(bus)),
            (None, Some(broker)) => {
                let db = self.kit.connect(4).await;
                let bus = RabbitBus::start(&db, broker.url().parse().expect("a URL of a broker"), None);
                (db, Arc::new(bus))
            }
            (None, None) => unreachable!("a fixture has a bus"),
        }
    }
}

/// Generates a test of each function of the contract on each bus.
macro_rules! on_each_bus {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[test]
            fn $name() {
                use crate::bus::{Fixture, contract, run};
                run(async { contract::$name(Fixture::embedded().await).await });
            })+
        }
        mod rabbit {
            $(#[test]
            fn $name() {
                use crate::bus::{Fixture, contract, run};
                run(async { contract::$name(Fixture::rabbit().await).await });
            })+
        }
    };
}

on_each_bus! {
    an_announced_task_wakes_its_queue_and_no_other,
    what_one_process_queues_is_done_by_another,
    every_process_hears_every_fact_in_order,
    a_stamped_fact_of_an_unknown_kind_is_passed_over,
    a_projection_misses_nothing_though_its_bus_does,
    what_is_told_twice_and_in_disorder_is_heard_once_and_in_order,
    a_projection_too_far_behind_is_rebuilt,
    work_left_behind_is_news_for_everybody,
    a_task_that_comes_due_later_is_announced_then,
}

/// Runs a test on four worker threads, with a timeout of 60 seconds.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(60), test).await.expect("the test ends in time")
    });
}
