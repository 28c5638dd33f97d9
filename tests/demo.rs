//! Black-box tests of the demo marketplace: its content after the first start, the runs that a later start
//! adds, and the buyers for load tests.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt};

use crate::harness::{Ended, Server, Setup, smallrun};
use serde_json::{Value, json};

const DROPS: &str =
    "{ drops(first: 100) { totalCount nodes { id slug phase closingSoon soldOut creator { slug } } } }";

async fn drops(server: &Server) -> Vec<Value> {
    let data = server.graphql(None, DROPS, json!({})).await;
    data["drops"]["nodes"].as_array().unwrap().clone()
}

/// Returns the number of drops in each phase, as a visitor sees them.
fn phases(drops: &[Value]) -> BTreeMap<&'static str, usize> {
    let mut phases = BTreeMap::new();
    for drop in drops {
        let sold_out = drop["soldOut"] == true;
        let phase = match drop["phase"].as_str().unwrap() {
            "SCHEDULED" => "scheduled",
            "OPEN" if sold_out => "sold out",
            "OPEN" if drop["closingSoon"] == true => "closing soon",
            "OPEN" => "open",
            "CLOSED" => "closed",
            other => panic!("a drop of the demo is {other}"),
        };
        *phases.entry(phase).or_default() += 1;
    }
    phases
}

async fn the_demo_is_a_marketplace_with_something_in_every_phase_and_loads_once(setup: Setup) {
    let server = Server::start(setup).await;
    for told in [
        "/playground",
        "buyer@demo.example",
        "creator@demo.example",
        "admin@demo.example",
        "smallrun-demo",
        "demo-tokens.json",
    ] {
        assert!(server.greeting().contains(told), "{told}: {}", server.greeting());
    }
    let first = drops(&server).await;
    let seen = phases(&first);
    for phase in ["scheduled", "open", "closing soon", "sold out", "closed"] {
        assert!(seen.get(phase).is_some_and(|count| *count >= 3), "{phase}: {seen:?}");
    }
    let counts = "{ creators { totalCount } products { totalCount } }";
    let counted = server.graphql(None, counts, json!({})).await;
    assert!(
        counted["creators"]["totalCount"].as_u64() >= Some(6)
            && counted["products"]["totalCount"].as_u64() >= Some(50),
        "{counted}"
    );

    let tokens: Vec<String> =
        ["buyer", "creator", "admin"].iter().map(|role| server.demo_token(role)).collect();
    let mode = fs::metadata(server.folder().join("demo-tokens.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let again = server.same_again();
    assert!(server.stop().await.0.success());
    let server = Server::start(again).await;
    assert_eq!(drops(&server).await.len(), first.len());
    assert_eq!(server.graphql(None, counts, json!({})).await, counted);
    let kept: Vec<String> =
        ["buyer", "creator", "admin"].iter().map(|role| server.demo_token(role)).collect();
    assert_eq!(kept, tokens, "valid tokens are kept");
    for (role, token) in ["buyer", "creator", "admin"].iter().zip(&kept) {
        let email = format!("{role}@demo.example");
        let typed = server.sign_in(&email, "smallrun-demo").await;
        for token in [token, &typed] {
            let data = server.graphql(Some(token), "{ viewer { account { email } } }", json!({})).await;
            assert_eq!(data["viewer"]["account"]["email"], email.as_str());
        }
    }
}

#[tokio::test]
async fn sqlite_the_demo_is_a_marketplace_with_something_in_every_phase_and_loads_once() {
    the_demo_is_a_marketplace_with_something_in_every_phase_and_loads_once(Setup::demo()).await;
}

#[tokio::test]
async fn postgres_the_demo_is_a_marketplace_with_something_in_every_phase_and_loads_once() {
    the_demo_is_a_marketplace_with_something_in_every_phase_and_loads_once(
        Setup::demo().on_postgres_and_rabbitmq().await,
    )
    .await;
}

#[tokio::test]
async fn buyers_for_load_tests_are_created_next_to_a_running_server() {
    let server = Server::start(Setup::empty()).await;
    let made = Ended::of(smallrun().args(["demo", "--buyers", "250", "--data"]).arg(server.folder().path()));
    assert_eq!(made.code, Some(0), "{made:#?}");
    let path = server.folder().join("demo-buyers.json");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let tokens: Vec<String> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(tokens.len(), 250);
    let data = server.graphql(Some(&tokens[249]), "{ viewer { kind account { email } } }", json!({})).await;
    assert_eq!(data["viewer"]["kind"], "ACCOUNT");
}

#[tokio::test]
async fn a_later_start_adds_the_next_runs_for_a_phase_without_runs() {
    let server = Server::start(Setup::demo()).await;
    let before = drops(&server).await;
    let token = server.demo_token("creator");
    let open: Vec<&Value> = before.iter().filter(|drop| is_open(drop)).collect();
    for drop in &open {
        let cancel =
            "mutation($input: DropIdInput!) { dropCancel(input: $input) { errors { code message } } }";
        let data = server.graphql(Some(&token), cancel, json!({ "input": { "id": drop["id"] } })).await;
        assert_eq!(data["dropCancel"]["errors"], json!([]), "{drop}");
    }
    assert_eq!(phases(&drops(&server).await).get("open"), None);

    let again = server.same_again();
    assert!(server.stop().await.0.success());
    let server = Server::start(again).await;
    let after = drops(&server).await;
    let mut expected: Vec<String> =
        open.iter().map(|drop| drop["slug"].as_str().unwrap().replace("-1", "-2")).collect();
    let mut new: Vec<String> = after
        .iter()
        .filter(|drop| is_open(drop))
        .map(|drop| drop["slug"].as_str().unwrap().to_owned())
        .collect();
    expected.sort();
    new.sort();
    assert_eq!(new, expected);
    assert_eq!(after.len(), before.len(), "the other phases stay as they were");
}

fn is_open(drop: &Value) -> bool {
    drop["phase"] == "OPEN" && drop["closingSoon"] == false && drop["soldOut"] == false
}
