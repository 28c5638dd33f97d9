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
