//! Tests every fault point of the real binary with each action (abort, error, stall) during a purchase, on
//! SQLite with the embedded bus and on PostgreSQL with RabbitMQ. The state is always the one before or after
//! a step, never in between, and in the end every effect has happened exactly once.
//!
//! [`cell`] runs one point with one action; [`story`] is what the buyer does; [`books`] holds the checks.

use crate::harness;
use crate::shop::market;

use crate::shop::books as shop_books;

mod base;
mod books;
mod cell;
mod story;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use domain::platform::faults::{COMPILED_IN, Point};
use harness::{Ended, Setup, run, smallrun};

use base::Base;

// The dev-dependencies turn the fault points on.
const _: () = assert!(COMPILED_IN, "these tests need the fault points of the feature `faults`");

/// How many servers a test runs at the same time. They wait more than they work.
const AT_ONCE: usize = 4;

/// The back ends of a marketplace.
#[derive(Clone, Copy)]
enum On {
    /// SQLite and the embedded bus.
    Embedded,
    /// PostgreSQL and RabbitMQ.
    Production,
}

impl On {
    /// Returns the fault points that a process can reach on these back ends.
    fn points(self) -> Vec<Point> {
        let comes_to = |point: &Point| match self {
            Self::Embedded => *point != Point::ConsumeAcked,
            Self::Production => true,
        };
        Point::ALL.iter().copied().filter(comes_to).collect()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs all fault points with one action.
fn every_point(on: On, action: &'static str) {
    let base = runtime().block_on(async {
        let setup = Setup::empty();
        Base::make(match on {
            On::Embedded => setup,
            On::Production => setup.on_postgres_and_rabbitmq().await,
        })
        .await
    });
    let (points, next) = (on.points(), AtomicUsize::new(0));
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let ended = catch_unwind(AssertUnwindSafe(|| {
                        runtime().block_on(cell::run(&base, *point, action))
                    }));
                    failed.lock().unwrap().extend(ended.is_err().then_some(point.name()));
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{action} at {failed:?} (the reasons are above)");
}

macro_rules! matrix {
    ($($action:literal => $embedded:ident, $production:ident;)+) => {
        $(
            #[test]
            fn $embedded() {
                every_point(On::Embedded, $action);
            }

            #[test]
            fn $production() {
                every_point(On::Production, $action);
            }
        )+
    };
}

matrix! {
    "abort" => embedded_a_process_that_ends_at_any_point_loses_and_doubles_nothing,
        production_a_process_that_ends_at_any_point_loses_and_doubles_nothing;
    "error" => embedded_a_step_that_fails_at_any_point_loses_and_doubles_nothing,
        production_a_step_that_fails_at_any_point_loses_and_doubles_nothing;
    "stall:400ms" => embedded_a_step_that_stalls_at_any_point_loses_and_doubles_nothing,
        production_a_step_that_stalls_at_any_point_loses_and_doubles_nothing;
}

#[test]
fn the_points_are_listed_with_a_sentence_each() {
    let listed = run(["faults"]);
    assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), ""));
    let names: Vec<&str> =
        listed.stdout.lines().filter_map(|line| line.split_once("  ")).map(|(name, _)| name).collect();
    assert_eq!(names, Point::ALL.iter().map(|point| point.name()).collect::<Vec<_>>());
    assert!(listed.stdout.lines().all(|line| line.ends_with('.')), "{}", listed.stdout);
    let help = run(["faults", "--help"]);
    assert!(help.stdout.contains("Each fault happens once per process"), "{}", help.stdout);
}

#[test]
fn an_invalid_fault_stops_the_start_and_is_named() {
    for (fault, what) in [
        (
            "reserve.wirtten=abort",
            "SMALLRUN_FAULT cannot be used: there is no fault point `reserve.wirtten`.",
        ),
        (
            "reserve.written",
            "SMALLRUN_FAULT cannot be used: `reserve.written` is not of the form POINT=ACTION",
        ),
        ("reserve.written=stall", "SMALLRUN_FAULT cannot be used: `stall` is not an action of a fault point"),
    ] {
        let ended = Ended::of(smallrun().args(["serve", "--data", "/nowhere"]).env("SMALLRUN_FAULT", fault));
        assert!(ended.code == Some(78) && ended.stderr.contains(what), "{ended:#?}");
        assert!(ended.stderr.contains("Run `smallrun faults` to list the fault points."), "{ended:#?}");
    }
}
