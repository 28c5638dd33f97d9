//! The recipients of letters about a purchase, and the person keys of buyers.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr};

use super::{Email, account, guest, person_key};
use crate::platform::{
    Db,
    access::{Buyer, BuyerScope, PersonKey, SystemScope},
};

/// Returns the address of a buyer, and the buyer's name if the buyer has an account.
pub async fn email_of(
    db: &Db,
    _scope: &SystemScope,
    buyer: Buyer,
) -> Result<Option<(Email, Option<String>)>, DbErr> {
    Ok(match buyer {
        Buyer::Account(id) => account::by_id(db.reader(), id).await?.map(|row| (row.email, Some(row.name))),
        Buyer::Guest(id) => guest::by_id(db.reader(), id).await?.map(|row| (row.email, None)),
    })
}

/// Returns the address that the scope's buyer buys with.
pub async fn own_email(db: &Db, scope: &BuyerScope) -> Result<Option<Email>, DbErr> {
    Ok(match scope.buyer() {
        Buyer::Account(id) => account::by_id(db.reader(), id).await?.map(|row| row.email),
        Buyer::Guest(id) => guest::by_id(db.reader(), id).await?.map(|row| row.email),
    })
}

/// Returns the person keys of buyers, with at most two statements. Buyers without a confirmed address are
/// left out.
pub(crate) async fn person_keys(
    conn: &impl ConnectionTrait,
    buyers: &[Buyer],
) -> Result<HashMap<Buyer, PersonKey>, DbErr> {
    let (mut accounts, mut guests) = (Vec::new(), Vec::new());
    for buyer in buyers {
        match buyer {
            Buyer::Account(id) => accounts.push(*id),
            Buyer::Guest(id) => guests.push(*id),
        }
    }
    let mut keys = HashMap::with_capacity(buyers.len());
    if !accounts.is_empty() {
        keys.extend(
            account::confirmed_emails(conn, &accounts)
                .await?
                .into_iter()
                .map(|(id, email)| (Buyer::Account(id), email)),
        );
    }
    if !guests.is_empty() {
        keys.extend(
            guest::confirmed_emails(conn, &guests)
                .await?
                .into_iter()
                .map(|(id, email)| (Buyer::Guest(id), email)),
        );
    }
    Ok(keys.into_iter().map(|(buyer, email)| (buyer, person_key(&email))).collect())
}

/// Returns the person key of a buyer; `None` if the address is not confirmed.
pub async fn person_key_of(db: &Db, buyer: Buyer) -> Result<Option<PersonKey>, DbErr> {
    Ok(person_keys(db.reader(), &[buyer]).await?.remove(&buyer))
}
