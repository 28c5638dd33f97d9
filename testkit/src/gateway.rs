//! A payment gateway that is unreachable, for tests of which gateway is selected and of what happens before a
//! call.

use async_trait::async_trait;
use domain::{
    payments::gateway::{
        GatewayError, GatewayEvent, GatewayIdentity, Intent, NewIntent, PaymentGateway, WebhookError,
    },
    platform::Money,
};

/// A gateway that refuses every call. A valid webhook is signed with the name of the account, and its body is
/// the id of the event.
pub struct UnreachableGateway(pub GatewayIdentity);

fn refused<T>() -> Result<T, GatewayError> {
    Err(GatewayError::Refused("the gateway is unreachable".to_owned()))
}

#[async_trait]
impl PaymentGateway for UnreachableGateway {
    fn identity(&self) -> &GatewayIdentity {
        &self.0
    }

    fn signature_header(&self) -> &'static str {
        "Test-Signature"
    }

    async fn create(&self, _new: &NewIntent, _key: &str) -> Result<Intent, GatewayError> {
        refused()
    }

    async fn confirm(
        &self,
        _intent: &str,
        _method: &str,
        _url: Option<&str>,
        _key: &str,
    ) -> Result<Intent, GatewayError> {
        refused()
    }

    async fn retrieve(&self, _intent: &str) -> Result<Intent, GatewayError> {
        refused()
    }

    async fn cancel(&self, _intent: &str, _key: &str) -> Result<Intent, GatewayError> {
        refused()
    }

    async fn refund(&self, _intent: &str, _amount: Money, _key: &str) -> Result<String, GatewayError> {
        refused()
    }

    fn verify_webhook(&self, signature: Option<&str>, body: &[u8]) -> Result<GatewayEvent, WebhookError> {
        if signature != Some(self.0.account()) {
            return Err(WebhookError::BadSignature);
        }
        let id = std::str::from_utf8(body).map_err(|_| WebhookError::Malformed)?;
        Ok(GatewayEvent { id: id.to_owned(), intent: Some("intent".to_owned()) })
    }
}
