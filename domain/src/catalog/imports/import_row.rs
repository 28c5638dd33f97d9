//! The `product_imports` table and its scoped finders.

#![expect(clippy::disallowed_methods, reason = "the imports table's own finders")]

use chrono::{DateTime, Utc};
use sea_orm::{
    DbErr, Select,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};

use crate::{
    catalog::Sight,
    platform::{
        Count, Tx,
        access::CreatorScope,
        ids::{CreatorId, ImportId},
    },
};

/// A row of the `product_imports` table: an import of products from a file.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "product_imports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ImportId,
    pub creator_id: CreatorId,
    /// Whether the import only reports what would happen to each row.
    pub dry_run: bool,
    /// The number of rows in all.
    pub row_count: Count,
    /// The number of rows that are done.
    pub rows_done: Count,
    /// The number of the last row that is done; 0 before the first.
    pub row_last: i32,
    /// The number of rows that are done and have complaints.
    pub rows_refused: Count,
    pub products_created: Count,
    pub products_updated: Count,
    pub variants_created: Count,
    pub variants_updated: Count,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// Selects the imports of the creators that the viewer may read for.
pub(crate) fn in_sight(sight: &Sight) -> Select<Entity> {
    Entity::find().filter(sight.hidden(Column::CreatorId))
}

/// Selects a creator's imports.
pub(crate) fn owned(scope: &CreatorScope) -> Select<Entity> {
    Entity::find().filter(Column::CreatorId.eq(scope.creator()))
}

/// Finds an import by id, for the worker, which gets the id from its task.
pub(crate) async fn by_id(conn: &impl ConnectionTrait, id: ImportId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(conn).await
}

/// Locks a creator's import and records that it has started. Returns the row with that change.
pub(crate) async fn lock(tx: &Tx, scope: &CreatorScope, id: ImportId) -> Result<Option<Model>, DbErr> {
    let begun = Expr::col(Column::StartedAt).if_null(tx.now());
    let update = Entity::update_many().col_expr(Column::StartedAt, begun);
    let update = update.filter(Column::Id.eq(id)).filter(Column::CreatorId.eq(scope.creator()));
    Ok(update.exec_with_returning(tx.conn()).await?.into_iter().next())
}

/// Selects the imports that are not finished, whether they have started or not.
pub(crate) fn open() -> Select<Entity> {
    Entity::find().filter(Column::FinishedAt.is_null())
}

/// Deletes imports that finished before `before`, with their rows. Returns the number of imports.
pub async fn sweep(tx: &Tx, before: DateTime<Utc>) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(Column::FinishedAt.lt(before)).exec(tx.conn()).await?.rows_affected)
}
