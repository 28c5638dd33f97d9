//! The state machine of a reservation.

use sea_orm::{DeriveActiveEnum, entity::prelude::*};

/// What is stored of a reservation's life. Whether a hold has run out is for the clock to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum ReservationState {
    /// Units are kept until `expires_at`; the deposit is not paid.
    #[sea_orm(string_value = "HELD")]
    Held,
    /// The deposit is paid.
    #[sea_orm(string_value = "CONFIRMED")]
    Confirmed,
    /// The hold ran out.
    #[sea_orm(string_value = "EXPIRED")]
    Expired,
    /// Given up before anything was paid.
    #[sea_orm(string_value = "CANCELLED")]
    Cancelled,
    /// Given up, or come too late, after the deposit was paid: it goes back.
    #[sea_orm(string_value = "REFUNDED")]
    Refunded,
}

/// What can happen to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationEvent {
    /// The deposit was paid, and the units are this buyer's.
    Pay,
    /// The hold ran out.
    Lapse,
    /// The buyer, or the creator, gives it up before the deposit is paid.
    Cancel,
    /// A paid deposit goes back: given up, or paid too late for units that are gone.
    Refund,
}

/// A state that an event does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} does not fit a reservation that is {state:?}")]
pub struct BadTransition {
    /// The state as it is.
    pub state: ReservationState,
    /// What was to happen.
    pub event: ReservationEvent,
}

/// The one function that changes the state of a reservation.
pub fn transition(
    state: ReservationState,
    event: ReservationEvent,
) -> Result<ReservationState, BadTransition> {
    use ReservationEvent as E;
    use ReservationState as S;
    match (state, event) {
        // An expired reservation is confirmed by a payment that came late, if its units are still free.
        (S::Held | S::Expired, E::Pay) => Ok(S::Confirmed),
        (S::Held, E::Lapse) => Ok(S::Expired),
        (S::Held, E::Cancel) => Ok(S::Cancelled),
        (S::Confirmed | S::Expired | S::Cancelled, E::Refund) => Ok(S::Refunded),
        (S::Held, E::Refund)
        | (S::Confirmed, E::Pay | E::Lapse | E::Cancel)
        | (S::Expired, E::Lapse | E::Cancel)
        | (S::Cancelled, E::Pay | E::Lapse | E::Cancel)
        | (S::Refunded, E::Pay | E::Lapse | E::Cancel | E::Refund) => Err(BadTransition { state, event }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_state_and_event_is_decided() {
        use ReservationState::{Cancelled, Confirmed, Expired, Held, Refunded};
        let events = [
            ReservationEvent::Pay,
            ReservationEvent::Lapse,
            ReservationEvent::Cancel,
            ReservationEvent::Refund,
        ];
        for (state, expected) in [
            (Held, [Some(Confirmed), Some(Expired), Some(Cancelled), None]),
            (Confirmed, [None, None, None, Some(Refunded)]),
            (Expired, [Some(Confirmed), None, None, Some(Refunded)]),
            (Cancelled, [None, None, None, Some(Refunded)]),
            (Refunded, [None, None, None, None]),
        ] {
            assert_eq!(events.map(|event| transition(state, event).ok()), expected, "{state:?}");
        }
    }
}
