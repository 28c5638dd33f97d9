//! The port to what a payment is for. Payments know money and gateways; what follows from a payment is known
//! by the capability that asked for it.

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

/// What the payments of one purpose are for.
#[async_trait]
pub trait Payable: Send + Sync {
    /// Takes the locks that come before that of the payment: the gates of its drops, say. The row of the
    /// payment is not locked yet, so only what never changes may be read from it.
    async fn lock(&self, tx: &Tx, payment: &Payment) -> Result<Box<dyn LockedPayable>, DbErr>;

    /// Whose reservations are: for the books.
    async fn creators_of(
        &self,
        tx: &Tx,
        reservations: &[ReservationId],
    ) -> Result<Vec<(ReservationId, CreatorId)>, DbErr>;
}

/// What a payment is for, under its locks. Each call is made in the transaction that writes the payment's new
/// state.
#[async_trait]
pub trait LockedPayable: Send + Sync {
    /// The money is here. Answers whose it is, and whether it goes back at once.
    async fn paid(
        &self,
        tx: &Tx,
        payment: &Payment,
        now: DateTime<Utc>,
    ) -> Result<Settlement, OpError<ApplyRefusal>>;

    /// The gateway has accepted the payment, and its outcome comes later. `hold_left_secs` is how long what
    /// is paid for was still held when the buyer chose, if the choice has waited in our own queue until now.
    async fn processing(
        &self,
        tx: &Tx,
        hold_left_secs: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<(), OpError<ApplyRefusal>>;

    /// The attempt has ended without money, or waits for the buyer: the next step is the buyer's.
    async fn ended(
        &self,
        tx: &Tx,
        hold_left_secs: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<(), OpError<ApplyRefusal>>;
}

/// How captured money is shared out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Which part is whose. Together they are the amount of the payment.
    pub shares: Vec<Share>,
    /// Why all of it goes back, if it does.
    pub refund: Option<RefundReason>,
}

/// A part of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// What it is paid for.
    pub reservation: ReservationId,
    /// Whose reservation that is.
    pub creator: CreatorId,
    /// How much, in minor units of the payment's currency.
    pub amount_minor: i64,
}

/// What payments may be for, by purpose. Cheap to clone.
#[derive(Clone)]
pub struct Payables(Arc<[(Purpose, Box<dyn Payable>)]>);

impl Payables {
    /// One for each purpose.
    pub fn new(payables: impl IntoIterator<Item = (Purpose, Box<dyn Payable>)>) -> Self {
        Self(payables.into_iter().collect())
    }

    /// What a payment is for.
    pub(super) fn of<R: fmt::Debug>(&self, payment: &Payment) -> Result<&dyn Payable, OpError<R>> {
        let found = self
            .0
            .iter()
            .find(|(purpose, _)| *purpose == payment.purpose)
            .map(|(_, payable)| payable.as_ref());
        found.ok_or_else(|| {
            OpError::inconsistent(format!("nothing follows from payments for {:?}", payment.purpose))
        })
    }
}

impl fmt::Debug for Payables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(purpose, _)| purpose)).finish()
    }
}
