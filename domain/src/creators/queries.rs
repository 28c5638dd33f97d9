//! Queries of creators: lists, look-ups by id, and look-ups by present and past slugs.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use uuid::Uuid;

use super::{
    Creator,
    creator::{self, Column},
};
use crate::platform::{
    Db,
    access::{CreatorScope, PublicScope},
    ids::CreatorId,
    page::{Page, Slice, SortKey, SortValue, count_capped, slice},
    read_in,
    slugs::{self, SlugKind},
};

/// The order in which creators are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CreatorSort {
    /// Newest first.
    Newest,
    /// By name.
    Name,
}

/// Lists the public creators in scope.
pub async fn list(
    db: &Db,
    scope: &PublicScope,
    sort: CreatorSort,
    page: &Page,
) -> Result<Slice<Creator>, DbErr> {
    let select = creator::published(scope);
    match sort {
        CreatorSort::Newest => {
            let key = |row: &Creator| SortKey::new(SortValue::Time(row.created_at), row.id);
            slice(db.reader(), select, (Column::CreatedAt, Column::Id), true, page, key).await
        }
        CreatorSort::Name => {
            let key = |row: &Creator| SortKey::new(SortValue::Text(row.name.clone()), row.id);
            slice(db.reader(), select, (Column::Name, Column::Id), false, page, key).await
        }
    }
}

/// Counts the creators that [`list`] has in all, up to the cap.
pub async fn count(db: &Db, scope: &PublicScope) -> Result<u64, DbErr> {
    count_capped(db.reader(), creator::published(scope)).await
}

/// Returns the creators in scope by id, with one statement.
pub async fn by_ids(
    db: &Db,
    scope: &PublicScope,
    ids: &[CreatorId],
) -> Result<HashMap<CreatorId, Creator>, DbErr> {
    let rows =
        creator::published(scope).filter(Column::Id.is_in(ids.iter().copied())).all(db.reader()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Returns the creator that a present or past slug leads to. If the returned creator has another slug, the
/// caller should redirect to it.
pub async fn by_slug(db: &Db, scope: &PublicScope, slug: &str) -> Result<Option<Creator>, DbErr> {
    let Some(subject) = slugs::find(db.reader(), SlugKind::Creator, Uuid::nil(), slug).await? else {
        return Ok(None);
    };
    creator::published(scope).filter(Column::Id.eq(subject)).one(db.reader()).await
}

/// Returns the scope's own creator.
pub async fn own(db: &Db, scope: &CreatorScope) -> Result<Option<Creator>, DbErr> {
    read_in(db, scope, async |conn| creator::own(conn, scope).await).await
}
