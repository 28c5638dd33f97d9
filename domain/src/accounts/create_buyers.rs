//! Creates many accounts at once, for load tests.

use std::collections::HashMap;

use sea_orm::{EntityTrait, IntoActiveModel, sea_query::OnConflict};

use super::{AccountName, Email, account, session, vouched};
use crate::platform::{
    Db, NeverRefused, OpError, access::SystemScope, entropy::Secret, ids::AccountId, in_tx,
};

/// Creates many confirmed accounts without passwords and opens a session for each, in one transaction. Load
/// tests use them as buyers. An account that exists already only gets a session. The bearer tokens are
/// returned in the order of the request.
pub async fn create_buyers(
    db: &Db,
    scope: &SystemScope,
    buyers: &[(Email, AccountName)],
) -> Result<Vec<Secret>, OpError<NeverRefused>> {
    // SQLite allows 32,766 values in a statement and PostgreSQL 65,535; an account has nine.
    const ROWS_MAX: usize = 1_000;
    in_tx(db, scope.actor(), async |tx| {
        let mut secrets = Vec::with_capacity(buyers.len());
        for some in buyers.chunks(ROWS_MAX) {
            let new: Vec<_> = some.iter().map(|(email, name)| vouched::row(tx, email, name, None)).collect();
            let known = OnConflict::column(account::Column::Email).do_nothing().to_owned();
            let insert = account::Entity::insert_many(new.iter().cloned().map(|row| row.into_active_model()));
            insert.on_conflict(known).exec_without_returning(tx.conn()).await?;
            let emails: Vec<_> = some.iter().map(|(email, _)| email.clone()).collect();
            let ids: HashMap<_, _> = account::by_emails(tx.conn(), &emails)
                .await?
                .into_iter()
                .map(|row| (row.email, row.id))
                .collect();
            let made: Vec<_> = new.iter().filter(|row| ids.get(&row.email) == Some(&row.id)).collect();
            account::tell_all(tx, &made, "account.create", &["email", "email_confirmed_at", "name"]).await?;
            let ids: Vec<AccountId> = emails.iter().filter_map(|email| ids.get(email).copied()).collect();
            secrets.extend(session::open_many(tx, &ids).await?);
        }
        Ok(secrets)
    })
    .await
}
