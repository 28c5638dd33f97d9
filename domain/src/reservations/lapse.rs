//! Lapse: ends an expired hold and abandons its payment.

use std::collections::BTreeSet;

use super::{
    release::{Release, release},
    reservation_row::{self, Model as Line},
    state::ReservationState,
    tasks::HoldLapse,
};
use crate::{
    drops::gate,
    platform::{
        Db, OpError,
        access::SystemScope,
        audit,
        faults::{self, Point},
        ids::{CheckoutId, DropId},
        in_tx, timers,
    },
};

/// The refusals of a lapse: there are none. A hold that is not due is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LapseRefusal {}

/// Ends the holds of a checkout that have expired. Returns whether there were any. If the hold was extended
/// in the meantime, sets its timer again.
pub async fn lapse(
    db: &Db,
    scope: &SystemScope,
    checkout: CheckoutId,
) -> Result<bool, OpError<LapseRefusal>> {
    // The drops of a checkout never change, so they may be read before their gates are taken.
    let lines = reservation_row::of_checkouts(db.reader(), &[checkout]).await?;
    let drops: BTreeSet<DropId> = lines.iter().map(|line| line.drop_id).collect();
    let ended = in_tx(db, scope.actor(), async |tx| {
        let gates = gate::take(tx, &drops).await?;
        faults::point(Point::LapseGated).await?;
        let now = tx.decision_now().await?;
        let lines = reservation_row::of_checkouts(tx.conn(), &[checkout]).await?;
        let held: Vec<&Line> = lines.iter().filter(|line| line.state == ReservationState::Held).collect();
        let Some(expires_at) = held.iter().map(|line| line.expires_at).min() else { return Ok(false) };
        if expires_at > now {
            timers::set::<HoldLapse>(tx, checkout, expires_at).await?;
            return Ok(false);
        }
        release(tx, &gates, &held, Release::Lapsed).await?;
        audit::record(tx, "checkout.lapse", checkout, &["state"]).await?;
        faults::point(Point::LapseWritten).await?;
        Ok::<_, OpError<LapseRefusal>>(true)
    })
    .await?;
    faults::point(Point::LapseCommitted).await?;
    Ok(ended)
}
