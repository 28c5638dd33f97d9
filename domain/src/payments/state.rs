//! The state machine of a payment: `PREPARING` until the gateway's intent exists, then it mirrors it.

use sea_orm::{DeriveActiveEnum, entity::prelude::*};

use super::gateway::IntentState;

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum PaymentState {
    /// No method was chosen, or the gateway was not told yet.
    #[sea_orm(string_value = "PREPARING")]
    Preparing,
    /// The method was declined: the buyer may choose another.
    #[sea_orm(string_value = "REQUIRES_METHOD")]
    RequiresMethod,
    /// The buyer must do something at the action's address.
    #[sea_orm(string_value = "REQUIRES_ACTION")]
    RequiresAction,
    /// The outcome comes later.
    #[sea_orm(string_value = "PROCESSING")]
    Processing,
    /// The money is here.
    #[sea_orm(string_value = "SUCCEEDED")]
    Succeeded,
    /// It is no longer wanted.
    #[sea_orm(string_value = "CANCELLED")]
    Cancelled,
}

/// What can happen to a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentEvent {
    /// The buyer chose a method: the gateway is to be told.
    Choose,
    /// The gateway says where its intent stands.
    Mirror(IntentState),
    /// It is no longer wanted, and the gateway never heard of it.
    Abandon,
}

/// A state that an event does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} does not fit a payment that is {state:?}")]
pub struct BadTransition {
    /// The state as it is.
    pub state: PaymentState,
    /// What was to happen.
    pub event: PaymentEvent,
}

/// The one function that changes the state of a payment.
///
/// Gateways tell things late and out of order: what is paid stays paid, and what a gateway says of
/// an intent that we gave up is believed only when money came.
pub fn transition(state: PaymentState, event: PaymentEvent) -> Result<PaymentState, BadTransition> {
    use PaymentEvent as E;
    use PaymentState as S;
    match (state, event) {
        (S::Preparing | S::RequiresMethod | S::RequiresAction, E::Choose) => Ok(S::Preparing),
        (S::Processing | S::Succeeded | S::Cancelled, E::Choose) => Err(BadTransition { state, event }),
        (S::Preparing | S::RequiresMethod | S::RequiresAction, E::Abandon) => Ok(S::Cancelled),
        (S::Processing | S::Succeeded | S::Cancelled, E::Abandon) => Err(BadTransition { state, event }),
        (_, E::Mirror(IntentState::Succeeded)) => Ok(S::Succeeded),
        (S::Succeeded | S::Cancelled, E::Mirror(_)) => Err(BadTransition { state, event }),
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
