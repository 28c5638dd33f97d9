//! Reserve: one or more lines, all or nothing, held until one deadline.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;
use serde::Serialize;

use super::{
    address::Address,
    checkout_row::{self, NewCheckout},
    decide::{Decision, PersonKey, Request, StockRefusal, decide},
    legal,
    lines::{AskRefusal, LINES_MAX, Line, Priceable},
    load,
    quote::{Quote, QuoteRefusal},
    reservation_row,
};
use crate::{
    accounts::{self, BuyerScope},
    drops::{drop_row, gate},
    payments,
    platform::{
        Db, Money, OpError, Refused, Tx, audit,
        facts::Fact,
        faults::{self, Point},
        idempotency::{self, Claim, IdempotencyKey},
        ids::{CheckoutId, DropId, LegalTextId},
        in_tx, outbox,
        timers::{self, TimerKind},
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
    /// The window has not opened.
    #[error("the drop is not open yet")]
    NotOpen,
    /// The window is over, or the drop was called off.
    #[error("the drop is closed")]
    Closed,
    /// Fewer units are free than are asked for.
    #[error("not enough units are left")]
    SoldOut,
    /// One person may not have that many.
    #[error("that is more than one person may reserve")]
    LimitExceeded,
    /// It costs more than was expected: the new quote comes along.
    #[error("the price has changed; look at the new quote")]
    PriceChanged,
    /// Lines of drops with different currencies.
    #[error("all lines must be of one currency; make one checkout a currency")]
    MixedCurrencies,
    /// There is no tax rate for the destination.
    #[error("this cannot be sold to that country")]
    CountryNotServed,
    /// The creator has no tariff for the destination.
    #[error("the creator does not ship to that country")]
    NotShippedThere,
    /// The drop is not shipped, or not fetched.
    #[error("this drop is not offered with that kind of delivery")]
    DeliveryNotOffered,
    /// Beyond what can be reckoned.
    #[error("the amount is too large")]
    AmountTooLarge,
    /// A current legal text was not accepted.
    #[error("accept the current version of every legal text")]
    LegalTextsNotAccepted,
    /// The key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
}

impl From<QuoteRefusal> for ReserveRefusal {
    fn from(refusal: QuoteRefusal) -> Self {
        match AskRefusal::from(refusal) {
            AskRefusal::LineCount => Self::LineCount,
            AskRefusal::ItemNotFound => Self::ItemNotFound,
            AskRefusal::MixedCurrencies => Self::MixedCurrencies,
            AskRefusal::CountryNotServed => Self::CountryNotServed,
            AskRefusal::NotShippedThere => Self::NotShippedThere,
            AskRefusal::DeliveryNotOffered => Self::DeliveryNotOffered,
            AskRefusal::AmountTooLarge => Self::AmountTooLarge,
        }
    }
}

impl From<StockRefusal> for ReserveRefusal {
    fn from(refusal: StockRefusal) -> Self {
        match refusal {
            StockRefusal::ItemNotFound => Self::ItemNotFound,
            StockRefusal::NotOpen => Self::NotOpen,
            StockRefusal::Closed => Self::Closed,
            StockRefusal::SoldOut | StockRefusal::BelowTaken => Self::SoldOut,
            StockRefusal::LimitExceeded => Self::LimitExceeded,
            StockRefusal::PriceChanged => Self::PriceChanged,
            StockRefusal::Unpriced(refusal) => refusal.into(),
        }
    }
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
    },
    /// Nothing was reserved because the price rose; this is the new one.
    Repriced(Quote),
}

