//! Changes the name of an account.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{Account, AccountName, account};
use crate::platform::{Db, NeverRefused, OpError, access::AccountScope, in_tx};

/// Changes the name that the person wants to be called by. This operation is never refused.
pub async fn change_name(
    db: &Db,
    scope: &AccountScope,
    name: AccountName,
) -> Result<Account, OpError<NeverRefused>> {
    in_tx(db, scope.actor(), async |tx| {
        let mut row = account::lock(tx, scope.account()).await?.into_active_model();
        row.name = Set(name.into_string());
        let row = row.update(tx.conn()).await?;
        account::tell(tx, &row, "account.change_name", &["name"]).await?;
        Ok(row.into())
    })
    .await
}
