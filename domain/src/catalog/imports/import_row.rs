//! The table of imports, with its scoped finders.

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

/// Products that came as a file.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "product_imports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ImportId,
    pub creator_id: CreatorId,
    /// Whether it only finds out what would become of each row.
    pub dry_run: bool,
    /// Rows in all.
    pub row_count: Count,
    /// Rows of which it is known what became of them.
    pub rows_done: Count,
    /// The number of the last of them; 0 before the first.
    pub row_last: i32,
    /// Rows with complaints, among those that are done.
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

/// The imports of the creators that the viewer may read for.
pub(crate) fn in_sight(sight: &Sight) -> Select<Entity> {
    Entity::find().filter(sight.hidden(Column::CreatorId))
}

/// A creator's imports.
pub(crate) fn owned(scope: &CreatorScope) -> Select<Entity> {
    Entity::find().filter(Column::CreatorId.eq(scope.creator()))
}

/// An import whoever asks: for the worker, which is led to it by its task.
pub(crate) async fn by_id(conn: &impl ConnectionTrait, id: ImportId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(conn).await
}

/// Takes the lock of a creator's import by noting that it was begun; answers the row as it is then.
pub(crate) async fn lock(tx: &Tx, scope: &CreatorScope, id: ImportId) -> Result<Option<Model>, DbErr> {
    let begun = Expr::col(Column::StartedAt).if_null(tx.now());
    let update = Entity::update_many().col_expr(Column::StartedAt, begun);
    let update = update.filter(Column::Id.eq(id)).filter(Column::CreatorId.eq(scope.creator()));
    Ok(update.exec_with_returning(tx.conn()).await?.into_iter().next())
}

/// Imports that are not finished, begun or not.
pub(crate) fn open() -> Select<Entity> {
    Entity::find().filter(Column::FinishedAt.is_null())
}

/// Forgets imports that were finished before `before`, with their rows. Answers how many.
pub async fn sweep(tx: &Tx, before: DateTime<Utc>) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(Column::FinishedAt.lt(before)).exec(tx.conn()).await?.rows_affected)
}
