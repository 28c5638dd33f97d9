//! The tables of payments, their allocations and refunds, with their queries.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "these are the tables' own queries, and the derives generate public items"
)]

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    DbErr, DeriveActiveEnum, IntoActiveModel, Order, QueryOrder, QuerySelect, QueryTrait, Select,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, NullOrdering, SelectStatement},
};

use super::state::PaymentState;
use crate::platform::{
    Currency, Money, Tx, as_new, bulk,
    ids::{CheckoutId, PaymentId, RefundId, ReservationId},
};

/// What a payment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Purpose {
    /// The deposit that is paid for a reservation.
    #[sea_orm(string_value = "DEPOSIT")]
    Deposit,
}

/// A payment: an amount requested through a gateway.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "payments")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PaymentId,
    pub checkout_id: CheckoutId,
    pub purpose: Purpose,
    /// The gateway's identity as text; empty until the buyer pays.
    pub gateway: String,
    pub state: PaymentState,
    pub amount_minor: i64,
    pub captured_minor: i64,
    pub refunded_minor: i64,
    pub currency: Currency,
    /// The gateway's id of the intent.
    pub intent: Option<String>,
    pub method: Option<String>,
    pub return_url: Option<String>,
    /// The number of times the buyer has chosen a method.
    pub attempt: i32,
    pub action_url: Option<String>,
    pub decline_code: Option<String>,
    /// When the buyer's choice was queued for the call to the gateway; `None` when nothing is queued.
    pub queued_at: Option<DateTime<Utc>>,
    /// The seconds that were left of the hold at `queued_at`.
    pub hold_left_secs: Option<i64>,
    /// When the gateway was last polled because no webhook had arrived.
    pub asked_at: Option<DateTime<Utc>>,
    /// When we learned that the gateway has cancelled the intent, so that it can no longer be paid.
    pub intent_ended_at: Option<DateTime<Utc>>,
    /// A hash of the gateway's fingerprint of the means of payment, if the gateway reports one.
    pub fingerprint: Option<Vec<u8>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Returns the amount to be paid.
    pub fn amount(&self) -> Money {
        Money::new(self.amount_minor, self.currency)
    }

    /// Returns when the hold would end if the time in our own queue counted, or `None` when nothing is
    /// queued.
    pub fn hold_would_end_at(&self) -> Option<DateTime<Utc>> {
        let left = TimeDelta::try_seconds(self.hold_left_secs?)?;
        self.queued_at?.checked_add_signed(left)
    }
}

pub(crate) mod allocation_row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "payment_allocations")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub payment_id: PaymentId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub reservation_id: ReservationId,
        pub amount_minor: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// Why a refund is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum RefundReason {
    /// The buyer cancelled a reservation.
    #[sea_orm(string_value = "BUYER_CANCELLED")]
    BuyerCancelled,
    /// The creator cancelled the drop.
    #[sea_orm(string_value = "DROP_CANCELLED")]
    DropCancelled,
    /// The payment arrived after the hold had lapsed, and the units were gone.
    #[sea_orm(string_value = "PAID_TOO_LATE")]
    PaidTooLate,
    /// The same means of payment paid for more units than one person may have.
    #[sea_orm(string_value = "LIMIT_EXCEEDED")]
    LimitExceeded,
}

/// The state of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum RefundState {
    /// The gateway has not been asked yet, or has not answered yet.
    #[sea_orm(string_value = "PENDING")]
    Pending,
    /// The gateway accepted the refund.
    #[sea_orm(string_value = "DONE")]
    Done,
    /// The gateway refused the refund; a person must look into it.
    #[sea_orm(string_value = "FAILED")]
    Failed,
}

pub(crate) mod refund_row {
    use super::*;

    /// A refund of a payment, or of a part of it.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "refunds")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: RefundId,
        pub payment_id: PaymentId,
        pub amount_minor: i64,
        pub currency: Currency,
        pub reason: RefundReason,
        pub state: RefundState,
        pub gateway_refund: Option<String>,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
pub use refund_row::Model as Refund;

pub(crate) mod refund_part_row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "refund_allocations")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub refund_id: RefundId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub reservation_id: ReservationId,
        pub amount_minor: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// Inserts the payments of new checkouts, in one statement. Returns the rows in the same order.
