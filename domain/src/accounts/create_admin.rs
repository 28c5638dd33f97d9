//! Creates an administrator.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{Account, CreateAccount, account, vouched};
use crate::platform::{Db, OpError, access::SystemScope, in_tx};

/// The reasons to refuse to create an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateAdminRefusal {
    /// The account with this address is an administrator already.
    #[error("this is an administrator already")]
    AlreadyAdmin,
}

/// Creates an account that is an administrator, or makes the account with this address one.
///
/// An existing account keeps its name. It also keeps its password, unless the request has one. If its address
/// was never confirmed, the account may belong to a stranger: its password is replaced or removed and its
/// sessions end in any case.
pub async fn create_admin(
    db: &Db,
    scope: &SystemScope,
    request: CreateAccount,
) -> Result<Account, OpError<CreateAdminRefusal>> {
    let hash = vouched::hash_of(&request).await?;
    in_tx(db, scope.actor(), async |tx| {
        let (row, made) = vouched::insert_or_lock(tx, &request, hash.clone()).await?;
        if row.admin {
            return Err(OpError::refuse_field(CreateAdminRefusal::AlreadyAdmin, "email"));
        }
        let row = if made { row } else { vouched::vouch(tx, row, hash).await? };
        let mut row = row.into_active_model();
        row.admin = Set(true);
        let row = row.update(tx.conn()).await?;
        account::tell(tx, &row, "account.create_admin", &["admin", "email_confirmed_at", "password"]).await?;
        Ok(row.into())
    })
    .await
}
