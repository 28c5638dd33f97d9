//! Documents that a request names: persisted queries, trusted documents, and caching of their answers.

use actix_web::{
    http::{Method, StatusCode},
    test::{self, TestRequest},
};
use api::Api;
use edge::{
    Settings,
    http::documents::{Documents, TrustedDocuments},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::Kit;

use crate::edge::shop::{Answer, api, person, send, serve};

const QUERY: &str = "query Names { creators { nodes { name } } }";
const NEWER: &str = "application/graphql-response+json";

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn named(text: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash(text) } })
}

fn by_hash(text: &str) -> TestRequest {
    TestRequest::get().uri(&format!("/graphql?extensions={}", encoded(&named(text).to_string())))
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Sends a request to a server that several requests share.
macro_rules! ask {
    ($service:expr, $request:expr) => {{
        let response = test::call_service(&$service, $request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
        Answer { status, headers, text }
    }};
}

#[test]
fn a_query_is_sent_once_and_then_found_by_its_hash() {
    testkit::run(Kit::sqlite(), async |kit| {
        let service = serve!(api(&kit));
        for accept in ["application/json", NEWER] {
            let missed = ask!(service, by_hash(QUERY).insert_header(("accept", accept)));
            assert_eq!(
                (missed.status, missed.code().as_str()),
                (StatusCode::OK, "PERSISTED_QUERY_NOT_FOUND")
            );
            assert_eq!(
                missed.json()["errors"][0]["message"],
                "PersistedQueryNotFound",
                "clients compare this text"
            );
            assert_eq!(missed.header("cache-control"), "private, no-store");
        }
        let registering = TestRequest::post()
            .uri("/graphql")
            .set_json(json!({ "query": QUERY, "extensions": named(QUERY) }));
        assert_eq!(ask!(service, registering).json()["data"], json!({ "creators": { "nodes": [] } }));
        let found = ask!(service, by_hash(QUERY));
        assert_eq!(found.json(), json!({ "data": { "creators": { "nodes": [] } } }));
        let posted = TestRequest::post()
            .uri("/graphql")
            .set_json(json!({ "extensions": named(QUERY), "operationName": "Names" }));
        assert_eq!(ask!(service, posted).json()["data"], found.json()["data"]);
        let by_id = format!("/graphql?documentId=sha256:{}", hash(QUERY));
        assert_eq!(ask!(service, TestRequest::get().uri(&by_id)).json(), found.json());
    });
}

#[test]
fn a_hash_that_does_not_match_the_text_is_refused() {
    testkit::run(Kit::sqlite(), async |kit| {
        let service = serve!(api(&kit));
        let body = json!({ "query": "{ __typename }", "extensions": named(QUERY) });
        for accept in ["application/json", NEWER] {
            let request =
                TestRequest::post().uri("/graphql").set_json(&body).insert_header(("accept", accept));
            let answer = ask!(service, request);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
                "{}",
                answer.text
            );
        }
        assert_eq!(ask!(service, by_hash(QUERY)).code(), "PERSISTED_QUERY_NOT_FOUND");
        let mutation = "mutation { sessionSignOut { errors { code } } }";
        let registering = TestRequest::post()
            .uri("/graphql")
            .set_json(json!({ "query": mutation, "extensions": named(mutation) }));
        assert_eq!(ask!(service, registering).status, StatusCode::OK);
        let by_get = ask!(service, by_hash(mutation));
        assert_eq!((by_get.status, by_get.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
        assert_eq!(by_get.header("cache-control"), "private, no-store");
    });
}

#[test]
fn only_answers_to_anonymous_requests_by_hash_are_shared() {
    testkit::run(Kit::sqlite(), async |kit| {
        let token = person(&kit, "ada").await;
        let service = serve!(api(&kit));
        let wrong = "query($n: Int!) { creators(first: $n) { nodes { name } } }";
        for text in [QUERY, wrong] {
            let registering = TestRequest::post()
                .uri("/graphql")
                .set_json(json!({ "query": text, "extensions": named(text) }));
            assert_eq!(
                ask!(service, registering).header("cache-control"),
                "private, no-store",
                "a POST is never shared"
            );
        }
        let shared = ask!(service, by_hash(QUERY));
        assert_eq!(shared.header("cache-control"), "public, max-age=0, s-maxage=1");
        assert_eq!(shared.header("vary"), "Accept, Authorization");
        let etag = shared.header("etag").to_owned();
        assert!(etag.starts_with("W/\"") && etag.len() > 30, "{etag}");
        for (known, status) in [(etag.as_str(), 304), ("\"other\"", 200), ("*", 304)] {
            let again = ask!(service, by_hash(QUERY).insert_header(("if-none-match", known)));
            assert_eq!((again.status.as_u16(), again.header("etag")), (status, etag.as_str()), "{known}");
            assert_eq!(again.header("cache-control"), "public, max-age=0, s-maxage=1");
            assert_eq!(again.text.is_empty(), status == 304);
        }
        let newer = ask!(service, by_hash(QUERY).insert_header(("accept", NEWER)));
        assert!(newer.header("content-type").starts_with(NEWER));
        let private = [
            ("with a token", by_hash(QUERY).insert_header(("authorization", format!("Bearer {token}")))),
            ("with a bad token", by_hash(QUERY).insert_header(("authorization", "Bearer x"))),
            ("with errors", by_hash(wrong)),
            ("unknown", by_hash("{ __typename }")),
            ("as a text", TestRequest::get().uri(&format!("/graphql?query={}", encoded(QUERY)))),
        ];
        for (what, request) in private {
            let answer = ask!(service, request);
            assert_eq!(
                (answer.header("cache-control"), answer.header("etag")),
                ("private, no-store", ""),
                "{what}"
            );
        }
        let head = ask!(service, by_hash(QUERY).method(Method::HEAD));
        assert_eq!((head.status, head.header("etag")), (StatusCode::OK, etag.as_str()));
    });
}

#[test]
fn with_trusted_only_other_documents_are_refused() {
    testkit::run(Kit::sqlite(), async |kit| {
        let list = json!({ "5f3b4f7a": QUERY, "bad": "{ nothing }" }).to_string();
        let documents = Documents::new(TrustedDocuments::parse(&list).unwrap(), true, 1024 * 1024);
        let api = Api { edge: Settings { documents, ..Settings::default() }, ..api(&kit) };
        let good = json!({ "data": { "creators": { "nodes": [] } } });
        let by_id = send(api.clone(), TestRequest::get().uri("/graphql?documentId=5f3b4f7a")).await;
        assert_eq!(
            (by_id.json(), by_id.header("cache-control")),
            (good.clone(), "public, max-age=0, s-maxage=1")
        );
        let generated = json!({ "persistedQuery": { "version": 1, "sha256Hash": "5f3b4f7a" } });
        for body in [
            json!({ "documentId": "5f3b4f7a" }),
            json!({ "extensions": generated }),
            json!({ "query": QUERY }),
        ] {
            assert_eq!(
                send(api.clone(), TestRequest::post().uri("/graphql").set_json(&body)).await.json()["data"],
                good["data"],
                "{body}"
            );
        }
        let other = "{ __typename }";
        for body in [
            json!({ "query": other }),
            json!({ "query": other, "extensions": named(other) }),
            json!({ "extensions": named(other) }),
            json!({ "documentId": "unknown" }),
        ] {
            for (accept, status) in [("application/json", 200), (NEWER, 400)] {
                let request =
                    TestRequest::post().uri("/graphql").set_json(&body).insert_header(("accept", accept));
                let answer = send(api.clone(), request).await;
                assert_eq!(
                    (answer.status.as_u16(), answer.code().as_str()),
                    (status, "DOCUMENT_NOT_TRUSTED"),
                    "{body}"
                );
                assert_eq!(answer.json().get("data"), None);
            }
        }
        // A trusted document may still not fit the schema.
        let answer = send(api, TestRequest::get().uri("/graphql?documentId=bad")).await;
        assert_eq!(
            (answer.code().as_str(), answer.header("cache-control")),
            ("GRAPHQL_VALIDATION_FAILED", "private, no-store")
        );
    });
}
