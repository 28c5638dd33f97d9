//! The gateways of a deployment: the one that takes new payments, and others that hold earlier payments.

use std::{fmt, sync::Arc};

use super::gateway::{GatewayEvent, GatewayIdentity, PaymentGateway, WebhookError};

/// All gateways of a deployment. One takes new payments. The others complete and refund the payments that
/// they took earlier. Cheap to clone.
#[derive(Clone, Default)]
pub struct Gateways {
    /// The first one takes new payments. No two have the same identity.
    all: Arc<[Arc<dyn PaymentGateway>]>,
}

/// The error for two gateways with the same identity, because a payment's identity would not tell which of
/// them holds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two payment gateways have the same identity: `{0}`")]
pub struct DuplicateGateway(pub GatewayIdentity);

impl Gateways {
    /// Returns an empty set of gateways. Such a deployment takes no payments.
    pub fn none() -> Self {
        Self::default()
    }

    /// Creates the set from the gateway that takes new payments and those that only hold earlier ones.
    pub fn new(
        for_new_payments: Arc<dyn PaymentGateway>,
        for_earlier_payments: impl IntoIterator<Item = Arc<dyn PaymentGateway>>,
    ) -> Result<Self, DuplicateGateway> {
        let mut all = vec![for_new_payments];
        for gateway in for_earlier_payments {
            if all.iter().any(|known| known.identity() == gateway.identity()) {
                return Err(DuplicateGateway(gateway.identity().clone()));
            }
            all.push(gateway);
        }
        Ok(Self { all: all.into() })
    }

    /// Returns the gateway that takes new payments.
    pub fn for_new_payments(&self) -> Option<&dyn PaymentGateway> {
        self.all.first().map(AsRef::as_ref)
    }

    /// Returns the gateway with an identity, given as the text that a payment stores.
    pub fn by_identity(&self, identity: &str) -> Option<&dyn PaymentGateway> {
        self.all.iter().map(AsRef::as_ref).find(|gateway| gateway.identity().as_str() == identity)
    }

    /// Whether there is a gateway with this name.
    pub fn has_name(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// Verifies a webhook sent to `/webhooks/{name}`, and returns the gateway account that signed it. Several
    /// accounts may share a name. Each has its own secret, so the signature tells them apart. `header` reads
    /// a header of the request.
    pub fn verify_webhook<'h>(
        &self,
        name: &str,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
    ) -> Result<(&dyn PaymentGateway, GatewayEvent), WebhookError> {
        for gateway in self.named(name) {
            match gateway.verify_webhook(header(gateway.signature_header()), body) {
                Ok(event) => return Ok((gateway, event)),
                Err(WebhookError::Malformed) => return Err(WebhookError::Malformed),
                Err(WebhookError::BadSignature) => {}
            }
        }
        Err(WebhookError::BadSignature)
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &dyn PaymentGateway> {
        self.all.iter().map(AsRef::as_ref).filter(move |gateway| gateway.identity().name() == name)
    }
}

impl fmt::Debug for Gateways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|gateway| gateway.identity().as_str())).finish()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::{
        payments::gateway::{GatewayError, GatewayMode, Intent, NewIntent},
        platform::Money,
    };

    /// A gateway whose webhooks are signed with the name of its account.
    struct Fake(GatewayIdentity);

    fn fake(identity: GatewayIdentity) -> Arc<dyn PaymentGateway> {
        Arc::new(Fake(identity))
    }

    fn nowhere<T>() -> Result<T, GatewayError> {
        Err(GatewayError::Refused("it is not there".to_owned()))
    }

    #[async_trait]
    impl PaymentGateway for Fake {
        fn identity(&self) -> &GatewayIdentity {
            &self.0
        }

        fn signature_header(&self) -> &'static str {
            "Signature"
        }

        async fn create(&self, _new: &NewIntent, _key: &str) -> Result<Intent, GatewayError> {
            nowhere()
        }

        async fn confirm(
            &self,
            _intent: &str,
            _method: &str,
            _url: Option<&str>,
            _key: &str,
        ) -> Result<Intent, GatewayError> {
            nowhere()
        }

        async fn retrieve(&self, _intent: &str) -> Result<Intent, GatewayError> {
            nowhere()
        }

        async fn cancel(&self, _intent: &str, _key: &str) -> Result<Intent, GatewayError> {
            nowhere()
        }

        async fn refund(&self, _intent: &str, _amount: Money, _key: &str) -> Result<String, GatewayError> {
            nowhere()
        }

        fn verify_webhook(&self, signature: Option<&str>, body: &[u8]) -> Result<GatewayEvent, WebhookError> {
            match (signature == Some(self.0.account()), std::str::from_utf8(body)) {
                (false, _) => Err(WebhookError::BadSignature),
                (true, Err(_)) => Err(WebhookError::Malformed),
                (true, Ok(id)) => Ok(GatewayEvent { id: id.to_owned(), intent: None }),
            }
        }
    }

    fn gold(account: &str, mode: GatewayMode) -> GatewayIdentity {
        GatewayIdentity::new("gold", account, mode).unwrap()
    }

    fn three() -> Gateways {
        let others = [gold("old", GatewayMode::Live), GatewayIdentity::in_test("tin")].map(fake);
        Gateways::new(fake(gold("new", GatewayMode::Live)), others).unwrap()
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
            fake(GatewayIdentity::in_test("tin")),
            [&twice, &twice].map(|one| fake(one.clone())),
        );
        let why = refused.err().unwrap();
        assert_eq!(why, DuplicateGateway(twice));
        assert_eq!(why.to_string(), "two payment gateways have the same identity: `gold/new/live`");
        let both_modes = [GatewayMode::Test, GatewayMode::Live].map(|mode| fake(gold("new", mode)));
        assert!(Gateways::new(fake(GatewayIdentity::in_test("tin")), both_modes).is_ok());
    }

    #[test]
    fn a_webhook_is_of_the_account_that_signed_it() {
        let gateways = three();
        let from = |name, signature, body| {
            let answer =
                gateways.verify_webhook(name, |header| (header == "Signature").then_some(signature), body);
            answer.map(|(gateway, event)| (gateway.identity().to_string(), event.id))
        };
        for account in ["new", "old"] {
            assert_eq!(
                from("gold", account, b"event"),
                Ok((format!("gold/{account}/live"), "event".to_owned()))
            );
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
}
