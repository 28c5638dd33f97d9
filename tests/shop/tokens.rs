//! API tokens: what a storefront can do with each kind, and that a revoked token stops working at once.

use serde_json::{Value, json};

use crate::shop::market::{Market, address_of, id, mutation, new_key};

const DRAFT: &str = "query($id: ID!) { node(id: $id) { id } }";
const RESERVATIONS: &str = "query($id: ID!) { reservations(creatorId: $id) { totalCount } }";

on_both! {
    async fn a_publishable_token_can_only_read_its_creators_public_data_and_sign_guests_in(setup: Setup) {
        let market = Market::open(setup, 10, 1).await;
        let (draft, _) =
            market.new_draft(&market.owner, &market.creator, &market.variant, "Secret plans", 5).await;
        let rival = &market.buyers[0];
        market.new_creator(rival, "Rivals").await;
        let (_, token) = make(&market, "PUBLISHABLE", &[]).await;
        let token = token.as_str();
        assert!(token.starts_with("sr_pub_"), "{token}");

        let query = "{ viewer { kind token { kind permissions } } drops { nodes { id } } \
                     creators { nodes { slug } } }";
        let data = market.graphql(Some(token), query, json!({})).await;
        assert_eq!(
            data["viewer"],
            json!({ "kind": "TOKEN", "token": { "kind": "PUBLISHABLE", "permissions": [] } })
        );
        assert_eq!(data["drops"]["nodes"], json!([{ "id": market.drop }]));
        assert_eq!(
            data["creators"]["nodes"],
            json!([{ "slug": "olaria-do-vale" }]),
            "other creators are not visible"
        );
        assert_eq!(market.graphql(Some(token), DRAFT, json!({ "id": draft })).await["node"], json!(null));

        refused(&market, token, RESERVATIONS, json!({ "id": market.creator })).await;
        refused(&market, token, "{ checkouts { totalCount } }", json!({})).await;
        refused(&market, token, "{ accounts { totalCount } }", json!({})).await;
        for (name, input) in [
            ("dropUpdate", json!({ "id": market.drop, "title": "Mine" })),
            ("creatorUpdate", json!({ "id": market.creator, "name": "Mine" })),
            ("checkoutReserve", market.reserving(&market.item, &new_key())),
            ("sessionRequest", json!({ "email": address_of(0) })),
            ("apiTokenCreate", json!({ "creatorId": market.creator, "kind": "PUBLISHABLE", "name": "More" })),
        ] {
            refused(&market, token, &mutation(name, ""), json!({ "input": input })).await;
        }
        let start = json!({ "email": "gus@example.org" });
        market.done(token, "guestStart", "accepted", start).await;
        let link = market.code_from("gus@example.org", "/confirm-guest?").await;
        let guest = market.done(token, "guestConfirm", "token", json!({ "link": link })).await;
        market.reserve(guest["token"].as_str().unwrap()).await;
    }

    async fn a_secret_token_has_exactly_its_permissions_and_a_revoked_one_is_refused_at_once(setup: Setup) {
        let market = Market::open(setup, 10, 1).await;
        let (draft, _) =
            market.new_draft(&market.owner, &market.creator, &market.variant, "Secret plans", 5).await;
        let all = ["CATALOG_READ", "CATALOG_WRITE", "PROFILE_WRITE", "RESERVATIONS_READ", "SESSIONS_OPEN"];
        for given in all {
            let (token_id, token) = make(&market, "SECRET", &[given]).await;
            let token = token.as_str();
            assert!(token.starts_with("sr_sec_"), "{token}");
            let seen = market.graphql(Some(token), DRAFT, json!({ "id": draft })).await;
            assert_eq!(!seen["node"].is_null(), given == "CATALOG_READ", "{given}: {seen}");
            for (needed, query, variables) in [
                ("RESERVATIONS_READ", RESERVATIONS.to_owned(), json!({ "id": market.creator })),
                (
                    "CATALOG_WRITE",
                    mutation("dropUpdate", ""),
                    json!({ "input": { "id": draft, "title": "Plans" } }),
                ),
                (
                    "PROFILE_WRITE",
                    mutation("creatorUpdate", ""),
                    json!({ "input": { "id": market.creator, "tagline": "Clay" } }),
                ),
                (
                    "SESSIONS_OPEN",
                    mutation("sessionRequest", ""),
                    json!({ "input": { "email": "who@example.org" } }),
                ),
                (
                    "nothing",
                    mutation("checkoutReserve", ""),
                    json!({ "input": market.reserving(&market.item, &new_key()) }),
                ),
                ("nothing", "{ accounts { totalCount } }".to_owned(), json!({})),
            ] {
                if needed == given {
                    let data = market.graphql(Some(token), &query, variables).await;
                    let listed = data["reservations"]["totalCount"] == 0;
                    assert!(listed || data.to_string().contains("\"errors\":[]"), "{given}: {data}");
                } else {
                    refused(&market, token, &query, variables).await;
                }
            }
            let input = json!({ "creatorId": market.creator, "id": token_id });
            market.done(&market.owner, "apiTokenRevoke", "token { revokedAt }", input).await;
            worth_nothing(&market, token).await;
        }
    }

    async fn a_storefront_opens_a_session_for_a_buyer_who_agrees_by_letter_until_its_token_is_revoked(
        setup: Setup,
    ) {
        let market = Market::open(setup, 10, 1).await;
        let (token_id, token) = make(&market, "SECRET", &["SESSIONS_OPEN"]).await;
        let (_, other) = make(&market, "SECRET", &["SESSIONS_OPEN"]).await;
        let email = address_of(0);
        market.done(&token, "sessionRequest", "accepted", json!({ "email": email })).await;
        let link = market.code_from(&email, "/open-session?").await;
        let stolen = market.tried(&other, "sessionOpen", "token", json!({ "link": link })).await;
        assert_eq!(
            stolen["errors"][0]["code"], "LINK_INVALID",
            "only the storefront that requested the link can use it"
        );
        let fields = "token viewer { kind account { email } }";
        let opened = market.done(&token, "sessionOpen", fields, json!({ "link": link })).await;
        assert_eq!(opened["viewer"], json!({ "kind": "ACCOUNT", "account": null }));
        let session = opened["token"].as_str().unwrap();
        market.reserve(session).await;
        let again = market.tried(&token, "sessionOpen", "token", json!({ "link": link })).await;
        assert_eq!(again["errors"][0]["code"], "LINK_INVALID", "a link works once");

        let input = json!({ "creatorId": market.creator, "id": token_id });
        market.done(&market.owner, "apiTokenRevoke", "token { revokedAt }", input).await;
        worth_nothing(&market, &token).await;
        worth_nothing(&market, session).await;
        market.graphql(Some(&market.buyers[0]), "{ checkouts { totalCount } }", json!({})).await;
    }
}

/// Creates a token of the creator, and returns its id and its secret.
pub(crate) async fn make(market: &Market, kind: &str, permissions: &[&str]) -> (String, String) {
    let input =
        json!({ "creatorId": market.creator, "kind": kind, "name": "Shop", "permissions": permissions });
    let payload = market.done(&market.owner, "apiTokenCreate", "secret token { id }", input).await;
    (id(&payload["token"]), payload["secret"].as_str().unwrap().to_owned())
}

async fn refused(market: &Market, token: &str, query: &str, variables: Value) {
    let (_, body) = market.send(Some(token), query, variables).await;
    assert_eq!(body["errors"][0]["extensions"]["code"], "FORBIDDEN", "{query}: {body:#}");
}

async fn worth_nothing(market: &Market, token: &str) {
    let (status, body) = market.send(Some(token), "{ drops { totalCount } }", json!({})).await;
    assert_eq!(
        (status, &body["errors"][0]["extensions"]["code"]),
        (401, &json!("UNAUTHENTICATED")),
        "{body:#}"
    );
}
