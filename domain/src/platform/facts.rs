//! The facts: the closed list of committed changes that other parts of the system react to.
//!
//! A fact carries ids, and the outbox stores it with the version of its aggregate. Neither holds personal
//! data. The names of the kinds never change.

use serde::{Deserialize, Serialize};

use super::ids::{AccountId, CheckoutId, CreatorId, DropId, EntityId, PaymentId, ProductId};

/// A committed change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// An account was created or changed.
    AccountChanged { account: AccountId },
    /// A creator was created, or its profile was changed.
    CreatorChanged { creator: CreatorId },
    /// A product or one of its variants was created, changed or archived.
    ProductChanged { creator: CreatorId, product: ProductId },
    /// A drop was created, changed, published, withdrawn or cancelled.
    DropChanged { creator: CreatorId, drop: DropId },
    /// The free or taken units of a drop changed.
    StockChanged { creator: CreatorId, drop: DropId },
    /// A checkout was created; its lines are held.
    Reserved { checkout: CheckoutId },
    /// The deposit of a checkout was paid; its lines are confirmed.
    Confirmed { checkout: CheckoutId },
    /// The hold of a checkout ended without payment.
    Lapsed { checkout: CheckoutId },
    /// Lines of a checkout were cancelled.
    ReservationCancelled { checkout: CheckoutId },
    /// The state of a payment changed.
    PaymentChanged { checkout: CheckoutId, payment: PaymentId },
}

impl Fact {
    /// The names of all kinds that this version knows. A newer version may have written others.
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

    /// Returns the constant name of the kind, as stored in the outbox.
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

    /// Returns the public id of the aggregate that the fact's version belongs to.
    pub fn aggregate(&self) -> String {
        match self {
            Self::AccountChanged { account } => account.public(),
            Self::CreatorChanged { creator } => creator.public(),
            Self::ProductChanged { product, .. } => product.public(),
            Self::DropChanged { drop, .. } => drop.public(),
            // Stock has its own version, that of the gate, because it changes far more often than the drop.
            Self::StockChanged { drop, .. } => format!("{}/stock", drop.public()),
            Self::Reserved { checkout }
            | Self::Confirmed { checkout }
            | Self::Lapsed { checkout }
            | Self::ReservationCancelled { checkout } => checkout.public(),
            Self::PaymentChanged { payment, .. } => payment.public(),
        }
    }
}
