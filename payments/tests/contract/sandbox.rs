//! The contract of payment gateways, run on the sandbox with both databases.

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::payments::gateway::{Intent, PaymentGateway};
use payments::{
    Sandbox, SandboxSettings,
    sandbox::{SandboxOutcome, Webhook, methods},
    signature,
};
use testkit::Kit;

use crate::contract::cases::{self, Driver, Method};

const SECRET: &str = "whsec_of_the_tests";

struct SandboxDriver {
    kit: Kit,
    sandbox: Sandbox,
}

impl SandboxDriver {
    fn new(kit: Kit) -> Self {
        let settings = SandboxSettings {
            public_url: "http://shop.example/".to_owned(),
            // Nothing listens on this port.
            webhook_url: "http://127.0.0.1:9/webhooks/sandbox".to_owned(),
            webhook_secret: SECRET.to_owned(),
            late: TimeDelta::seconds(SandboxSettings::LATE_SECS),
        };
        Self { sandbox: Sandbox::new(kit.db.clone(), settings).unwrap(), kit }
    }
}

#[async_trait]
impl Driver for SandboxDriver {
    fn gateway(&self) -> &dyn PaymentGateway {
        &self.sandbox
    }

    fn method(&self, method: Method) -> &'static str {
        match method {
            Method::Succeeds => methods::SUCCESS,
            Method::Declined => methods::INSUFFICIENT_FUNDS,
            Method::NeedsAction => methods::CONFIRM,
            Method::Late => methods::LATE,
            Method::LateDeclined => methods::LATE_DECLINED,
            Method::Unknown => "pm_nobody_knows",
        }
    }

    async fn choose(&self, intent: &Intent, approve: bool) {
        let url = intent.action_url.as_deref().unwrap();
        let secret = url.strip_prefix("http://shop.example/sandbox/confirm/").unwrap();
        assert_eq!(self.sandbox.page(secret).await.unwrap().unwrap().amount, intent.amount);
        let back = self.sandbox.settle(secret, approve).await.unwrap();
        assert_eq!(back.as_deref(), Some("https://shop.example/back"));
        // A second click changes nothing, whichever button it is.
        let settled = self.sandbox.retrieve(&intent.id).await.unwrap();
        self.sandbox.settle(secret, !approve).await.unwrap();
        assert_eq!(self.sandbox.retrieve(&intent.id).await.unwrap(), settled);
    }

    async fn wait_for_late(&self) {
        self.kit.clock.advance(TimeDelta::seconds(SandboxSettings::LATE_SECS));
        let outcomes = testkit::tasks_of::<SandboxOutcome>(&self.kit).await;
        assert_eq!(
            outcomes.len(),
            testkit::tasks(&self.kit).await.len(),
            "the sandbox queues only its own tasks"
        );
        for SandboxOutcome { event } in outcomes {
            // Webhooks fail because nothing listens; settlements need no receiver.
            let _delivered = self.sandbox.deliver(event).await;
        }
    }

    fn webhook(&self, intent: &str, age: TimeDelta) -> (String, Vec<u8>) {
        let webhook =
            Webhook { id: "sbxe_1".into(), kind: "payment.succeeded".into(), intent: intent.into() };
        let body =
            format!(r#"{{"id":"{}","kind":"{}","intent":"{}"}}"#, webhook.id, webhook.kind, webhook.intent)
                .into_bytes();
        (signature::sign(SECRET.as_bytes(), self.kit.db.now() - age, &body), body)
    }
}

cases::contract_of!(SandboxDriver);
