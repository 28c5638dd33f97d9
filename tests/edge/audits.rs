//! External audits of the edge: graphql-http checks every MUST, SHOULD and MAY of GraphQL over HTTP, and
//! graphql-schema-linter checks the schema.

use serde_json::Value;

use crate::edge::{
    harness::{Server, Setup},
    node,
};

#[tokio::test]
async fn all_audits_of_graphql_over_http_pass() {
    let server = Server::start(Setup::empty()).await;
    let results: Vec<Value> =
        serde_json::from_str(&node::run("audits", "graphql-http.mjs", &[&server.at("/graphql")])).unwrap();
    let failed: Vec<&Value> = results.iter().filter(|result| result["status"] != "ok").collect();
    assert!(failed.is_empty(), "{} of {} failed: {failed:#?}", failed.len(), results.len());
    assert_eq!(results.len(), 61, "the number of audits in this version of graphql-http");
}

#[test]
fn the_schema_passes_all_lint_rules_including_relays_without_exceptions() {
    let linter = "node_modules/graphql-schema-linter/lib/cli.js";
    let said = node::run("audits", linter, &["--format", "compact", "schema.graphql"]);
    assert_eq!(said.trim(), "", "the linter found problems");
}
