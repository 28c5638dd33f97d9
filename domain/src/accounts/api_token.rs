//! The `api_tokens` table and its finders.

#![expect(clippy::disallowed_methods, reason = "the tokens table's own finders")]

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sea_orm::{Condition, DbErr, entity::prelude::*, sea_query::Expr};

use crate::platform::{
    Tx,
    access::{Permission, TokenKind, TokenViewer, TokensScope},
    bulk,
    ids::{CreatorId, TokenId},
};

/// A row of the `api_tokens` table: an API token with its permissions.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "api_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TokenId,
    pub kind: TokenKind,
    pub creator_id: Option<CreatorId>,
    pub name: String,
    pub secret_hash: Vec<u8>,
    /// The names of the permissions, separated by commas.
    pub permissions: String,
    /// The actor that created the token.
    pub actor: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// An API token without its secret, as shown to those who manage it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// The token's id.
    pub id: TokenId,
    /// Publishable or secret.
    pub kind: TokenKind,
    /// The creator that owns the token; `None` if it is the marketplace's.
    pub creator: Option<CreatorId>,
    /// The purpose of the token.
    pub name: String,
    /// The permissions of a secret token.
    pub permissions: Vec<Permission>,
    /// When the token was created.
    pub created_at: DateTime<Utc>,
    /// When the token expires; `None` if it is valid until it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the token was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When the token was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl From<Model> for ApiToken {
    fn from(row: Model) -> Self {
        let permissions = read_permissions(&row.permissions);
        let Model {
            id,
            kind,
            creator_id: creator,
            name,
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
            ..
        } = row;
        Self { id, kind, creator, name, permissions, created_at, expires_at, last_used_at, revoked_at }
    }
}

impl Model {
    /// Returns the viewer that the token's bearer is.
    pub(crate) fn viewer(&self) -> TokenViewer {
        let permissions = read_permissions(&self.permissions);
        TokenViewer { token: self.id, kind: self.kind, creator: self.creator_id, permissions }
    }
}

/// Formats permissions for storage.
pub(crate) fn write_permissions(permissions: &[Permission]) -> String {
    permissions.iter().map(|permission| permission.name()).collect::<Vec<_>>().join(",")
}

/// Reads stored permissions. A name that is no longer known grants nothing.
pub(crate) fn read_permissions(stored: &str) -> Vec<Permission> {
    stored.split(',').filter_map(Permission::from_name).collect()
}

fn live(now: DateTime<Utc>) -> Condition {
    let in_time = Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now));
    Condition::all().add(Column::RevokedAt.is_null()).add(in_time)
}

fn of(scope: &TokensScope) -> Condition {
    let whose =
        scope.creator().map_or_else(|| Column::CreatorId.is_null(), |creator| Column::CreatorId.eq(creator));
    Condition::all().add(whose)
}

/// Finds the live tokens with these secrets. Runs one statement over a unique index.
pub(crate) async fn presented(
    conn: &impl ConnectionTrait,
    secret_hashes: &[Vec<u8>],
    now: DateTime<Utc>,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::SecretHash.is_in(bulk::padded(secret_hashes.iter().cloned())))
        .filter(live(now))
        .all(conn)
        .await
}

/// Finds a token that is neither revoked nor expired.
pub(crate) async fn live_by_id(
    conn: &impl ConnectionTrait,
    id: TokenId,
    now: DateTime<Utc>,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(live(now)).one(conn).await
}

/// Records that tokens were used.
pub(crate) async fn touch(tx: &Tx, ids: &BTreeSet<TokenId>) -> Result<(), DbErr> {
    if ids.is_empty() {
        return Ok(());
    }
    let update = Entity::update_many().col_expr(Column::LastUsedAt, Expr::value(tx.now()));
    update.filter(Column::Id.is_in(ids.iter().copied())).exec(tx.conn()).await?;
    Ok(())
}

/// Selects the tokens of the scope, including revoked ones.
pub(crate) fn owned(scope: &TokensScope) -> Select<Entity> {
    Entity::find().filter(of(scope))
}

/// Counts the tokens of the scope that are neither revoked nor expired.
pub(crate) async fn live_count(tx: &Tx, scope: &TokensScope) -> Result<u64, DbErr> {
    owned(scope).filter(live(tx.now())).count(tx.conn()).await
}

/// Revokes a token of the scope. Returns `false` if it was already revoked or is not in the scope.
pub(crate) async fn revoke(tx: &Tx, scope: &TokensScope, id: TokenId) -> Result<bool, DbErr> {
    let update = Entity::update_many().col_expr(Column::RevokedAt, Expr::value(tx.now()));
    let which = of(scope).add(Column::Id.eq(id)).add(Column::RevokedAt.is_null());
    Ok(update.filter(which).exec(tx.conn()).await?.rows_affected == 1)
}

/// Finds a token of the scope by its id.
pub(crate) async fn by_id(tx: &Tx, scope: &TokensScope, id: TokenId) -> Result<Option<Model>, DbErr> {
    owned(scope).filter(Column::Id.eq(id)).one(tx.conn()).await
}
