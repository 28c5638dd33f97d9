//! The table of an import's rows: what they hold, and what became of them.

#![expect(clippy::disallowed_methods, reason = "the table's own finders")]

use sea_orm::{
    DbErr, DeriveActiveEnum, FromJsonQueryResult, QueryOrder, QuerySelect, Select,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, SimpleExpr},
};
use serde::{Deserialize, Serialize};

use super::Complaint;
use crate::{
    catalog::sheet::Cells,
    platform::{
        Tx,
        access::CreatorScope,
        ids::{CreatorId, ImportId, ImportRowId, ProductId, VariantId},
    },
};

/// What became of a product or of a variant; in a dry run, what would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum RowOutcome {
    /// It is new.
    #[sea_orm(string_value = "CREATED")]
    Created,
    /// It was there, and says what the row says now.
    #[sea_orm(string_value = "UPDATED")]
    Updated,
    /// It was there, and said this before.
    #[sea_orm(string_value = "UNCHANGED")]
    Unchanged,
    /// The complaints say why.
    #[sea_orm(string_value = "REFUSED")]
    Refused,
}

/// What is wrong with a row, in the order in which it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct RowComplaints(pub Vec<Complaint>);

/// One row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "product_import_rows")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ImportRowId,
    pub import_id: ImportId,
    pub creator_id: CreatorId,
    /// Its number in the file, where the header is 1.
    pub number: i32,
    /// The number of its product's first row.
    pub first: i32,
    pub cells: Cells,
    pub complaints: RowComplaints,
    /// Of its product: in the product's first row, once that is done.
    pub product_outcome: Option<RowOutcome>,
    /// Of its variant, if it has one, once the row is done.
    pub variant_outcome: Option<RowOutcome>,
    pub product_id: Option<ProductId>,
    pub variant_id: Option<VariantId>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// The rows of a creator's import.
pub(crate) fn owned(scope: &CreatorScope, import: ImportId) -> Select<Entity> {
    Entity::find().filter(Column::CreatorId.eq(scope.creator())).filter(Column::ImportId.eq(import))
}

/// Up to `limit` rows after the one with that number, in their order.
pub(crate) async fn after(
    tx: &Tx,
    scope: &CreatorScope,
    import: ImportId,
    number: i32,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let select = owned(scope, import).filter(Column::Number.gt(number)).order_by_asc(Column::Number);
    select.limit(limit).all(tx.conn()).await
}

/// That a row has complaints. Both databases write an empty list alike.
pub(crate) fn complained() -> SimpleExpr {
    Expr::col(Column::Complaints).cast_as("text").ne("[]")
}
