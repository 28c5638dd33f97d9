//! The cases. Each gets a gateway through its [`Driver`] and depends on nothing else.

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::{
    payments::gateway::{
        GatewayError, GatewayIdentity, Intent, IntentState, NewIntent, PaymentGateway, WebhookError,
    },
    platform::{Currency, Money, ids::PaymentId},
};
use uuid::Uuid;

/// A payment method, named by its outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Method {
    Succeeds,
    Declined,
    NeedsAction,
    Late,
    LateDeclined,
    Unknown,
}

/// What the cases need besides the gateway: test methods, a buyer, the passage of time and webhooks.
#[async_trait]
pub(crate) trait Driver: Send + Sync {
    /// Returns the gateway under test.
    fn gateway(&self) -> &dyn PaymentGateway;
    /// Returns the gateway's reference of a method.
    fn method(&self, method: Method) -> &'static str;
    /// Opens the action page as the buyer, and approves or declines.
    async fn choose(&self, intent: &Intent, approve: bool);
    /// Advances time until late payments have settled.
    async fn wait_for_late(&self);
    /// Returns a webhook about an intent that was signed `age` ago: the header and the body.
    fn webhook(&self, intent: &str, age: TimeDelta) -> (String, Vec<u8>);
}

/// Generates a test of every case on both databases for a driver with a function `new(kit)`. A gateway's
/// module consists of its driver and one call of this macro.
macro_rules! contract_of {
    ($driver:ident) => {
        $crate::contract::cases::contract_of! { $driver:
            the_identity_is_one_that_a_payment_can_keep,
            the_same_call_with_the_same_key_has_one_effect,
            a_key_is_not_good_for_another_call,
            the_same_call_many_times_at_once_has_one_effect,
            after_a_decline_another_method_may_succeed,
            a_paid_intent_cannot_be_paid_again_or_cancelled,
            a_cancelled_intent_cannot_be_paid,
            refunds_never_exceed_what_was_captured,
            an_action_is_the_buyers_to_take,
            a_late_method_settles_later_and_cannot_be_called_back_meanwhile,
            a_late_decline_leaves_an_intent_that_can_be_cancelled_by_the_same_call,
            an_intent_that_nobody_made_is_refused,
            only_webhooks_signed_now_by_the_gateway_are_believed,
        }
    };
    ($driver:ident: $($case:ident),+ $(,)?) => {
        $(async fn $case(kit: Kit) {
            $crate::contract::cases::$case(&$driver::new(kit)).await;
        })+
        testkit::on_both! { $($case),+ }
    };
}
pub(crate) use contract_of;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::from_code("EUR").unwrap())
}

fn asks(amount: Money) -> NewIntent {
    NewIntent { payment: PaymentId(Uuid::from_u128(0x0192_7f3a_0000_7000_8000_0000_0000_0042)), amount }
}

async fn paid(driver: &dyn Driver, minor: i64) -> Intent {
    let made = driver.gateway().create(&asks(eur(minor)), "create-1").await.unwrap();
    let paid =
        driver.gateway().confirm(&made.id, driver.method(Method::Succeeds), None, "confirm-1").await.unwrap();
    assert_eq!((paid.state, paid.captured), (IntentState::Succeeded, eur(minor)));
    paid
}

fn refused<T: std::fmt::Debug>(result: Result<T, GatewayError>) {
    assert!(matches!(result, Err(GatewayError::Refused(_))), "{result:?}");
}

pub(crate) async fn the_identity_is_one_that_a_payment_can_keep(driver: &dyn Driver) {
    let identity = driver.gateway().identity();
    assert_eq!(
        GatewayIdentity::new(identity.name(), identity.account(), identity.mode()).as_ref(),
        Some(identity)
    );
    // The name is a segment of `/webhooks/{gateway}`.
    assert_eq!(identity.name(), identity.name().to_lowercase());
}

pub(crate) async fn the_same_call_with_the_same_key_has_one_effect(driver: &dyn Driver) {
    let gateway = driver.gateway();
    let made = gateway.create(&asks(eur(2_500)), "create-1").await.unwrap();
    assert_eq!((made.state, made.amount, made.captured), (IntentState::RequiresMethod, eur(2_500), eur(0)));
    assert_eq!(made.payment, asks(eur(1)).payment);
    assert_eq!(gateway.create(&asks(eur(2_500)), "create-1").await.unwrap().id, made.id);
    assert_ne!(gateway.create(&asks(eur(2_500)), "create-2").await.unwrap().id, made.id);

    let method = driver.method(Method::Succeeds);
    let confirmed = gateway.confirm(&made.id, method, None, "confirm-1").await.unwrap();
    assert_eq!(gateway.confirm(&made.id, method, None, "confirm-1").await.unwrap(), confirmed);

    let refund = gateway.refund(&made.id, eur(2_000), "refund-1").await.unwrap();
    assert_eq!(gateway.refund(&made.id, eur(2_000), "refund-1").await.unwrap(), refund);

    let other = gateway.create(&asks(eur(2_500)), "create-3").await.unwrap();
    let cancelled = gateway.cancel(&other.id, "cancel-1").await.unwrap();
    assert_eq!(cancelled.state, IntentState::Cancelled);
    assert_eq!(gateway.cancel(&other.id, "cancel-1").await.unwrap(), cancelled);
}

