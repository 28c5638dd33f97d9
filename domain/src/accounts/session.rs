//! The `sessions` table, its finders, and the opening of sessions.

#![expect(clippy::disallowed_methods, reason = "the sessions table's own finders")]

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set, Condition, DbErr, FromQueryResult, JoinType, QuerySelect, RelationDef,
    entity::prelude::*, sea_query::Expr,
};

use super::{Email, account, guest, member, person_key};
use crate::platform::{
    Tx,
    access::{AccountScope, AccountViewer, GuestViewer, MemberRole, PersonKey, SessionScope, Viewer},
    audit, bulk,
    entropy::Secret,
    ids::{AccountId, CreatorId, GuestId, SessionId, TokenId},
};

/// The lifetime of an account's session.
pub const SESSION_LASTS: TimeDelta = TimeDelta::days(30);
/// The lifetime of a guest's session: long enough to buy and to see the outcome.
pub const GUEST_SESSION_LASTS: TimeDelta = TimeDelta::days(1);

/// A row of the `sessions` table.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    pub account_id: Option<AccountId>,
    pub guest_id: Option<GuestId>,
    pub opened_by: Option<TokenId>,
    pub secret_hash: Vec<u8>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// A session, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The session's id.
    pub id: SessionId,
    /// The storefront's token that opened the session, if any.
    pub opened_by: Option<TokenId>,
    /// When the session was opened.
    pub created_at: DateTime<Utc>,
    /// When the session expires.
    pub expires_at: DateTime<Utc>,
    /// When the session was last used, to the minute.
    pub last_used_at: DateTime<Utc>,
}

impl From<Model> for Session {
    fn from(row: Model) -> Self {
        let Model { id, opened_by, created_at, expires_at, last_used_at, .. } = row;
        Self { id, opened_by, created_at, expires_at, last_used_at }
    }
}

/// A session that was just opened.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The bearer token. It is shown only this once.
    pub secret: Secret,
    /// The session.
    pub session: Session,
    /// The viewer that the bearer is from now on.
    pub viewer: Viewer,
}

/// Opens a session of an account.
pub(crate) async fn open(
    tx: &Tx,
    account: &account::Model,
    opened_by: Option<TokenId>,
) -> Result<SignedIn, DbErr> {
    let (row, secret) = new(tx, Some(account.id), None, opened_by, SESSION_LASTS);
    let row = row.insert(tx.conn()).await?;
    audit::record(tx, "session.open", row.id, &[]).await?;
    let memberships = member::of_account(tx.conn(), account.id).await?;
    let person = account.email_confirmed_at.map(|_| person_key(&account.email));
    let viewer = bearer(account.id, row.id, opened_by, person, account.admin, memberships);
    Ok(SignedIn { secret, session: row.into(), viewer })
}

/// Returns the viewer of an account's session. In a session that a storefront holds, the viewer is only a
/// buyer, because the person agreed to nothing more.
fn bearer(
    account: AccountId,
    session: SessionId,
    opened_by: Option<TokenId>,
    person: Option<PersonKey>,
    admin: bool,
    memberships: Vec<(CreatorId, MemberRole)>,
) -> Viewer {
    let lent = opened_by.is_some();
    let (admin, memberships) = if lent { (false, Vec::new()) } else { (admin, memberships) };
    Viewer::Account(AccountViewer { account, session, lent, person, admin, memberships })
}

/// Opens a session of a guest whose address is confirmed.
pub(crate) async fn open_guest(tx: &Tx, guest: &guest::Model) -> Result<SignedIn, DbErr> {
    let (row, secret) = new(tx, None, Some(guest.id), None, GUEST_SESSION_LASTS);
    let row = row.insert(tx.conn()).await?;
    audit::record(tx, "session.open", row.id, &[]).await?;
    let viewer = GuestViewer { guest: guest.id, session: row.id, person: person_key(&guest.email) };
    Ok(SignedIn { secret, viewer: Viewer::Guest(viewer), session: row.into() })
}

/// Opens a session for each account, with one statement. The secrets are in the order of the accounts.
pub(crate) async fn open_many(tx: &Tx, accounts: &[AccountId]) -> Result<Vec<Secret>, DbErr> {
    let (rows, secrets): (Vec<_>, Vec<_>) =
        accounts.iter().map(|account| new(tx, Some(*account), None, None, SESSION_LASTS)).unzip();
    if !rows.is_empty() {
        Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    }
    Ok(secrets)
}

fn new(
    tx: &Tx,
    account: Option<AccountId>,
    guest: Option<GuestId>,
    opened_by: Option<TokenId>,
    lasts: TimeDelta,
) -> (ActiveModel, Secret) {
    let secret = tx.entropy().secret("sr_ses");
    let row = ActiveModel {
        id: Set(tx.new_id()),
        account_id: Set(account),
        guest_id: Set(guest),
        opened_by: Set(opened_by),
        secret_hash: Set(secret.hash()),
        created_at: Set(tx.now()),
        expires_at: Set(tx.now().checked_add_signed(lasts).unwrap_or(DateTime::<Utc>::MAX_UTC)),
        last_used_at: Set(tx.now()),
        revoked_at: Set(None),
    };
    (row, secret)
}

fn live(now: DateTime<Utc>) -> Condition {
    Condition::all().add(Column::RevokedAt.is_null()).add(Column::ExpiresAt.gt(now))
}

