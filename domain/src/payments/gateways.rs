//! The gateways of a deployment.

use std::{fmt, sync::Arc};

use super::gateway::PaymentGateway;

/// All gateways of a deployment. Cheap to clone.
#[derive(Clone, Default)]
pub struct Gateways(Arc<[Arc<dyn PaymentGateway>]>);

impl Gateways {
    /// These gateways.
    pub fn new(gateways: impl IntoIterator<Item = Arc<dyn PaymentGateway>>) -> Self {
        Self(gateways.into_iter().collect())
    }

    /// The gateway that a payment names.
    pub fn by_identity(&self, identity: &str) -> Option<&dyn PaymentGateway> {
        self.0.iter().map(AsRef::as_ref).find(|gateway| gateway.name() == identity)
    }
}

impl fmt::Debug for Gateways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|gateway| gateway.name())).finish()
    }
}
