//! Tests of the calls to a gateway that fail or have unexpected results.

use async_trait::async_trait;
use domain::{
    payments::{
        advance,
        gateway::{
            GatewayError, GatewayEvent, GatewayIdentity, GatewayMode, Intent, IntentState, NewIntent,
            PaymentGateway, WebhookError,
        },
        gateway_of, of_checkouts,
        state::PaymentState,
        step::StepError,
    },
    platform::{Money, ids::PaymentId},
    reservations::{PayRequest, pay, queries::lines_of, state::ReservationState},
};
use testkit::{Kit, on_both, requests};

use crate::reservations::market::{buyer, check_books, market, system};

/// A gateway that refuses every method, and whose one intent is in the state that the test sets.
struct Refusing {
    identity: GatewayIdentity,
    payment: PaymentId,
    amount: Money,
    state: IntentState,
}

impl Refusing {
    fn intent(&self, state: IntentState) -> Intent {
        let captured =
            if state == IntentState::Succeeded { self.amount } else { Money::zero(self.amount.currency) };
        let (action_url, decline_code) = (None, None);
        let id = format!("intent_{}", self.payment);
        Intent {
            id,
            payment: self.payment,
            state,
            amount: self.amount,
            captured,
            action_url,
            decline_code,
            fingerprint: None,
        }
    }
}

#[async_trait]
impl PaymentGateway for Refusing {
    fn identity(&self) -> &GatewayIdentity {
        &self.identity
    }

    fn signature_header(&self) -> &'static str {
        "Signature"
    }

    async fn create(&self, _new: &NewIntent, _key: &str) -> Result<Intent, GatewayError> {
        Ok(self.intent(IntentState::RequiresMethod))
    }

    async fn confirm(
        &self,
        _intent: &str,
        _method: &str,
        _url: Option<&str>,
        _key: &str,
    ) -> Result<Intent, GatewayError> {
        Err(GatewayError::Refused("not now".into()))
    }

    async fn retrieve(&self, _intent: &str) -> Result<Intent, GatewayError> {
        Ok(self.intent(self.state))
    }

    async fn cancel(&self, _intent: &str, _key: &str) -> Result<Intent, GatewayError> {
        panic!("no test cancels")
    }

    async fn refund(&self, _intent: &str, _amount: Money, _key: &str) -> Result<String, GatewayError> {
        panic!("no test refunds")
    }

    fn verify_webhook(&self, _signature: Option<&str>, _body: &[u8]) -> Result<GatewayEvent, WebhookError> {
        Err(WebhookError::BadSignature)
    }
}

on_both! {
    /// A bug found by the simulation: the buyer confirms the first choice at the bank after making another
    /// choice here.
    async fn an_earlier_choice_that_the_buyer_confirmed_meanwhile_counts(kit: Kit) {
        let market = market(&kit).await;
        for (name, state, payment_state, line_state) in [
            ("ada", IntentState::Succeeded, PaymentState::Succeeded, ReservationState::Confirmed),
            ("bob", IntentState::Processing, PaymentState::Processing, ReservationState::Held),
        ] {
            let buyer = buyer(&kit, name).await;
            let checkout = market.held(&kit.db, &buyer, &[(&market.cup, 1)], name).await;
            let (payment, _) = pay(&kit.db, &buyer, &requests::pay(checkout, name)).await.unwrap();
            let amount = of_checkouts(&kit.db, &[checkout]).await.unwrap()[&checkout].amount();
            advance(
                &kit.db,
                &system(),
                &domain::registry::payables(),
                &Refusing { identity: requests::gateway(), payment, amount, state },
                payment,
            )
            .await
            .unwrap();
            let after = of_checkouts(&kit.db, &[checkout]).await.unwrap().remove(&checkout).unwrap();
            assert_eq!((after.state, after.queued_at), (payment_state, None));
            assert_eq!(lines_of(&kit.db, &[checkout]).await.unwrap()[&checkout][0].state, line_state);
        }
        check_books(&kit.db).await;
    }

    async fn a_method_refused_for_another_reason_is_an_error_and_the_buyer_can_choose_again(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1)], "one").await;
        let (payment, _) = pay(&kit.db, &ada, &requests::pay(checkout, "first")).await.unwrap();
        let amount = of_checkouts(&kit.db, &[checkout]).await.unwrap()[&checkout].amount();
        let refusing =
            Refusing { identity: requests::gateway(), payment, amount, state: IntentState::RequiresMethod };
        let refused =
            advance(&kit.db, &system(), &domain::registry::payables(), &refusing, payment).await.unwrap_err();
        assert!(
            matches!(&refused, StepError::Gateway(GatewayError::Refused(why)) if why == "not now"),
            "{refused:?}"
        );
        let after = of_checkouts(&kit.db, &[checkout]).await.unwrap().remove(&checkout).unwrap();
        assert_eq!((after.state, after.queued_at), (PaymentState::RequiresMethod, None));
        assert!(!pay(&kit.db, &ada, &requests::pay(checkout, "second")).await.unwrap().1);
    }

    async fn a_payment_stays_with_the_gateway_that_made_its_intent(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1)], "one").await;
        let kept = async || of_checkouts(&kit.db, &[checkout]).await.unwrap().remove(&checkout).unwrap();
        let (payment, _) = pay(&kit.db, &ada, &requests::pay(checkout, "first")).await.unwrap();
        let gateway = Refusing {
            identity: requests::gateway(),
            payment,
            amount: kept().await.amount(),
            state: IntentState::RequiresMethod,
        };
        advance(&kit.db, &system(), &domain::registry::payables(), &gateway, payment).await.unwrap_err();
        let another = GatewayIdentity::new("gold", "acct_1", GatewayMode::Live).unwrap();
        pay(&kit.db, &ada, &PayRequest { gateway: another.clone(), ..requests::pay(checkout, "second") })
            .await
            .unwrap();
        assert_eq!((kept().await.gateway.as_str(), kept().await.intent.is_some()), ("sandbox", true));
        // A payment without an intent moves to the gateway that takes new payments.
        let checkout = market.held(&kit.db, &ada, &[(&market.bowl, 1)], "two").await;
        let (payment, _) =
            pay(&kit.db, &ada, &PayRequest { gateway: another, ..requests::pay(checkout, "third") })
                .await
                .unwrap();
        assert_eq!(gateway_of(&kit.db, payment).await.unwrap().as_deref(), Some("gold/acct_1/live"));
    }
}
