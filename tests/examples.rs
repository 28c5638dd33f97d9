//! The examples of the playground. Each is opened and run as the playground does it, on a new demo.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::harness::{SOON, Server, Setup};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, Database, prelude::Uuid, sea_query::Query};
use serde_json::{Map, Value, json};

/// The server, the examples, and the tokens to run them with.
struct Playground {
    server: Server,
    examples: Vec<Value>,
    tokens: Map<String, Value>,
}

impl Playground {
    async fn open(setup: Setup) -> Self {
        let server = Server::start(setup).await;
        let examples = read(&server, "/playground/examples.json").await.as_array().unwrap().clone();
        let demo = read(&server, "/playground/demo.json").await;
        assert_eq!(demo["demo"], true);
        for role in ["buyer", "creator", "admin"] {
            assert_eq!(demo["tokens"][role], server.demo_token(role).as_str());
        }
        Self { server, examples, tokens: demo["tokens"].as_object().unwrap().clone() }
    }

    /// Opens an example: runs its `prepare` queries, and fills the placeholders of its variables.
    async fn variables_of(&self, example: &Value) -> Value {
        let mut known = Map::new();
        for query in example["prepare"].as_array().unwrap() {
            let query = filled_text(query.as_str().unwrap(), &known);
            let answer =
                self.server.graphql(self.token_of(example), query.as_str().unwrap(), json!({})).await;
            known.extend(answer.as_object().unwrap().clone());
        }
        let variables = example["variables"].as_str().map(|json| serde_json::from_str(json).unwrap());
        filled(&variables.unwrap_or_else(|| json!({})), &known)
    }

    async fn run(&self, example: &Value) -> Value {
        let variables = self.variables_of(example).await;
        let query = example["query"].as_str().unwrap();
        if query.lines().any(|line| line.starts_with("subscription ")) {
            return self.first_of_many(self.token_of(example), query, variables).await;
        }
        self.server.graphql(self.token_of(example), query, variables).await
    }

    /// Returns the first result of a subscription, requested as the playground does it.
    async fn first_of_many(&self, token: Option<&str>, query: &str, variables: Value) -> Value {
        let asking = json!({ "query": query, "variables": variables });
        let mut request = self
            .server
            .client()
            .post(self.server.at("/graphql"))
            .header("accept", "text/event-stream")
            .json(&asking);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let (mut stream, mut text) = (request.send().await.unwrap(), String::new());
        loop {
            let chunk = tokio::time::timeout(SOON, stream.chunk())
                .await
                .expect("no event arrived")
                .unwrap()
                .expect("the stream ended");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
            let event = text.split_once("event: next\ndata: ").and_then(|(_, rest)| rest.split_once("\n\n"));
            if let Some((data, _)) = event {
                let answer: Value = serde_json::from_str(data).unwrap();
                assert!(answer.get("errors").is_none(), "{answer:#} for {query}");
                return answer["data"].clone();
            }
        }
    }

    /// Returns the token of the example's role. The role `storefront` has no token.
    fn token_of(&self, example: &Value) -> Option<&str> {
        self.tokens.get(example["role"].as_str().unwrap()).map(|token| token.as_str().unwrap())
    }

    /// Waits until the newest checkout is confirmed, because a later example cancels its reservation.
    async fn until_paid(&self) {
        let query = "{ checkouts(first: 1) { nodes { status payment { status } } } }";
        let token = self.tokens["buyer"].as_str();
        self.server
            .until(token, query, json!({}), |data| data["checkouts"]["nodes"][0]["status"] == "CONFIRMED")
            .await;
    }
}

async fn read(server: &Server, path: &str) -> Value {
    let answer = server.client().get(server.at(path)).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}");
    answer.json().await.unwrap()
}

/// Returns the value with all placeholders in its texts filled.
fn filled(value: &Value, known: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) => filled_text(text, known),
        Value::Array(values) => values.iter().map(|value| filled(value, known)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), filled(value, known))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Returns the text with its placeholders filled. If the whole text is one placeholder, returns its value
/// unchanged.
fn filled_text(text: &str, known: &Map<String, Value>) -> Value {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap();
        let value = meaning(name, known);
        if before.is_empty() && after.is_empty() && done.is_empty() {
            return value;
        }
        done.push_str(before);
        match &value {
            Value::String(text) => done.push_str(text),
            other => done.push_str(&other.to_string()),
        }
        rest = after;
    }
    done.push_str(rest);
    Value::String(done)
}

