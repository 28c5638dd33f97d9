//! Cancel drop: ends the drop's holds and refunds its paid deposits.

use std::collections::BTreeSet;

use sea_orm::DbErr;

use super::{
    release::{Release, release},
    reservation_row::{self, Model as Line},
    state::ReservationState,
};
use crate::{
    drops::{
        Drop, drop_row,
        enter_state::enter_state,
        gate::{self, Gates},
        state::{DropEvent, transition},
    },
    payments::RefundReason,
    platform::{
        Db, OpError, Tx,
        access::CreatorScope,
        ids::{CheckoutId, DropId},
        in_tx,
    },
};

/// Why a drop is not cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CancelDropRefusal {
    /// The creator has no such drop.
    #[error("not found")]
    NotFound,
    /// The drop was cancelled before.
    #[error("the drop is already cancelled")]
    AlreadyCancelled,
}

/// Cancels a drop: ends its holds, and refunds every deposit that was paid for it.
pub async fn cancel_drop(
    db: &Db,
    scope: &CreatorScope,
    id: DropId,
) -> Result<Drop, OpError<CancelDropRefusal>> {
    let mut drops = BTreeSet::from([id]);
    loop {
        match in_tx(db, scope, async |tx| cancel_under(tx, scope, id, &drops).await).await? {
            CancelAttempt::Done(drop) => return Ok(*drop),
            // All gates must be taken together, in ascending order, so the attempt starts again. Between two
            // attempts, only a new checkout over this drop and another one can add a gate.
            CancelAttempt::Needs(more) => drops.extend(more),
        }
    }
}

/// The result of an attempt to cancel a drop.
enum CancelAttempt {
    Done(Box<Drop>),
    /// Nothing was done, because the gates of these drops are needed as well.
    Needs(BTreeSet<DropId>),
}

async fn cancel_under(
    tx: &Tx,
    scope: &CreatorScope,
    id: DropId,
    drops: &BTreeSet<DropId>,
) -> Result<CancelAttempt, OpError<CancelDropRefusal>> {
    let unknown = || OpError::refuse_field(CancelDropRefusal::NotFound, "id");
    if !drop_row::owns(tx.conn(), scope, id).await? {
        return Err(unknown());
    }
    // The consequences for checkouts are a rule of the marketplace and affect lines of other creators.
    let (gates, lines) = tx
        .beyond_wall(async || {
            let gates = gate::take(tx, drops).await?;
            Ok::<_, DbErr>((gates, lines_to_release(tx, id).await?))
        })
        .await?;
    let needed: BTreeSet<DropId> = lines.iter().map(|line| line.drop_id).collect();
    if !needed.is_subset(drops) {
        return Ok(CancelAttempt::Needs(needed));
    }
    let drop = drop_row::lock(tx, scope, id).await?.ok_or_else(unknown)?;
    let state = transition(drop.state, DropEvent::Cancel)
        .map_err(|_| OpError::refuse(CancelDropRefusal::AlreadyCancelled))?;
    tx.beyond_wall(async || release_all(tx, &gates, &lines).await).await?;
    Ok(CancelAttempt::Done(Box::new(enter_state(tx, drop, state, tx.now()).await?)))
}

/// Returns the lines that end when a drop is cancelled: the paid lines of the drop, and all held lines of
/// each unpaid checkout with a line in the drop, because one payment covers such a checkout. No line can be
/// added while the drop's gate is held.
async fn lines_to_release(tx: &Tx, id: DropId) -> Result<Vec<Line>, DbErr> {
    let claimed = reservation_row::alive_in_drop(tx.conn(), id).await?;
    let (mut lines, held): (Vec<Line>, Vec<Line>) =
        claimed.into_iter().partition(|line| line.state == ReservationState::Confirmed);
    let unpaid: BTreeSet<CheckoutId> = held.iter().map(|line| line.checkout_id).collect();
    let of_unpaid = reservation_row::of_checkouts(tx.conn(), &unpaid.into_iter().collect::<Vec<_>>()).await?;
    lines.extend(of_unpaid.into_iter().filter(|line| line.state == ReservationState::Held));
    Ok(lines)
}

async fn release_all(tx: &Tx, gates: &Gates, lines: &[Line]) -> Result<(), OpError<CancelDropRefusal>> {
    let lines: Vec<&Line> = lines.iter().collect();
    release(tx, gates, &lines, Release::GivenUp(RefundReason::DropCancelled)).await
}
