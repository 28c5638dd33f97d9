//! The state machine of a payment. A payment is `PREPARING` until the gateway has an intent for it; after
//! that, its state mirrors the intent's.

use sea_orm::{DeriveActiveEnum, entity::prelude::*};

use super::gateway::IntentState;

/// The state of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum PaymentState {
    /// No method was chosen yet, or the gateway was not called yet.
    #[sea_orm(string_value = "PREPARING")]
    Preparing,
    /// The method was declined; the buyer may choose another.
    #[sea_orm(string_value = "REQUIRES_METHOD")]
    RequiresMethod,
    /// The buyer must complete an action at the payment's action URL.
    #[sea_orm(string_value = "REQUIRES_ACTION")]
    RequiresAction,
    /// The gateway accepted the payment; the outcome comes later.
    #[sea_orm(string_value = "PROCESSING")]
    Processing,
    /// The money was captured.
    #[sea_orm(string_value = "SUCCEEDED")]
    Succeeded,
    /// The payment is no longer wanted.
    #[sea_orm(string_value = "CANCELLED")]
    Cancelled,
}

/// An event in the life of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentEvent {
    /// The buyer chose a method; the gateway must be called.
    Choose,
    /// The gateway reported the state of its intent.
    Mirror(IntentState),
    /// The gateway does not know the payment, and it is no longer wanted.
    Abandon,
}

/// The error for an event that is not allowed in the current state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event {event:?} is not allowed for a payment in the state {state:?}")]
pub struct BadPaymentTransition {
    /// The current state.
    pub state: PaymentState,
    /// The event that was to be applied.
    pub event: PaymentEvent,
}

/// Returns the state that follows an event. Every change of a payment's state goes through this function.
///
/// Gateways report late and out of order. A paid payment stays paid, and a report about an abandoned intent
/// changes the state only if the money was captured.
pub fn transition(state: PaymentState, event: PaymentEvent) -> Result<PaymentState, BadPaymentTransition> {
    use PaymentEvent as E;
    use PaymentState as S;
    match (state, event) {
        (S::Preparing | S::RequiresMethod | S::RequiresAction, E::Choose) => Ok(S::Preparing),
        (S::Processing | S::Succeeded | S::Cancelled, E::Choose) => {
            Err(BadPaymentTransition { state, event })
        }
        (S::Preparing | S::RequiresMethod | S::RequiresAction, E::Abandon) => Ok(S::Cancelled),
        (S::Processing | S::Succeeded | S::Cancelled, E::Abandon) => {
            Err(BadPaymentTransition { state, event })
        }
        (_, E::Mirror(IntentState::Succeeded)) => Ok(S::Succeeded),
        (S::Succeeded | S::Cancelled, E::Mirror(_)) => Err(BadPaymentTransition { state, event }),
        (S::Preparing | S::RequiresMethod | S::RequiresAction | S::Processing, E::Mirror(intent)) => {
            Ok(match intent {
                IntentState::RequiresMethod => S::RequiresMethod,
                IntentState::RequiresAction => S::RequiresAction,
                IntentState::Processing => S::Processing,
                IntentState::Succeeded => S::Succeeded,
                IntentState::Cancelled => S::Cancelled,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_state_and_event_is_decided() {
        use PaymentState::{Cancelled, Preparing, Processing, RequiresAction, RequiresMethod, Succeeded};
        let mirror = PaymentEvent::Mirror;
        let events = [
            PaymentEvent::Choose,
            PaymentEvent::Abandon,
            mirror(IntentState::RequiresMethod),
            mirror(IntentState::RequiresAction),
            mirror(IntentState::Processing),
            mirror(IntentState::Succeeded),
            mirror(IntentState::Cancelled),
        ];
        let open = |next, gone| {
            [
                next,
                gone,
                Some(RequiresMethod),
                Some(RequiresAction),
                Some(Processing),
                Some(Succeeded),
                Some(Cancelled),
            ]
        };
        let over = [None, None, None, None, None, Some(Succeeded), None];
        for (state, expected) in [
            (Preparing, open(Some(Preparing), Some(Cancelled))),
            (RequiresMethod, open(Some(Preparing), Some(Cancelled))),
            (RequiresAction, open(Some(Preparing), Some(Cancelled))),
            (Processing, open(None, None)),
            (Succeeded, over),
            (Cancelled, over),
        ] {
            assert_eq!(events.map(|event| transition(state, event).ok()), expected, "{state:?}");
        }
    }
}
