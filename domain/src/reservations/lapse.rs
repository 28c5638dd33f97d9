//! Lapse: a hold that ran out ends, and the payment behind it with it.

use std::collections::BTreeSet;

use super::{
    checkout_row,
    decide::{Decision, Request, decide},
    load::{self, About},
    reservation_row,
    reserve::stock_changed,
    state::{ReservationEvent, ReservationState, transition},
    tasks::HoldLapse,
};
use crate::{
    drops::gate,
    payments,
    platform::{
        Db, OpError,
        access::SystemScope,
        audit,
        facts::Fact,
        faults::{self, Point},
        ids::{CheckoutId, DropId, ReservationId},
        in_tx, outbox, timers,
    },
};

/// A lapse is never refused: whatever is not due is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LapseRefusal {}

/// Ends the holds of a checkout whose time is over. Answers whether there was anything to end.
/// A hold that was extended meanwhile gets its timer again.
pub async fn lapse(db: &Db, scope: &SystemScope, checkout: CheckoutId) -> Result<bool, OpError<LapseRefusal>> {
    // The drops of a checkout never change, so they may be read before their gates are taken.
    let lines = reservation_row::of_checkouts(db.reader(), &[checkout]).await?;
    let drops: Vec<DropId> = lines.iter().map(|line| line.drop_id).collect::<BTreeSet<_>>().into_iter().collect();
    let ended = in_tx(db, scope.actor(), async |tx| {
        gate::take(tx, &drops).await?;
        faults::point(Point::LapseGated).await?;
        let now = tx.decision_now().await?;
        let lines = reservation_row::of_checkouts(tx.conn(), &[checkout]).await?;
        let held: Vec<_> = lines.iter().filter(|line| line.state == ReservationState::Held).collect();
        let Some(expires_at) = held.iter().map(|line| line.expires_at).min() else { return Ok(false) };
        if expires_at > now {
            timers::set::<HoldLapse>(tx, checkout, expires_at).await?;
            return Ok(false);
        }
        let stock = load::stock(tx.conn(), &drops, About::default(), now).await?;
        let decided = decide(&stock, &[Request::Release { checkout }], now);
        if decided != [Decision::Done] {
            return Err(OpError::inconsistent("a lapse decided otherwise"));
        }
        let state = transition(ReservationState::Held, ReservationEvent::Lapse).map_err(OpError::inconsistent)?;
        let ids: Vec<ReservationId> = held.iter().map(|line| line.id).collect();
        reservation_row::set_state(tx, &ids, state).await?;
        payments::abandon(tx, checkout).await?;
        let version = checkout_row::touch(tx, checkout, None, false).await?;
        outbox::publish(tx, version, &Fact::Lapsed { checkout }).await?;
        stock_changed(tx, &drops).await?;
        audit::record(tx, "checkout.lapse", checkout, &["state"]).await?;
        faults::point(Point::LapseWritten).await?;
        Ok(true)
    })
    .await?;
    faults::point(Point::LapseCommitted).await?;
    Ok(ended)
}
