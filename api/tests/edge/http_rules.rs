//! GraphQL over HTTP: methods, media types, statuses and headers.

use actix_web::{
    http::{Method, StatusCode},
    test::TestRequest,
};
use edge::http::cors::Cors;
use serde_json::{Value, json};
use testkit::Kit;

use crate::edge::shop::{api, person, posted, send};

const NEWER: &str = "application/graphql-response+json";

#[test]
fn the_accept_header_selects_the_media_type_and_the_status_of_refusals() {
    testkit::run(Kit::sqlite(), async |kit| {
        let json_type = "application/json; charset=utf-8";
        let newer_type = "application/graphql-response+json; charset=utf-8";
        for (accept, content_type, refusal) in [
            (None, json_type, 200),
            (Some("*/*"), json_type, 200),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), json_type, 200),
            (Some("application/json"), json_type, 200),
            (Some(NEWER), newer_type, 400),
            (Some("application/graphql-response+json, application/json;q=0.9"), newer_type, 400),
            (Some("application/json;q=0.1, application/graphql-response+json"), newer_type, 400),
            (Some("application/graphql-response+json;q=0, application/json"), json_type, 200),
        ] {
            for (query, status) in [("{ __typename }", 200), ("{ nothing }", refusal), ("{ a", refusal)] {
                let mut request = posted(query, json!({}));
                if let Some(accept) = accept {
                    request = request.insert_header(("accept", accept));
                }
                let answer = send(api(&kit), request).await;
                assert_eq!(answer.header("content-type"), content_type, "{accept:?} {query}");
                assert_eq!(answer.status.as_u16(), status, "{accept:?} {query}");
                assert_eq!(answer.json().get("data").is_some(), query == "{ __typename }", "{}", answer.text);
            }
        }
    });
}

#[test]
fn malformed_requests_are_refused_with_a_message_and_a_code() {
    testkit::run(Kit::sqlite(), async |kit| {
        let post = || TestRequest::post().uri("/graphql");
        let json_body = |body: &str| {
            post().insert_header(("content-type", "application/json")).set_payload(body.to_owned())
        };
        for (request, status, word) in [
            (post().set_payload("{\"query\":\"{ __typename }\"}"), 415, "Content-Type"),
            (
                post()
                    .insert_header(("content-type", "text/plain"))
                    .set_payload("{\"query\":\"{ __typename }\"}"),
                415,
                "Content-Type",
            ),
            (
                post()
                    .insert_header(("content-type", "application/x-www-form-urlencoded"))
                    .set_payload("query={__typename}"),
                415,
                "Content-Type",
            ),
            (
                post()
                    .insert_header(("content-type", "application/json; charset=utf-16"))
                    .set_payload("{\"query\":\"{ __typename }\"}"),
                415,
                "UTF-8",
            ),
            (
                json_body("{\"query\":\"{ __typename }\"}").insert_header(("accept", "text/html")),
                406,
                "accept",
            ),
            (
                TestRequest::get()
                    .uri("/graphql?query=%7B__typename%7D")
                    .insert_header(("accept", "image/*")),
                406,
                "accept",
            ),
            (json_body("{"), 400, "JSON"),
            (json_body(""), 400, "JSON"),
            (json_body("[{\"query\":\"{ __typename }\"}]"), 400, "batch"),
            (json_body("{}"), 400, "query"),
            (json_body("{\"query\":7}"), 400, "query"),
            (json_body("{\"query\":\"{ __typename }\",\"variables\":[]}"), 400, "variables"),
            (json_body("{\"query\":\"{ __typename }\",\"extensions\":\"x\"}"), 400, "extensions"),
            (
                json_body("{\"query\":\"query A { __typename } query B { __typename }\"}"),
                200,
                "operationName",
            ),
            (json_body(&format!("{{\"query\":\"{{ __typename }}\"}}{}", " ".repeat(110_000))), 413, "bytes"),
            (TestRequest::get().uri("/graphql"), 400, "query"),
            (TestRequest::get().uri("/graphql?query=%7B__typename%7D&variables=x"), 400, "variables"),
        ] {
            let answer = send(api(&kit), request).await;
            assert_eq!(answer.status.as_u16(), status, "{word}: {}", answer.text);
            assert_eq!(answer.code(), "BAD_REQUEST", "{}", answer.text);
            let message = answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(word), "{message}");
        }
    });
}

#[test]
fn get_runs_queries_but_no_mutations() {
    testkit::run(Kit::sqlite(), async |kit| {
        let get = |query: &str| TestRequest::get().uri(&format!("/graphql?query={query}"));
        let answer = send(
            api(&kit),
            get("query($n:String!)%7Bcreator(slug:$n)%7Bname%7D%7D&variables=%7B%22n%22:%22x%22%7D"),
        )
        .await;
        assert_eq!(answer.json()["data"], json!({ "creator": null }));
        let before = kit.state().await;
        let answer = send(api(&kit), get("mutation%7BsessionSignOut%7Berrors%7Bcode%7D%7D%7D")).await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
        assert_eq!(kit.state().await, before);
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
            let answer = send(api(&kit), TestRequest::default().method(method.clone()).uri("/graphql")).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (StatusCode::METHOD_NOT_ALLOWED, "BAD_REQUEST"),
                "{method}"
            );
            assert_eq!(answer.header("allow"), "GET, HEAD, POST, OPTIONS");
        }
    });
}

