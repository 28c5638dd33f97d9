//! Queries of imports and their rows.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, DbErr, QueryFilter, Select};

use super::{ImportRow, ProductImport, import_row, report_row};
use crate::{
    catalog::Sight,
    platform::{
        Db,
        access::CreatorScope,
        ids::ImportId,
        page::{Page, Slice, SortKey, SortValue, count_capped, slice},
        read_in,
    },
};

/// Returns the visible imports by id, with one statement.
pub async fn by_ids(
    db: &Db,
    sight: &Sight,
    ids: &[ImportId],
) -> Result<HashMap<ImportId, ProductImport>, DbErr> {
    let select = import_row::in_sight(sight).filter(import_row::Column::Id.is_in(ids.iter().copied()));
    Ok(select.all(db.reader()).await?.into_iter().map(|row| (row.id, row)).collect())
}

/// Lists a creator's imports, newest first.
pub async fn list(db: &Db, scope: &CreatorScope, page: &Page) -> Result<Slice<ProductImport>, DbErr> {
    let sort = (import_row::Column::CreatedAt, import_row::Column::Id);
    let key = |row: &ProductImport| SortKey::new(SortValue::Time(row.created_at), row.id);
    read_in(db, scope, async |conn| slice(conn, import_row::owned(scope), sort, true, page, key).await).await
}

/// Counts the imports that [`list`] lists, up to the cap.
pub async fn count(db: &Db, scope: &CreatorScope) -> Result<u64, DbErr> {
    read_in(db, scope, async |conn| count_capped(conn, import_row::owned(scope)).await).await
}

/// Lists the rows of a creator's import, in order; with `refused`, only rows with complaints.
pub async fn rows(
    db: &Db,
    scope: &CreatorScope,
    import: ImportId,
    refused: bool,
    page: &Page,
) -> Result<Slice<ImportRow>, DbErr> {
    let sort = (report_row::Column::Number, report_row::Column::Id);
    let key = |row: &ImportRow| SortKey::new(SortValue::Int(row.number.into()), row.id);
    read_in(db, scope, async |conn| slice(conn, chosen(scope, import, refused), sort, false, page, key).await)
        .await
}

/// Counts the rows that [`rows`] lists, up to the cap.
pub async fn rows_count(
    db: &Db,
    scope: &CreatorScope,
    import: ImportId,
    refused: bool,
) -> Result<u64, DbErr> {
    read_in(db, scope, async |conn| count_capped(conn, chosen(scope, import, refused)).await).await
}

fn chosen(scope: &CreatorScope, import: ImportId, refused: bool) -> Select<report_row::Entity> {
    let select = report_row::owned(scope, import);
    if refused { select.filter(report_row::complained()) } else { select }
}
