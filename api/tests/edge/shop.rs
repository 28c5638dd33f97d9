//! A server over a test's database, and a small marketplace in it.

use std::sync::Arc;

use actix_web::{
    http::StatusCode,
    test::{self, TestRequest},
};
use api::Api;
use domain::{
    accounts::{AccountName, Email, create_buyers},
    drops::Drop,
    platform::{access::CreatorScope, ids::CreatorId},
};
use serde_json::{Value, json};
pub(crate) use testkit::market::system;
use testkit::{
    Kit,
    market::{DropPlan, Market, item},
};

/// Returns the API over a test's database.
pub(crate) fn api(kit: &Kit) -> Api {
    Api { metrics: Arc::new(|| "smallrun_up 1\n".to_owned()), ..Api::over(&kit.db) }
}

/// Creates the whole application in process.
macro_rules! serve {
    ($api:expr) => {{
        let edge = api::http::edge($api);
        crate::edge::shop::serve!(of edge)
    }};
    (of $edge:ident) => {{
        let app = actix_web::App::new().configure(|config| api::http::configure(config, &$edge));
        actix_web::test::init_service(app.wrap(actix_web::middleware::from_fn(api::http::around))).await
    }};
}
pub(crate) use serve;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: actix_web::http::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Returns the code of the first error.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends one request to a new server.
pub(crate) async fn send(api: Api, request: TestRequest) -> Answer {
    let service = serve!(api);
    let response = test::call_service(&service, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let text = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
    Answer { status, headers, text }
}

/// Returns a POST of a query.
pub(crate) fn posted(query: &str, variables: Value) -> TestRequest {
    TestRequest::post().uri("/graphql").set_json(json!({ "query": query, "variables": variables }))
}

/// Returns the `data` of an anonymous query.
pub(crate) async fn data(kit: &Kit, query: &str, variables: Value) -> Value {
    let answer = send(api(kit), posted(query, variables)).await.json();
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    answer["data"].clone()
}

/// Returns the bearer token of a person who has just signed in.
pub(crate) async fn person(kit: &Kit, name: &str) -> String {
    let email = Email::new(&format!("{name}@example.org")).unwrap();
    let secrets =
        create_buyers(&kit.db, &system(), &[(email, AccountName::new(name).unwrap())]).await.unwrap();
    secrets[0].expose().to_owned()
}

pub(crate) async fn creator(kit: &Kit, name: &str) -> (CreatorId, CreatorScope) {
    let scope = Market::over(&kit.db).creator(name).await;
    (scope.creator(), scope)
}

/// Returns the plan of a drop with two items.
fn clay<'m>(market: &'m Market, scope: &CreatorScope, title: &str) -> DropPlan<'m> {
    let plan = market.drop(scope, title).terms(|drop| drop.tags = vec!["clay".parse().unwrap()]);
    ["S", "L"].into_iter().fold(plan, |plan, size| {
        let sku = format!("{}-{size}", title.to_uppercase().replace(' ', "-"));
        plan.with(
            item(&sku)
                .product(&format!("{title} {size}"))
                .title(size)
                .prices(&[(4_000, Some(2)), (5_000, None)]),
        )
    })
}

/// Creates a draft with two items.
pub(crate) async fn draft(kit: &Kit, scope: &CreatorScope, title: &str) -> Drop {
    clay(&Market::over(&kit.db), scope, title).draft().await.drop
}

/// Creates an open drop with two items.
pub(crate) async fn open_drop(kit: &Kit, scope: &CreatorScope, title: &str) -> Drop {
    clay(&Market::over(&kit.db), scope, title).open().await.drop
}
