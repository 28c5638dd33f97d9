//! The port to what a payment is for. Payments know money and gateways. The capability that requested a
//! payment knows what follows from it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::DbErr;

use super::{
    apply::ApplyRefusal,
    payment_row::{Model as Payment, Purpose, RefundReason},
};
use crate::platform::{
    OpError, Tx,
    ids::{CreatorId, ReservationId},
};

/// The capability behind the payments of one purpose.
#[async_trait]
pub trait Payable: Send + Sync {
    /// Takes the locks that must come before the payment's row lock, such as the gates of its drops. The
    /// payment is not locked yet, so only its fields that never change may be read.
    async fn lock(&self, tx: &Tx, payment: &Payment) -> Result<Box<dyn LockedPayable>, DbErr>;

    /// Returns the creator of each reservation, for the ledger.
    async fn creators_of(
        &self,
        tx: &Tx,
        reservations: &[ReservationId],
    ) -> Result<Vec<(ReservationId, CreatorId)>, DbErr>;
}

/// The subject of a payment, with its locks held. Each method is called in the transaction that writes the
/// payment's new state.
#[async_trait]
pub trait LockedPayable: Send + Sync {
    /// Handles a captured payment. Returns how the money is split, and whether it is refunded at once.
    async fn paid(
        &self,
        tx: &Tx,
        payment: &Payment,
        now: DateTime<Utc>,
    ) -> Result<Settlement, OpError<ApplyRefusal>>;

    /// Handles a payment that the gateway has accepted and whose outcome comes later. If the choice has
    /// waited in our own queue until now, `hold_left_secs` is the time that was left of the hold when the
    /// buyer chose.
    async fn processing(
        &self,
        tx: &Tx,
        hold_left_secs: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<(), OpError<ApplyRefusal>>;

    /// Handles an attempt that ended without money, or that waits for the buyer. The next step is the
    /// buyer's.
    async fn ended(
        &self,
        tx: &Tx,
        hold_left_secs: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<(), OpError<ApplyRefusal>>;
}

/// How a captured payment is split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The shares. Their sum is the amount of the payment.
    pub shares: Vec<Share>,
    /// Why the whole payment is refunded, if it is.
    pub refund: Option<RefundReason>,
}

/// One reservation's share of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The reservation.
    pub reservation: ReservationId,
    /// The creator of the reservation.
    pub creator: CreatorId,
    /// The amount, in minor units of the payment's currency.
    pub amount_minor: i64,
}

/// The payables of a deployment, by purpose. Cheap to clone.
#[derive(Clone)]
pub struct Payables(Arc<[(Purpose, Box<dyn Payable>)]>);

impl Payables {
    /// Creates the registry from one payable for each purpose.
    pub fn new(payables: impl IntoIterator<Item = (Purpose, Box<dyn Payable>)>) -> Self {
        Self(payables.into_iter().collect())
    }

    /// Returns the payable of a payment.
    pub(super) fn of<R: fmt::Debug>(&self, payment: &Payment) -> Result<&dyn Payable, OpError<R>> {
        let found = self
            .0
            .iter()
            .find(|(purpose, _)| *purpose == payment.purpose)
            .map(|(_, payable)| payable.as_ref());
        found.ok_or_else(|| {
            OpError::inconsistent(format!("no payable is registered for the purpose {:?}", payment.purpose))
        })
    }
}

impl fmt::Debug for Payables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(purpose, _)| purpose)).finish()
    }
}
