//! The table of the sandbox's events: webhooks to send, and settlements of late payments.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "finders of the sandbox_events table; the derive generates public items"
)]

use chrono::{DateTime, Utc};
use domain::platform::Tx;
use sea_orm::{ActiveValue::Set, DbErr, DeriveActiveEnum, entity::prelude::*};

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum EventKind {
    #[sea_orm(string_value = "payment.requires_action")]
    RequiresAction,
    #[sea_orm(string_value = "payment.processing")]
    Processing,
    #[sea_orm(string_value = "payment.succeeded")]
    Succeeded,
    #[sea_orm(string_value = "payment.declined")]
    Declined,
    #[sea_orm(string_value = "payment.cancelled")]
    Cancelled,
    /// The time at which a late payment settles. No webhook is sent for it: the settlement creates an event
    /// of its own.
    #[sea_orm(string_value = "settled")]
    Settled,
    #[sea_orm(string_value = "refund.done")]
    Refunded,
}

impl EventKind {
    /// Returns the name of the kind in webhooks.
    pub(super) fn name(self) -> String {
        self.to_value()
    }
}

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "sandbox_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub intent_id: Uuid,
    pub kind: EventKind,
    pub created_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

pub(super) async fn insert(tx: &Tx, intent_id: Uuid, kind: EventKind) -> Result<Uuid, DbErr> {
    let id = tx.entropy().uuid(tx.now());
    let row =
        ActiveModel { id: Set(id), intent_id: Set(intent_id), kind: Set(kind), created_at: Set(tx.now()) };
    Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(id)
}

pub(super) async fn by_id(tx: &Tx, id: Uuid) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(tx.conn()).await
}

pub(super) async fn sweep(tx: &Tx, before: DateTime<Utc>) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(Column::CreatedAt.lt(before)).exec(tx.conn()).await?.rows_affected)
}
