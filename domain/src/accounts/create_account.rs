//! Creates an account for the operator, who vouches for its address.

use super::{Account, AccountName, Email, Password, account, vouched};
use crate::platform::{Db, NeverRefused, OpError, access::SystemScope, in_tx};

/// A request to create an account that the operator vouches for.
#[derive(Debug, Clone)]
pub struct CreateAccount {
    /// The address; it counts as confirmed.
    pub email: Email,
    /// The person's name.
    pub name: AccountName,
    /// The password. Without one, the person sets one with a link sent by e-mail.
    pub password: Option<Password>,
}

/// Creates an account. If an account with this address exists, it is treated as by
/// [`create_admin`](super::create_admin()), but does not become an administrator.
pub async fn create_account(
    db: &Db,
    scope: &SystemScope,
    request: CreateAccount,
) -> Result<Account, OpError<NeverRefused>> {
    let hash = vouched::hash_of(&request).await?;
    in_tx(db, scope.actor(), async |tx| {
        let (row, made) = vouched::insert_or_lock(tx, &request, hash.clone()).await?;
        let row = if made { row } else { vouched::vouch(tx, row, hash).await? };
        account::tell(tx, &row, "account.create", &["email", "email_confirmed_at", "name", "password"])
            .await?;
        Ok(row.into())
    })
    .await
}