/// A session with the facts about its account or guest that authorisation needs.
#[derive(Debug, FromQueryResult)]
pub(crate) struct Presented {
    pub(crate) id: SessionId,
    pub(crate) secret_hash: Vec<u8>,
    pub(crate) account_id: Option<AccountId>,
    pub(crate) guest_id: Option<GuestId>,
    pub(crate) opened_by: Option<TokenId>,
    pub(crate) last_used_at: DateTime<Utc>,
    pub(crate) admin: Option<bool>,
    email: Option<Email>,
    email_confirmed_at: Option<DateTime<Utc>>,
    guest_email: Option<Email>,
}

impl Presented {
    /// Returns the viewer of the session, given the account's memberships.
    pub(crate) fn viewer(&self, memberships: Vec<(CreatorId, MemberRole)>) -> Option<Viewer> {
        match (self.account_id, self.guest_id) {
            (Some(account), _) => {
                let person = self.email_confirmed_at.and(self.email.as_ref()).map(person_key);
                Some(bearer(
                    account,
                    self.id,
                    self.opened_by,
                    person,
                    self.admin.unwrap_or(false),
                    memberships,
                ))
            }
            (None, Some(guest)) => {
                let person = person_key(self.guest_email.as_ref()?);
                Some(Viewer::Guest(GuestViewer { guest, session: self.id, person }))
            }
            (None, None) => None,
        }
    }
}

/// Finds the live sessions with these secrets, together with their accounts or guests. Runs one statement
/// over a unique index.
pub(crate) async fn presented(
    conn: &impl ConnectionTrait,
    hashes: &[Vec<u8>],
    now: DateTime<Utc>,
) -> Result<Vec<Presented>, DbErr> {
    let its_account: RelationDef =
        Entity::belongs_to(account::Entity).from(Column::AccountId).to(account::Column::Id).into();
    let its_guest: RelationDef =
        Entity::belongs_to(guest::Entity).from(Column::GuestId).to(guest::Column::Id).into();
    Entity::find()
        .select_only()
        .columns([
            Column::Id,
            Column::SecretHash,
            Column::AccountId,
            Column::GuestId,
            Column::OpenedBy,
            Column::LastUsedAt,
        ])
        .column_as(account::Column::Admin, "admin")
        .column_as(account::Column::Email, "email")
        .column_as(account::Column::EmailConfirmedAt, "email_confirmed_at")
        .column_as(guest::Column::Email, "guest_email")
        .join(JoinType::LeftJoin, its_account)
        .join(JoinType::LeftJoin, its_guest)
        .filter(Column::SecretHash.is_in(bulk::padded(hashes.iter().cloned())))
        .filter(live(now))
        .into_model()
        .all(conn)
        .await
}

/// Records that sessions were used.
pub(crate) async fn touch(tx: &Tx, ids: &BTreeSet<SessionId>) -> Result<(), DbErr> {
    if ids.is_empty() {
        return Ok(());
    }
    let update = Entity::update_many().col_expr(Column::LastUsedAt, Expr::value(tx.now()));
    update.filter(Column::Id.is_in(ids.iter().copied())).exec(tx.conn()).await?;
    Ok(())
}

/// Selects the live sessions of the scope's account.
pub(crate) fn of_account(scope: &AccountScope, now: DateTime<Utc>) -> Select<Entity> {
    Entity::find().filter(Column::AccountId.eq(scope.account())).filter(live(now))
}

/// Ends the scope's session. Returns `false` if it has already ended.
pub(crate) async fn revoke_own(tx: &Tx, scope: &SessionScope) -> Result<bool, DbErr> {
    Ok(revoke(tx, Condition::all().add(Column::Id.eq(scope.session()))).await? == 1)
}

/// Ends a session of the scope's account. Returns `false` if there is no such live session.
pub(crate) async fn revoke_one(tx: &Tx, scope: &AccountScope, id: SessionId) -> Result<bool, DbErr> {
    let which = Condition::all().add(Column::Id.eq(id)).add(Column::AccountId.eq(scope.account()));
    Ok(revoke(tx, which).await? == 1)
}

/// Ends all sessions of an account, except `but`. Returns their number.
pub(crate) async fn revoke_all(tx: &Tx, account: AccountId, but: Option<SessionId>) -> Result<u64, DbErr> {
    let others = but.map(|session| Column::Id.ne(session));
    revoke(tx, Condition::all().add(Column::AccountId.eq(account)).add_option(others)).await
}

/// Ends all sessions that a storefront's token opened. Returns their number.
pub(crate) async fn revoke_opened_by(tx: &Tx, token: TokenId) -> Result<u64, DbErr> {
    revoke(tx, Condition::all().add(Column::OpenedBy.eq(token))).await
}

async fn revoke(tx: &Tx, which: Condition) -> Result<u64, DbErr> {
    let update = Entity::update_many().col_expr(Column::RevokedAt, Expr::value(tx.now()));
    Ok(update.filter(which).filter(live(tx.now())).exec(tx.conn()).await?.rows_affected)
}

/// Deletes sessions that ended before `before`. Returns their number.
pub(crate) async fn sweep(tx: &Tx, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let ended = Condition::any().add(Column::ExpiresAt.lt(before)).add(Column::RevokedAt.lt(before));
    Ok(Entity::delete_many().filter(ended).exec(tx.conn()).await?.rows_affected)
}
