//! Release: the one way in which claimed units become free again, whoever asks.
//!
//! A hold that runs out, a buyer who cancels, a drop that is called off and a payment that came too late all
//! end here. What follows from it follows for all of them: the payment is given up or given back, the timer
//! goes, the checkout's version counts up, and everybody who follows the checkout or the stock is told.

use std::{collections::BTreeSet, fmt};

use super::{
    checkout_row,
    reservation_row::{self, Model as Line},
    state::{BadTransition, ReservationEvent, ReservationState, transition},
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
    /// The holds ran out.
    Lapsed,
    /// Somebody gave them up. Holds end, and what was paid goes back for this reason.
    GivenUp(RefundReason),
    /// They were paid for, and cannot be confirmed any more. The payment itself gives the money back.
    PaidInVain,
}

impl Release {
    /// Where a line goes.
    fn next(self, state: ReservationState) -> Result<ReservationState, BadTransition> {
        match (self, state) {
            (Self::Lapsed, state) => transition(state, ReservationEvent::Lapse),
            (Self::GivenUp(_), ReservationState::Held) => transition(state, ReservationEvent::Cancel),
            // A hold that ran out a moment ago, and whose timer has not fired yet.
            (Self::PaidInVain, ReservationState::Held) => {
                transition(transition(state, ReservationEvent::Lapse)?, ReservationEvent::Refund)
            }
            (Self::GivenUp(_) | Self::PaidInVain, state) => transition(state, ReservationEvent::Refund),
        }
    }

    /// What is told of a checkout whose lines end.
    fn fact(self, checkout: CheckoutId) -> Option<Fact> {
        match self {
            Self::Lapsed => Some(Fact::Lapsed { checkout }),
            Self::GivenUp(_) => Some(Fact::ReservationCancelled { checkout }),
            // The payment tells.
            Self::PaidInVain => None,
        }
    }
}

/// Ends the claims of lines, under the gates of their drops: of one checkout or of many.
///
/// A held line takes its whole checkout along, because one payment covers it: the caller passes all held
/// lines of a checkout, or none.
pub(crate) async fn release<R: fmt::Debug>(
    tx: &Tx,
    gates: &Gates,
    lines: &[&Line],
    why: Release,
) -> Result<(), OpError<R>> {
    let states: Result<Vec<_>, BadTransition> =
        lines.iter().map(|line| Ok((line.id, why.next(line.state)?))).collect();
    reservation_row::set_states(tx, states.map_err(OpError::inconsistent)?).await?;
    let confirmed: Vec<&&Line> =
        lines.iter().filter(|line| line.state == ReservationState::Confirmed).collect();
    for line in &confirmed {
        item_row::take_confirmed(tx, line.drop_item_id, line.units).await?;
    }
    let held = lines.iter().filter(|line| line.state == ReservationState::Held).map(|line| line.checkout_id);
    for checkout in held.collect::<BTreeSet<CheckoutId>>() {
        // The timer of a hold that lapsed has fired.
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
