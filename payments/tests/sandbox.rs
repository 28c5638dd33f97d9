//! Behaviour specific to the sandbox: delivery of webhooks over HTTP, decline codes and the confirmation
//! page.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use chrono::TimeDelta;
use domain::{
    payments::gateway::{Intent, NewIntent, PaymentGateway, WebhookError},
    platform::{Currency, Money, ids::PaymentId, sweep::Sweep},
};
use payments::{
    Sandbox, SandboxSettings,
    sandbox::{DeliverError, SIGNATURE_HEADER, SandboxOutcome, SandboxState, SettleError, Webhook, methods},
};
use testkit::{Kit, on_both};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use uuid::Uuid;

/// Starts a server that receives webhooks and answers them with the given statuses in order.
async fn receiver(statuses: &'static [&'static str]) -> (String, mpsc::UnboundedReceiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks/sandbox", listener.local_addr().unwrap());
    let (taken, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let (head, body) = loop {
                let mut part = [0; 4096];
                let count = stream.read(&mut part).await.unwrap();
                assert!(count > 0, "the request ended early");
                bytes.extend(part.iter().take(count));
                let text = String::from_utf8(bytes.clone()).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| {
                    line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
                });
                if length == Some(body.len()) {
                    break (head.to_owned(), body.as_bytes().to_vec());
                }
            };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            taken.send((head, body)).unwrap();
        }
    });
    (url, received)
}

fn sandbox(kit: &Kit, webhook_url: String) -> Arc<Sandbox> {
    let settings = SandboxSettings {
        public_url: "http://shop.example".to_owned(),
        webhook_url,
        webhook_secret: "whsec_of_the_tests".to_owned(),
        late: TimeDelta::seconds(20),
    };
    Sandbox::shared(kit.db.clone(), settings).unwrap()
}

async fn confirmed(sandbox: &Sandbox, method: &str) -> Intent {
    let amount = Money::new(1_250, Currency::from_code("EUR").unwrap());
    let new =
        NewIntent { payment: PaymentId(Uuid::from_u128(0x0192_7f3a_0000_7000_8000_0000_0000_0042)), amount };
    let made = sandbox.create(&new, &format!("create:{method}")).await.unwrap();
    sandbox.confirm(&made.id, method, None, &format!("confirm:{method}")).await.unwrap()
}

async fn events(kit: &Kit) -> Vec<Uuid> {
    let outcomes = testkit::tasks_of::<SandboxOutcome>(kit).await;
    assert_eq!(outcomes.len(), testkit::tasks(kit).await.len(), "all tasks are of one kind");
    outcomes.into_iter().map(|outcome| outcome.event).collect()
}

