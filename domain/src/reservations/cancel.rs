//! Cancel: a buyer gives a reservation up.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    checkout_row,
    decide::{LineClaim, Request, decide},
    load::{self, About},
    reservation_row::{self, Model as Line},
    reserve::stock_changed,
    state::{ReservationEvent, ReservationState, transition},
};
use crate::{
    drops::{gate, item_row},
    payments::{self, RefundReason},
    platform::{
        Db, EntityId, OpError, Tx,
        access::BuyerScope,
        audit,
        facts::Fact,
        faults::{self, Point},
        idempotency::{self, Claim, IdempotencyKey},
        ids::{CheckoutId, DropId, ReservationId},
        in_tx, outbox,
        timers::{self, TimerKind},
    },
};

/// Why a reservation stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CancelRefusal {
    /// No such reservation of this buyer.
    #[error("not found")]
    NotFound,
    /// It is over already.
    #[error("this reservation is over")]
    Over,
    /// Paid, and the window has closed: the run is being made.
    #[error("the window has closed and the run is being made; ask the creator")]
    WindowClosed,
    /// A payment is being processed: its outcome must be known first.
    #[error("a payment is being processed; try again when its outcome is known")]
    PaymentInProcess,
    /// The key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
}

#[derive(Serialize)]
struct Input {
    reservation: ReservationId,
}

/// Gives up a reservation. An unpaid checkout is released whole, because one payment covers its
/// lines; of a paid one, this line's deposit goes back, as long as the window is open.
/// Answers the checkout and whether an earlier call with the same key did it.
pub async fn cancel(
    db: &Db,
    scope: &BuyerScope,
    reservation: ReservationId,
    key: &IdempotencyKey,
) -> Result<(CheckoutId, bool), OpError<CancelRefusal>> {
    let unknown = || OpError::refuse_field(CancelRefusal::NotFound, "reservationId");
    let checkout = checkout_row::of_line(db.reader(), scope, reservation).await?.ok_or_else(unknown)?;
    let lines = reservation_row::of_checkouts(db.reader(), &[checkout.id]).await?;
    let drops: Vec<DropId> = lines.iter().map(|line| line.drop_id).collect::<BTreeSet<_>>().into_iter().collect();
    let cancelled = in_tx(db, scope.actor(), async |tx| {
        let input = Input { reservation };
        match idempotency::claim(tx, scope.actor(), "reservation.cancel", key, &input, reservation.uuid()).await? {
            Claim::Fresh => {}
            Claim::Replay(_) => return Ok((checkout.id, true)),
            Claim::Mismatch => return Err(OpError::refuse_field(CancelRefusal::KeyReused, "idempotencyKey")),
        }
        faults::point(Point::CancelKeyed).await?;
        gate::take(tx, &drops).await?;
        faults::point(Point::CancelGated).await?;
        let now = tx.decision_now().await?;
        let lines = reservation_row::of_checkouts(tx.conn(), &[checkout.id]).await?;
        let line = lines.iter().find(|line| line.id == reservation).ok_or_else(unknown)?;
        match line.state {
            ReservationState::Held => {
                if payments::in_process(tx, checkout.id).await? {
                    return Err(OpError::refuse(CancelRefusal::PaymentInProcess));
                }
                release_unpaid(tx, checkout.id, &lines).await?;
                payments::abandon(tx, checkout.id).await?;
            }
            ReservationState::Confirmed => {
                let stock = load::stock(tx.conn(), &drops, About::default(), now).await?;
                if stock.drops.get(&line.drop_id).is_none_or(|window| now >= window.closes_at) {
                    return Err(OpError::refuse(CancelRefusal::WindowClosed));
                }
                decide(
                    &stock,
                    &[Request::GiveBack { lines: vec![LineClaim { item: line.drop_item_id, units: line.units.get() }] }],
                    now,
                );
                give_back_paid(tx, std::slice::from_ref(line), RefundReason::BuyerCancelled).await?;
            }
            ReservationState::Expired | ReservationState::Cancelled | ReservationState::Refunded => {
                return Err(OpError::refuse(CancelRefusal::Over));
            }
        }
        let version = checkout_row::touch(tx, checkout.id, None, false).await?;
        outbox::publish(tx, version, &Fact::ReservationCancelled { checkout: checkout.id }).await?;
        stock_changed(tx, &drops).await?;
        audit::record(tx, "reservation.cancel", reservation, &["state"]).await?;
        faults::point(Point::CancelWritten).await?;
        Ok((checkout.id, false))
    })
    .await?;
    faults::point(Point::CancelCommitted).await?;
    Ok(cancelled)
}

/// Releases the held lines of an unpaid checkout; under the gates.
pub(crate) async fn release_unpaid<R: std::fmt::Debug>(tx: &Tx, checkout: CheckoutId, lines: &[Line]) -> Result<(), OpError<R>> {
    let held: Vec<ReservationId> = lines.iter().filter(|line| line.state == ReservationState::Held).map(|line| line.id).collect();
    let state = transition(ReservationState::Held, ReservationEvent::Cancel).map_err(OpError::inconsistent)?;
    reservation_row::set_state(tx, &held, state).await?;
    timers::drop(tx, TimerKind::HoldLapse, checkout).await?;
    Ok(())
}

/// Gives confirmed lines back and their deposits with them; under the gates.
pub(crate) async fn give_back_paid<R: std::fmt::Debug>(tx: &Tx, lines: &[Line], reason: RefundReason) -> Result<(), OpError<R>> {
    let state = transition(ReservationState::Confirmed, ReservationEvent::Refund).map_err(OpError::inconsistent)?;
    let ids: Vec<ReservationId> = lines.iter().map(|line| line.id).collect();
    reservation_row::set_state(tx, &ids, state).await?;
    for line in lines {
        item_row::take_confirmed(tx, line.drop_item_id, line.units).await?;
    }
    payments::refund_lines(tx, &ids, reason).await?;
    Ok(())
}
