//! The consequences of paying a checkout's deposit: its lines are confirmed, or the money is refunded.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;

use super::{
    checkout_row,
    confirm::{Confirmed, confirm},
    extend::extend,
    release::{Release, release},
    reservation_row::{self, Model as Line},
    state::ReservationState,
    tasks::HoldLapse,
};
use crate::{
    drops::gate::{self, Gates},
    payments::{
        ApplyRefusal, Payment, RefundReason,
        payable::{LockedPayable, Payable, Settlement, Share},
    },
    platform::{
        OpError, Tx, audit,
        ids::{CheckoutId, CreatorId, DropId, ReservationId},
        timers,
    },
};

/// The seconds by which a payment in process extends its hold. It does so once.
const PROCESSING_SECS: i64 = 600;

/// The [`Payable`] for the deposits of checkouts.
#[derive(Debug, Clone, Copy)]
pub struct Deposits;

#[async_trait]
impl Payable for Deposits {
    async fn lock(&self, tx: &Tx, payment: &Payment) -> Result<Box<dyn LockedPayable>, DbErr> {
        // The drops of a checkout never change, so they may be read before their gates are taken.
        let lines = reservation_row::of_checkouts(tx.conn(), &[payment.checkout_id]).await?;
        let drops: BTreeSet<DropId> = lines.iter().map(|line| line.drop_id).collect();
        Ok(Box::new(LockedDeposit { gates: gate::take(tx, &drops).await?, checkout: payment.checkout_id }))
    }

    async fn creators_of(
        &self,
        tx: &Tx,
        reservations: &[ReservationId],
    ) -> Result<Vec<(ReservationId, CreatorId)>, DbErr> {
        let lines = reservation_row::by_ids(tx.conn(), reservations).await?;
        Ok(lines.into_iter().map(|line| (line.id, line.creator_id)).collect())
    }
}

/// A checkout whose gates are held.
struct LockedDeposit {
    gates: Gates,
    checkout: CheckoutId,
}

impl LockedDeposit {
    async fn lines(&self, tx: &Tx) -> Result<Vec<Line>, DbErr> {
        reservation_row::of_checkouts(tx.conn(), &[self.checkout]).await
    }

    /// Resumes the hold with the time that was left when the choice was queued, plus `extra_secs`.
    async fn resume(
        &self,
        tx: &Tx,
        hold_left_secs: Option<i64>,
        extra_secs: i64,
        now: DateTime<Utc>,
    ) -> Result<(), OpError<ApplyRefusal>> {
        let held = self.lines(tx).await?.into_iter().filter(|line| line.state == ReservationState::Held);
        let Some(ends) = held.map(|line| line.expires_at).min() else { return Ok(()) };
        if ends <= now || (hold_left_secs.is_none() && extra_secs == 0) {
            return Ok(());
        }
        let seconds = |count: i64| TimeDelta::try_seconds(count).unwrap_or_default();
        let resumed = hold_left_secs.and_then(|left| now.checked_add_signed(seconds(left))).unwrap_or(ends);
        let expires_at = resumed.checked_add_signed(seconds(extra_secs)).unwrap_or(resumed);
        Ok(extend(tx, self.checkout, expires_at, extra_secs > 0).await?)
    }
}

#[async_trait]
impl LockedPayable for LockedDeposit {
    async fn paid(
        &self,
        tx: &Tx,
        payment: &Payment,
        now: DateTime<Utc>,
    ) -> Result<Settlement, OpError<ApplyRefusal>> {
        let lines = self.lines(tx).await?;
        timers::drop::<HoldLapse>(tx, self.checkout).await?;
        let (refund, action) =
            match confirm(tx, &self.gates, self.checkout, &lines, payment.fingerprint.clone(), now).await? {
                Confirmed::All => (None, "checkout.confirm"),
                Confirmed::TooLate => (Some(RefundReason::PaidTooLate), "checkout.refund_late"),
                Confirmed::LimitExceeded => (Some(RefundReason::LimitExceeded), "checkout.refund_late"),
            };
        if refund.is_some() {
            release(tx, &self.gates, &lines.iter().collect::<Vec<_>>(), Release::PaidInVain).await?;
        }
        audit::record(tx, action, self.checkout, &["state"]).await?;
        let share = |line: &Line| Share {
            reservation: line.id,
            creator: line.creator_id,
            amount_minor: line.due_now_minor,
        };
        Ok(Settlement { shares: lines.iter().map(share).collect(), refund })
    }

    async fn processing(
        &self,
        tx: &Tx,
        hold_left_secs: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<(), OpError<ApplyRefusal>> {
        let checkout = checkout_row::by_id(tx.conn(), self.checkout).await?;
        let checkout =
            checkout.ok_or_else(|| OpError::inconsistent("the checkout of a payment is missing"))?;
        let extra_secs = if checkout.extended { 0 } else { PROCESSING_SECS };
        self.resume(tx, hold_left_secs, extra_secs, now).await
    }

    async fn ended(
        &self,
        tx: &Tx,
        hold_left_secs: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<(), OpError<ApplyRefusal>> {
        self.resume(tx, hold_left_secs, 0, now).await
    }
}
