//! The cost of requests, who is charged for it, and the refusal of callers without points.

use std::net::SocketAddr;

use actix_web::{
    http::StatusCode,
    test::{self, TestRequest},
};
use api::Api;
use domain::{
    accounts::{
        AccountName, CreateAccount, CreateToken, Email, TokenName, create_admin, create_token,
        open_session_for,
    },
    platform::{
        access::{Permission, TokenKind},
        ids::CreatorId,
    },
};
use edge::{Settings, budget::BudgetSettings, guard::Limits};
use serde_json::{Value, json};
use testkit::Kit;

use crate::edge::shop::{Answer, api, creator, open_drop, person, posted, send, serve, system};

/// Sends another request to a server and reads the answer to its end.
macro_rules! ask {
    ($service:expr, $request:expr) => {{
        let response = test::call_service(&$service, $request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
        Answer { status, headers, text }
    }};
}

/// Returns an API whose callers have few points, which hardly refill during a test.
fn poor(kit: &Kit, points_max: u32) -> Api {
    let budget = Some(BudgetSettings { points_max, points_per_second: 1, callers_max: 100 });
    Api { edge: Settings { budget, ..Settings::default() }, ..api(kit) }
}

fn from(address: &str, query: &str) -> TestRequest {
    posted(query, json!({})).peer_addr(SocketAddr::new(address.parse().unwrap(), 40_000))
}

fn bearing(token: &str, query: &str) -> TestRequest {
    from("192.0.2.1", query).insert_header(("authorization", format!("Bearer {token}")))
}

async fn admin(kit: &Kit) -> String {
    let request = CreateAccount {
        email: Email::new("root@example.org").unwrap(),
        name: AccountName::new("Root").unwrap(),
        password: None,
    };
    let account = create_admin(&kit.db, &system(), request).await.unwrap();
    open_session_for(&kit.db, &system(), account.id).await.unwrap().unwrap().secret.expose().to_owned()
}

async fn api_token(kit: &Kit, creator: CreatorId, kind: TokenKind) -> String {
    let permissions = if kind == TokenKind::Secret { vec![Permission::CatalogRead] } else { Vec::new() };
    let request = CreateToken { name: TokenName::new("shop").unwrap(), kind, permissions, expires_at: None };
    create_token(&kit.db, &system().as_tokens(Some(creator)), request)
        .await
        .unwrap()
        .secret
        .expose()
        .to_owned()
}

#[test]
fn an_answer_shows_its_maximal_and_actual_cost_and_the_points_left() {
    testkit::run(Kit::sqlite(), async |kit| {
        let (_, scope) = creator(&kit, "kiln").await;
        open_drop(&kit, &scope, "Cups").await;
        let service = serve!(poor(&kit, 1_000));
        let answer = ask!(service, from("192.0.2.1", "{ drops(first: 10) { nodes { slug title } } }"));
        // The actual cost with a single drop: `drops`, `nodes`, `slug`, `title`.
        let budget = json!({ "max": 1_000, "left": 996, "perSecond": 1 });
        assert_eq!(
            answer.json()["extensions"]["cost"],
            json!({ "requested": 31, "actual": 4, "budget": budget })
        );
        let answer = ask!(service, from("192.0.2.1", "{ viewer { kind } }"));
        assert_eq!(answer.json()["extensions"]["cost"]["budget"]["left"], 994);
        let answer = ask!(service, from("192.0.2.2", "{ viewer { kind } }"));
        assert_eq!(
            answer.json()["extensions"]["cost"]["budget"]["left"],
            998,
            "each caller has a separate budget"
        );
        let refused = ask!(service, from("192.0.2.2", &format!("{{ {} }}", "a ".repeat(51)))).json();
        assert_eq!(refused["errors"][0]["message"], "root fields: 51, at most 50");
        let extensions =
            json!({ "code": "DOCUMENT_TOO_COSTLY", "limit": "root fields", "count": 51, "max": 50 });
        assert_eq!(refused["errors"][0]["extensions"], extensions);
        assert_eq!(refused["extensions"]["cost"]["actual"], 100, "parsing a refused document costs points");
        assert_eq!(refused["extensions"]["cost"]["budget"]["left"], 898);
        let dear = ask!(
            service,
            from(
                "192.0.2.2",
                "{ drops(first: 100) { nodes { items { variant { product { variants { product { \
                 variants { sku } } } } } } } } }"
            )
        );
        assert_eq!(dear.json()["extensions"]["cost"]["requested"], 123_201);
    });
}

#[test]
fn a_caller_without_points_is_told_when_to_retry_and_others_are_served() {
    testkit::run(Kit::sqlite(), async |kit| {
        let service = serve!(poor(&kit, 150));
        let dear = "{ drops(first: 40) { nodes { id } } }";
        // Unused points are refunded, so this can be repeated often.
        for _ in 0..10 {
            assert_eq!(ask!(service, from("192.0.2.1", dear)).code(), "");
        }
        let wrong = ask!(service, from("192.0.2.1", "{ nothing }"));
        assert_eq!(wrong.code(), "GRAPHQL_VALIDATION_FAILED");
        let refused = ask!(service, from("192.0.2.1", dear));
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED")
        );
        let secs = refused.json()["errors"][0]["extensions"]["retryAfterSecs"].as_u64().unwrap();
        assert!((40..=51).contains(&secs), "81 are needed, and 30 are left: {secs}");
        assert_eq!(refused.header("retry-after"), secs.to_string());
        assert_eq!(refused.json().get("data"), None);
        let cost = &refused.json()["extensions"]["cost"];
        assert_eq!((&cost["actual"], &cost["budget"]["max"]), (&json!(0), &json!(150)));
        assert_eq!(ask!(service, from("192.0.2.2", dear)).code(), "");
        assert_eq!(
            ask!(service, bearing(&person(&kit, "ada").await, dear)).code(),
            "",
            "an account has a separate budget at any address"
        );
    });
}

