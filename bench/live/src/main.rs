//! Measures live updates on the real binary: five thousand subscribers of one drop, and a hundred changes per
//! second. The floor is a bare actix server in the same run that sends the same bytes to five thousand
//! WebSockets, at the rate at which Smallrun sends messages.
//!
//! Run it with `cargo run --profile dist -p bench-live`, optionally with the path of a built `smallrun`. The
//! load runs on the same processors.
//!
//! - *memory*: the additional memory of the server per idle subscriber
//! - *delay*: the time from the response of the mutation to the subscriber that knows of it, for each change
//!   and each subscriber
//!
//! The measurement is repeated with one subscriber in ten that never reads.

#![expect(clippy::expect_used, reason = "a failed measurement ends the program")]

mod change;
mod floor;
mod processes;
mod watchers;

use std::time::Duration;

use processes::Process;
use watchers::{Told, Watchers};

/// The number of subscribers.
const WATCHERS: usize = 5_000;
/// The number of those that never read, in the second measurement.
const DEAF: usize = 500;
/// How long changes are made.
const FOR: Duration = Duration::from_secs(20);
/// The time between two changes.
const EVERY: Duration = Duration::from_millis(10);
/// The minimum time between two messages to a subscriber: Smallrun combines all changes in between.
const PACE: Duration = Duration::from_millis(100);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--floor") => floor::serve(),
        smallrun => {
            processes::allow_many_files();
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .expect("threads can be started");
            runtime.block_on(measure(smallrun));
        }
    }
}

async fn measure(smallrun: Option<&str>) {
    println!("A bare actix server, {WATCHERS} WebSockets, {} messages a second", per_second(PACE));
    let floor = Process::floor().await;
    let before = floor.memory();
    let watchers = Watchers::open(floor.address(), WATCHERS, 0, None).await;
    let floor_memory = say_memory(before, floor.memory());
    let changes = change::post(floor.address(), FOR, PACE, &watchers).await;
    let floor_told = watchers.told().await;
    say_told(&floor_told, changes);
    drop((watchers, floor));

    println!("\nSmallrun, {WATCHERS} subscribers of one drop, {} changes a second", per_second(EVERY));
    let server = Process::smallrun(smallrun).await;
    let stage = change::Stage::build(&server).await;
    let before = server.memory();
    let watchers = Watchers::open(server.address(), WATCHERS, 0, Some(stage.subscribe())).await;
    let memory = say_memory(before, server.memory());
    let changes = stage.change(FOR, EVERY, &watchers).await;
    let told = watchers.told().await;
    say_told(&told, changes);
    let busy = server.memory().saturating_sub(before);
    println!("  memory after that          {:>8.1} kB each", kilobytes(busy) / of(WATCHERS));

    drop((watchers, server));

    println!("\nThe same with {DEAF} of them that never read");
    let server = Process::smallrun(smallrun).await;
    let stage = change::Stage::build(&server).await;
    let before = server.memory();
    let watchers =
        Watchers::open(server.address(), WATCHERS.saturating_sub(DEAF), DEAF, Some(stage.subscribe())).await;
    let changes = stage.change(FOR, EVERY, &watchers).await;
    say_told(&watchers.told().await, changes);
    println!(
        "  memory after that          {:>8.1} kB each",
        kilobytes(server.memory().saturating_sub(before)) / of(WATCHERS)
    );
    println!("  connected after that       {:>8}", server.connections().await);

    println!(
        "\nAs a multiple of the floor: memory {:.2}, p50 {:.2}, p99 {:.2}",
        memory / floor_memory,
        told.at(50) / floor_told.at(50),
        told.at(99) / floor_told.at(99)
    );
    println!(
        "Smallrun sends a state at most every {} ms: half of that, on average, is part of each delay.",
        PACE.as_millis()
    );
}

fn say_memory(before: u64, after: u64) -> f64 {
    let each = kilobytes(after.saturating_sub(before)) / of(WATCHERS);
    println!(
        "  memory of idle subscribers {each:>8.1} kB each  ({:.0} MB in all)",
        kilobytes(after) / 1_024.0
    );
    each
}

fn say_told(told: &Told, changes: usize) {
    let (p50, p99, worst) = (told.at(50), told.at(99), told.at(100));
    println!("  changes made               {:>8.0}/s", of(changes) / FOR.as_secs_f64());
    println!("  messages received          {:>8.0}/s", of(told.messages) / FOR.as_secs_f64());
    println!("  delay                      p50 {p50:.1} ms, p99 {p99:.1} ms, the last {worst:.1} ms");
}

fn per_second(every: Duration) -> u128 {
    1_000_u128.checked_div(every.as_millis()).unwrap_or(0)
}

fn kilobytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1_024).unwrap_or(u32::MAX))
}

fn of(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