pub(crate) async fn a_key_is_not_good_for_another_call(driver: &dyn Driver) {
    let gateway = driver.gateway();
    let made = gateway.create(&asks(eur(2_500)), "key-1").await.unwrap();
    refused(gateway.create(&asks(eur(2_501)), "key-1").await);
    refused(gateway.confirm(&made.id, driver.method(Method::Succeeds), None, "key-1").await);
    refused(gateway.cancel(&made.id, "key-1").await);
    assert_eq!(gateway.retrieve(&made.id).await.unwrap(), made);
}

pub(crate) async fn the_same_call_many_times_at_once_has_one_effect(driver: &dyn Driver) {
    let gateway = driver.gateway();
    let asked = asks(eur(900));
    let calls = (0..8).map(|_| gateway.create(&asked, "create-1"));
    let made = all(calls).await;
    assert!(
        made.iter().all(|intent| intent.as_ref().unwrap().id == made[0].as_ref().unwrap().id),
        "{made:?}"
    );

    let id = made[0].as_ref().unwrap().id.clone();
    gateway.confirm(&id, driver.method(Method::Succeeds), None, "confirm-1").await.unwrap();
    let keys: Vec<_> = (0..8).map(|n| format!("refund-{n}")).collect();
    let refunds = all(keys.iter().map(|key| gateway.refund(&id, eur(300), key))).await;
    assert_eq!(refunds.iter().filter(|refund| refund.is_ok()).count(), 3, "{refunds:?}");
}

