//! A seeded simulation of reserving and paying. It has buyers who reserve, pay and cancel, creators who
//! change their drops, a gateway whose outcomes come late, twice or never, workers, time, and a process that
//! may crash at any fault point.
//!
//! A run uses no threads and no waiting: one step follows another, over SQLite, with an injected clock,
//! randomness and gateway. After every step the database is compared with a small model in memory. At the end
//! of the run the books are checked.
//!
//! `SMALLRUN_TEST_RUNS` sets the number of runs (300 by default). A failure prints its seed;
//! `SMALLRUN_TEST_SEED` repeats the run with that seed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic fails the test"
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

/// The seed of the first run.
const FIRST_SEED: u64 = 1;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text}")))
}

/// Stops the other threads from starting new runs after a failure.
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
fn units_and_money_always_match_the_model() {
    let seeds = match number("SMALLRUN_TEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => FIRST_SEED..FIRST_SEED + number("SMALLRUN_TEST_RUNS").unwrap_or(300),
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let template = runtime().block_on(Template::make());
    let next = AtomicU64::new(seeds.start);
    // Runs are independent of each other, so several run in parallel.
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
