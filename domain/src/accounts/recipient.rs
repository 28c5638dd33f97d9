//! Whom a letter goes to, and what its link carries. Read when the letter is written: no address waits in a task.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr};

use super::{
    Email, account, api_token, guest,
    links::{self, Link, LinkPurpose},
    person_key,
};
use crate::platform::{
    Db, Tx,
    access::{Buyer, BuyerScope, PersonKey, SystemScope},
    entropy::Secret,
    ids::{AccountId, CheckoutId, GuestId, TokenId},
    in_tx,
    mail::Letter,
};

/// A recipient, and what the letter has to say of accounts.
#[derive(Debug, Clone)]
pub struct Addressed {
    /// Where to.
    pub email: Email,
    /// What the person is called; guests have no name.
    pub name: Option<String>,
    /// What the letter's link carries, and until when; `None` for a letter without a link.
    pub link: Option<(Secret, DateTime<Utc>)>,
    /// What the storefront that asks is called: its token's name. Only for [`Letter::OpenSession`].
    pub storefront: Option<String>,
}

/// How a letter finds its recipient.
#[derive(Debug, Clone)]
pub enum Addressing {
    /// It goes to this person.
    To(Addressed),
    /// It is not wanted any more: the account is confirmed, the token is revoked, the person is gone.
    Unwanted,
    /// It is about a checkout and goes to its buyer: read the checkout, then [`email_of`].
    BuyerOf(CheckoutId),
}

/// Finds the recipient of a letter about to be written, and makes its link.
pub async fn address(db: &Db, scope: &SystemScope, letter: &Letter) -> Result<Addressing, DbErr> {
    match letter {
        Letter::Held { checkout } | Letter::Confirmed { checkout } | Letter::Lapsed { checkout } => {
            return Ok(Addressing::BuyerOf(*checkout));
        }
        Letter::ConfirmEmail { .. }
        | Letter::AlreadySignedUp { .. }
        | Letter::ResetPassword { .. }
        | Letter::ConfirmGuest { .. }
        | Letter::OpenSession { .. } => {}
    }
    let addressed: Result<_, DbErr> = in_tx(db, scope.actor(), async |tx| match letter {
        Letter::ConfirmEmail { account } => {
            to_account(tx, *account, |row| row.email_confirmed_at.is_none(), |id| Some(LinkPurpose::ConfirmEmail(id))).await
        }
        Letter::AlreadySignedUp { account } => to_account(tx, *account, |_| true, |_| None).await,
        Letter::ResetPassword { account } => to_account(tx, *account, |_| true, |id| Some(LinkPurpose::ResetPassword(id))).await,
        Letter::ConfirmGuest { guest } => to_guest(tx, *guest).await,
        Letter::OpenSession { account, token } => for_storefront(tx, *account, *token).await,
        Letter::Held { .. } | Letter::Confirmed { .. } | Letter::Lapsed { .. } => Ok(None),
    })
    .await;
    Ok(addressed?.map_or(Addressing::Unwanted, Addressing::To))
}

async fn to_account(
    tx: &Tx,
    account: AccountId,
    wanted: fn(&account::Model) -> bool,
    purpose: fn(AccountId) -> Option<LinkPurpose>,
) -> Result<Option<Addressed>, DbErr> {
    let Some(row) = account::by_id(tx.conn(), account).await?.filter(wanted) else { return Ok(None) };
    let link = match purpose(account) {
        Some(purpose) => Some(parts(links::issue(tx, purpose).await?)),
        None => None,
    };
    Ok(Some(Addressed { email: row.email, name: Some(row.name), link, storefront: None }))
}

async fn to_guest(tx: &Tx, guest: GuestId) -> Result<Option<Addressed>, DbErr> {
    let Some(row) = guest::by_id(tx.conn(), guest).await? else { return Ok(None) };
    let link = parts(links::issue(tx, LinkPurpose::ConfirmGuest(guest)).await?);
    Ok(Some(Addressed { email: row.email, name: None, link: Some(link), storefront: None }))
}

async fn for_storefront(tx: &Tx, account: AccountId, token: TokenId) -> Result<Option<Addressed>, DbErr> {
    let Some(token) = api_token::live_by_id(tx.conn(), token, tx.now()).await? else { return Ok(None) };
    let purpose = LinkPurpose::OpenSession(account, token.id);
    let Some(row) = account::by_id(tx.conn(), account).await? else { return Ok(None) };
    let link = parts(links::issue(tx, purpose).await?);
    Ok(Some(Addressed { email: row.email, name: Some(row.name), link: Some(link), storefront: Some(token.name) }))
}

fn parts(link: Link) -> (Secret, DateTime<Utc>) {
    (link.secret, link.expires_at)
}

/// The address of a buyer, and the name of one who has an account.
pub async fn email_of(db: &Db, _scope: &SystemScope, buyer: Buyer) -> Result<Option<(Email, Option<String>)>, DbErr> {
    Ok(match buyer {
        Buyer::Account(id) => account::by_id(db.reader(), id).await?.map(|row| (row.email, Some(row.name))),
        Buyer::Guest(id) => guest::by_id(db.reader(), id).await?.map(|row| (row.email, None)),
    })
}

/// The address that one buys with.
pub async fn own_email(db: &Db, scope: &BuyerScope) -> Result<Option<Email>, DbErr> {
    Ok(match scope.buyer() {
        Buyer::Account(id) => account::by_id(db.reader(), id).await?.map(|row| row.email),
        Buyer::Guest(id) => guest::by_id(db.reader(), id).await?.map(|row| row.email),
    })
}

/// What stands for the persons who buy: two statements at most. Those whose address is not confirmed are left out.
pub(crate) async fn person_keys(conn: &impl ConnectionTrait, buyers: &[Buyer]) -> Result<HashMap<Buyer, PersonKey>, DbErr> {
    let (mut accounts, mut guests) = (Vec::new(), Vec::new());
    for buyer in buyers {
        match buyer {
            Buyer::Account(id) => accounts.push(*id),
            Buyer::Guest(id) => guests.push(*id),
        }
    }
    let mut keys = HashMap::with_capacity(buyers.len());
    if !accounts.is_empty() {
        keys.extend(account::confirmed_emails(conn, &accounts).await?.into_iter().map(|(id, email)| (Buyer::Account(id), email)));
    }
    if !guests.is_empty() {
        keys.extend(guest::confirmed_emails(conn, &guests).await?.into_iter().map(|(id, email)| (Buyer::Guest(id), email)));
    }
    Ok(keys.into_iter().map(|(buyer, email)| (buyer, person_key(&email))).collect())
}

/// What stands for the person who buys; `None` when the address is not confirmed.
pub async fn person_key_of(db: &Db, buyer: Buyer) -> Result<Option<PersonKey>, DbErr> {
    Ok(person_keys(db.reader(), &[buyer]).await?.remove(&buyer))
}
