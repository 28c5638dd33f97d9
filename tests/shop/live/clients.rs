//! The reference clients `graphql-ws` and `graphql-sse` from npm, against the real binary.

use serde_json::json;

use crate::shop::{harness::Setup, market::Market, node};

#[tokio::test]
async fn the_reference_clients_work() {
    let market = Market::open(Setup::empty().with("SMALLRUN_LIVE_KEEP_ALIVE_SECS", "1"), 50, 2).await;
    let given = json!({
        "url": market.at("/graphql"), "drop": market.drop, "token": market.buyers[0],
        "reserve": crate::shop::market::mutation("checkoutReserve", "checkout { id status }"),
        "input": market.reserving(&market.item, "KEY"),
    });
    for script in ["websocket.mjs", "events.mjs"] {
        println!("{}", node::run("live", script, &[&given.to_string()]));
    }
}
