//! Reserve: one or more lines, all or nothing, held until one deadline.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    Checkout, Reservation,
    address::Address,
    batch::{self, Asked},
    decide::StockRefusal,
    lines::{LINES_MAX, Line},
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

/// A request to reserve. The address is not part of what a repeated key is compared by only in its
/// representation: all fields are.
#[derive(Debug, Clone, Serialize)]
pub struct ReserveRequest {
    /// What.
    pub lines: Vec<Line>,
    /// Where it goes.
    pub address: Address,
    /// The total that the buyer has seen: a lower one passes, a higher one is refused.
    pub expected_total: Money,
    /// The current version of every legal text.
    pub accepted: Vec<LegalTextId>,
    /// When the request came in.
    #[serde(skip)]
    pub arrived_at: DateTime<Utc>,
    /// Makes a repetition harmless.
    #[serde(skip)]
    pub key: IdempotencyKey,
}

/// Why nothing was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReserveRefusal {
    /// No lines, or more than [`LINES_MAX`].
    #[error("a checkout has 1 to 20 lines")]
    LineCount,
    /// No such item, or not announced.
    #[error("not found")]
    ItemNotFound,
    /// The window has not opened: it does at this instant.
    #[error("the drop is not open yet: it opens at {0}")]
    NotOpen(DateTime<Utc>),
    /// The window is over, or the drop was called off.
    #[error("the drop is closed")]
    Closed,
    /// Fewer units are free than are asked for.
    #[error("not enough units are left")]
    SoldOut,
    /// One person may not have that many.
    #[error("that is more than one person may reserve")]
    LimitExceeded,
    /// The person has as many unpaid checkouts in the drop as one may have.
    #[error("pay for what is held, or give it up, before you reserve more")]
    TooManyHolds,
    /// Holds of the person ran out unpaid, again and again: nothing more is held until then.
    #[error("too many reservations ran out unpaid: come again at {0}")]
    HoldsLapsed(DateTime<Utc>),
    /// It costs more than was expected: the new quote comes along.
    #[error("the price has changed; look at the new quote")]
    PriceChanged,
    /// The lines have no price.
    #[error(transparent)]
    Quote(#[from] QuoteRefusal),
    /// A current legal text was not accepted.
    #[error("accept the current version of every legal text")]
    LegalTextsNotAccepted,
    /// The key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
}

impl ReserveRefusal {
    /// From when on it may be tried again, where time alone mends it.
    pub fn retry_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::NotOpen(at) | Self::HoldsLapsed(at) => Some(at),
            _ => None,
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

/// The name that idempotency keys are kept under.
pub(super) const OPERATION: &str = "checkout.reserve";

/// What was written for a request.
#[derive(Debug, Clone)]
pub struct Made {
    /// The checkout.
    pub checkout: Checkout,
    /// Its lines, in order.
    pub lines: Vec<Reservation>,
    /// What is to be paid.
    pub payment: Payment,
}

/// What a reserve call ends in.
#[derive(Debug, Clone)]
pub enum Reserved {
    /// The checkout that was made; by an earlier call with the same key where `replayed`.
    Made {
        /// Which.
        checkout: CheckoutId,
        /// Whether an earlier call made it.
        replayed: bool,
        /// The rows, where this call wrote them.
        rows: Option<Box<Made>>,
    },
    /// Nothing was reserved because the price rose; this is the new one.
    Repriced(Quote),
}

/// Holds the units of all lines, or of none, on its own; many at once are decided by the
/// [`Desk`](super::desk::Desk).
///
/// The gateway is not called: the checkout's payment waits until the buyer chooses a method.
pub async fn reserve(
    db: &Db,
    scope: &BuyerScope,
    request: &ReserveRequest,
) -> Result<Reserved, OpError<ReserveRefusal>> {
    check(request)?;
    let items: Vec<DropItemId> = request.lines.iter().map(|line| line.item).collect();
    // Which drops the items belong to never changes, so it may be read before their gates are taken.
    let drops = drops_in(request, &item_row::drops_of(db.reader(), &items).await?)?;
    let asked = Asked::new(db, scope, request.clone())?;
    let answer = batch::decide_all(db, &drops, || vec![asked], &mut None).await.into_iter().next();
    answer.unwrap_or_else(|| Err(OpError::inconsistent("a request that was not decided")))
}

/// What can be said of a request without looking anything up.
pub(super) fn check(request: &ReserveRequest) -> Result<(), OpError<ReserveRefusal>> {
    match request.lines.len() {
        1..=LINES_MAX => Ok(()),
        _ => Err(OpError::refuse_field(ReserveRefusal::LineCount, "lines")),
    }
}

/// The drops of a request's lines, if all of its items are known.
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
