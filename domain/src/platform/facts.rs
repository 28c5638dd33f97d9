//! The facts: every committed change that others react to, in one list.
//!
//! Facts carry ids and the aggregate's version, never personal data. Names are never changed.

use serde::{Deserialize, Serialize};

use super::ids::{AccountId, CheckoutId, CreatorId, DropId, EntityId, PaymentId, ProductId};

/// A committed change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// An account came to be, or was changed.
    AccountChanged { account: AccountId },
    /// A creator came to be, or its profile was changed.
    CreatorChanged { creator: CreatorId },
    /// A product or one of its variants was made, changed or archived.
    ProductChanged { creator: CreatorId, product: ProductId },
    /// A drop was made, changed, published, withdrawn or cancelled.
    DropChanged { creator: CreatorId, drop: DropId },
    /// Units free or taken of a drop changed.
    StockChanged { creator: CreatorId, drop: DropId },
    /// A checkout was made: its lines are held.
    Reserved { checkout: CheckoutId },
    /// A checkout's deposit is paid: its lines are confirmed.
    Confirmed { checkout: CheckoutId },
    /// A checkout's hold ended without payment.
    Lapsed { checkout: CheckoutId },
    /// Lines of a checkout were cancelled.
    ReservationCancelled { checkout: CheckoutId },
    /// A payment's state changed.
    PaymentChanged { checkout: CheckoutId, payment: PaymentId },
}

impl Fact {
    /// The names of all kinds that this version knows. A newer one may have written others.
    pub const KINDS: [&'static str; 10] = [
        "account_changed",
        "creator_changed",
        "product_changed",
        "drop_changed",
        "stock_changed",
        "reserved",
        "confirmed",
        "lapsed",
        "reservation_cancelled",
        "payment_changed",
    ];

    /// The constant name of the kind, as it stands in the outbox.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AccountChanged { .. } => "account_changed",
            Self::CreatorChanged { .. } => "creator_changed",
            Self::ProductChanged { .. } => "product_changed",
            Self::DropChanged { .. } => "drop_changed",
            Self::StockChanged { .. } => "stock_changed",
            Self::Reserved { .. } => "reserved",
            Self::Confirmed { .. } => "confirmed",
            Self::Lapsed { .. } => "lapsed",
            Self::ReservationCancelled { .. } => "reservation_cancelled",
            Self::PaymentChanged { .. } => "payment_changed",
        }
    }

    /// The public id of the aggregate that the fact's version counts.
    pub fn aggregate(&self) -> String {
        match self {
            Self::AccountChanged { account } => account.public(),
            Self::CreatorChanged { creator } => creator.public(),
            Self::ProductChanged { product, .. } => product.public(),
            Self::DropChanged { drop, .. } => drop.public(),
            // Stock has a counter of its own, the gate's: it changes far more often than the drop.
            Self::StockChanged { drop, .. } => format!("{}/stock", drop.public()),
            Self::Reserved { checkout }
            | Self::Confirmed { checkout }
            | Self::Lapsed { checkout }
            | Self::ReservationCancelled { checkout } => checkout.public(),
            Self::PaymentChanged { payment, .. } => payment.public(),
        }
    }
}