/// Why the transaction was given up: the refusal, and the new price where that is why.
#[derive(Debug, thiserror::Error)]
enum Abandon {
    #[error("refused")]
    Op(#[from] OpError<ReserveRefusal>),
    #[error("repriced")]
    Repriced(Box<Quote>),
}

impl From<DbErr> for Abandon {
    fn from(error: DbErr) -> Self {
        Self::Op(error.into())
    }
}

/// Holds the units of all lines, or of none.
///
/// The gateway is not called: the checkout's payment waits until the buyer chooses a method.
pub async fn reserve(db: &Db, scope: &BuyerScope, request: &ReserveRequest) -> Result<Reserved, OpError<ReserveRefusal>> {
    if request.lines.is_empty() || request.lines.len() > LINES_MAX {
        return Err(OpError::refuse_field(ReserveRefusal::LineCount, "lines"));
    }
    let person = accounts::person_key_of(db, scope.buyer()).await?;
    let person = person.ok_or_else(|| OpError::inconsistent("a buyer without a confirmed address"))?;
    let made = match in_tx(db, scope.actor(), async |tx| reserve_in(tx, scope, request, &person).await).await {
        Ok(made) => {
            faults::point(Point::ReserveCommitted).await?;
            Ok(made)
        }
        Err(Abandon::Op(error)) => Err(error),
        Err(Abandon::Repriced(quote)) => Ok(Reserved::Repriced(*quote)),
    };
    let outcome = match &made {
        Ok(Reserved::Made { replayed: false, .. }) => "held",
        Ok(Reserved::Made { replayed: true, .. }) => "replayed",
        Ok(Reserved::Repriced(_)) => "repriced",
        Err(OpError::Refused(_)) => "refused",
        Err(OpError::Db(_) | OpError::Inconsistent(_)) => "failed",
    };
    metrics::counter!("smallrun_reservations_total", "outcome" => outcome).increment(1);
    made
}

async fn reserve_in(tx: &Tx, scope: &BuyerScope, request: &ReserveRequest, person: &PersonKey) -> Result<Reserved, Abandon> {
    let checkout: CheckoutId = tx.new_id();
    match idempotency::claim(tx, scope.actor(), "checkout.reserve", &request.key, request, checkout.0).await? {
        Claim::Fresh => {}
        Claim::Replay(made) => return Ok(Reserved::Made { checkout: CheckoutId(made), replayed: true }),
        Claim::Mismatch => return Err(OpError::refuse_field(ReserveRefusal::KeyReused, "idempotencyKey").into()),
    }
    faults::point(Point::ReserveKeyed).await?;
    // Which drops the items belong to never changes, so it may be read before their gates are taken.
    let drops = drops_of(tx, request).await?;
    gate::take(tx, &drops).await?;
    faults::point(Point::ReserveGated).await?;
    let now = tx.decision_now().await?;
    let priceable = Priceable::load(tx.conn(), &request.lines, &request.address.country).await?;
    let stock = load::stock(tx.conn(), &drops, std::slice::from_ref(person), now).await?;
    let accepted = check_legal(tx, request).await?;
    let hold = drop_row::by_ids(tx.conn(), &drops).await?.iter().map(|drop| drop.hold_secs).min().unwrap_or(0);
    let expires_at = now.checked_add_signed(TimeDelta::seconds(i64::from(hold))).unwrap_or(now);
    let pricing = |taken: &[u32]| priceable.price(taken, now);
    let asked = Request::Reserve {
        checkout,
        person: person.clone(),
        lines: priceable.claims(),
        arrived_at: request.arrived_at,
        expires_at,
        pricing: &pricing,
        expected_total: request.expected_total,
    };
    let quote = match decide(&stock, &[asked], now).into_iter().next() {
        Some(Decision::Reserved(quote)) => quote,
        Some(Decision::Refused(_, Some(quote))) => return Err(Abandon::Repriced(Box::new(quote))),
        Some(Decision::Refused(why, None)) => {
            let why = why.into_iter().map(|refused| Refused { code: refused.code.into(), path: refused.path });
            return Err(OpError::Refused(why.collect()).into());
        }
        Some(Decision::Confirmed | Decision::Done) | None => {
            return Err(OpError::inconsistent("a reservation decided otherwise").into());
        }
    };
    let new = NewCheckout {
        id: checkout,
        buyer: scope.buyer(),
        address: &request.address,
        quote: &quote,
        expires_at,
        accepted: &accepted,
    };
    write(tx, &new, person, &drops).await?;
    faults::point(Point::ReserveWritten).await?;
    Ok(Reserved::Made { checkout, replayed: false })
}

async fn drops_of(tx: &Tx, request: &ReserveRequest) -> Result<Vec<DropId>, Abandon> {
    let items: Vec<_> = request.lines.iter().map(|line| line.item).collect();
    let known = crate::drops::item_row::by_ids(tx.conn(), &items).await?;
    let unknown = request.lines.iter().enumerate().filter(|(_, line)| known.iter().all(|row| row.id != line.item));
    let complaints = unknown.map(|(at, _)| Refused::item(ReserveRefusal::ItemNotFound, "lines", at, "itemId")).collect();
    OpError::refuse_if_any(complaints)?;
    let mut drops: Vec<DropId> = known.iter().map(|row| row.drop_id).collect();
    drops.sort_unstable();
    drops.dedup();
    Ok(drops)
}

/// Every current legal text must have been accepted; answers their ids.
async fn check_legal(tx: &Tx, request: &ReserveRequest) -> Result<Vec<LegalTextId>, Abandon> {
    let current: Vec<LegalTextId> = legal::current(tx.conn()).await?.into_iter().map(|text| text.id).collect();
    if current.iter().all(|text| request.accepted.contains(text)) {
        Ok(current)
    } else {
        Err(OpError::refuse_field(ReserveRefusal::LegalTextsNotAccepted, "acceptedLegalTextIds").into())
    }
}

async fn write(tx: &Tx, new: &NewCheckout<'_>, person: &PersonKey, drops: &[DropId]) -> Result<(), DbErr> {
    checkout_row::insert(tx, new).await?;
    reservation_row::insert_held(tx, new.id, person, new.quote, new.expires_at).await?;
    payments::open(tx, new.id, new.quote.due_now()).await?;
    drop_row::freeze(tx, drops, tx.now()).await?;
    timers::set(tx, TimerKind::HoldLapse, new.id, new.expires_at).await?;
    outbox::publish(tx, 1, &Fact::Reserved { checkout: new.id }).await?;
    stock_changed(tx, drops).await?;
    audit::record(tx, "checkout.reserve", new.id, &["lines", "address"]).await
}

/// Tells that units of drops became free or taken.
pub(crate) async fn stock_changed(tx: &Tx, drops: &[DropId]) -> Result<(), DbErr> {
    let facts = gate::versions(tx, drops)
        .await?
        .into_iter()
        .map(|(drop, creator, version)| (version, Fact::StockChanged { creator, drop }));
    outbox::publish_all(tx, &facts.collect::<Vec<_>>()).await
}
