//! The table of the sandbox's payment intents.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "finders of the sandbox_intents table; the derive generates public items"
)]

use chrono::{DateTime, Utc};
use domain::platform::{Currency, Db, Money, Tx, ids::PaymentId};
use sea_orm::{ActiveValue::Set, DbErr, DeriveActiveEnum, IntoActiveModel, QuerySelect, entity::prelude::*};
use serde::{Deserialize, Serialize};

/// The state of a sandbox intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum SandboxState {
    /// The intent has no payment method, or the last one was declined.
    #[sea_orm(string_value = "REQUIRES_METHOD")]
    RequiresMethod,
    /// The buyer must confirm on the sandbox's page.
    #[sea_orm(string_value = "REQUIRES_ACTION")]
    RequiresAction,
    /// The payment settles at `settles_at`.
    #[sea_orm(string_value = "PROCESSING")]
    Processing,
    /// Paid.
    #[sea_orm(string_value = "SUCCEEDED")]
    Succeeded,
    /// Ended without payment.
    #[sea_orm(string_value = "CANCELLED")]
    Cancelled,
}

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "sandbox_intents")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The caller's reference: the id of the payment.
    pub reference: String,
    /// The last segment of the URL of the confirmation page.
    pub secret: String,
    pub state: SandboxState,
    pub amount_minor: i64,
    pub captured_minor: i64,
    pub refunded_minor: i64,
    pub currency: Currency,
    pub method: Option<String>,
    pub return_url: Option<String>,
    pub decline_code: Option<String>,
    pub settles_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

const PREFIX: &str = "sbxi_";

/// Returns the intent's id in the form that the sandbox shows to callers.
pub(super) fn public_id(id: Uuid) -> String {
    format!("{PREFIX}{}", id.simple())
}

pub(super) fn parse_id(text: &str) -> Option<Uuid> {
    text.strip_prefix(PREFIX).and_then(|hex| Uuid::try_parse(hex).ok())
}

pub(super) async fn insert(tx: &Tx, payment: PaymentId, amount: Money) -> Result<Model, DbErr> {
    let row = Model {
        id: tx.entropy().uuid(tx.now()),
        reference: payment.to_string(),
        secret: tx.entropy().secret("sbx").expose().to_owned(),
        state: SandboxState::RequiresMethod,
        amount_minor: amount.minor,
        captured_minor: 0,
        refunded_minor: 0,
        currency: amount.currency,
        method: None,
        return_url: None,
        decline_code: None,
        settles_at: None,
        created_at: tx.now(),
    };
    Entity::insert(row.clone().into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(row)
}

pub(super) async fn by_id(db: &Db, id: Uuid) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db.reader()).await
}

pub(super) async fn by_secret(db: &Db, secret: &str) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::Secret.eq(secret)).one(db.reader()).await
}

pub(super) async fn lock(tx: &Tx, id: Uuid) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await
}

/// Writes the mutable columns of a locked row.
pub(super) async fn update(tx: &Tx, row: &Model) -> Result<(), DbErr> {
    let changes = ActiveModel {
        state: Set(row.state),
        captured_minor: Set(row.captured_minor),
        refunded_minor: Set(row.refunded_minor),
        method: Set(row.method.clone()),
        return_url: Set(row.return_url.clone()),
        decline_code: Set(row.decline_code.clone()),
        settles_at: Set(row.settles_at),
        ..Default::default()
    };
    Entity::update_many().set(changes).filter(Column::Id.eq(row.id)).exec(tx.conn()).await?;
    Ok(())
}
