//! Webhooks: finding the gateway that sent one when several accounts share a name.

use std::sync::Arc;

use actix_web::{http::StatusCode, test::TestRequest};
use api::Api;
use domain::payments::{
    gateway::{GatewayIdentity, GatewayMode, PaymentGateway},
    gateways::Gateways,
};
use sea_orm::{ConnectionTrait, Statement};
use testkit::{Kit, gateway::UnreachableGateway, on_both, requests};

use crate::edge::shop::{api, send};

fn gateways() -> Gateways {
    let gold = |account| GatewayIdentity::new("gold", account, GatewayMode::Live).unwrap();
    let made = |identity| -> Arc<dyn PaymentGateway> { Arc::new(UnreachableGateway(identity)) };
    Gateways::new(made(gold("new")), [made(gold("old")), made(requests::gateway())]).unwrap()
}

async fn post(kit: &Kit, name: &str, signature: &str, event: &str) -> StatusCode {
    let api = Api { gateways: gateways(), ..api(kit) };
    let request = TestRequest::post()
        .uri(&format!("/webhooks/{name}"))
        .insert_header(("Test-Signature", signature.to_owned()));
    send(api, request.set_payload(event.to_owned())).await.status
}

on_both! {
    async fn a_webhook_goes_to_the_account_that_signed_it(kit: Kit) {
        for (name, signature, event, expected) in [
            ("gold", "old", "event-1", StatusCode::OK),
            ("gold", "new", "event-1", StatusCode::OK),
            ("gold", "new", "event-1", StatusCode::OK),
            ("sandbox", "default", "event-2", StatusCode::OK),
            ("gold", "default", "event-3", StatusCode::BAD_REQUEST),
            ("sandbox", "old", "event-3", StatusCode::BAD_REQUEST),
            ("lead", "old", "event-3", StatusCode::NOT_FOUND),
        ] {
            assert_eq!(post(&kit, name, signature, event).await, expected, "{name} {signature} {event}");
        }
        let inbox = Statement::from_string(
            kit.db.backend(),
            "SELECT gateway || ' ' || event FROM webhook_inbox ORDER BY 1",
        );
        let inbox = kit.db.reader().query_all_raw(inbox).await.unwrap();
        let inbox: Vec<String> = inbox.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        assert_eq!(inbox, ["gold/new/live event-1", "gold/old/live event-1", "sandbox event-2"]);
    }
}
