//! The state machine of a drop, and its phase, which is computed from the state and the clock.

use chrono::{DateTime, Utc};
use sea_orm::{DeriveActiveEnum, entity::prelude::*};

/// The stored state of a drop. Whether a published drop is scheduled, open or closed is not stored: see
/// [`DropPhase`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum DropState {
    /// The drop is being prepared; only its creator sees it.
    #[sea_orm(string_value = "DRAFT")]
    Draft,
    /// The drop is published.
    #[sea_orm(string_value = "PUBLISHED")]
    Published,
    /// The drop was cancelled.
    #[sea_orm(string_value = "CANCELLED")]
    Cancelled,
}

/// The events in a drop's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropEvent {
    /// The creator publishes the drop.
    Publish,
    /// The creator withdraws the drop while no unit is held.
    Withdraw,
    /// The creator cancels the drop.
    Cancel,
}

/// The error of [`transition`] for an event that is not allowed in the current state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event {event:?} is not allowed while the drop is {state:?}")]
pub struct BadDropTransition {
    /// The current state.
    pub state: DropState,
    /// The event that was refused.
    pub event: DropEvent,
}

/// Returns the state of a drop after an event. Every change of state is decided here.
pub fn transition(state: DropState, event: DropEvent) -> Result<DropState, BadDropTransition> {
    match (state, event) {
        (DropState::Draft, DropEvent::Publish) => Ok(DropState::Published),
        (DropState::Published, DropEvent::Withdraw) => Ok(DropState::Draft),
        (DropState::Draft | DropState::Published, DropEvent::Cancel) => Ok(DropState::Cancelled),
        (DropState::Draft, DropEvent::Withdraw)
        | (DropState::Published, DropEvent::Publish)
        | (DropState::Cancelled, DropEvent::Publish | DropEvent::Withdraw | DropEvent::Cancel) => {
            Err(BadDropTransition { state, event })
        }
    }
}

/// The phase of a drop at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropPhase {
    /// The drop is not published.
    Draft,
    /// The drop is published, and the window has not opened yet.
    Scheduled,
    /// The window is open: `[opens_at, closes_at)`.
    Open,
    /// The window is over.
    Closed,
    /// The drop was cancelled.
    Cancelled,
}

/// Computes the phase at `now` from the state and the window.
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
