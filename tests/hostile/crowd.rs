//! Many hostile requests at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::task::JoinSet;

use crate::hostile::{
    cases,
    harness::{Server, Setup},
    memory::Memory,
    table::Others,
};

/// The number of hostile clients.
const CLIENTS: usize = 32;
/// How often each client sends its request.
const TIMES: usize = 4;
/// The longest time that another client's request may take meanwhile, in a debug build next to other tests.
const PATIENCE: Duration = Duration::from_secs(5);

/// The parsing and validation of long documents is limited, so many of them do not delay ordinary requests.
#[tokio::test]
async fn a_crowd_of_long_documents_does_not_hold_up_others() {
    // Turn the rate limit off, because all requests come from one address.
    let server = Arc::new(Server::start(Setup::demo().with("SMALLRUN_BUDGET", "false")).await);
    let memory = Memory::watch(server.process_id());
    let others = Others::begin(&server);
    let mut crowd = JoinSet::new();
    for client in 0..CLIENTS {
        let server = Arc::clone(&server);
        crowd.spawn(async move {
            let mut times = Vec::new();
            for time in 0..TIMES {
                // Never send the same text twice: parsed documents are cached.
                let unlike = format!(" # {client} {time}\n");
                let query = if client % 2 == 0 { cases::wrong_everywhere() } else { cases::introspection() };
                let began = Instant::now();
                server.send(None, &(query + &unlike), json!({})).await;
                times.push(began.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = crowd.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    let answered = others.end().await;
    println!(
        "{} long documents: median {:?}, the last after {:?}",
        times.len(),
        times[times.len() / 2],
        times[times.len() - 1]
    );
    println!("{}; {} kB more memory", answered.summary(), memory.peak());
    assert!(answered.times.len() > 3, "{}", answered.summary());
    assert!(answered.times.iter().all(|time| *time < PATIENCE), "{}", answered.summary());
}