#[test]
fn an_invalid_token_is_refused_with_status_401() {
    testkit::run(Kit::sqlite(), async |kit| {
        let token = person(&kit, "ada").await;
        let ask = async |header: String| {
            send(api(&kit), posted("{ viewer { kind } }", json!({})).insert_header(("authorization", header)))
                .await
        };
        let answer = ask(format!("Bearer {token}")).await;
        assert_eq!(answer.json()["data"]["viewer"]["kind"], "ACCOUNT");
        for header in [
            format!("Bearer {token}x"),
            "Bearer ".to_owned(),
            "Basic YTpi".to_owned(),
            "x".to_owned(),
            format!("Bearer {}", "x".repeat(5_000)),
        ] {
            let answer = ask(header.clone()).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
                "{header}"
            );
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            assert_eq!(answer.json().get("data"), None);
        }
    });
}

#[test]
fn every_answer_has_its_trace_and_the_security_headers() {
    testkit::run(Kit::sqlite(), async |kit| {
        let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for path in ["/livez", "/graphql?query=%7B__typename%7D", "/nothing"] {
            let answer =
                send(api(&kit), TestRequest::get().uri(path).insert_header(("traceparent", caller))).await;
            let request_id = answer.header("x-request-id");
            assert_eq!(
                answer.header("traceparent"),
                format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{request_id}-01"),
                "{path}"
            );
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
            assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
            assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
            assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
            assert_eq!(
                answer.header("strict-transport-security"),
                "",
                "{path}: the server is not reached over HTTPS"
            );
        }
        let mut by_https = api(&kit);
        by_https.edge.http.https = true;
        let answer = send(by_https, TestRequest::get().uri("/livez")).await;
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
        let answer = send(api(&kit), posted("{ __typename }", json!({}))).await;
        assert_eq!(answer.header("cache-control"), "private, no-store");
        assert_eq!(answer.header("vary"), "Accept, Authorization");
    });
}

#[test]
fn by_default_pages_of_any_origin_may_read_answers() {
    testkit::run(Kit::sqlite(), async |kit| {
        let preflight = TestRequest::default()
            .method(Method::OPTIONS)
            .uri("/graphql")
            .insert_header(("origin", "https://shop.example"));
        let answer =
            send(api(&kit), preflight.insert_header(("access-control-request-method", "POST"))).await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (StatusCode::NO_CONTENT, "*")
        );
        for name in ["authorization", "content-type"] {
            assert!(answer.header("access-control-allow-headers").contains(name));
        }
        // Credentials are never allowed: any origin may send requests because none can use a visitor's
        // cookies.
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        assert_eq!(
            send(api(&kit), posted("{ __typename }", json!({}))).await.header("access-control-allow-origin"),
            "*"
        );
    });
}

#[test]
fn the_origins_that_may_read_answers_can_be_configured() {
    testkit::run(Kit::sqlite(), async |kit| {
        let mut api = api(&kit);
        api.edge.http.cors = Cors::These(vec!["https://shop.example".to_owned()]);
        for (origin, allowed) in
            [("https://shop.example", "https://shop.example"), ("https://evil.example", ""), ("null", "")]
        {
            let preflight = TestRequest::default()
                .method(Method::OPTIONS)
                .uri("/graphql")
                .insert_header(("origin", origin));
            let preflight =
                send(api.clone(), preflight.insert_header(("access-control-request-method", "POST"))).await;
            let answer =
                send(api.clone(), posted("{ __typename }", json!({})).insert_header(("origin", origin)))
                    .await;
            for answer in [preflight, answer] {
                assert!(answer.status.is_success());
                assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origin}");
                assert!(answer.headers.get_all("vary").any(|vary| vary == "origin"), "{origin}");
            }
        }
    });
}

#[test]
fn a_webhook_for_an_unknown_gateway_is_not_found() {
    testkit::run(Kit::sqlite(), async |kit| {
        let answer = send(api(&kit), TestRequest::post().uri("/webhooks/nobody").set_payload("{}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn invalid_variables_are_refused_before_anything_runs() {
    testkit::run(Kit::sqlite(), async |kit| {
        for (variables, query) in [
            (json!({}), "query($n: String!) { creator(slug: $n) { name } }"),
            (json!({ "n": 7 }), "query($n: String!) { creator(slug: $n) { name } }"),
            (
                json!({ "price": { "amount": 12.5, "currency": "EUR" } }),
                "query($price: MoneyInput) { drops(filter: { priceMin: $price }) { nodes { id } } }",
            ),
            (
                json!({ "price": { "amount": "12.5", "currency": "XXX" } }),
                "query($price: MoneyInput) { drops(filter: { priceMin: $price }) { nodes { id } } }",
            ),
        ] {
            let answer = send(api(&kit), posted(query, variables.clone())).await;
            let code = answer.code();
            assert!(
                ["GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"].contains(&code.as_str()),
                "{variables}: {}",
                answer.text
            );
            assert!(answer.json().get("data").is_none_or(Value::is_null), "{variables}: {}", answer.text);
        }
    });
}
