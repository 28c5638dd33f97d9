//! Imports of products from a file: one row per import, and one row per row of the file with its outcome.

use sea_orm_migration::prelude::*;

use crate::{
    columns::{migration, table},
    wall,
};

migration!(|manager| {
    table("product_imports")
        .id()
        .of("creator_id", "creators")
        .flag("dry_run")
        .integer("row_count")
        // The progress: the number of rows done, and the number of the last one.
        .integer("rows_done")
        .integer("row_last")
        .integer("rows_refused")
        .integer("products_created")
        .integer("products_updated")
        .integer("variants_created")
        .integer("variants_updated")
        .at("created_at")
        .at_or_null("started_at")
        .at_or_null("finished_at")
        .check("rows_done <= row_count")
        .index(&["creator_id", "created_at", "id"])
        .create(manager)
        .await?;
    let open =
        "CREATE INDEX ix_product_imports_open ON product_imports (created_at) WHERE finished_at IS NULL";
    manager.get_connection().execute_unprepared(open).await?;

    table("product_import_rows")
        .id()
        .part_of("import_id", "product_imports")
        .of("creator_id", "creators")
        .integer("number")
        // The number of the first row of the same product.
        .integer("first")
        .json("cells")
        .json("complaints")
        .text_or_null("product_outcome")
        .text_or_null("variant_outcome")
        .uuid_or_null("product_id")
        .uuid_or_null("variant_id")
        .unique(&["import_id", "number"])
        .create(manager)
        .await?;

    wall::owned(manager, "product_imports", "creator_id", &["SELECT", "INSERT", "UPDATE"]).await?;
    wall::owned(manager, "product_import_rows", "creator_id", &["SELECT", "INSERT", "UPDATE"]).await
});
