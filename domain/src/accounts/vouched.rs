//! Accounts that the operator vouches for: the parts that [`create_account`](fn@super::create_account) and
//! [`create_admin`](fn@super::create_admin) share.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, DbErr, EntityTrait, IntoActiveModel, sea_query::OnConflict,
};

use super::{
    AccountName, CreateAccount, Email, account, links,
    password::{self, PasswordHash},
    session,
};
use crate::platform::{Inconsistency, OpError, StoreError, Tx, audit};

/// Returns the hash of the request's password, if it has one.
pub(super) async fn hash_of<R: std::fmt::Debug>(
    request: &CreateAccount,
) -> Result<Option<PasswordHash>, OpError<R>> {
    Ok(match &request.password {
        Some(password) => Some(password::hash(password).await?),
        None => None,
    })
}

/// Builds the row of an account whose address counts as confirmed.
pub(super) fn row(
    tx: &Tx,
    email: &Email,
    name: &AccountName,
    password_hash: Option<PasswordHash>,
) -> account::Model {
    account::Model {
        id: tx.new_id(),
        email: email.clone(),
        email_confirmed_at: Some(tx.now()),
        name: name.as_str().to_owned(),
        password_hash,
        admin: false,
        version: 1,
        created_at: tx.now(),
        updated_at: tx.now(),
    }
}

/// Returns the account with the address, and whether it was just created. An existing account is locked.
pub(super) async fn insert_or_lock(
    tx: &Tx,
    request: &CreateAccount,
    hash: Option<PasswordHash>,
) -> Result<(account::Model, bool), StoreError> {
    let row = row(tx, &request.email, &request.name, hash);
    let known = OnConflict::column(account::Column::Email).do_nothing().to_owned();
    let insert = account::Entity::insert(row.clone().into_active_model()).on_conflict(known);
    if insert.exec_without_returning(tx.conn()).await? == 1 {
        return Ok((row, true));
    }
    let known = account::by_email(tx.conn(), &request.email).await?;
    let known = known.ok_or_else(|| Inconsistency::missing("accounts", "for an address that is taken"))?;
    Ok((account::lock(tx, known.id).await?, false))
}

/// Marks an existing account as one that the operator vouches for: confirms its address and replaces its
/// password, unless the address is confirmed and no password is given.
pub(super) async fn vouch(
    tx: &Tx,
    row: account::Model,
    hash: Option<PasswordHash>,
) -> Result<account::Model, DbErr> {
    if row.email_confirmed_at.is_some() && hash.is_none() {
        return Ok(row);
    }
    let since = row.email_confirmed_at.unwrap_or(tx.now());
    let mut row = row.into_active_model();
    row.email_confirmed_at = Set(Some(since));
    row.password_hash = Set(hash);
    let row = row.update(tx.conn()).await?;
    links::void_all(tx, row.id).await?;
    session::revoke_all(tx, row.id, None).await?;
    audit::record(tx, "account.vouch", row.id, &["email_confirmed_at", "password"]).await?;
    Ok(row)
}
