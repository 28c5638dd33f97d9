//! The `product_import_rows` table: the rows of imports, with their outcomes.

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

/// The outcome for a product or a variant. In a dry run, it is the outcome that would result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum RowOutcome {
    /// It was created.
    #[sea_orm(string_value = "CREATED")]
    Created,
    /// It existed and was changed.
    #[sea_orm(string_value = "UPDATED")]
    Updated,
    /// It existed and did not need to change.
    #[sea_orm(string_value = "UNCHANGED")]
    Unchanged,
    /// It was refused; the complaints give the reasons.
    #[sea_orm(string_value = "REFUSED")]
    Refused,
}

/// The complaints about a row, in the order in which they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct RowComplaints(pub Vec<Complaint>);

/// A row of the `product_import_rows` table: one row of a file.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "product_import_rows")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ImportRowId,
    pub import_id: ImportId,
    pub creator_id: CreatorId,
    /// The row's number in the file, where the header is row 1.
    pub number: i32,
    /// The number of the product's first row.
    pub first: i32,
    pub cells: Cells,
    pub complaints: RowComplaints,
    /// The outcome for the product, in the product's first row once it is done.
    pub product_outcome: Option<RowOutcome>,
    /// The outcome for the variant, if the row has one, once the row is done.
    pub variant_outcome: Option<RowOutcome>,
    pub product_id: Option<ProductId>,
    pub variant_id: Option<VariantId>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// Selects the rows of a creator's import.
pub(crate) fn owned(scope: &CreatorScope, import: ImportId) -> Select<Entity> {
    Entity::find().filter(Column::CreatorId.eq(scope.creator())).filter(Column::ImportId.eq(import))
}

/// Returns up to `limit` rows after the row with this number, in order.
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

/// Matches rows with complaints. Both databases store an empty list as `[]`.
pub(crate) fn complained() -> SimpleExpr {
    Expr::col(Column::Complaints).cast_as("text").ne("[]")
}
