//! Permissions that change during a subscription: the server closes the viewer's connections, so that the
//! client reconnects with the new permissions.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};

use crate::shop::{
    live::socket::{STOCK, Socket},
    market::{Market, address_of},
    tokens,
};

const DROP: &str = "subscription($id: ID!) { dropChanged(id: $id) { phase } }";
const RESERVATION: &str = "subscription($id: ID!) { reservationChanged(id: $id) { state } }";
const CHECKOUT: &str = "subscription($id: ID!) { checkoutChanged(id: $id) { status } }";

/// A viewer who can see some objects, and a change that removes the permission.
struct Case<'a> {
    token: &'a str,
    /// The subscriptions: pairs of a query and the id of its object.
    watched: &'a [(&'a str, &'a str)],
    /// The SQL statement that removes the permission.
    change: String,
    /// The error code afterwards of subscriptions to a reservation or checkout; `None` if the response is the
    /// same as for an unknown id. Drops and stock never have a code: a hidden draft reads as missing.
    code: Option<&'a str>,
}

/// Subscribes to an object, and returns the first result.
async fn first_result(socket: &mut Socket, id: &str, query: &str, object: &str) -> Value {
    socket.subscribe(id, query, json!({ "id": object })).await;
    let message = socket.hear().await;
    assert!(message["type"] == "next" && message["id"] == id, "{message:#}");
    message["payload"].clone()
}

fn is_null(payload: &Value) -> bool {
    payload["data"].as_object().is_none_or(|data| data.values().all(Value::is_null))
}

on_both! {
    async fn a_viewer_who_loses_a_permission_gets_no_more_updates(setup: Setup) {
        let market = Market::open(setup, 5, 2).await;
        let (draft, _) =
            market.new_draft(&market.owner, &market.creator, &market.variant, "Secret plans", 3).await;
        let bought = market.reserve(&market.buyers[0]).await;
        let line = market.checkout(&market.buyers[0], &bought).await["reservations"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let (_, staff) = tokens::make(&market, "SECRET", &["CATALOG_READ", "RESERVATIONS_READ"]).await;
        let rows = Database::connect(market.database_url()).await.unwrap();
        let mut bystander = Socket::open(&market, Some(&market.buyers[1])).await;
        assert!(!is_null(&first_result(&mut bystander, "1", STOCK, &market.drop).await));
        for Case { token, watched, change, code } in [
            Case {
                token: &staff,
                watched: &[(DROP, &draft), (STOCK, &draft), (RESERVATION, &line)],
                change: "UPDATE api_tokens SET permissions = 'catalog:write'".to_owned(),
                code: Some("FORBIDDEN"),
            },
            Case {
                token: &market.owner,
                watched: &[(DROP, &draft), (STOCK, &draft), (RESERVATION, &line)],
                change: "DELETE FROM creator_members".to_owned(),
                code: None,
            },
            Case {
                token: &market.buyers[0],
                watched: &[(RESERVATION, &line), (CHECKOUT, &bought)],
                change: format!(
                    "UPDATE accounts SET email_confirmed_at = NULL WHERE email = '{}'",
                    address_of(0)
                ),
                code: Some("EMAIL_UNCONFIRMED"),
            },
        ] {
            let mut socket = Socket::open(&market, Some(token)).await;
            for (number, (query, object)) in watched.iter().enumerate() {
                let first = first_result(&mut socket, &number.to_string(), query, object).await;
                assert!(!is_null(&first), "{query}: {first:#}");
            }
            let (query, object) = watched[0];
            let events = market
                .client()
                .post(market.at("/graphql"))
                .header("accept", "text/event-stream")
                .bearer_auth(token);
            let events =
                events.json(&json!({ "query": query, "variables": { "id": object } })).send().await.unwrap();
            rows.execute_unprepared(&change).await.unwrap();
            let changed = Instant::now();
            let (closed, reason) = socket.closed().await;
            assert!(closed == 4403 && reason.contains("changed"), "{change}: {closed} {reason}");
            assert!(changed.elapsed() < Duration::from_millis(2_500), "{change}: {:?}", changed.elapsed());
            let events = events.text().await.unwrap();
            assert!(
                events.contains("UNAUTHENTICATED") && events.ends_with("event: complete\ndata: \n\n"),
                "{change}: {events}"
            );
            let mut reconnected = Socket::open(&market, Some(token)).await;
            for (number, (query, object)) in watched.iter().enumerate() {
                let payload = first_result(&mut reconnected, &number.to_string(), query, object).await;
                assert!(is_null(&payload), "{change}, {query}: {payload:#}");
                let requires_permission = *query != DROP && *query != STOCK;
                let expected = code.filter(|_| requires_permission).map_or(Value::Null, Value::from);
                assert_eq!(
                    payload["errors"][0]["extensions"]["code"], expected,
                    "{change}, {query}: {payload:#}"
                );
                assert_eq!(reconnected.hear().await["type"], "complete", "{change}, {query}");
            }
        }
        rows.close().await.unwrap();
        bystander.is_quiet(Duration::from_millis(500)).await;
    }

    async fn a_viewer_who_gains_a_permission_is_asked_to_reconnect(setup: Setup) {
        let market = Market::open(setup, 5, 1).await;
        let mut socket = Socket::open(&market, Some(&market.buyers[0])).await;
        assert!(!is_null(&first_result(&mut socket, "1", STOCK, &market.drop).await));
        market.new_creator(&market.buyers[0], "Rivals").await;
        let (closed, reason) = socket.closed().await;
        assert!(closed == 4403 && reason.contains("changed"), "{closed} {reason}");
    }
}
