//! The `guests` table and its finders.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the guests table's own finders, and the public items of its derive"
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

/// A row of the `guests` table: an address that buys without an account.
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

/// Finds a guest by its id.
pub(crate) async fn by_id(conn: &impl ConnectionTrait, id: GuestId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(conn).await
}

/// Returns the confirmed addresses of guests, with one statement. Guests without a confirmed address are left
/// out.
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

/// Returns the guest with this address. Creates it if there is none.
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
    Ok(row.ok_or_else(|| Inconsistency::missing("guests", "for the address that was just inserted"))?)
}

/// Records that the guest proved to own the address.
pub(crate) async fn confirm(tx: &Tx, id: GuestId) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::EmailConfirmedAt, Expr::value(tx.now()));
    update.filter(Column::Id.eq(id)).filter(Column::EmailConfirmedAt.is_null()).exec(tx.conn()).await?;
    Ok(())
}
