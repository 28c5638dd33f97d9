//! Finds the viewer that a bearer token belongs to.

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

/// The precision of "last used". A finer one would turn every read into a write.
const USED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// The most tokens that one statement looks up.
pub(super) const AT_ONCE: usize = 500;

/// The hash of a bearer token (`Secret::hash`).
pub(super) type TokenHash = Vec<u8>;

/// Returns the viewer of a bearer token; `None` if the token is unknown, revoked or expired.
///
/// Reads the database each time, so that a revocation takes effect with the next request of every process.
/// [`Viewers`](super::Viewers) batches many look-ups that come at once.
pub async fn viewer_of(db: &Db, secret: &Secret) -> Result<Option<Viewer>, DbErr> {
    let asked = TokenLookup::of(secret);
    let mut found = look_up(db, std::iter::once(&asked)).await?;
    note(db, found.unnoted).await;
    Ok(found.viewers.remove(&asked.hash))
}

/// A bearer token to look up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TokenLookup {
    pub(super) hash: TokenHash,
    is_session: bool,
}

impl TokenLookup {
    pub(super) fn of(secret: &Secret) -> Self {
        Self { hash: secret.hash(), is_session: secret.expose().starts_with("sr_ses_") }
    }
}

/// The result of a look-up of bearer tokens.
#[derive(Default)]
pub(super) struct FoundViewers {
    pub(super) viewers: HashMap<TokenHash, Viewer>,
    pub(super) unnoted: Unnoted,
}

/// The sessions and tokens whose use is still to be recorded.
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

/// Looks up the viewers of many bearer tokens with at most three statements, each over a unique index. Tokens
/// that are not valid are left out.
pub(super) async fn look_up(
    db: &Db,
    asked: impl IntoIterator<Item = &TokenLookup>,
) -> Result<FoundViewers, DbErr> {
    let mut found = FoundViewers::default();
    let (sessions, tokens): (Vec<&TokenLookup>, Vec<&TokenLookup>) =
        asked.into_iter().partition(|asked| asked.is_session);
    let hashes = |asked: &[&TokenLookup]| asked.iter().map(|asked| asked.hash.clone()).collect::<Vec<_>>();
    if !sessions.is_empty() {
        find_sessions(db, &hashes(&sessions), &mut found).await?;
    }
    if !tokens.is_empty() {
        find_tokens(db, &hashes(&tokens), &mut found).await?;
    }
    Ok(found)
}

async fn find_sessions(db: &Db, hashes: &[TokenHash], found: &mut FoundViewers) -> Result<(), DbErr> {
    let (conn, now) = (db.reader(), db.now());
    let sessions = session::presented(conn, hashes, now).await?;
    // Memberships do not matter for sessions that a storefront opened.
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

async fn find_tokens(db: &Db, hashes: &[TokenHash], found: &mut FoundViewers) -> Result<(), DbErr> {
    let now = db.now();
    for row in api_token::presented(db.reader(), hashes, now).await? {
        if is_stale(row.last_used_at, now) {
            found.unnoted.tokens.insert(row.id);
        }
        found.viewers.insert(row.secret_hash.clone(), Viewer::Token(row.viewer()));
    }
    Ok(())
}

/// Returns the viewers of bearer tokens by their hashes (`Secret::hash`). Unknown, revoked and expired tokens
/// are left out. Used for connections that outlive a request. Runs three statements for every 500 tokens.
pub async fn viewers_of(db: &Db, hashes: &[TokenHash]) -> Result<HashMap<TokenHash, Viewer>, DbErr> {
    let mut found = FoundViewers::default();
    for some in hashes.chunks(AT_ONCE) {
        find_sessions(db, some, &mut found).await?;
        find_tokens(db, some, &mut found).await?;
    }
    Ok(found.viewers)
}

fn is_stale(last_used_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    last_used_at.is_none_or(|at| now.signed_duration_since(at) >= USED_EVERY)
}

/// Records that sessions and tokens were used. A failure is logged and does not fail the request.
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
        tracing::warn!(sessions = sessions.len(), tokens = tokens.len(), %error, "could not record last use");
    }
}
