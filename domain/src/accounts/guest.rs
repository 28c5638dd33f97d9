//! The table of guests, with its finders.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the guests table's own finders, and what its derive makes public"
)]

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    DbErr, QuerySelect,
    entity::prelude::*,
    sea_query::{Expr, OnConflict},
};

use super::Email;
use crate::platform::{Inconsistency, StoreError, Tx, bulk, ids::GuestId};

/// An address that buys without an account.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "guests")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: GuestId,
    pub email: Email,
    pub email_confirmed_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// By id.
pub(crate) async fn by_id(conn: &impl ConnectionTrait, id: GuestId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(conn).await
}

/// The confirmed addresses of several; those without one are left out: one statement.
pub(crate) async fn confirmed_emails(
    conn: &impl ConnectionTrait,
    ids: &[GuestId],
) -> Result<Vec<(GuestId, Email)>, DbErr> {
    let select = Entity::find().select_only().column(Column::Id).column(Column::Email);
    let confirmed = select
        .filter(Column::Id.is_in(bulk::padded(ids.iter().copied())))
        .filter(Column::EmailConfirmedAt.is_not_null());
    confirmed.into_tuple().all(conn).await
}

/// The guest of an address, made now if there is none.
pub(crate) async fn of_email(tx: &Tx, email: &Email) -> Result<Model, StoreError> {
    let row = ActiveModel {
        id: Set(tx.new_id()),
        email: Set(email.clone()),
        email_confirmed_at: Set(None),
        created_at: Set(tx.now()),
    };
    let known = OnConflict::column(Column::Email).do_nothing().to_owned();
    Entity::insert(row).on_conflict(known).exec_without_returning(tx.conn()).await?;
    let row = Entity::find().filter(Column::Email.eq(email.clone())).one(tx.conn()).await?;
    Ok(row.ok_or_else(|| Inconsistency::missing("guests", "that was just made"))?)
}

/// Notes that the address was proven to be the guest's.
pub(crate) async fn confirm(tx: &Tx, id: GuestId) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::EmailConfirmedAt, Expr::value(tx.now()));
    update.filter(Column::Id.eq(id)).filter(Column::EmailConfirmedAt.is_null()).exec(tx.conn()).await?;
    Ok(())
}
