//! Confirm: the only way in which claimed units become a buyer's own.

use std::{fmt, slice};

use chrono::{DateTime, Utc};

use super::{
    checkout_row,
    decide::{Decision, LineClaim, Request, StockRefusal, StoredPersonKey, decide},
    load::{self, About},
    reservation_row::{self, Model as Line},
    state::{ReservationEvent, transition},
};
use crate::{
    drops::{
        gate::{self, Gates},
        item_row,
    },
    payments,
    platform::{OpError, Tx, facts::Fact, ids::CheckoutId, outbox},
};

/// The result of an attempt to confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmed {
    /// All lines are confirmed.
    All,
    /// No line is confirmed: the holds expired and the units are gone, or the drop was cancelled.
    TooLate,
    /// No line is confirmed: one person would have more units than the limits allow.
    LimitExceeded,
}

/// Confirms all lines of a checkout, or none. The lines may be held or lapsed. They are confirmed if the
/// units are still held or free and no limit is exceeded. `means` is the hash of the means of payment.
pub(crate) async fn confirm<R: fmt::Debug>(
    tx: &Tx,
    gates: &Gates,
    checkout: CheckoutId,
    lines: &[Line],
    means: Option<StoredPersonKey>,
    now: DateTime<Utc>,
) -> Result<Confirmed, OpError<R>> {
    let Some(first) = lines.first() else { return Ok(Confirmed::TooLate) };
    let Ok(states) =
        lines.iter().map(|line| transition(line.state, ReservationEvent::Pay)).collect::<Result<Vec<_>, _>>()
    else {
        return Ok(Confirmed::TooLate);
    };
    let drops = gates.drops();
    let about = About { persons: slice::from_ref(&first.person_key), checkouts: slice::from_ref(&checkout) };
    let mut stock = load::stock(tx.conn(), &drops, about, now).await?;
    if let Some(means) = &means {
        let of_means =
            reservation_row::confirmed_in(tx.conn(), &drops, payments::checkouts_paid_by(means)).await?;
        of_means.into_iter().for_each(|(item, units)| stock.add_of_person(item, means, units));
    }
    let claims = lines.iter().map(|line| LineClaim { item: line.drop_item_id, units: line.units.get() });
    let request =
        Request::Confirm { checkout, person: first.person_key.clone(), means, lines: claims.collect() };
    match decide(&stock, &[request], now).as_slice() {
        [Decision::Confirmed] => {}
        [Decision::Refused(why, _)] if why.iter().any(|why| why.code == StockRefusal::LimitExceeded) => {
            return Ok(Confirmed::LimitExceeded);
        }
        _ => return Ok(Confirmed::TooLate),
    }
    reservation_row::set_states(tx, lines.iter().map(|line| line.id).zip(states)).await?;
    for line in lines {
        item_row::add_confirmed(tx, line.drop_item_id, line.units).await?;
    }
    let version = checkout_row::touch(tx, checkout, None, false).await?;
    outbox::publish(tx, version, &Fact::Confirmed { checkout }).await?;
    gate::publish_stock(tx, gates).await?;
    Ok(Confirmed::All)
}
