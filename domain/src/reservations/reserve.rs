//! Reserve: holds one or more lines until one deadline, all or none.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    Checkout, Reservation,
    address::Address,
    batch::{self, ReserveJob},
    decide::StockRefusal,
    lines::{LINES_MAX, RequestedLine},
    quote::{Quote, QuoteRefusal},
};
use crate::{
    drops::item_row,
    payments::Payment,
    platform::{
        Db, Money, OpError, Refused,
        access::BuyerScope,
        idempotency::IdempotencyKey,
        ids::{CheckoutId, DropId, DropItemId, LegalTextId},
    },
};

/// A request to reserve units. All serialized fields are part of the hash that is compared when an
/// idempotency key is used again.
#[derive(Debug, Clone, Serialize)]
pub struct ReserveRequest {
    /// The lines to reserve.
    pub lines: Vec<RequestedLine>,
    /// The address of the checkout.
    pub address: Address,
    /// The total that the buyer has seen. A lower total passes; a higher one is refused.
    pub expected_total: Money,
    /// The accepted legal texts: the current version of each kind.
    pub accepted: Vec<LegalTextId>,
    /// When the request arrived.
    #[serde(skip)]
    pub arrived_at: DateTime<Utc>,
    /// The idempotency key: a retry with the same key has no further effect.
    #[serde(skip)]
    pub key: IdempotencyKey,
}

/// Why nothing was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReserveRefusal {
    /// No lines, or more than [`LINES_MAX`].
    #[error("a checkout has 1 to 20 lines")]
    LineCount,
    /// The item does not exist, or its drop is not announced.
    #[error("not found")]
    ItemNotFound,
    /// The window has not opened yet; it opens at this time.
    #[error("the drop is not open yet: it opens at {0}")]
    NotOpen(DateTime<Utc>),
    /// The window has closed, or the drop was cancelled.
    #[error("the drop is closed")]
    Closed,
    /// Fewer units are free than were requested.
    #[error("not enough units are left")]
    SoldOut,
    /// The request exceeds the limit per person.
    #[error("one person may not reserve that many units")]
    LimitExceeded,
    /// The person already has the maximum number of unpaid checkouts in the drop.
    #[error("you have too many unpaid reservations; pay for one or cancel one first")]
    TooManyHolds,
    /// Too many of the person's holds expired unpaid; nothing more is held before this time.
    #[error("too many of your reservations expired unpaid; try again at {0}")]
    HoldsLapsed(DateTime<Utc>),
    /// The total is higher than expected; the response contains the new quote.
    #[error("the price has risen; check the new quote")]
    PriceChanged,
    /// The lines cannot be priced.
    #[error(transparent)]
    Quote(#[from] QuoteRefusal),
    /// A current legal text was not accepted.
    #[error("accept the current version of every legal text")]
    LegalTextsNotAccepted,
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
}

impl ReserveRefusal {
    /// Returns when the request may be retried, if time alone removes the obstacle.
    pub fn retry_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::NotOpen(at) | Self::HoldsLapsed(at) => Some(at),
            Self::LineCount
            | Self::ItemNotFound
            | Self::Closed
            | Self::SoldOut
            | Self::LimitExceeded
            | Self::TooManyHolds
            | Self::PriceChanged
            | Self::Quote(_)
            | Self::LegalTextsNotAccepted
            | Self::KeyReused => None,
        }
    }
}

impl From<StockRefusal> for ReserveRefusal {
    fn from(refusal: StockRefusal) -> Self {
        match refusal {
            StockRefusal::ItemNotFound => Self::ItemNotFound,
            StockRefusal::NotOpen(opens_at) => Self::NotOpen(opens_at),
            StockRefusal::TooManyHolds => Self::TooManyHolds,
            StockRefusal::HoldsLapsed(until) => Self::HoldsLapsed(until),
            StockRefusal::Closed => Self::Closed,
            StockRefusal::SoldOut | StockRefusal::BelowTaken => Self::SoldOut,
            StockRefusal::LimitExceeded => Self::LimitExceeded,
            StockRefusal::PriceChanged => Self::PriceChanged,
            StockRefusal::Quote(refusal) => Self::Quote(refusal),
        }
    }
}

/// The operation name that idempotency keys are stored with.
pub(super) const OPERATION: &str = "checkout.reserve";

/// The rows written for a request.
#[derive(Debug, Clone)]
pub struct Made {
    /// The checkout.
    pub checkout: Checkout,
    /// The lines, in order.
    pub lines: Vec<Reservation>,
    /// The payment of the deposit.
    pub payment: Payment,
}

/// The result of a successful call to reserve.
#[derive(Debug, Clone)]
pub enum Reserved {
    /// A checkout was made, by this call or by an earlier one with the same key.
    Made {
        /// The checkout.
        checkout: CheckoutId,
        /// Whether an earlier call with the same key made it.
        replayed: bool,
        /// The rows, if this call wrote them.
        rows: Option<Box<Made>>,
    },
    /// Nothing was reserved because the total is higher than expected; this is the new quote.
    Repriced(Quote),
}

/// Holds the units of all lines or of none, in a transaction of its own. The [`Desk`](super::desk::Desk)
/// decides many requests together.
///
/// This does not call the gateway: the checkout's payment waits until the buyer chooses a method.
pub async fn reserve(
    db: &Db,
    scope: &BuyerScope,
    request: &ReserveRequest,
) -> Result<Reserved, OpError<ReserveRefusal>> {
    check(request)?;
    let items: Vec<DropItemId> = request.lines.iter().map(|line| line.item).collect();
    // The drop of an item never changes, so it may be read before the gate is taken.
    let drops = drops_in(request, &item_row::drops_of(db.reader(), &items).await?)?;
    let asked = ReserveJob::new(db, scope, request.clone())?;
    let answer = batch::decide_all(db, &drops, || vec![asked], &mut None).await.into_iter().next();
    answer.unwrap_or_else(|| Err(OpError::inconsistent("a request was not decided")))
}

/// Checks what can be checked without reading the database.
pub(super) fn check(request: &ReserveRequest) -> Result<(), OpError<ReserveRefusal>> {
    match request.lines.len() {
        1..=LINES_MAX => Ok(()),
        _ => Err(OpError::refuse_field(ReserveRefusal::LineCount, "lines")),
    }
}

/// Returns the drops of a request's lines, or a refusal that names every unknown item.
pub(super) fn drops_in(
    request: &ReserveRequest,
    known: &HashMap<DropItemId, DropId>,
) -> Result<BTreeSet<DropId>, OpError<ReserveRefusal>> {
    let unknown = request.lines.iter().enumerate().filter(|(_, line)| !known.contains_key(&line.item));
    let complaints =
        unknown.map(|(at, _)| Refused::item(ReserveRefusal::ItemNotFound, "lines", at, "itemId")).collect();
    OpError::refuse_if_any(complaints)?;
    Ok(request.lines.iter().filter_map(|line| known.get(&line.item)).copied().collect())
}
