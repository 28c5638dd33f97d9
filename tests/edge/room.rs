//! The GraphQL clients of storefronts: their code generators accept the schema in strict mode, and the
//! generated code runs against a demo.

use crate::edge::{
    harness::{Server, Setup},
    node,
};

#[tokio::test]
async fn code_generated_for_apollo_urql_and_relay_works() {
    let server = Server::start(Setup::demo()).await;
    let (endpoint, buyer) = (server.at("/graphql"), server.demo_token("buyer"));
    for (script, arguments) in [
        ("dist/apollo.js", &[endpoint.as_str(), buyer.as_str()][..]),
        ("dist/urql.js", &[endpoint.as_str()]),
        ("dist/relay/relay.js", &[endpoint.as_str()]),
    ] {
        print!("{}", node::run("room", script, arguments));
    }
}