/// Returns the value of a placeholder.
fn meaning(name: &str, known: &Map<String, Value>) -> Value {
    match name {
        "uuid" => uuid().into(),
        "UUID" => uuid().to_uppercase().into(),
        _ => match name.strip_prefix("in:") {
            Some(span) => instant(span).into(),
            None => at_path(name, known),
        },
    }
}

/// Returns a unique UUID.
fn uuid() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("00000000-0000-4abc-8def-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Returns the time after a span such as `2d`, `3h` or `30m`.
#[expect(clippy::disallowed_methods, reason = "the playground uses the browser's clock")]
fn instant(span: &str) -> String {
    let (count, unit) = span.split_at(span.len() - 1);
    let count = count.parse().unwrap();
    let away = match unit {
        "m" => TimeDelta::minutes(count),
        "h" => TimeDelta::hours(count),
        "d" => TimeDelta::days(count),
        other => panic!("{other} is not a unit of time"),
    };
    (Utc::now() + away).to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn at_path(path: &str, known: &Map<String, Value>) -> Value {
    let pointer = format!("/{}", path.replace('.', "/"));
    let known = Value::Object(known.clone());
    let value = known.pointer(&pointer).unwrap_or(&Value::Null);
    assert!(!value.is_null(), "{path} is missing in {known:#}");
    value.clone()
}

async fn every_example_runs_twice_as_it_is_opened(setup: Setup) {
    let playground = Playground::open(setup).await;
    let roles: BTreeSet<&str> =
        playground.examples.iter().map(|example| example["role"].as_str().unwrap()).collect();
    assert_eq!(roles, BTreeSet::from(["storefront", "buyer", "creator", "admin"]));
    assert_eq!(playground.examples.iter().filter(|example| example["default"] == true).count(), 1);
    make_dead_letters(&playground.server).await;
    for _ in 0..2 {
        for example in &playground.examples {
            let name = &example["name"];
            let answer = playground.run(example).await;
            for (field, found) in answer.as_object().unwrap() {
                assert!(!found.is_null(), "{name}: {field} is null");
                if let Some(errors) = found.get("errors") {
                    assert_eq!(errors, &json!([]), "{name}: {answer:#}");
                }
            }
            if example["default"] == true {
                assert!(anything_is_free(&answer), "the first visit finds nothing to reserve: {answer:#}");
            }
            if answer.get("checkoutPay").is_some() {
                playground.until_paid().await;
            }
        }
    }
}

/// Creates dead letters for the examples that manage them, because a new demo has none. The events that the
/// tasks refer to do not exist, so a task that is retried fails again.
async fn make_dead_letters(server: &Server) {
    let database = Database::connect(server.database_url()).await.unwrap();
    let columns = [
        "id",
        "kind",
        "queue",
        "payload",
        "state",
        "attempt",
        "attempts_max",
        "run_at",
        "urgency",
        "since",
        "last_error",
        "created_at",
    ];
    for number in 1..=6 {
        let (id, at) = (
            Uuid::from_u128(number),
            DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(i64::try_from(number).unwrap()),
        );
        let (kind, queue, error) = ("sandbox_outcome", "sandbox", "the sandbox has no such event");
        let payload = json!({ "task": kind, "event": id });
        let values = [
            id.into(),
            kind.into(),
            queue.into(),
            payload.into(),
            "DEAD".into(),
            1.into(),
            12.into(),
            at.into(),
            0.into(),
            at.into(),
            error.into(),
            at.into(),
        ];
        let insert = Query::insert().into_table("tasks").columns(columns).values_panic(values).to_owned();
        database.execute(&insert).await.unwrap();
    }
    database.close().await.unwrap();
}

fn anything_is_free(answer: &Value) -> bool {
    let drops = answer["drops"]["nodes"].as_array().unwrap();
    let mut items = drops.iter().flat_map(|drop| drop["items"].as_array().unwrap());
    items.any(|item| item["stock"]["free"].as_u64() > Some(0))
}

#[tokio::test]
async fn sqlite_every_example_runs_twice_as_it_is_opened() {
    every_example_runs_twice_as_it_is_opened(Setup::demo()).await;
}

#[tokio::test]
async fn postgres_every_example_runs_twice_as_it_is_opened() {
    every_example_runs_twice_as_it_is_opened(Setup::demo().on_postgres_and_rabbitmq().await).await;
}
