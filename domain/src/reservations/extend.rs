//! Extend: changes when a hold expires.

use chrono::{DateTime, Utc};
use sea_orm::DbErr;

use super::{checkout_row, reservation_row, tasks::HoldLapse};
use crate::platform::{Tx, ids::CheckoutId, timers};

/// Changes when a checkout's holds expire: in the lines, the checkout and the timer. The gates must be held.
/// If `once` is set, records that the one extension for a payment in process is used up.
pub(super) async fn extend(
    tx: &Tx,
    checkout: CheckoutId,
    expires_at: DateTime<Utc>,
    once: bool,
) -> Result<(), DbErr> {
    reservation_row::set_expiry(tx, checkout, expires_at).await?;
    checkout_row::touch(tx, checkout, Some(expires_at), once).await?;
    timers::set::<HoldLapse>(tx, checkout, expires_at).await
}
