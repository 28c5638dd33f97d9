//! The state machine of a drop, and its phase, which the clock derives from it.

use chrono::{DateTime, Utc};
use sea_orm::{DeriveActiveEnum, entity::prelude::*};

/// What is stored of a drop's life. Scheduled, open and closed are not states: the clock says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum DropState {
    /// Being prepared; only its creator sees it.
    #[sea_orm(string_value = "DRAFT")]
    Draft,
    /// Announced: scheduled, open or closed by the clock.
    #[sea_orm(string_value = "PUBLISHED")]
    Published,
    /// Called off.
    #[sea_orm(string_value = "CANCELLED")]
    Cancelled,
}

/// What can happen to a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropEvent {
    /// The creator announces it.
    Publish,
    /// The creator takes it back while nothing is held.
    Withdraw,
    /// The creator calls it off.
    Cancel,
}

/// A state that an event does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} does not fit a drop that is {state:?}")]
pub struct BadTransition {
    /// The state as it is.
    pub state: DropState,
    /// What was to happen.
    pub event: DropEvent,
}

/// The one function that changes the state of a drop.
pub fn transition(state: DropState, event: DropEvent) -> Result<DropState, BadTransition> {
    match (state, event) {
        (DropState::Draft, DropEvent::Publish) => Ok(DropState::Published),
        (DropState::Published, DropEvent::Withdraw) => Ok(DropState::Draft),
        (DropState::Draft | DropState::Published, DropEvent::Cancel) => Ok(DropState::Cancelled),
        (DropState::Draft, DropEvent::Withdraw)
        | (DropState::Published, DropEvent::Publish)
        | (DropState::Cancelled, DropEvent::Publish | DropEvent::Withdraw | DropEvent::Cancel) => {
            Err(BadTransition { state, event })
        }
    }
}

/// Where a drop stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropPhase {
    /// Not announced.
    Draft,
    /// Announced; the window opens later.
    Scheduled,
    /// The window is open: `[opens_at, closes_at)`.
    Open,
    /// The window is over.
    Closed,
    /// Called off.
    Cancelled,
}

/// Derives the phase at `now` from the state and the window.
pub fn phase(
    state: DropState,
    opens_at: DateTime<Utc>,
    closes_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> DropPhase {
    match state {
        DropState::Draft => DropPhase::Draft,
        DropState::Cancelled => DropPhase::Cancelled,
        DropState::Published if now < opens_at => DropPhase::Scheduled,
        DropState::Published if now < closes_at => DropPhase::Open,
        DropState::Published => DropPhase::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn every_pair_of_state_and_event_is_decided() {
        use DropEvent::{Cancel, Publish, Withdraw};
        use DropState::{Cancelled, Draft, Published};
        for (state, event, expected) in [
            (Draft, Publish, Some(Published)),
            (Draft, Withdraw, None),
            (Draft, Cancel, Some(Cancelled)),
            (Published, Publish, None),
            (Published, Withdraw, Some(Draft)),
            (Published, Cancel, Some(Cancelled)),
            (Cancelled, Publish, None),
            (Cancelled, Withdraw, None),
            (Cancelled, Cancel, None),
        ] {
            assert_eq!(transition(state, event).ok(), expected, "{state:?} {event:?}");
        }
    }

    #[test]
    fn the_window_is_half_open() {
        let opens = DateTime::<Utc>::UNIX_EPOCH;
        let closes = opens + TimeDelta::hours(24);
        let tick = TimeDelta::microseconds(1);
        for (now, expected) in [
            (opens - tick, DropPhase::Scheduled),
            (opens, DropPhase::Open),
            (closes - tick, DropPhase::Open),
            (closes, DropPhase::Closed),
        ] {
            assert_eq!(phase(DropState::Published, opens, closes, now), expected);
        }
    }
}
