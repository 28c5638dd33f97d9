//! What others say of the edge: the audits of graphql-http (GraphQL over HTTP to the letter, whether it says
//! MUST, SHOULD or MAY), and graphql-schema-linter on the schema.

use serde_json::Value;

use crate::{
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
    assert_eq!(results.len(), 61, "of this version of graphql-http");
}

#[test]
fn the_schema_lints_clean_with_all_rules_those_of_relay_too_and_no_exceptions() {
    let linter = "node_modules/graphql-schema-linter/lib/cli.js";
    let said = node::run("audits", linter, &["--format", "compact", "schema.graphql"]);
    assert_eq!(said.trim(), "", "a linter that finds nothing says nothing");
}