pub(crate) async fn insert_all(tx: &Tx, new: &[(CheckoutId, Money)]) -> Result<Vec<Model>, DbErr> {
    let rows = new.iter().map(|(checkout, amount)| Model {
        id: tx.new_id(),
        checkout_id: *checkout,
        purpose: Purpose::Deposit,
        gateway: String::new(),
        state: PaymentState::Preparing,
        amount_minor: amount.minor,
        captured_minor: 0,
        refunded_minor: 0,
        currency: amount.currency,
        intent: None,
        method: None,
        return_url: None,
        attempt: 0,
        action_url: None,
        decline_code: None,
        queued_at: None,
        hold_left_secs: None,
        asked_at: None,
        intent_ended_at: None,
        fingerprint: None,
        version: 1,
        created_at: tx.now(),
        updated_at: tx.now(),
    });
    let rows: Vec<_> = rows.collect();
    bulk::insert_all(tx, rows.iter().cloned().map(as_new).collect::<Vec<ActiveModel>>()).await?;
    Ok(rows)
}

/// Returns a subquery that selects the checkouts paid with a means of payment.
pub(crate) fn checkouts_paid_by(fingerprint: &[u8]) -> SelectStatement {
    Entity::find()
        .select_only()
        .column(Column::CheckoutId)
        .filter(Column::Fingerprint.eq(fingerprint))
        .into_query()
}

/// Returns one payment, without checking whose it is.
pub(crate) async fn by_id(conn: &impl ConnectionTrait, id: PaymentId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(conn).await
}

/// Returns the payments of checkouts, in one statement. The caller must have found the checkouts within its
/// own scope.
pub(crate) async fn of_checkouts(
    conn: &impl ConnectionTrait,
    ids: &[CheckoutId],
) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::CheckoutId.is_in(ids.iter().copied())).all(conn).await
}

/// Locks and returns the payment of a checkout. The gates of its drops must be locked first.
pub(crate) async fn lock_of_checkout(tx: &Tx, checkout: CheckoutId) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::CheckoutId.eq(checkout)).lock_exclusive().one(tx.conn()).await
}

/// Saves a payment that was locked and changed, and increments its version. Returns the new version.
pub(crate) async fn save(tx: &Tx, mut payment: Model) -> Result<i64, DbErr> {
    payment.version = payment.version.saturating_add(1);
    payment.updated_at = tx.now();
    let version = payment.version;
    let row = payment.into_active_model().reset_all();
    Entity::update(row).exec(tx.conn()).await?;
    Ok(version)
}

/// Records that the gateway was asked for the state of a payment's intent, and whether the intent has ended.
/// Neither the state of the payment nor its `updated_at` changes.
pub(crate) async fn note_polled(tx: &Tx, id: PaymentId, ended: bool) -> Result<(), DbErr> {
    let mut update = Entity::update_many().col_expr(Column::AskedAt, Expr::value(tx.now()));
    if ended {
        update = update.col_expr(Column::IntentEndedAt, Expr::value(tx.now()));
    }
    update.filter(Column::Id.eq(id)).exec(tx.conn()).await?;
    Ok(())
}

/// Selects payments whose outcome only the gateway knows and for which nothing has been heard since the given
/// times. Payments that were polled least recently come first.
///
/// The states are SQL literals, because PostgreSQL does not use a partial index for a parameter. The same
/// holds for the queries below.
pub(crate) fn unheard(processing_before: DateTime<Utc>, action_before: DateTime<Utc>) -> Select<Entity> {
    let silent_since = |state: &'static str, before: DateTime<Utc>| {
        let never_or_long_ago = Column::AskedAt.is_null().or(Column::AskedAt.lt(before));
        Expr::cust(state).and(Column::UpdatedAt.lt(before)).and(never_or_long_ago)
    };
    let processing = silent_since("state = 'PROCESSING'", processing_before);
    let action = silent_since("state = 'REQUIRES_ACTION'", action_before);
    let open = Entity::find().filter(Expr::cust("state IN ('PROCESSING', 'REQUIRES_ACTION')"));
    let silent = open.filter(Column::Intent.is_not_null()).filter(processing.or(action));
    silent
        .order_by_with_nulls(Column::AskedAt, Order::Asc, NullOrdering::First)
        .order_by_asc(Column::UpdatedAt)
}

/// Selects payments that were abandoned from `since` to `before`, whose intent is not known to be cancelled
/// at the gateway, and that were not polled since `asked_before`.
pub(crate) fn not_ended(
    since: DateTime<Utc>,
    before: DateTime<Utc>,
    asked_before: DateTime<Utc>,
) -> Select<Entity> {
    Entity::find()
        .filter(Expr::cust("state = 'CANCELLED' AND intent IS NOT NULL AND intent_ended_at IS NULL"))
        .filter(Column::UpdatedAt.gte(since))
        .filter(Column::UpdatedAt.lt(before))
        .filter(Column::AskedAt.is_null().or(Column::AskedAt.lt(asked_before)))
        .order_by_asc(Column::UpdatedAt)
}

