//! The `creator_members` table and its finders: the accounts that work for a creator.

#![expect(clippy::disallowed_methods, reason = "the members table's own finders")]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, DbErr, QueryOrder, entity::prelude::*};

use crate::platform::{
    Tx,
    access::{CreatorScope, MemberRole},
    bulk,
    ids::{AccountId, CreatorId},
};

/// A row of the `creator_members` table: an account that works for a creator.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "creator_members")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub creator_id: CreatorId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: AccountId,
    pub role: MemberRole,
    pub created_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// The most creators that an account may be a member of. Every request of a member reads its memberships.
pub(crate) const MEMBERSHIPS_MAX: u64 = 20;

/// Makes an account a member. The caller must make sure that it is not a member yet.
pub(crate) async fn add(
    tx: &Tx,
    creator: CreatorId,
    account: AccountId,
    role: MemberRole,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        creator_id: Set(creator),
        account_id: Set(account),
        role: Set(role),
        created_at: Set(tx.now()),
    };
    Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Returns the memberships of an account, oldest first. Authorisation needs them.
pub(crate) async fn of_account(
    conn: &impl ConnectionTrait,
    account: AccountId,
) -> Result<Vec<(CreatorId, MemberRole)>, DbErr> {
    Ok(of_accounts(conn, &[account]).await?.remove(&account).unwrap_or_default())
}

/// Returns the memberships of several accounts, with one statement. Accounts without memberships are left
/// out.
pub(crate) async fn of_accounts(
    conn: &impl ConnectionTrait,
    accounts: &[AccountId],
) -> Result<HashMap<AccountId, Vec<(CreatorId, MemberRole)>>, DbErr> {
    let mut memberships: HashMap<_, Vec<_>> = HashMap::new();
    if accounts.is_empty() {
        return Ok(memberships);
    }
    let select = Entity::find()
        .filter(Column::AccountId.is_in(bulk::padded(accounts.iter().copied())))
        .order_by_asc(Column::CreatedAt);
    for row in select.order_by_asc(Column::CreatorId).all(conn).await? {
        memberships.entry(row.account_id).or_default().push((row.creator_id, row.role));
    }
    Ok(memberships)
}

/// Counts the creators that an account is a member of.
pub(crate) async fn count_of_account(conn: &impl ConnectionTrait, account: AccountId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::AccountId.eq(account)).count(conn).await
}

/// Returns the members of a creator, oldest first.
pub(crate) async fn of_creator(
    conn: &impl ConnectionTrait,
    scope: &CreatorScope,
) -> Result<Vec<Model>, DbErr> {
    let select = Entity::find().filter(Column::CreatorId.eq(scope.creator())).order_by_asc(Column::CreatedAt);
    select.order_by_asc(Column::AccountId).all(conn).await
}
