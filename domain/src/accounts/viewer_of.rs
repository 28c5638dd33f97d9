//! Who a bearer token is.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;

use super::{AccountViewer, TokenViewer, Viewer, api_token, session};
use crate::{
    creators::member,
    platform::{Actor, Db, Tx, entropy::Secret, ids::EntityId, in_tx},
};

/// How exactly "last used" is kept: more often would make every read a write.
const USED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// The viewer of a bearer token; `None` when it is unknown, revoked or run out.
///
/// Read from the database each time, by one indexed lookup and one for memberships, so that a revocation holds with the
/// next request of every process.
pub async fn viewer_of(db: &Db, secret: &Secret) -> Result<Option<Viewer>, DbErr> {
    if secret.expose().starts_with("sr_ses_") { of_session(db, secret).await } else { of_token(db, secret).await }
}

async fn of_session(db: &Db, secret: &Secret) -> Result<Option<Viewer>, DbErr> {
    let now = db.now();
    let Some(row) = session::presented(db.reader(), secret.hash(), now).await? else { return Ok(None) };
    let viewer = match (row.account_id, row.guest_id) {
        (Some(account), _) => {
            // A session that a storefront holds is a buyer's and no more: the buyer agreed to that.
            let own = row.opened_by.is_none();
            let memberships = if own { member::of_account(db.reader(), account).await? } else { Vec::new() };
            let admin = own && row.admin.unwrap_or(false);
            let confirmed = row.email_confirmed_at.is_some();
            Some(Viewer::Account(AccountViewer { account, session: row.id, lent: !own, confirmed, admin, memberships }))
        }
        (None, Some(guest)) => Some(Viewer::Guest(guest, row.id)),
        (None, None) => None,
    };
    if is_stale(Some(row.last_used_at), now) {
        noted(row.id, in_tx(db, Actor::System("last-used"), async |tx: &Tx| session::touch(tx, row.id).await).await);
    }
    Ok(viewer)
}

async fn of_token(db: &Db, secret: &Secret) -> Result<Option<Viewer>, DbErr> {
    let now = db.now();
    let Some(row) = api_token::presented(db.reader(), secret.hash(), now).await? else { return Ok(None) };
    if is_stale(row.last_used_at, now) {
        noted(row.id, in_tx(db, Actor::System("last-used"), async |tx: &Tx| api_token::touch(tx, row.id).await).await);
    }
    let permissions = api_token::read_permissions(&row.permissions);
    Ok(Some(Viewer::Token(TokenViewer { token: row.id, kind: row.kind, creator: row.creator_id, permissions })))
}

fn is_stale(last_used_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    last_used_at.is_none_or(|at| now.signed_duration_since(at) >= USED_EVERY)
}

/// Nobody is turned away because a note could not be made.
fn noted(id: impl EntityId, done: Result<(), DbErr>) {
    if let Err(error) = done {
        tracing::warn!(id = id.public(), %error, "last use is not noted");
    }
}
