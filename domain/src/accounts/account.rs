//! The `accounts` table and its finders.

#![expect(clippy::disallowed_methods, reason = "the accounts table's own finders")]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    DbErr, QuerySelect,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};

use super::{Email, password::PasswordHash};
use crate::platform::{Inconsistency, StoreError, Tx, audit, bulk, facts::Fact, ids::AccountId, outbox};

/// A row of the `accounts` table: a person who can sign in.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AccountId,
    pub email: Email,
    pub email_confirmed_at: Option<DateTime<Utc>>,
    pub name: String,
    pub password_hash: Option<PasswordHash>,
    pub admin: bool,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// A person who can sign in, as shown to that person and to administrators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account's id.
    pub id: AccountId,
    /// The e-mail address, in lower case.
    pub email: Email,
    /// When the address was confirmed; `None` if it is not confirmed yet.
    pub email_confirmed_at: Option<DateTime<Utc>>,
    /// The name that the person wants to be called by.
    pub name: String,
    /// Whether the person is an administrator of the marketplace.
    pub admin: bool,
    /// The number of changes.
    pub version: i64,
    /// When the person signed up.
    pub created_at: DateTime<Utc>,
    /// When the account last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<Model> for Account {
    fn from(row: Model) -> Self {
        let Model {
            id,
            email,
            email_confirmed_at,
            name,
            password_hash: _,
            admin,
            version,
            created_at,
            updated_at,
        } = row;
        Self { id, email, email_confirmed_at, name, admin, version, created_at, updated_at }
    }
}

/// Finds an account by its address.
pub(crate) async fn by_email(conn: &impl ConnectionTrait, email: &Email) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::Email.eq(email.clone())).one(conn).await
}

/// Finds accounts by their addresses, with one statement.
pub(crate) async fn by_emails(conn: &impl ConnectionTrait, emails: &[Email]) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Email.is_in(emails.iter().cloned())).all(conn).await
}

/// Finds an account by its id.
pub(crate) async fn by_id(conn: &impl ConnectionTrait, id: AccountId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(conn).await
}

/// Finds accounts by their ids, with one statement.
pub(crate) async fn by_ids(conn: &impl ConnectionTrait, ids: &[AccountId]) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Id.is_in(ids.iter().copied())).all(conn).await
}

/// Returns the confirmed addresses of accounts, with one statement. Accounts without a confirmed address are
/// left out.
pub(crate) async fn confirmed_emails(
    conn: &impl ConnectionTrait,
    ids: &[AccountId],
) -> Result<Vec<(AccountId, Email)>, DbErr> {
    let select = Entity::find().select_only().column(Column::Id).column(Column::Email);
    let confirmed = select
        .filter(Column::Id.is_in(bulk::padded(ids.iter().copied())))
        .filter(Column::EmailConfirmedAt.is_not_null());
    confirmed.into_tuple().all(conn).await
}

/// Returns the names of accounts. The statement reads no other column, because tenants may not see more.
pub(crate) async fn names(
    conn: &impl ConnectionTrait,
    ids: &[AccountId],
) -> Result<HashMap<AccountId, String>, DbErr> {
    let select = Entity::find().filter(Column::Id.is_in(ids.iter().copied()));
    let rows: Vec<(AccountId, String)> =
        select.select_only().column(Column::Id).column(Column::Name).into_tuple().all(conn).await?;
    Ok(rows.into_iter().collect())
}

/// Locks an account against changes without changing it.
pub(crate) async fn hold(tx: &Tx, id: AccountId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await
}

/// Locks an account in order to change it. Increments its version; the returned row has the new version.
pub(crate) async fn lock(tx: &Tx, id: AccountId) -> Result<Model, StoreError> {
    let rows = Entity::update_many()
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .col_expr(Column::UpdatedAt, Expr::value(tx.now()))
        .filter(Column::Id.eq(id))
        .exec_with_returning(tx.conn())
        .await?;
    Ok(rows.into_iter().next().ok_or_else(|| Inconsistency::missing("accounts", id))?)
}

/// Selects all accounts, for administrators.
pub(crate) fn all() -> Select<Entity> {
    Entity::find()
}

/// Publishes that an account was created or changed, and records it in the audit log.
pub(crate) async fn tell(tx: &Tx, row: &Model, action: &'static str, fields: &[&str]) -> Result<(), DbErr> {
    outbox::publish(tx, row.version, &Fact::AccountChanged { account: row.id }).await?;
    audit::record(tx, action, row.id, fields).await
}

/// Does the same as [`tell`] for several accounts, with two statements.
pub(crate) async fn tell_all(
    tx: &Tx,
    rows: &[&Model],
    action: &'static str,
    fields: &[&str],
) -> Result<(), DbErr> {
    let facts: Vec<_> =
        rows.iter().map(|row| (row.version, Fact::AccountChanged { account: row.id })).collect();
    outbox::publish_all(tx, &facts).await?;
    audit::record_all(tx, action, rows.iter().map(|row| row.id), fields).await
}
