//! Release: the only way in which claimed units become free again.
//!
//! It handles holds that expire, cancellations by buyers, cancelled drops, and payments that came too late.
//! The consequences are the same for all of them: the payment is abandoned or refunded, the timer is removed,
//! the checkout's version is incremented, and facts about the checkout and the stock are published.

use std::{collections::BTreeSet, fmt};

use super::{
    checkout_row,
    reservation_row::{self, Model as Line},
    state::{BadReservationTransition, ReservationEvent, ReservationState, transition},
    tasks::HoldLapse,
};
use crate::{
    drops::{
        gate::{self, Gates},
        item_row,
    },
    payments::{self, RefundReason},
    platform::{
        OpError, Tx,
        facts::Fact,
        ids::{CheckoutId, ReservationId},
        outbox, timers,
    },
};

/// Why claims end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// The holds expired.
    Lapsed,
    /// The claims were cancelled. Holds end, and paid deposits are refunded for this reason.
    GivenUp(RefundReason),
    /// The claims were paid for, but can no longer be confirmed. The payment itself makes the refund.
    PaidInVain,
}

impl Release {
    /// Returns the next state of a line.
    fn next(self, state: ReservationState) -> Result<ReservationState, BadReservationTransition> {
        match (self, state) {
            (Self::Lapsed, state) => transition(state, ReservationEvent::Lapse),
            (Self::GivenUp(_), ReservationState::Held) => transition(state, ReservationEvent::Cancel),
            // The hold has just expired, and its timer has not fired yet.
            (Self::PaidInVain, ReservationState::Held) => {
                transition(transition(state, ReservationEvent::Lapse)?, ReservationEvent::Refund)
            }
            (Self::GivenUp(_) | Self::PaidInVain, state) => transition(state, ReservationEvent::Refund),
        }
    }

    /// Returns the fact to publish about a checkout whose lines end.
    fn fact(self, checkout: CheckoutId) -> Option<Fact> {
        match self {
            Self::Lapsed => Some(Fact::Lapsed { checkout }),
            Self::GivenUp(_) => Some(Fact::ReservationCancelled { checkout }),
            // The payment publishes its own fact.
            Self::PaidInVain => None,
        }
    }
}

/// Ends the claims of lines, which may belong to several checkouts. The gates of their drops must be held.
///
/// One payment covers all held lines of a checkout. The caller therefore passes either all held lines of a
/// checkout or none.
pub(crate) async fn release<R: fmt::Debug>(
    tx: &Tx,
    gates: &Gates,
    lines: &[&Line],
    why: Release,
) -> Result<(), OpError<R>> {
    let states: Result<Vec<_>, BadReservationTransition> =
        lines.iter().map(|line| Ok((line.id, why.next(line.state)?))).collect();
    reservation_row::set_states(tx, states.map_err(OpError::inconsistent)?).await?;
    let confirmed: Vec<&&Line> =
        lines.iter().filter(|line| line.state == ReservationState::Confirmed).collect();
    for line in &confirmed {
        item_row::take_confirmed(tx, line.drop_item_id, line.units).await?;
    }
    let held = lines.iter().filter(|line| line.state == ReservationState::Held).map(|line| line.checkout_id);
    for checkout in held.collect::<BTreeSet<CheckoutId>>() {
        // If the hold lapsed, its timer has already fired.
        if why != Release::Lapsed {
            timers::drop::<HoldLapse>(tx, checkout).await?;
        }
        if why != Release::PaidInVain {
            payments::abandon(tx, checkout).await?;
        }
    }
    if let Release::GivenUp(reason) = why {
        let paid: Vec<ReservationId> = confirmed.iter().map(|line| line.id).collect();
        payments::refund_lines(tx, &paid, reason).await?;
    }
    for checkout in lines.iter().map(|line| line.checkout_id).collect::<BTreeSet<CheckoutId>>() {
        let version = checkout_row::touch(tx, checkout, None, false).await?;
        if let Some(fact) = why.fact(checkout) {
            outbox::publish(tx, version, &fact).await?;
        }
    }
    Ok(gate::publish_stock(tx, gates).await?)
}