/// Selects payments that have been queued for the call to the gateway since before `before`.
pub(crate) fn queued(before: DateTime<Utc>) -> Select<Entity> {
    let waiting =
        Entity::find().filter(Column::QueuedAt.lt(before)).filter(Column::State.eq(PaymentState::Preparing));
    waiting.order_by_asc(Column::QueuedAt)
}

/// Selects refunds that were created before `before` and that the gateway has not answered.
pub(crate) fn pending_refunds(before: DateTime<Utc>) -> Select<refund_row::Entity> {
    let pending = refund_row::Entity::find().filter(Expr::cust("state = 'PENDING'"));
    pending.filter(refund_row::Column::CreatedAt.lt(before)).order_by_asc(refund_row::Column::CreatedAt)
}

/// Records which part of a payment belongs to which reservation.
pub(crate) async fn allocate(
    tx: &Tx,
    payment: PaymentId,
    parts: &[(ReservationId, i64)],
) -> Result<(), DbErr> {
    let rows = parts.iter().map(|(reservation, amount)| allocation_row::ActiveModel {
        payment_id: Set(payment),
        reservation_id: Set(*reservation),
        amount_minor: Set(*amount),
    });
    allocation_row::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Returns the allocations of reservations.
pub(crate) async fn allocations(
    conn: &impl ConnectionTrait,
    ids: &[ReservationId],
) -> Result<Vec<allocation_row::Model>, DbErr> {
    allocation_row::Entity::find()
        .filter(allocation_row::Column::ReservationId.is_in(ids.iter().copied()))
        .all(conn)
        .await
}

/// Inserts a pending refund. `parts` states how much of each reservation's deposit it returns.
pub(crate) async fn insert_refund(
    tx: &Tx,
    payment: PaymentId,
    parts: &[(ReservationId, i64)],
    currency: Currency,
    reason: RefundReason,
) -> Result<RefundId, DbErr> {
    let id: RefundId = tx.new_id();
    let amount = Money::new(parts.iter().map(|(_, minor)| *minor).fold(0, i64::saturating_add), currency);
    let row = refund_row::ActiveModel {
        id: Set(id),
        payment_id: Set(payment),
        amount_minor: Set(amount.minor),
        currency: Set(amount.currency),
        reason: Set(reason),
        state: Set(RefundState::Pending),
        gateway_refund: Set(None),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    };
    refund_row::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    let rows = parts.iter().map(|(reservation, minor)| refund_part_row::ActiveModel {
        refund_id: Set(id),
        reservation_id: Set(*reservation),
        amount_minor: Set(*minor),
    });
    refund_part_row::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    Ok(id)
}

/// Returns the reservations whose deposits a refund returns, with the amount of each.
pub(crate) async fn refund_parts(
    conn: &impl ConnectionTrait,
    id: RefundId,
) -> Result<Vec<refund_part_row::Model>, DbErr> {
    refund_part_row::Entity::find().filter(refund_part_row::Column::RefundId.eq(id)).all(conn).await
}

/// Returns one refund.
pub(crate) async fn refund(conn: &impl ConnectionTrait, id: RefundId) -> Result<Option<Refund>, DbErr> {
    refund_row::Entity::find_by_id(id).one(conn).await
}

/// Returns the refunds of payments, in one statement.
pub(crate) async fn refunds_of(conn: &impl ConnectionTrait, ids: &[PaymentId]) -> Result<Vec<Refund>, DbErr> {
    refund_row::Entity::find()
        .filter(refund_row::Column::PaymentId.is_in(ids.iter().copied()))
        .all(conn)
        .await
}

/// Moves a pending refund to a final state. Returns `false` if it was not pending any more.
pub(crate) async fn end_refund(
    tx: &Tx,
    id: RefundId,
    state: RefundState,
    gateway_refund: Option<&str>,
) -> Result<bool, DbErr> {
    use refund_row::Column as C;
    let update = refund_row::Entity::update_many()
        .col_expr(C::State, Expr::value(state))
        .col_expr(C::GatewayRefund, Expr::value(gateway_refund.map(str::to_owned)))
        .col_expr(C::UpdatedAt, Expr::value(tx.now()));
    let done = update.filter(C::Id.eq(id)).filter(C::State.eq(RefundState::Pending)).exec(tx.conn()).await?;
    Ok(done.rows_affected == 1)
}
