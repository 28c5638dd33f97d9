//! Cancel: cancels a buyer's reservation.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    checkout_row,
    release::{Release, release},
    reservation_row::{self, Model as Line},
    state::ReservationState,
};
use crate::{
    drops::{drop_row, gate},
    payments::{self, RefundReason},
    platform::{
        Db, EntityId, OpError,
        access::BuyerScope,
        audit,
        faults::{self, Point},
        idempotency::{self, Claim, IdempotencyKey},
        ids::{CheckoutId, DropId, ReservationId},
        in_tx,
    },
};

/// Why a reservation is not cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CancelRefusal {
    /// The buyer has no such reservation.
    #[error("not found")]
    NotFound,
    /// The reservation has already ended.
    #[error("this reservation has already ended")]
    Over,
    /// The reservation is paid and the window has closed: the run is being made.
    #[error("the window has closed and the run is being made; ask the creator")]
    WindowClosed,
    /// A payment is being processed; its outcome must be known first.
    #[error("a payment is being processed; try again when its outcome is known")]
    PaymentInProcess,
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
}

#[derive(Serialize)]
struct CancelKeyInput {
    reservation: ReservationId,
}

/// Cancels a reservation. If its checkout is unpaid, releases all of the checkout, because one payment covers
/// its lines. If the reservation is paid, refunds the deposit of this line, provided that the window is still
/// open.
///
/// Returns the checkout, and whether an earlier call with the same key cancelled the reservation.
pub async fn cancel(
    db: &Db,
    scope: &BuyerScope,
    reservation: ReservationId,
    key: &IdempotencyKey,
) -> Result<(CheckoutId, bool), OpError<CancelRefusal>> {
    let unknown = || OpError::refuse_field(CancelRefusal::NotFound, "reservationId");
    let checkout = checkout_row::of_line(db.reader(), scope, reservation).await?.ok_or_else(unknown)?;
    let lines = reservation_row::of_checkouts(db.reader(), &[checkout.id]).await?;
    let drops: BTreeSet<DropId> = lines.iter().map(|line| line.drop_id).collect();
    let cancelled = in_tx(db, scope.actor(), async |tx| {
        let input = CancelKeyInput { reservation };
        match idempotency::claim(tx, scope.actor(), "reservation.cancel", key, &input, reservation.uuid())
            .await?
        {
            Claim::Fresh => {}
            Claim::Replay(_) => return Ok((checkout.id, true)),
            Claim::Mismatch => return Err(OpError::refuse_field(CancelRefusal::KeyReused, "idempotencyKey")),
        }
        faults::point(Point::CancelKeyed).await?;
        let gates = gate::take(tx, &drops).await?;
        faults::point(Point::CancelGated).await?;
        let now = tx.decision_now().await?;
        let lines = reservation_row::of_checkouts(tx.conn(), &[checkout.id]).await?;
        let line = lines.iter().find(|line| line.id == reservation).ok_or_else(unknown)?;
        let given_up: Vec<&Line> = match line.state {
            ReservationState::Held => {
                if payments::in_process(tx, checkout.id).await? {
                    return Err(OpError::refuse(CancelRefusal::PaymentInProcess));
                }
                lines.iter().filter(|line| line.state == ReservationState::Held).collect()
            }
            ReservationState::Confirmed => {
                let drop = drop_row::by_ids(tx.conn(), &[line.drop_id]).await?.into_iter().next();
                if drop.is_none_or(|drop| now >= drop.closes_at) {
                    return Err(OpError::refuse(CancelRefusal::WindowClosed));
                }
                vec![line]
            }
            ReservationState::Expired | ReservationState::Cancelled | ReservationState::Refunded => {
                return Err(OpError::refuse(CancelRefusal::Over));
            }
        };
        release(tx, &gates, &given_up, Release::GivenUp(RefundReason::BuyerCancelled)).await?;
        audit::record(tx, "reservation.cancel", reservation, &["state"]).await?;
        faults::point(Point::CancelWritten).await?;
        Ok((checkout.id, false))
    })
    .await?;
    faults::point(Point::CancelCommitted).await?;
    Ok(cancelled)
}