#[test]
fn accounts_and_secret_tokens_have_budgets_and_administrators_are_not_charged() {
    testkit::run(Kit::sqlite(), async |kit| {
        let (creator, _) = creator(&kit, "kiln").await;
        let (ada, ben, root) = (person(&kit, "ada").await, person(&kit, "ben").await, admin(&kit).await);
        let secret = api_token(&kit, creator, TokenKind::Secret).await;
        let publishable = api_token(&kit, creator, TokenKind::Publishable).await;
        let service = serve!(poor(&kit, 1_000));
        let query = "{ viewer { kind } }";
        let left = |answer: &Answer| answer.json()["extensions"]["cost"]["budget"]["left"].clone();
        for (token, expected) in [(&ada, 998), (&ada, 996), (&ben, 998), (&secret, 998), (&secret, 996)] {
            assert_eq!(left(&ask!(service, bearing(token, query))), expected);
        }
        // Publishable tokens are in every visitor's browser, so they are charged by network.
        assert_eq!(left(&ask!(service, bearing(&publishable, query))), 998);
        assert_eq!(left(&ask!(service, from("192.0.2.1", query))), 996);
        assert_eq!(left(&ask!(service, bearing(&root, query))), Value::Null);
        // A subscriber owns a whole /64 network of addresses.
        assert_eq!(left(&ask!(service, from("2001:db8:1:2::1", query))), 998);
        assert_eq!(left(&ask!(service, from("2001:db8:1:2:3::9", query))), 996);
        assert_eq!(left(&ask!(service, from("2001:db8:1:3::1", query))), 998);
    });
}

#[test]
fn the_budget_can_be_disabled_and_the_limits_can_be_set() {
    testkit::run(Kit::sqlite(), async |kit| {
        let free = Api { edge: Settings { budget: None, ..Settings::default() }, ..api(&kit) };
        let answer = send(free, from("192.0.2.1", "{ viewer { kind } }")).await;
        assert_eq!(answer.json()["extensions"]["cost"], json!({ "requested": 2, "actual": 2 }));
        let strict = |limits: Limits| Api { edge: Settings { limits, ..Settings::default() }, ..api(&kit) };
        for (limits, query, expected) in [
            (Limits { depth_max: 1, ..Limits::default() }, "{ viewer { kind } }", "depth: 2, at most 1"),
            (
                Limits { complexity_max: 40, ..Limits::default() },
                "{ drops { nodes { id } } }",
                "complexity: 41, at most 40",
            ),
            (Limits { aliases_max: 0, ..Limits::default() }, "{ a: __typename }", "aliases: 1, at most 0"),
        ] {
            let answer = send(strict(limits), posted(query, json!({}))).await;
            assert_eq!(answer.json()["errors"][0]["message"], expected);
        }
        let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
        let answer = send(api(&kit), posted("{ __typename }", json!({ "unknown": deep }))).await;
        assert_eq!(answer.json()["errors"][0]["message"], "nesting of values: 60, at most 20");
    });
}

#[test]
fn a_cached_document_is_weighed_with_its_new_variables() {
    testkit::run(Kit::sqlite(), async |kit| {
        let service = serve!(api(&kit));
        let query = "query A($n: Int) { drops(first: $n) { nodes { id } } } query B { viewer { kind } }";
        for (name, n, requested) in [("A", 3, 7), ("A", 50, 101), ("B", 50, 2), ("A", 3, 7)] {
            let body = json!({ "query": query, "operationName": name, "variables": { "n": n } });
            let answer = ask!(service, TestRequest::post().uri("/graphql").set_json(&body)).json();
            assert_eq!(answer["errors"], Value::Null, "{answer}");
            assert_eq!(answer["extensions"]["cost"]["requested"], requested, "{name} {n}");
        }
    });
}
