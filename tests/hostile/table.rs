//! Sends every hostile request by itself, while ordinary requests are answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::hostile::{
    cases::{self, Case, Expected},
    harness::{SOON, Server, Setup},
    memory::Memory,
};

/// The most memory that a refused request may take. The allocator takes memory in large pieces and keeps some
/// of it for a while. The first large document therefore takes twice what it needs, and later ones nothing.
const MEMORY_KIB_MAX: u64 = 32 * 1024;
/// The maximum length of a refusal.
const REFUSAL_BYTES_MAX: usize = 20_000;

#[tokio::test]
async fn every_hostile_request_gets_the_expected_response_while_others_are_answered() {
    let server = Arc::new(Server::start(Setup::demo()).await);
    let others = Others::begin(&server);
    let mut wrong = Vec::new();
    println!("{:<55} {:>6} {:>9} {:>9}  answer", "request", "kB", "ms", "+kB");
    for case in cases::all() {
        let memory = Memory::watch(server.process_id());
        let began = Instant::now();
        let (status, text) = send(&server, &case).await;
        let (took, peak) = (began.elapsed(), memory.peak());
        let said = said(&text);
        println!(
            "{:<55} {:>6} {:>9.1} {:>9}  {status} {}",
            case.what,
            case.body.len() / 1_000,
            took.as_secs_f64() * 1_000.0,
            peak,
            said.chars().take(80).collect::<String>()
        );
        if let Some(complaint) = complaint(&case, status, &text) {
            wrong.push(format!(
                "{}: {complaint}: {status} {}",
                case.what,
                text.chars().take(400).collect::<String>()
            ));
        }
        // Requests that are expected to succeed, such as introspection, may take more memory.
        if peak > MEMORY_KIB_MAX && !matches!(case.expected, Expected::Answer) {
            wrong.push(format!("{}: it took {peak} kB of memory", case.what));
        }
    }
    let answered = others.end().await;
    println!("{}", answered.summary());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(answered.times.len() > 20, "{}", answered.summary());
}

async fn send(server: &Server, case: &Case) -> (u16, String) {
    let mut request = server.client().post(server.at("/graphql")).timeout(SOON).body(case.body.clone());
    request = request.header("accept", "application/graphql-response+json");
    if !case.content_type.is_empty() {
        request = request.header("content-type", case.content_type);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn said(text: &str) -> String {
    let answer: Value = serde_json::from_str(text).unwrap_or_default();
    answer["errors"][0]["message"].as_str().unwrap_or("(no error)").replace('\n', " ")
}

/// Returns what is wrong with a response, if anything.
fn complaint(case: &Case, status: u16, text: &str) -> Option<&'static str> {
    let Ok(answer) = serde_json::from_str::<Value>(text) else { return Some("no JSON") };
    let error = &answer["errors"][0];
    let code = error["extensions"]["code"].as_str().unwrap_or_default();
    let message = error["message"].as_str().unwrap_or_default();
    if answer["errors"].as_array().is_some_and(|errors| errors.len() > 20) {
        return Some("too many errors");
    }
    match case.expected {
        Expected::Limit(_) | Expected::Error(..) if text.len() > REFUSAL_BYTES_MAX => Some("a long refusal"),
        Expected::Limit(expected) => {
            let right = (status, code, message) == (400, "DOCUMENT_TOO_COSTLY", expected);
            let names_cost = answer["extensions"]["cost"]["actual"].is_u64();
            (!right || !names_cost).then_some("another refusal was expected")
        }
        Expected::Error(expected, expected_code, holding) => ((status, code) != (expected, expected_code)
            || !message.contains(holding))
        .then_some("another error was expected"),
        Expected::Answer => {
            (status != 200 || answer.get("errors").is_some()).then_some("an answer was expected")
        }
    }
}

/// Ordinary requests, which are sent one after the other in the background.
pub(crate) struct Others {
    stop: Arc<AtomicBool>,
    running: JoinHandle<Answered>,
}

/// The times that the ordinary requests took.
pub(crate) struct Answered {
    pub(crate) times: Vec<Duration>,
}

impl Answered {
    pub(crate) fn summary(&self) -> String {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = |percent: usize| {
            times
                .get((times.len() * percent / 100).min(times.len().saturating_sub(1)))
                .copied()
                .unwrap_or_default()
        };
        let max = times.last().copied().unwrap_or_default();
        format!("meanwhile {} others: p50 {:?}, p99 {:?}, max {max:?}", times.len(), at(50), at(99))
    }
}

impl Others {
    pub(crate) fn begin(server: &Arc<Server>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (server, stopped) = (Arc::clone(server), Arc::clone(&stop));
        let running = tokio::spawn(async move {
            let mut times = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                server
                    .graphql(
                        None,
                        "{ drops(first: 3) { nodes { slug title closesAt } } }",
                        serde_json::json!({}),
                    )
                    .await;
                times.push(began.elapsed());
            }
            Answered { times }
        });
        Self { stop, running }
    }

    /// Stops the requests and returns their times. Fails if one of them failed.
    pub(crate) async fn end(self) -> Answered {
        self.stop.store(true, Ordering::Relaxed);
        self.running.await.unwrap()
    }
}
