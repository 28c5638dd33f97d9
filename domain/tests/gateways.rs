//! Tests of which gateway takes a payment or a webhook.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use domain::payments::{
    gateway::{GatewayIdentity, GatewayMode, PaymentGateway, WebhookError},
    gateways::{DuplicateGateway, Gateways},
};
use testkit::gateway::UnreachableGateway;

fn gateway(identity: GatewayIdentity) -> Arc<dyn PaymentGateway> {
    Arc::new(UnreachableGateway(identity))
}

fn gold(account: &str, mode: GatewayMode) -> GatewayIdentity {
    GatewayIdentity::new("gold", account, mode).unwrap()
}

fn three() -> Gateways {
    let others = [gold("old", GatewayMode::Live), GatewayIdentity::test_account("tin")].map(gateway);
    Gateways::new(gateway(gold("new", GatewayMode::Live)), others).unwrap()
}

#[test]
fn the_first_takes_new_payments_and_each_is_found_by_what_a_payment_keeps() {
    let gateways = three();
    assert_eq!(gateways.for_new_payments().unwrap().identity().as_str(), "gold/new/live");
    for kept in ["gold/new/live", "gold/old/live", "tin"] {
        assert_eq!(gateways.by_identity(kept).unwrap().identity().as_str(), kept);
    }
    for unknown in ["gold", "gold/new/test", "gold/new", "tin/default/test", ""] {
        assert!(gateways.by_identity(unknown).is_none(), "{unknown}");
    }
    assert!(Gateways::none().for_new_payments().is_none());
}

#[test]
fn two_of_the_same_identity_are_refused() {
    let twice = gold("new", GatewayMode::Live);
    let refused = Gateways::new(
        gateway(GatewayIdentity::test_account("tin")),
        [&twice, &twice].map(|one| gateway(one.clone())),
    );
    let why = refused.err().unwrap();
    assert_eq!(why, DuplicateGateway(twice));
    assert_eq!(why.to_string(), "two payment gateways have the same identity: `gold/new/live`");
    let both_modes = [GatewayMode::Test, GatewayMode::Live].map(|mode| gateway(gold("new", mode)));
    assert!(Gateways::new(gateway(GatewayIdentity::test_account("tin")), both_modes).is_ok());
}

#[test]
fn a_webhook_is_of_the_account_that_signed_it() {
    let gateways = three();
    let from = |name, signature, body| {
        let answer =
            gateways.verify_webhook(name, |header| (header == "Test-Signature").then_some(signature), body);
        answer.map(|(gateway, event)| (gateway.identity().to_string(), event.id))
    };
    for account in ["new", "old"] {
        assert_eq!(from("gold", account, b"event"), Ok((format!("gold/{account}/live"), "event".to_owned())));
    }
    assert_eq!(
        from("gold", "default", b"event"),
        Err(WebhookError::BadSignature),
        "the signature of another name"
    );
    assert_eq!(from("gold", "old", b"\xff"), Err(WebhookError::Malformed));
    assert_eq!(from("lead", "old", b"event"), Err(WebhookError::BadSignature));
    assert_eq!(
        (gateways.has_name("gold"), gateways.has_name("tin"), gateways.has_name("lead")),
        (true, true, false)
    );
}
