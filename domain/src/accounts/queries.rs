//! Queries of accounts, sessions and tokens.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, DbErr, PaginatorTrait, QueryFilter};

use super::{Account, ApiToken, Email, Member, Session, account, api_token, member, session};
use crate::platform::{
    Db,
    access::{AccountScope, AdminScope, CreatorScope, MemberRole, SystemScope, TokensScope},
    ids::{AccountId, CreatorId},
    page::{Page, Slice, SortKey, SortValue, count_capped, slice},
    read_in,
};

/// Returns the scope's account.
pub async fn own_account(db: &Db, scope: &AccountScope) -> Result<Option<Account>, DbErr> {
    Ok(account::by_id(db.reader(), scope.account()).await?.map(Account::from))
}

/// Lists all accounts, newest first. With `email`, lists only the account with this address.
pub async fn accounts(
    db: &Db,
    _scope: &AdminScope,
    email: Option<&Email>,
    page: &Page,
) -> Result<Slice<Account>, DbErr> {
    let sort = (account::Column::CreatedAt, account::Column::Id);
    let key = |row: &account::Model| SortKey::new(SortValue::Time(row.created_at), row.id);
    Ok(slice(db.reader(), with_email(email), sort, true, page, key).await?.map(Account::from))
}

/// Counts the accounts that [`accounts`] lists, up to the cap.
pub async fn accounts_count(db: &Db, _scope: &AdminScope, email: Option<&Email>) -> Result<u64, DbErr> {
    count_capped(db.reader(), with_email(email)).await
}

fn with_email(email: Option<&Email>) -> sea_orm::Select<account::Entity> {
    let wanted = email.map(|email| account::Column::Email.eq(email.clone()));
    account::all().filter(sea_orm::Condition::all().add_option(wanted))
}

/// Returns accounts by id, for administrators. Unknown ids are left out.
pub async fn accounts_by_ids(
    db: &Db,
    _scope: &AdminScope,
    ids: &[AccountId],
) -> Result<HashMap<AccountId, Account>, DbErr> {
    let rows = account::by_ids(db.reader(), ids).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.into())).collect())
}

/// Returns the names of the members of the scope's creator. Members see each other's names, but not their
/// addresses.
pub async fn member_names(db: &Db, scope: &CreatorScope) -> Result<HashMap<AccountId, String>, DbErr> {
    read_in(db, scope, async |conn| {
        let members: Vec<AccountId> =
            member::of_creator(conn, scope).await?.into_iter().map(|member| member.account_id).collect();
        account::names(conn, &members).await
    })
    .await
}

/// Returns the account with an address, for the operator.
pub async fn account_by_email(
    db: &Db,
    _scope: &SystemScope,
    email: &Email,
) -> Result<Option<Account>, DbErr> {
    Ok(account::by_email(db.reader(), email).await?.map(Account::from))
}

/// Returns whether there is an administrator. If there is none, the operator is shown how to create one.
pub async fn any_admin(db: &Db, _scope: &SystemScope) -> Result<bool, DbErr> {
    Ok(account::all().filter(account::Column::Admin.eq(true)).count(db.reader()).await? > 0)
}

/// Lists the live sessions of the scope's account, newest first.
pub async fn own_sessions(db: &Db, scope: &AccountScope, page: &Page) -> Result<Slice<Session>, DbErr> {
    let sort = (session::Column::CreatedAt, session::Column::Id);
    let key = |row: &session::Model| SortKey::new(SortValue::Time(row.created_at), row.id);
    Ok(slice(db.reader(), session::of_account(scope, db.now()), sort, true, page, key)
        .await?
        .map(Session::from))
}

/// Counts the sessions that [`own_sessions`] lists, up to the cap.
pub async fn own_sessions_count(db: &Db, scope: &AccountScope) -> Result<u64, DbErr> {
    count_capped(db.reader(), session::of_account(scope, db.now())).await
}

/// Lists the tokens of a creator or of the marketplace, newest first, including revoked ones.
pub async fn tokens(db: &Db, scope: &TokensScope, page: &Page) -> Result<Slice<ApiToken>, DbErr> {
    let sort = (api_token::Column::CreatedAt, api_token::Column::Id);
    let key = |row: &api_token::Model| SortKey::new(SortValue::Time(row.created_at), row.id);
    let rows =
        read_in(db, scope, async |conn| slice(conn, api_token::owned(scope), sort, true, page, key).await)
            .await?;
    Ok(rows.map(ApiToken::from))
}

/// Counts the tokens that [`tokens`] lists, up to the cap.
pub async fn tokens_count(db: &Db, scope: &TokensScope) -> Result<u64, DbErr> {
    read_in(db, scope, async |conn| count_capped(conn, api_token::owned(scope)).await).await
}

/// Lists the members of the scope's creator, oldest first.
pub async fn members(db: &Db, scope: &CreatorScope) -> Result<Vec<Member>, DbErr> {
    read_in(db, scope, async |conn| member::of_creator(conn, scope).await).await
}

/// Lists the memberships of an account, oldest first.
pub async fn memberships(db: &Db, scope: &AccountScope) -> Result<Vec<(CreatorId, MemberRole)>, DbErr> {
    member::of_account(db.reader(), scope.account()).await
}
