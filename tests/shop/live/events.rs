//! Server-sent events, exactly as specified by `graphql-sse` in distinct connections mode.

use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::shop::{
    harness::{SOON, Setup},
    live::socket::{STOCK, free},
    market::Market,
};

/// An open stream of events.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn open(request: RequestBuilder) -> Self {
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(response.status() == 200 && content_type.starts_with("text/event-stream"), "{response:?}");
        Self { response, text: String::new() }
    }

    /// Returns the next block of lines: an event or a comment.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk =
                tokio::time::timeout(SOON, self.response.chunk()).await.expect("nothing came").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Returns the name and the data of the next event.
    async fn event(&mut self) -> Option<(String, String)> {
        loop {
            let block = self.block().await?;
            if block.starts_with(':') {
                continue;
            }
            let (event, data) = block.split_once('\n').unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            return Some((event.strip_prefix("event: ").unwrap().to_owned(), data.to_owned()));
        }
    }

    async fn next(&mut self) -> Value {
        let (event, data) = self.event().await.unwrap();
        assert_eq!(event, "next", "{data}");
        serde_json::from_str(&data).unwrap()
    }

    async fn completes(&mut self) {
        assert_eq!(self.event().await, Some(("complete".to_owned(), String::new())));
        assert_eq!(self.event().await, None, "the stream ends");
    }
}

/// Returns the URL of a GET request.
fn asked_by_url(market: &Market, query: &[(&str, &str)]) -> String {
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    format!("{}?{}", market.at("/graphql"), pairs.join("&"))
}

#[tokio::test]
async fn a_subscription_is_a_stream_of_events_by_post_and_by_get() {
    let market = Market::open(Setup::empty().with("SMALLRUN_LIVE_KEEP_ALIVE_SECS", "1"), 5, 1).await;
    let variables = json!({ "id": market.drop });
    let post =
        market.client().post(market.at("/graphql")).json(&json!({ "query": STOCK, "variables": variables }));
    let get = market
        .client()
        .get(asked_by_url(&market, &[("query", STOCK), ("variables", &variables.to_string())]));
    let mut streams = [Events::open(post).await, Events::open(get).await];
    for stream in &mut streams {
        assert_eq!(stream.block().await.as_deref(), Some(":"), "a comment confirms the connection at once");
        assert_eq!(free(&stream.next().await["data"]), 5);
    }
    market.reserve(&market.buyers[0]).await;
    for stream in &mut streams {
        assert_eq!(free(&stream.next().await["data"]), 4);
        let quiet = Instant::now();
        assert_eq!(stream.block().await.as_deref(), Some(":"), "a comment keeps the stream alive");
        assert!(quiet.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn queries_mutations_and_refusals_are_sent_as_one_event() {
    let market = Market::open(Setup::empty(), 5, 1).await;
    let post = |query: &str, variables: Value| {
        market
            .client()
            .post(market.at("/graphql"))
            .bearer_auth(&market.buyers[0])
            .json(&json!({ "query": query, "variables": variables }))
    };
    let mut query = Events::open(post("{ __typename }", json!({}))).await;
    assert_eq!(query.next().await["data"], json!({ "__typename": "Query" }));
    query.completes().await;
    let reserve = crate::shop::market::mutation("checkoutReserve", "checkout { status }");
    let mut mutation =
        Events::open(post(&reserve, json!({ "input": market.reserving(&market.item, "by-event-1") }))).await;
    assert_eq!(mutation.next().await["data"]["checkoutReserve"]["checkout"]["status"], "HELD");
    mutation.completes().await;
    for (query, code) in [
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { __typename }", "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let mut refused = Events::open(post(query, json!({}))).await;
        let answer = refused.next().await;
        assert!(
            answer.get("data").is_none() && answer["errors"][0]["extensions"]["code"] == code,
            "{query}: {answer:#}"
        );
        refused.completes().await;
    }
    let anonymous = market
        .client()
        .post(market.at("/graphql"))
        .json(&json!({ "query": "subscription { checkoutChanged(id: \"x\") { id } }" }));
    let mut denied = Events::open(anonymous).await;
    let answer = denied.next().await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{answer:#}");
    denied.completes().await;
}

#[tokio::test]
async fn invalid_requests_get_their_http_status() {
    let market = Market::open(Setup::empty(), 5, 1).await;
    let url = market.at("/graphql");
    let post = || market.client().post(&url).header("accept", "text/event-stream");
    let get = |query: &[(&str, &str)]| {
        market.client().get(asked_by_url(&market, query)).header("accept", "text/event-stream")
    };
    for (what, request, status) in [
        ("a form", post().header("content-type", "text/plain").body("{}"), 415),
        ("no JSON", post().header("content-type", "application/json").body("{"), 400),
        ("no query", post().json(&json!({})), 400),
        ("no query by GET", get(&[]), 400),
        ("variables that are none", get(&[("query", "{ __typename }"), ("variables", "[]")]), 400),
        ("a mutation by GET", get(&[("query", "mutation { sessionSignOut { errors { code } } }")]), 405),
        (
            "an unknown token",
            post().bearer_auth("sr_ses_nobodys").json(&json!({ "query": "{ __typename }" })),
            401,
        ),
        ("too much", post().json(&json!({ "query": "#".repeat(200_000) })), 413),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{what}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let market = Market::open(Setup::empty().with("SMALLRUN_LIVE_KEEP_ALIVE_SECS", "1"), 5, 1).await;
    let post = market
        .client()
        .post(market.at("/graphql"))
        .json(&json!({ "query": STOCK, "variables": { "id": market.drop } }));
    let mut stream = Events::open(post).await;
    stream.next().await;
    drop(stream);
    let patience = Instant::now();
    loop {
        let metrics = market.client().get(market.at("/metrics")).send().await.unwrap().text().await.unwrap();
        if metrics.lines().any(|line| line == "smallrun_live_connections 0") {
            break;
        }
        assert!(patience.elapsed() < SOON, "{metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
