//! The operator makes accounts: administrators, and the people of the demo.

use std::collections::HashMap;

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DbErr, EntityTrait, IntoActiveModel, sea_query::OnConflict};

use super::{
    Account, AccountName, Email, Password, SignedIn, account, links,
    password::{self, PasswordHash},
    session,
};
use crate::platform::{Db, OpError, Tx, access::SystemScope, audit, entropy::Secret, ids::AccountId, in_tx};

/// An account that the operator vouches for.
#[derive(Debug, Clone)]
pub struct CreateAccount {
    /// The address; it counts as confirmed.
    pub email: Email,
    /// What the person is called.
    pub name: AccountName,
    /// The password; without one the person sets one by a link.
    pub password: Option<Password>,
}

/// Why nobody becomes an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateAdminRefusal {
    /// There is an administrator with this address.
    #[error("this is an administrator already")]
    AlreadyAdmin,
}

/// Makes an administrator, of a new account or of the one with this address.
///
/// An account that exists keeps its name, and its password unless one is given. One whose address was never confirmed may
/// be a stranger's: its password and its sessions end in any case.
pub async fn create_admin(db: &Db, scope: &SystemScope, request: CreateAccount) -> Result<Account, OpError<CreateAdminRefusal>> {
    let hash = hash_of(&request).await?;
    in_tx(db, scope.actor(), async |tx| {
        let (row, made) = insert_or_lock(tx, &request, hash.clone()).await?;
        if row.admin {
            return Err(OpError::refuse_field(CreateAdminRefusal::AlreadyAdmin, "email"));
        }
        let row = if made { row } else { vouch(tx, row, hash).await? };
        let mut row = row.into_active_model();
        row.admin = Set(true);
        let row = row.update(tx.conn()).await?;
        account::tell(tx, &row, "account.create_admin", &["admin", "email_confirmed_at", "password"]).await?;
        Ok(row.into())
    })
    .await
}

/// Makes an account, or answers the one with this address as [`create_admin`] treats it, without making it an administrator.
pub async fn create_account(db: &Db, scope: &SystemScope, request: CreateAccount) -> Result<Account, OpError<NeverRefused>> {
    let hash = hash_of(&request).await?;
    in_tx(db, scope.actor(), async |tx| {
        let (row, made) = insert_or_lock(tx, &request, hash.clone()).await?;
        let row = if made { row } else { vouch(tx, row, hash).await? };
        account::tell(tx, &row, "account.create", &["email", "email_confirmed_at", "name", "password"]).await?;
        Ok(row.into())
    })
    .await
}

/// An operation that no rule speaks against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeverRefused {}

/// Makes many confirmed accounts without passwords, each with a session, in one transaction: buyers for load tests. Accounts
/// that exist get a session only. The bearer tokens come in the order of the request.
pub async fn create_buyers(db: &Db, scope: &SystemScope, buyers: &[(Email, AccountName)]) -> Result<Vec<Secret>, DbErr> {
    // SQLite takes 32,766 values in a statement, PostgreSQL 65,535; an account has nine.
    const ROWS_MAX: usize = 1_000;
    in_tx(db, scope.actor(), async |tx| {
        let mut secrets = Vec::with_capacity(buyers.len());
        for some in buyers.chunks(ROWS_MAX) {
            let new: Vec<_> = some.iter().map(|(email, name)| row(tx, email, name, None)).collect();
            let known = OnConflict::column(account::Column::Email).do_nothing().to_owned();
            let insert = account::Entity::insert_many(new.iter().cloned().map(|row| row.into_active_model()));
            insert.on_conflict(known).exec_without_returning(tx.conn()).await?;
            let emails: Vec<_> = some.iter().map(|(email, _)| email.clone()).collect();
            let ids: HashMap<_, _> =
                account::by_emails(tx.conn(), &emails).await?.into_iter().map(|row| (row.email, row.id)).collect();
            let made: Vec<_> = new.iter().filter(|row| ids.get(&row.email) == Some(&row.id)).collect();
            account::tell_all(tx, &made, "account.create", &["email", "email_confirmed_at", "name"]).await?;
            let ids: Vec<AccountId> = emails.iter().filter_map(|email| ids.get(email).copied()).collect();
            secrets.extend(session::open_many(tx, &ids).await?);
        }
        Ok(secrets)
    })
    .await
}

/// Begins a session of any account for the operator: the bearer tokens that the demo hands out. `None` when there is no
/// such account.
pub async fn open_session_for(db: &Db, scope: &SystemScope, account: AccountId) -> Result<Option<SignedIn>, DbErr> {
    in_tx(db, scope.actor(), async |tx| {
        let Some(row) = account::hold(tx, account).await? else { return Ok(None) };
        Ok(Some(session::open(tx, &row, None).await?))
    })
    .await
}

async fn hash_of<R: std::fmt::Debug>(request: &CreateAccount) -> Result<Option<PasswordHash>, OpError<R>> {
    Ok(match &request.password {
        Some(password) => Some(password::hash(password).await?),
        None => None,
    })
}

fn row(tx: &Tx, email: &Email, name: &AccountName, password_hash: Option<PasswordHash>) -> account::Model {
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

/// The account of the address, and whether it was made now. One that exists is locked.
async fn insert_or_lock(tx: &Tx, request: &CreateAccount, hash: Option<PasswordHash>) -> Result<(account::Model, bool), DbErr> {
    let row = row(tx, &request.email, &request.name, hash);
    let known = OnConflict::column(account::Column::Email).do_nothing().to_owned();
    let insert = account::Entity::insert(row.clone().into_active_model()).on_conflict(known);
    if insert.exec_without_returning(tx.conn()).await? == 1 {
        return Ok((row, true));
    }
    let known = account::by_email(tx.conn(), &request.email).await?;
    let known = known.ok_or_else(|| DbErr::RecordNotFound("the account of a taken address".to_owned()))?;
    Ok((account::lock(tx, known.id).await?, false))
}

/// Makes an account that exists one that the operator vouches for.
async fn vouch(tx: &Tx, row: account::Model, hash: Option<PasswordHash>) -> Result<account::Model, DbErr> {
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
