//! The limits on what a document may cost, over HTTP.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use serde_json::json;
use testkit::Kit;

use crate::edge::shop::{api, data, posted, send};

/// Returns `depth` fragments, each of which spreads the next one twice.
fn bomb(depth: usize) -> String {
    let levels =
        (0..depth).map(|level| format!("fragment F{level} on Query {{ ...F{0} ...F{0} }} ", level + 1));
    format!("query {{ ...F0 }} {} fragment F{depth} on Query {{ __typename }}", levels.collect::<String>())
}

#[test]
fn a_kilobyte_of_doubling_fragments_is_refused_quickly() {
    testkit::run(Kit::sqlite(), async |kit| {
        let began = Instant::now();
        let answer = send(api(&kit), posted(&bomb(30), json!({}))).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::OK, "DOCUMENT_TOO_COSTLY"));
        assert_eq!(answer.json().get("data"), None);
    });
}

#[test]
fn lists_multiply_the_cost_of_their_rows() {
    testkit::run(Kit::sqlite(), async |kit| {
        let page =
            "items { id price { amount } stock { free } variant { sku product { title variants { sku } } } }";
        let query = |first: u32| format!("{{ drops(first: {first}) {{ nodes {{ id {page} }} }} }}");
        let cheap = send(api(&kit), posted(&query(24), json!({}))).await;
        assert_eq!(cheap.code(), "", "{}", cheap.text);
        let twice = format!(
            "{{ drops(first: 100) {{ nodes {{ {} }} }} }}",
            (0..4).map(|n| format!("a{n}: {page} ")).collect::<String>()
        );
        let dear = send(api(&kit), posted(&twice, json!({}))).await;
        assert_eq!(dear.code(), "DOCUMENT_TOO_COSTLY", "{}", dear.text);
    });
}

#[test]
fn nesting_is_bounded_but_the_playground_can_read_the_schema() {
    testkit::run(Kit::sqlite(), async |kit| {
        let nested = |depth: usize| {
            format!(
                "{{ __schema {{ types {{ {}name{} }} }} }}",
                "ofType { ".repeat(depth),
                " }".repeat(depth)
            )
        };
        assert_eq!(send(api(&kit), posted(&nested(17), json!({}))).await.code(), "");
        assert_eq!(send(api(&kit), posted(&nested(18), json!({}))).await.code(), "DOCUMENT_TOO_COSTLY");
        let types = data(&kit, INTROSPECTION, json!({})).await;
        assert!(types["__schema"]["types"].as_array().unwrap().len() > 50);
    });
}

/// The introspection query of GraphiQL, with nested list types.
const INTROSPECTION: &str = "
    query IntrospectionQuery {
      __schema {
        queryType { name kind } mutationType { name kind } subscriptionType { name kind }
        types { ...FullType }
        directives { name description locations args(includeDeprecated: true) { ...InputValue } }
      }
    }
    fragment FullType on __Type {
      kind name description
      fields(includeDeprecated: true) {
        name description args(includeDeprecated: true) { ...InputValue }
        type { ...TypeRef } isDeprecated deprecationReason
      }
      inputFields(includeDeprecated: true) { ...InputValue }
      interfaces { ...TypeRef }
      enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
      possibleTypes { ...TypeRef }
    }
    fragment InputValue on __InputValue {
      name description type { ...TypeRef } defaultValue isDeprecated deprecationReason
    }
    fragment TypeRef on __Type {
      kind name ofType { kind name ofType { kind name
        ofType { kind name ofType { kind name ofType { kind name ofType {
        kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }
    }";

#[test]
fn the_number_of_errors_in_an_answer_is_bounded() {
    testkit::run(Kit::sqlite(), async |kit| {
        let unknown: String = (0..900).map(|n| format!("nothing{n} ")).collect();
        let answer = send(api(&kit), posted(&format!("{{ viewer {{ {unknown} }} }}"), json!({}))).await;
        assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 20);
        assert!(answer.text.len() < 10_000, "{}", answer.text.len());
    });
}
