//! Fuzz tests of queries, variables and bodies: no input may cause an internal failure.
//!
//! `SMALLRUN_TEST_RUNS` sets the number of inputs of each kind (200 by default, the same ones in each run),
//! and `SMALLRUN_TEST_SEED` selects others.

use actix_web::{
    http::StatusCode,
    test::{self, TestRequest},
};
use proptest::{
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};
use testkit::Kit;

use crate::edge::shop::{api, creator, open_drop, person, serve};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Returns the configured number of values of a strategy.
fn tries<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>) -> impl Iterator<Item = T> {
    let seed = number("SMALLRUN_TEST_SEED").unwrap_or(1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runs = number("SMALLRUN_TEST_RUNS").unwrap_or(200);
    (0..runs).map(move |_| strategy.new_tree(&mut runner).unwrap().current())
}

/// Sends all bodies to one server, every other one with a token.
async fn send_all(kit: &Kit, bodies: impl Iterator<Item = (&'static str, Vec<u8>)>) {
    let (_, scope) = creator(kit, "kiln").await;
    open_drop(kit, &scope, "Cups").await;
    let token = person(kit, "ada").await;
    let mut api = api(kit);
    // Without a budget, because the number of requests is not bounded.
    api.edge.budget = None;
    let service = serve!(api);
    for (number, (content_type, body)) in bodies.enumerate() {
        let mut request = TestRequest::post().uri("/graphql").insert_header(("content-type", content_type));
        if number % 2 == 1 {
            request = request.insert_header(("authorization", format!("Bearer {token}")));
        }
        let response = test::call_service(&service, request.set_payload(body.clone()).to_request()).await;
        let status = response.status();
        let answer = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
        let sent = String::from_utf8_lossy(&body);
        assert!(!status.is_server_error(), "{status} {answer} for {sent}");
        assert!(!answer.contains("\"INTERNAL\""), "{status} {answer} for {sent}");
        assert!(
            status != StatusCode::OK || serde_json::from_str::<Value>(&answer).is_ok(),
            "{answer} for {sent}"
        );
    }
}

fn query(text: &str) -> (&'static str, Vec<u8>) {
    ("application/json", json!({ "query": text }).to_string().into_bytes())
}

#[test]
fn queries_of_any_text_cause_no_failure() {
    testkit::run(Kit::sqlite(), async |kit| {
        send_all(&kit, tries(any::<String>()).map(|text| query(&text))).await;
    });
}

/// Parts of valid documents, and some that are always invalid.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ":",
    "=",
    "!",
    "$",
    "@",
    "&",
    "|",
    "...",
    ",",
    " ",
    "\n",
    "\u{feff}",
    "#",
    "\"",
    "\"\"\"",
    "\\",
    "\\u",
    "query",
    "mutation",
    "subscription",
    "fragment",
    "on",
    "true",
    "false",
    "null",
    "on Query",
    "on Drop",
    "$a",
    "$b",
    "Int",
    "[Int!]!",
    "[Int] !",
    "ID",
    "String",
    "DropFilter",
    "@skip(if: true)",
    "@include(if: $a)",
    "__typename",
    "__schema",
    "__type(name: \"Drop\")",
    "types",
    "fields",
    "name",
    "drops",
    "drops(first: 2)",
    "nodes",
    "edges",
    "node",
    "items",
    "id",
    "slug",
    "title",
    "stock",
    "free",
    "creators",
    "viewer",
    "kind",
    "nodes(ids: [])",
    "node(id: \"drop_01h455vb4pex5vsknk084sn02q\")",
    "first: ",
    "filter: {phases: OPEN}",
    "a: ",
    "F",
    "...F",
    "fragment F on Query",
    "0",
    "-1",
    "1.5",
    "1e999",
    "-0",
    "00",
    "9999999999999999999999",
    "é",
    "\u{0}",
    "\u{202e}",
];

#[test]
fn queries_of_any_tokens_cause_no_failure() {
    testkit::run(Kit::sqlite(), async |kit| {
        let rows = prop::collection::vec(select(TOKENS), 0..40).prop_map(|tokens| tokens.join(" "));
        send_all(&kit, tries(rows).map(|text| query(&text))).await;
    });
}

/// Damages an example: each damage has a range and an action on the text in it.
fn damaged() -> impl Strategy<Value = String> {
    let examples: Vec<String> =
        api::http::playground::examples().iter().map(|example| example.query.clone()).collect();
    let damage = (any::<Index>(), any::<Index>(), 0..4_u8, select(TOKENS));
    (select(examples), prop::collection::vec(damage, 1..4)).prop_map(|(mut text, damages)| {
        for (one, other, what, token) in damages {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let (from, to) = (*one.get(&places), *other.get(&places));
            let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 60));
            let to = (from..=to).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(from);
            let between = text[from..to].to_owned();
            match what {
                0 => text.replace_range(from..to, ""),
                1 => text.insert_str(to, &between),
                2 => text.replace_range(from..to, token),
                _ => text.insert_str(from, &format!(" {token} ")),
            }
        }
        text
    })
}

