//! Who a bearer token is.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;

use super::{api_token, member, session};
use crate::platform::{
    Db, Tx,
    access::{Actor, Viewer},
    entropy::Secret,
    ids::{AccountId, SessionId, TokenId},
    in_tx,
};

/// How exactly "last used" is kept: more often would make every read a write.
const USED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// The most tokens that are looked up by one statement.
pub(super) const AT_ONCE: usize = 500;

/// What `Secret::hash` makes of a bearer token.
pub(super) type Hash = Vec<u8>;

/// The viewer of a bearer token; `None` when it is unknown, revoked or run out.
///
/// Read from the database each time, so that a revocation holds with the next request of every process. Where
/// many come at once, [`Viewers`](super::Viewers) reads them together.
pub async fn viewer_of(db: &Db, secret: &Secret) -> Result<Option<Viewer>, DbErr> {
    let asked = Asked::of(secret);
    let mut found = look_up(db, std::iter::once(&asked)).await?;
    note(db, found.unnoted).await;
    Ok(found.viewers.remove(&asked.hash))
}

/// A bearer token that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub(super) hash: Hash,
    is_session: bool,
}

impl Asked {
    pub(super) fn of(secret: &Secret) -> Self {
        Self { hash: secret.hash(), is_session: secret.expose().starts_with("sr_ses_") }
    }
}

/// What was found of bearer tokens.
#[derive(Default)]
pub(super) struct Found {
    pub(super) viewers: HashMap<Hash, Viewer>,
    pub(super) unnoted: Unnoted,
}

/// Sessions and tokens that were used, which is to be noted.
#[derive(Debug, Default)]
pub(super) struct Unnoted {
    sessions: BTreeSet<SessionId>,
    tokens: BTreeSet<TokenId>,
}

impl Unnoted {
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.tokens.is_empty()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.sessions.extend(other.sessions);
        self.tokens.extend(other.tokens);
    }
}

/// Finds who many bearer tokens are: at most three statements, each over a unique index. What is not good is
/// left out.
pub(super) async fn look_up(db: &Db, asked: impl IntoIterator<Item = &Asked>) -> Result<Found, DbErr> {
    let mut found = Found::default();
    let (sessions, tokens): (Vec<&Asked>, Vec<&Asked>) =
        asked.into_iter().partition(|asked| asked.is_session);
    let hashes = |asked: &[&Asked]| asked.iter().map(|asked| asked.hash.clone()).collect::<Vec<_>>();
    if !sessions.is_empty() {
        find_sessions(db, &hashes(&sessions), &mut found).await?;
    }
    if !tokens.is_empty() {
        find_tokens(db, &hashes(&tokens), &mut found).await?;
    }
    Ok(found)
}

async fn find_sessions(db: &Db, hashes: &[Hash], found: &mut Found) -> Result<(), DbErr> {
    let (conn, now) = (db.reader(), db.now());
    let sessions = session::presented(conn, hashes, now).await?;
    // What a storefront's session may do does not depend on the account's memberships.
    let own: Vec<AccountId> =
        sessions.iter().filter(|row| row.opened_by.is_none()).filter_map(|row| row.account_id).collect();
    let memberships = member::of_accounts(conn, &own).await?;
    for row in sessions {
        if is_stale(Some(row.last_used_at), now) {
            found.unnoted.sessions.insert(row.id);
        }
        let memberships =
            row.account_id.and_then(|account| memberships.get(&account).cloned()).unwrap_or_default();
        found.viewers.extend(row.viewer(memberships).map(|viewer| (row.secret_hash, viewer)));
    }
    Ok(())
}

async fn find_tokens(db: &Db, hashes: &[Hash], found: &mut Found) -> Result<(), DbErr> {
    let now = db.now();
    for row in api_token::presented(db.reader(), hashes, now).await? {
        if is_stale(row.last_used_at, now) {
            found.unnoted.tokens.insert(row.id);
        }
        found.viewers.insert(row.secret_hash.clone(), Viewer::Token(row.viewer()));
    }
    Ok(())
}

/// The viewers of bearer tokens, by their hashes (`Secret::hash`); those of tokens that are unknown, revoked
/// or run out are not there. For connections that outlive a request: three statements for five hundred.
pub async fn viewers_of(db: &Db, hashes: &[Hash]) -> Result<HashMap<Hash, Viewer>, DbErr> {
    let mut found = Found::default();
    for some in hashes.chunks(AT_ONCE) {
        find_sessions(db, some, &mut found).await?;
        find_tokens(db, some, &mut found).await?;
    }
    Ok(found.viewers)
}

fn is_stale(last_used_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    last_used_at.is_none_or(|at| now.signed_duration_since(at) >= USED_EVERY)
}

/// Notes that sessions and tokens were used. Nobody is turned away because a note could not be made.
pub(super) async fn note(db: &Db, used: Unnoted) {
    if used.is_empty() {
        return;
    }
    let Unnoted { sessions, tokens } = &used;
    let done = in_tx(db, Actor::System("last-used"), async |tx: &Tx| {
        session::touch(tx, sessions).await?;
        api_token::touch(tx, tokens).await
    });
    if let Err(error) = done.await {
        tracing::warn!(sessions = sessions.len(), tokens = tokens.len(), %error, "last use is not noted");
    }
}
