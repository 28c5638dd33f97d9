//! The table of API tokens, with its finders.

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

/// A scoped API token, as it is stored.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "api_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TokenId,
    pub kind: TokenKind,
    pub creator_id: Option<CreatorId>,
    pub name: String,
    pub secret_hash: Vec<u8>,
    /// Names of permissions, comma-separated.
    pub permissions: String,
    /// Who made it.
    pub actor: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// A scoped API token, as those who manage it see it: without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Which.
    pub id: TokenId,
    /// Publishable or secret.
    pub kind: TokenKind,
    /// Whose; `None` is the marketplace's.
    pub creator: Option<CreatorId>,
    /// What it is for.
    pub name: String,
    /// What a secret one may do.
    pub permissions: Vec<Permission>,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Until when; `None` is until it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Since when it is worth nothing.
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
    /// Who its bearer is.
    pub(crate) fn viewer(&self) -> TokenViewer {
        let permissions = read_permissions(&self.permissions);
        TokenViewer { token: self.id, kind: self.kind, creator: self.creator_id, permissions }
    }
}

/// Permissions as they are stored.
pub(crate) fn write_permissions(permissions: &[Permission]) -> String {
    permissions.iter().map(|permission| permission.name()).collect::<Vec<_>>().join(",")
}

/// A name that is not known any more gives no right.
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

/// The live tokens of secrets: one statement over a unique index.
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

/// A token that is still worth something.
pub(crate) async fn live_by_id(
    conn: &impl ConnectionTrait,
    id: TokenId,
    now: DateTime<Utc>,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(live(now)).one(conn).await
}

/// Notes that tokens were used.
pub(crate) async fn touch(tx: &Tx, ids: &BTreeSet<TokenId>) -> Result<(), DbErr> {
    if ids.is_empty() {
        return Ok(());
    }
    let update = Entity::update_many().col_expr(Column::LastUsedAt, Expr::value(tx.now()));
    update.filter(Column::Id.is_in(ids.iter().copied())).exec(tx.conn()).await?;
    Ok(())
}

/// The tokens of the scope, revoked ones too.
pub(crate) fn owned(scope: &TokensScope) -> Select<Entity> {
    Entity::find().filter(of(scope))
}

/// How many tokens of the scope are worth something.
pub(crate) async fn live_count(tx: &Tx, scope: &TokensScope) -> Result<u64, DbErr> {
    owned(scope).filter(live(tx.now())).count(tx.conn()).await
}

/// Makes a token of the scope worthless; `false` when it was already, or is not of the scope.
pub(crate) async fn revoke(tx: &Tx, scope: &TokensScope, id: TokenId) -> Result<bool, DbErr> {
    let update = Entity::update_many().col_expr(Column::RevokedAt, Expr::value(tx.now()));
    let which = of(scope).add(Column::Id.eq(id)).add(Column::RevokedAt.is_null());
    Ok(update.filter(which).exec(tx.conn()).await?.rows_affected == 1)
}

/// One token of the scope.
pub(crate) async fn by_id(tx: &Tx, scope: &TokensScope, id: TokenId) -> Result<Option<Model>, DbErr> {
    owned(scope).filter(Column::Id.eq(id)).one(tx.conn()).await
}