#[test]
fn damaged_examples_cause_no_failure() {
    testkit::run(Kit::sqlite(), async |kit| {
        send_all(&kit, tries(damaged()).map(|text| query(&text))).await;
    });
}

/// Any JSON, including numbers out of all bounds.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(vec![
            "EUR",
            "OPEN",
            "12.50",
            "-0.0",
            "NaN",
            "2026-03-02T10:00:00Z",
            "9999-99-99",
            "#__graphql_file__:0"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map("[a-zA-Z_]{0,12}|\\PC{0,3}", inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

#[test]
fn bodies_of_any_json_cause_no_failure() {
    testkit::run(Kit::sqlite(), async |kit| {
        let part = || prop_oneof![any_json(), Just(json!("{ __typename }")), Just(json!({}))];
        let whole = (part(), part(), part(), any_json()).prop_map(|(query, name, variables, more)| {
            json!({ "query": query, "operationName": name, "variables": variables, "extensions": more })
        });
        let bodies = prop_oneof![any_json(), whole];
        send_all(&kit, tries(bodies).map(|body| ("application/json", body.to_string().into_bytes()))).await;
    });
}

#[test]
fn bodies_of_any_bytes_cause_no_failure() {
    testkit::run(Kit::sqlite(), async |kit| {
        let types = select(vec![
            "application/json",
            "application/json; charset=utf-8",
            "text/plain",
            "multipart/form-data; boundary=x",
            "",
        ]);
        let bodies = (types, prop::collection::vec(any::<u8>(), 0..400));
        send_all(&kit, tries(bodies)).await;
    });
}

/// The variables of an example, with one value replaced by any JSON.
#[test]
fn any_json_in_the_variables_of_examples_causes_no_failure() {
    testkit::run(Kit::sqlite(), async |kit| {
        let examples: Vec<(String, Value)> = api::http::playground::examples()
            .iter()
            .filter_map(|example| {
                let variables = serde_json::from_str(example.variables.as_deref()?).unwrap();
                Some((example.query.clone(), variables))
            })
            .collect();
        let bodies =
            (select(examples), any::<Index>(), any_json()).prop_map(|((query, mut variables), at, value)| {
                let pointers = pointers(&variables, "");
                if let Some(place) = variables.pointer_mut(at.get::<String>(&pointers)) {
                    *place = value;
                }
                json!({ "query": query, "variables": variables })
            });
        send_all(&kit, tries(bodies).map(|body| ("application/json", body.to_string().into_bytes()))).await;
    });
}

/// Returns the pointers to a value and to all values inside it.
fn pointers(value: &Value, here: &str) -> Vec<String> {
    let mut found = vec![here.to_owned()];
    match value {
        Value::Array(values) => {
            found.extend(
                values.iter().enumerate().flat_map(|(at, value)| pointers(value, &format!("{here}/{at}"))),
            );
        }
        Value::Object(fields) => {
            found.extend(fields.iter().flat_map(|(name, value)| pointers(value, &format!("{here}/{name}"))))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}
