//! The clients that storefronts are built with: their code generators take the schema, strictly, and what
//! they generate runs on a demo.

use crate::{
    harness::{Server, Setup},
    node,
};

#[tokio::test]
async fn apollo_urql_and_relay_are_typed_by_the_schema_and_served() {
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
