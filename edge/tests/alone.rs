//! Tests of the edge alone, with a schema of two fields and no marketplace behind it.

#![expect(clippy::unwrap_used, reason = "a test fails on anything unexpected")]

use std::{
    any::Any,
    collections::HashMap,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{
    App,
    http::StatusCode,
    test::{self, TestRequest},
};
use async_graphql::{Context, EmptySubscription, Object, Response, Schema, parser::types::OperationType};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use edge::{
    AdmittedWork, Audience, Backend, BackendError, Charged, EdgeViewer, Fingerprint, HttpEdge, Settings,
    budget::BudgetSettings,
    guard::{Class, PageSizes, SchemaProfile, Shedding},
    introspection::SchemaAudience,
    trace::RequestTrace,
};
use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

struct Query;

#[Object]
impl Query {
    async fn greeting(&self, ctx: &Context<'_>) -> String {
        format!("hello {}", ctx.data_unchecked::<&'static str>())
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn wave(&self) -> bool {
        true
    }
}

static SCHEMA: LazyLock<Schema<Query, Mutation, EmptySubscription>> =
    LazyLock::new(|| Schema::build(Query, Mutation, EmptySubscription).finish());

const READING: Class = Class { name: "read", shed: Some(Shedding { from: 1.0, nearly_all_from: 2.0 }) };
const WAVING: Class = Class { name: "wave", shed: None };

static PROFILE: LazyLock<SchemaProfile> = LazyLock::new(|| {
    let classify = |kind, _: &[&str]| if kind == OperationType::Mutation { WAVING } else { READING };
    SchemaProfile::new(&SCHEMA.sdl(), PageSizes { usual: 20, max: 100 }, classify, "to its authors")
});

/// A person by name, or a stranger. The owner is not charged.
struct Person(Option<&'static str>);

impl EdgeViewer for Person {
    fn is_anonymous(&self) -> bool {
        self.0.is_none()
    }

    fn charged(&self) -> Charged {
        match self.0 {
            Some("owner") => Charged::Nobody,
            Some(_) => Charged::Known { kind: "person", id: 1 },
            None => Charged::Network,
        }
    }

    fn audience(&self) -> Option<Audience> {
        None
    }

    fn may_read_schema(&self) -> bool {
        self.0 == Some("owner")
    }

    fn is_same(&self, other: &dyn EdgeViewer) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<Self>().is_some_and(|other| self.0 == other.0)
    }

    fn execute(self: Arc<Self>, work: AdmittedWork) -> BoxFuture<'static, Response> {
        Box::pin(async move { SCHEMA.execute(work.request.data(self.0.unwrap_or("stranger"))).await })
    }

    fn subscribe(self: Arc<Self>, _work: AdmittedWork) -> BoxStream<'static, Response> {
        stream::empty().boxed()
    }
}

#[derive(Default)]
struct People {
    is_broken: AtomicBool,
}

#[async_trait]
impl Backend for People {
    fn anonymous(&self) -> Arc<dyn EdgeViewer> {
        Arc::new(Person(None))
    }

    fn fingerprint(&self, token: &str) -> Option<Fingerprint> {
        Some(token.as_bytes().to_vec())
    }

    async fn viewer(&self, token: &str) -> Result<Option<Arc<dyn EdgeViewer>>, BackendError> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err("the address book is lost".into());
        }
        let known = ["alice", "owner"].into_iter().find(|name| *name == token);
        Ok(known.map(|name| -> Arc<dyn EdgeViewer> { Arc::new(Person(Some(name))) }))
    }

    async fn viewers(
        &self,
        _tokens: &[Fingerprint],
    ) -> Result<HashMap<Fingerprint, Arc<dyn EdgeViewer>>, BackendError> {
        Ok(HashMap::new())
    }

    fn arrival_now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn is_crowded(&self) -> bool {
        false
    }

    fn start_trace(&self) -> RequestTrace {
        RequestTrace::new("0af7651916cd43dd8448eb211c80319c".to_owned(), String::new())
    }
}

/// Sends a request several times in sequence and returns the status and the body of the last answer.
async fn ask(
    settings: Settings,
    people: Arc<People>,
    token: Option<&str>,
    query: &str,
    times: usize,
) -> (StatusCode, Value) {
    let edge = HttpEdge::start(settings, &PROFILE, people, CancellationToken::new());
    let service =
        test::init_service(App::new().configure(|config| edge::http::configure(config, &edge))).await;
    let mut last = (StatusCode::OK, Value::Null);
    for _ in 0..times {
        let mut request = TestRequest::post().uri("/graphql").set_json(json!({ "query": query }));
        if let Some(token) = token {
            request = request.insert_header(("authorization", format!("Bearer {token}")));
        }
        let response = test::call_service(&service, request.to_request()).await;
        let status = response.status();
        last = (status, serde_json::from_slice(&test::read_body(response).await).unwrap());
    }
    last
}

fn code(answer: &Value) -> Option<&str> {
    answer.pointer("/errors/0/extensions/code")?.as_str()
}

#[actix_web::test]
async fn the_backend_identifies_the_caller() {
    for (token, status, greeting) in [
        (None, StatusCode::OK, Some("hello stranger")),
        (Some("alice"), StatusCode::OK, Some("hello alice")),
        (Some("mallory"), StatusCode::UNAUTHORIZED, None),
    ] {
        let (said, answer) = ask(Settings::default(), Arc::default(), token, "{ greeting }", 1).await;
        assert_eq!(
            (said, answer.pointer("/data/greeting").and_then(Value::as_str)),
            (status, greeting),
            "{token:?}: {answer}"
        );
    }
}

#[actix_web::test]
async fn a_failure_of_the_backend_is_not_shown_to_clients() {
    let people = Arc::new(People { is_broken: AtomicBool::new(true) });
    let (status, answer) = ask(Settings::default(), people, Some("alice"), "{ greeting }", 1).await;
    assert_eq!((status, code(&answer)), (StatusCode::SERVICE_UNAVAILABLE, Some("INTERNAL")), "{answer}");
    assert!(!answer.to_string().contains("address book"), "{answer}");
}

#[actix_web::test]
async fn the_viewer_decides_who_is_charged() {
    let budget = Some(BudgetSettings { points_max: 3, points_per_second: 1, callers_max: 10 });
    for (token, expected) in
        [(None, Some("RATE_LIMITED")), (Some("alice"), Some("RATE_LIMITED")), (Some("owner"), None)]
    {
        let settings = Settings { budget, ..Settings::default() };
        let (_, answer) = ask(settings, Arc::default(), token, "{ greeting }", 5).await;
        assert_eq!(code(&answer), expected, "{token:?}: {answer}");
    }
}

#[actix_web::test]
async fn introspection_is_limited_to_permitted_viewers() {
    let query = "{ __schema { queryType { name } } }";
    let settings = || Settings { introspection: SchemaAudience::Permitted, ..Settings::default() };
    let (_, answer) = ask(settings(), Arc::default(), Some("owner"), query, 1).await;
    assert_eq!(answer.pointer("/data/__schema/queryType/name"), Some(&json!("Query")), "{answer}");
    let (_, answer) = ask(settings(), Arc::default(), Some("alice"), query, 1).await;
    assert_eq!(code(&answer), Some("INTROSPECTION_DISABLED"), "{answer}");
    assert_eq!(answer.pointer("/errors/0/message"), Some(&json!("the schema is shown to its authors")));
}
