//! The state machine of a reservation.

use sea_orm::{DeriveActiveEnum, entity::prelude::*};

/// The stored state of a reservation. It does not tell whether a hold has expired: that depends on the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum ReservationState {
    /// The units are held until `expires_at`; the deposit is not paid.
    #[sea_orm(string_value = "HELD")]
    Held,
    /// The deposit is paid.
    #[sea_orm(string_value = "CONFIRMED")]
    Confirmed,
    /// The hold expired.
    #[sea_orm(string_value = "EXPIRED")]
    Expired,
    /// Cancelled before anything was paid.
    #[sea_orm(string_value = "CANCELLED")]
    Cancelled,
    /// Cancelled after the deposit was paid, or paid too late. The deposit is refunded.
    #[sea_orm(string_value = "REFUNDED")]
    Refunded,
}

/// An event in the life of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationEvent {
    /// The deposit was paid, and the units belong to the buyer.
    Pay,
    /// The hold expired.
    Lapse,
    /// The buyer or the creator cancels it before the deposit is paid.
    Cancel,
    /// A paid deposit is refunded: the reservation was cancelled, or paid too late for units that are gone.
    Refund,
}

/// The error for an event that is not allowed in the current state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event {event:?} is not allowed for a reservation in the state {state:?}")]
pub struct BadReservationTransition {
    /// The current state.
    pub state: ReservationState,
    /// The event that was to be applied.
    pub event: ReservationEvent,
}

/// Returns the state that follows an event. Every change of a reservation's state goes through this function.
pub fn transition(
    state: ReservationState,
    event: ReservationEvent,
) -> Result<ReservationState, BadReservationTransition> {
    use ReservationEvent as E;
    use ReservationState as S;
    match (state, event) {
        // A late payment confirms an expired reservation if its units are still free.
        (S::Held | S::Expired, E::Pay) => Ok(S::Confirmed),
        (S::Held, E::Lapse) => Ok(S::Expired),
        (S::Held, E::Cancel) => Ok(S::Cancelled),
        (S::Confirmed | S::Expired | S::Cancelled, E::Refund) => Ok(S::Refunded),
        (S::Held, E::Refund)
        | (S::Confirmed, E::Pay | E::Lapse | E::Cancel)
        | (S::Expired, E::Lapse | E::Cancel)
        | (S::Cancelled, E::Pay | E::Lapse | E::Cancel)
        | (S::Refunded, E::Pay | E::Lapse | E::Cancel | E::Refund) => {
            Err(BadReservationTransition { state, event })
        }
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