async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, slot) in pending.iter_mut().zip(done.iter_mut()) {
            if slot.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *slot = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.drain(..).flatten().collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

pub(crate) async fn after_a_decline_another_method_may_succeed(driver: &dyn Driver) {
    let gateway = driver.gateway();
    let made = gateway.create(&asks(eur(2_500)), "create-1").await.unwrap();
    for (attempt, method) in [Method::Declined, Method::Unknown].into_iter().enumerate() {
        let declined = gateway
            .confirm(&made.id, driver.method(method), None, &format!("confirm-{attempt}"))
            .await
            .unwrap();
        assert_eq!((declined.state, declined.captured), (IntentState::RequiresMethod, eur(0)), "{method:?}");
        assert!(declined.decline_code.is_some(), "{method:?}");
    }
    let paid = gateway.confirm(&made.id, driver.method(Method::Succeeds), None, "confirm-9").await.unwrap();
    assert_eq!((paid.state, paid.captured, &paid.decline_code), (IntentState::Succeeded, eur(2_500), &None));
    assert_eq!(gateway.retrieve(&made.id).await.unwrap(), paid);
}

pub(crate) async fn a_paid_intent_cannot_be_paid_again_or_cancelled(driver: &dyn Driver) {
    let gateway = driver.gateway();
    let paid = paid(driver, 2_500).await;
    refused(gateway.confirm(&paid.id, driver.method(Method::Succeeds), None, "confirm-2").await);
    assert_eq!(gateway.cancel(&paid.id, "cancel-1").await.unwrap().state, IntentState::Succeeded);
    assert_eq!(gateway.retrieve(&paid.id).await.unwrap(), paid);
}

pub(crate) async fn a_cancelled_intent_cannot_be_paid(driver: &dyn Driver) {
    let gateway = driver.gateway();
    let made = gateway.create(&asks(eur(2_500)), "create-1").await.unwrap();
    gateway.cancel(&made.id, "cancel-1").await.unwrap();
    refused(gateway.confirm(&made.id, driver.method(Method::Succeeds), None, "confirm-1").await);
    assert_eq!(gateway.cancel(&made.id, "cancel-2").await.unwrap().state, IntentState::Cancelled);
    refused(gateway.refund(&made.id, eur(1), "refund-1").await);
}

pub(crate) async fn refunds_never_exceed_what_was_captured(driver: &dyn Driver) {
    let gateway = driver.gateway();
    let paid = paid(driver, 2_500).await;
    refused(gateway.refund(&paid.id, eur(2_501), "refund-1").await);
    refused(gateway.refund(&paid.id, eur(0), "refund-2").await);
    refused(gateway.refund(&paid.id, eur(-1), "refund-3").await);
    refused(gateway.refund(&paid.id, Money::new(100, Currency::from_code("JPY").unwrap()), "refund-4").await);
    let first = gateway.refund(&paid.id, eur(2_000), "refund-5").await.unwrap();
    refused(gateway.refund(&paid.id, eur(501), "refund-6").await);
    let second = gateway.refund(&paid.id, eur(500), "refund-7").await.unwrap();
    assert_ne!(first, second);
    refused(gateway.refund(&paid.id, eur(1), "refund-8").await);
}

pub(crate) async fn an_action_is_the_buyers_to_take(driver: &dyn Driver) {
    let gateway = driver.gateway();
    let (back, method) = (Some("https://shop.example/back"), driver.method(Method::NeedsAction));
    let made = gateway.create(&asks(eur(2_500)), "create-1").await.unwrap();
    let asked = gateway.confirm(&made.id, method, back, "confirm-1").await.unwrap();
    assert_eq!(asked.state, IntentState::RequiresAction);
    assert!(asked.action_url.is_some());
    driver.choose(&asked, false).await;
    let declined = gateway.retrieve(&made.id).await.unwrap();
    assert_eq!((declined.state, declined.action_url), (IntentState::RequiresMethod, None));
    assert!(declined.decline_code.is_some());

    let asked = gateway.confirm(&made.id, method, back, "confirm-2").await.unwrap();
    driver.choose(&asked, true).await;
    let paid = gateway.retrieve(&made.id).await.unwrap();
    assert_eq!((paid.state, paid.captured, paid.action_url), (IntentState::Succeeded, eur(2_500), None));
}

pub(crate) async fn a_late_method_settles_later_and_cannot_be_called_back_meanwhile(driver: &dyn Driver) {
    let gateway = driver.gateway();
    let made = gateway.create(&asks(eur(2_500)), "create-1").await.unwrap();
    let late = gateway.confirm(&made.id, driver.method(Method::Late), None, "confirm-1").await.unwrap();
    assert_eq!((late.state, late.captured), (IntentState::Processing, eur(0)));
    refused(gateway.confirm(&made.id, driver.method(Method::Succeeds), None, "confirm-2").await);
    assert_eq!(gateway.cancel(&made.id, "cancel-1").await.unwrap().state, IntentState::Processing);
    driver.wait_for_late().await;
    let paid = gateway.retrieve(&made.id).await.unwrap();
    assert_eq!((paid.state, paid.captured), (IntentState::Succeeded, eur(2_500)));
}

pub(crate) async fn a_late_decline_leaves_an_intent_that_can_be_cancelled_by_the_same_call(
    driver: &dyn Driver,
) {
    let gateway = driver.gateway();
    let made = gateway.create(&asks(eur(2_500)), "create-1").await.unwrap();
    gateway.confirm(&made.id, driver.method(Method::LateDeclined), None, "confirm-1").await.unwrap();
    assert_eq!(gateway.cancel(&made.id, "cancel-1").await.unwrap().state, IntentState::Processing);
    driver.wait_for_late().await;
    let declined = gateway.retrieve(&made.id).await.unwrap();
    assert_eq!((declined.state, declined.captured), (IntentState::RequiresMethod, eur(0)));
    assert!(declined.decline_code.is_some());
    assert_eq!(gateway.cancel(&made.id, "cancel-1").await.unwrap().state, IntentState::Cancelled);
}

pub(crate) async fn an_intent_that_nobody_made_is_refused(driver: &dyn Driver) {
    let gateway = driver.gateway();
    let made = gateway.create(&asks(eur(2_500)), "create-1").await.unwrap();
    for unknown in [
        "",
        "nothing",
        &format!("{}0", made.id),
        &made.id.replace(|digit: char| digit.is_ascii_hexdigit(), "0"),
    ] {
        refused(gateway.retrieve(unknown).await);
        refused(gateway.confirm(unknown, driver.method(Method::Succeeds), None, "confirm-1").await);
        refused(gateway.cancel(unknown, "cancel-1").await);
        refused(gateway.refund(unknown, eur(1), "refund-1").await);
    }
    refused(gateway.create(&asks(eur(0)), "create-2").await);
}

pub(crate) async fn only_webhooks_signed_now_by_the_gateway_are_believed(driver: &dyn Driver) {
    let gateway = driver.gateway();
    let made = gateway.create(&asks(eur(2_500)), "create-1").await.unwrap();
    let (signature, body) = driver.webhook(&made.id, TimeDelta::zero());
    let event = gateway.verify_webhook(Some(&signature), &body).unwrap();
    assert_eq!(event.intent.as_deref(), Some(made.id.as_str()));
    assert_eq!(gateway.verify_webhook(Some(&signature), &body).unwrap().id, event.id);

    let bad = Err(WebhookError::BadSignature);
    assert_eq!(gateway.verify_webhook(None, &body), bad);
    assert_eq!(gateway.verify_webhook(Some(""), &body), bad);
    assert_eq!(gateway.verify_webhook(Some(&signature), &[body.as_slice(), b" "].concat()), bad);
    let forged = signature.replace(|digit: char| digit.is_ascii_hexdigit() && !digit.is_ascii_digit(), "0");
    assert_eq!(gateway.verify_webhook(Some(&forged), &body), bad);
    for age in [TimeDelta::minutes(6), TimeDelta::minutes(-6)] {
        let (stale, body) = driver.webhook(&made.id, age);
        assert_eq!(gateway.verify_webhook(Some(&stale), &body), bad, "{age}");
    }
    let (recent, body) = driver.webhook(&made.id, TimeDelta::minutes(4));
    assert!(gateway.verify_webhook(Some(&recent), &body).is_ok());
}
