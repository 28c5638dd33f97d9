//! Payments and refunds.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::{
    payments::{self as rules, RefundReason as Reason, RefundState as State, state::PaymentState},
    platform::ids::{CheckoutId, PaymentId},
};

use crate::graphql::{
    context::{Reach, global},
    loaders::edge,
    money::Money,
};

edge!(
    /// The payment of a checkout.
    PaymentOf(CheckoutId) -> rules::Payment, |loaders, ids| rules::of_checkouts(&loaders.db, ids)
);
edge!(
    /// The refunds of a payment.
    RefundsOf(PaymentId) -> Vec<rules::Refund>, |loaders, ids| rules::refunds_of(&loaders.db, ids)
);

/// Where a payment stands.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "PaymentState")]
pub enum PaymentStatus {
    /// Waits for `checkoutPay`, or the gateway is being told: ask again in a moment.
    Preparing,
    /// The method was declined (`declineCode` says why): call `checkoutPay` with another one.
    RequiresMethod,
    /// The buyer must go to `action.url`, and comes back to your `returnUrl`.
    RequiresAction,
    /// Accepted; the outcome comes later. The hold was extended once.
    Processing,
    /// The money is here.
    Succeeded,
    /// No longer wanted: the hold ended.
    Cancelled,
}

/// What the buyer must do.
#[derive(SimpleObject, Debug, Clone)]
pub struct PaymentAction {
    /// Send the browser there.
    pub url: String,
}

/// Why money goes back.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "Reason")]
pub enum RefundReason {
    /// The buyer gave a reservation up.
    BuyerCancelled,
    /// The creator called the drop off.
    DropCancelled,
    /// Paid after the hold had lapsed, and the units were gone.
    PaidTooLate,
    /// More than one person may have was paid for with the same means.
    LimitExceeded,
}

/// Where a refund stands.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "State")]
pub enum RefundStatus {
    /// The gateway is being asked.
    Pending,
    /// The gateway has taken it.
    Done,
    /// The gateway refuses: somebody of the marketplace looks at it.
    Failed,
}

/// An amount given back.
#[derive(SimpleObject, Debug, Clone)]
pub struct Refund {
    /// Global id.
    pub id: ID,
    /// How much.
    pub amount: Money,
    /// Why.
    pub reason: RefundReason,
    /// Where it stands.
    pub status: RefundStatus,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The deposit of a checkout, at a payment gateway.
#[derive(Clone)]
pub struct Payment(pub(crate) rules::Payment);

/// The deposit of a checkout, at a payment gateway. A storefront follows `status` and `action`; which gateway
/// it is does not matter.
#[Object]
impl Payment {
    /// Global id.
    async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Where it stands.
    async fn status(&self) -> PaymentStatus {
        self.0.state.into()
    }
    /// What the buyer must do, when the status is REQUIRES_ACTION.
    async fn action(&self) -> Option<PaymentAction> {
        let waits = self.0.state == PaymentState::RequiresAction;
        self.0.action_url.clone().filter(|_| waits).map(|url| PaymentAction { url })
    }
    /// Why the last method was declined: a word of the gateway, such as `insufficient_funds`.
    async fn decline_code(&self) -> Option<&str> {
        self.0.decline_code.as_deref()
    }
    /// What is asked for.
    async fn amount(&self) -> Money {
        self.0.amount().into()
    }
    /// What came in.
    async fn captured(&self) -> Money {
        Money::minor(self.0.captured_minor, self.0.currency)
    }
    /// What went back.
    async fn refunded(&self) -> Money {
        Money::minor(self.0.refunded_minor, self.0.currency)
    }
    /// What goes back, and why.
    async fn refunds(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Refund>> {
        let rows = ctx.load(RefundsOf(self.0.id)).await?.unwrap_or_default();
        let refund = |row: rules::Refund| Refund {
            id: global(row.id),
            amount: Money::minor(row.amount_minor, row.currency),
            reason: row.reason.into(),
            status: row.state.into(),
            created_at: row.created_at,
        };
        Ok(rows.into_iter().map(refund).collect())
    }
}
