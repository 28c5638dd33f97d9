//! Payments and refunds.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::{
    payments::{self as rules, RefundReason as Reason, RefundState as State, state::PaymentState},
    platform::ids::{CheckoutId, PaymentId},
};

use crate::graphql::{
    context::{ContextExt, global},
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

/// The status of a payment.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "PaymentState")]
pub enum PaymentStatus {
    /// Waiting for `checkoutPay`, or for the call to the gateway. Ask again in a moment.
    Preparing,
    /// The method was declined; `declineCode` says why. Call `checkoutPay` with another method.
    RequiresMethod,
    /// The buyer must complete an action at `action.url`, and then returns to your `returnUrl`.
    RequiresAction,
    /// The gateway accepted the payment, and the outcome comes later. The hold was extended once.
    Processing,
    /// The money was captured.
    Succeeded,
    /// The payment is no longer wanted, because the hold ended.
    Cancelled,
}

/// An action that the buyer must complete.
#[derive(SimpleObject, Debug, Clone)]
pub struct PaymentAction {
    /// The URL to send the buyer's browser to.
    pub url: String,
}

/// The reason for a refund.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "Reason")]
pub enum RefundReason {
    /// The buyer cancelled a reservation.
    BuyerCancelled,
    /// The creator cancelled the drop.
    DropCancelled,
    /// The payment arrived after the hold had lapsed, and the units were gone.
    PaidTooLate,
    /// The same means of payment paid for more units than one person may have.
    LimitExceeded,
}

/// The status of a refund.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "State")]
pub enum RefundStatus {
    /// The gateway has not accepted the refund yet.
    Pending,
    /// The gateway accepted the refund.
    Done,
    /// The gateway refused the refund. A person of the marketplace must look into it.
    Failed,
}

/// A refund of a payment, or of a part of it.
#[derive(SimpleObject, Debug, Clone)]
pub struct Refund {
    /// The global id.
    pub id: ID,
    /// The amount.
    pub amount: Money,
    /// The reason.
    pub reason: RefundReason,
    /// The status.
    pub status: RefundStatus,
    /// When the refund was created.
    pub created_at: DateTime<Utc>,
}

/// A payment.
#[derive(Clone)]
pub struct Payment(pub(crate) rules::Payment);

/// The payment of a checkout's deposit through a payment gateway. A storefront follows `status` and `action`,
/// whichever gateway it is.
#[Object]
impl Payment {
    /// The global id.
    async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The status.
    async fn status(&self) -> PaymentStatus {
        self.0.state.into()
    }
    /// The action that the buyer must complete, if the status is REQUIRES_ACTION.
    async fn action(&self) -> Option<PaymentAction> {
        let waits = self.0.state == PaymentState::RequiresAction;
        self.0.action_url.clone().filter(|_| waits).map(|url| PaymentAction { url })
    }
    /// The gateway's reason for declining the last method, such as `insufficient_funds`.
    async fn decline_code(&self) -> Option<&str> {
        self.0.decline_code.as_deref()
    }
    /// The amount to be paid.
    async fn amount(&self) -> Money {
        self.0.amount().into()
    }
    /// The amount that was captured.
    async fn captured(&self) -> Money {
        Money::minor(self.0.captured_minor, self.0.currency)
    }
    /// The amount that was refunded.
    async fn refunded(&self) -> Money {
        Money::minor(self.0.refunded_minor, self.0.currency)
    }
    /// The refunds, with their reasons.
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