on_both! {
    async fn a_webhook_is_signed_and_repeated_unchanged_until_it_is_accepted(kit: Kit) {
        let (url, mut received) = receiver(&["500 Internal Server Error", "302 Found", "204 No Content"])
            .await;
        let sandbox = sandbox(&kit, url);
        let intent = confirmed(&sandbox, methods::SUCCESS).await;
        let [event] = events(&kit).await.try_into().unwrap();
        for taken in [false, false, true] {
            let delivered = sandbox.deliver(event).await;
            assert_eq!(delivered.is_ok(), taken, "{delivered:?}");
            let (head, body) = received.recv().await.unwrap();
            let header = SIGNATURE_HEADER.to_lowercase() + ": ";
            let signature = head.lines().find_map(|line| line.strip_prefix(&header)).unwrap();
            let known = sandbox.verify_webhook(Some(signature), &body).unwrap();
            assert_eq!(known.intent, Some(intent.id.clone()));
            let webhook: Webhook = serde_json::from_slice(&body).unwrap();
            assert_eq!((webhook.kind.as_str(), &webhook.id), ("payment.succeeded", &known.id));
        }
    }

    async fn a_refused_connection_is_retried_and_an_unknown_event_is_not(kit: Kit) {
        let sandbox = sandbox(&kit, "http://127.0.0.1:9/".to_owned());
        confirmed(&sandbox, methods::SUCCESS).await;
        let [event] = events(&kit).await.try_into().unwrap();
        assert!(matches!(sandbox.deliver(event).await, Err(DeliverError::Later(_))));
        assert!(matches!(sandbox.deliver(Uuid::from_u128(1)).await, Err(DeliverError::Unknown)));
    }

    async fn a_late_payment_settles_once_and_not_before_its_time(kit: Kit) {
        let sandbox = sandbox(&kit, "http://127.0.0.1:9/".to_owned());
        confirmed(&sandbox, methods::LATE).await;
        let [_processing, settles] = events(&kit).await.try_into().unwrap();
        kit.clock.advance(TimeDelta::seconds(19));
        assert!(matches!(sandbox.deliver(settles).await, Err(DeliverError::Later(_))));
        kit.clock.advance(TimeDelta::seconds(1));
        sandbox.deliver(settles).await.unwrap();
        sandbox.deliver(settles).await.unwrap();
        assert_eq!(events(&kit).await.len(), 3, "the settlement adds one webhook");
    }

    async fn each_method_has_its_decline_code(kit: Kit) {
        let sandbox = sandbox(&kit, String::new());
        for (method, code) in [
            (methods::SUCCESS, None),
            (methods::DECLINED, Some("card_declined")),
            (methods::INSUFFICIENT_FUNDS, Some("insufficient_funds")),
            ("pm_card_visa", Some("unknown_method")),
        ] {
            assert_eq!(confirmed(&sandbox, method).await.decline_code.as_deref(), code, "{method}");
        }
    }

    async fn another_method_can_replace_an_abandoned_action(kit: Kit) {
        let sandbox = sandbox(&kit, String::new());
        let asked = confirmed(&sandbox, methods::CONFIRM).await;
        let paid = sandbox.confirm(&asked.id, methods::SUCCESS, None, "confirm-2").await.unwrap();
        let secret = asked.action_url.unwrap().rsplit('/').next().unwrap().to_owned();
        assert_eq!(sandbox.page(&secret).await.unwrap().unwrap().state, SandboxState::Succeeded);
        assert_eq!(sandbox.settle(&secret, false).await.unwrap(), None);
        assert_eq!(sandbox.retrieve(&asked.id).await.unwrap(), paid);
    }

    async fn a_page_needs_its_secret_and_return_urls_are_web_pages(kit: Kit) {
        let sandbox = sandbox(&kit, String::new());
        let asked = confirmed(&sandbox, methods::CONFIRM).await;
        assert_eq!(sandbox.page("sbx_0").await.unwrap(), None);
        assert!(matches!(sandbox.settle("sbx_0", true).await, Err(SettleError::Unknown)));
        let script = Some("javascript:alert(1)");
        let back = sandbox.confirm(&asked.id, methods::CONFIRM, script, "confirm-2").await;
        assert!(back.is_err());
        assert_eq!(sandbox.retrieve(&asked.id).await.unwrap(), asked);
    }

    async fn a_signed_body_that_is_not_an_event_is_malformed(kit: Kit) {
        let sandbox = sandbox(&kit, String::new());
        let sign = |body: &[u8]| payments::signature::sign(b"whsec_of_the_tests", kit.db.now(), body);
        for body in [&b"{}"[..], b"", b"[1]", b"\xff"] {
            assert_eq!(sandbox.verify_webhook(Some(&sign(body)), body), Err(WebhookError::Malformed));
        }
        let refund = br#"{"id":"sbxe_1","kind":"refund.done","intent":"sbxi_1"}"#;
        assert_eq!(sandbox.verify_webhook(Some(&sign(refund)), refund).unwrap().intent, None);
    }

    async fn housekeeping_deletes_old_keys_and_events(kit: Kit) {
        let sandbox = sandbox(&kit, String::new());
        confirmed(&sandbox, methods::SUCCESS).await;
        kit.clock.advance(TimeDelta::days(30));
        assert_eq!(sandbox.sweep().await.unwrap(), 0);
        kit.clock.advance(TimeDelta::seconds(1));
        assert_eq!(sandbox.sweep().await.unwrap(), 3, "two keys and an event");
    }
}
