//! To make an administrator.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{Account, CreateAccount, account, vouched};
use crate::platform::{Db, OpError, access::SystemScope, in_tx};

/// Why nobody becomes an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateAdminRefusal {
    /// There is an administrator with this address.
    #[error("this is an administrator already")]
    AlreadyAdmin,
}

/// Makes an administrator, of a new account or of the one with this address.
///
/// An account that exists keeps its name, and its password unless one is given. One whose address was never
/// confirmed may be a stranger's: its password and its sessions end in any case.
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
