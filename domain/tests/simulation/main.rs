//! A seeded simulation of reserving and paying: buyers who reserve, pay and cancel, creators who change their
//! minds, a gateway whose outcomes come late, twice or never, workers, time, and a process that may end at
//! any point.
//!
//! No threads and no waiting within a run: one step after the other, over SQLite, with the clock, randomness
//! and the gateway injected. After every step the database is compared with a small model in memory, and at
//! the end with the books.
//!
//! `SMALLRUN_TEST_RUNS` says how many runs (300 by default), `SMALLRUN_TEST_SEED` plays one again: a failure
//! prints it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails has said what it must"
)]

mod books;
mod dice;
mod gateway;
mod market;
mod model;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use market::Template;
use world::World;

/// Seeds from here on.
const FIRST_SEED: u64 = 1;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text}")))
}

/// After a failure the others begin no more.
struct StopOthers<'a> {
    next: &'a AtomicU64,
    end: u64,
}

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.next.store(self.end, Ordering::Relaxed);
        }
    }
}

#[test]
fn whatever_happens_units_and_money_are_where_they_belong() {
    let seeds = match number("SMALLRUN_TEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => FIRST_SEED..FIRST_SEED + number("SMALLRUN_TEST_RUNS").unwrap_or(300),
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let template = runtime().block_on(Template::make());
    let next = AtomicU64::new(seeds.start);
    // Runs know nothing of each other, so several go on at once.
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let runtime = runtime();
                let _others = StopOthers { next: &next, end: seeds.end };
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    runtime.block_on(async { World::new(&template, seed).await.run().await });
                }
            });
        }
    });
}
