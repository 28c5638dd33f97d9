//! Changes a product.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{Product, ProductTitle, Summary, product};
use crate::platform::{
    Db, EntityId, OpError, Tx,
    access::CreatorScope,
    audit,
    facts::Fact,
    ids::ProductId,
    in_tx, outbox,
    slugs::{self, Slug, SlugKind},
    tags::{self, TagKind, Tags},
    text::Markdown,
};

/// A request to change a product; `None` leaves a field unchanged.
#[derive(Debug, Clone)]
pub struct UpdateProduct {
    /// The product.
    pub product: ProductId,
    /// The version that the change is based on; `None` accepts any version.
    pub version: Option<i64>,
    /// A new slug; the old one still leads to the product.
    pub slug: Option<Slug>,
    /// A new title.
    pub title: Option<ProductTitle>,
    /// A new summary; `Some(None)` removes it.
    pub summary: Option<Option<Summary>>,
    /// A new description.
    pub description: Option<Markdown>,
    /// The new tags, which replace all old ones.
    pub tags: Option<Tags>,
}

impl UpdateProduct {
    /// Creates a request that changes nothing yet.
    pub fn of(product: ProductId) -> Self {
        Self { product, version: None, slug: None, title: None, summary: None, description: None, tags: None }
    }
}

/// The reasons to refuse a change of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdateProductRefusal {
    /// The creator has no such product.
    #[error("not found")]
    NotFound,
    /// The product or one of its variants has been changed since that version.
    #[error("this was changed in the meantime: read it again")]
    Conflict,
    /// Another product of the creator has or had this slug.
    #[error("this slug is taken")]
    SlugTaken,
}

/// Changes a product of the scope's creator, archived or not.
pub async fn update_product(
    db: &Db,
    scope: &CreatorScope,
    request: UpdateProduct,
) -> Result<Product, OpError<UpdateProductRefusal>> {
    in_tx(db, scope, async |tx| update_product_in(tx, scope, request).await).await
}

/// Changes a product within a transaction.
pub(super) async fn update_product_in(
    tx: &Tx,
    scope: &CreatorScope,
    request: UpdateProduct,
) -> Result<Product, OpError<UpdateProductRefusal>> {
    let row = product::lock(tx, scope, request.product).await?;
    let row = row.ok_or_else(|| OpError::refuse_field(UpdateProductRefusal::NotFound, "id"))?;
    // The lock has incremented the version.
    if request.version.is_some_and(|seen| seen.checked_add(1) != Some(row.version)) {
        return Err(OpError::refuse_field(UpdateProductRefusal::Conflict, "version"));
    }
    let (id, creator, version) = (row.id, row.creator_id, row.version);
    let mut row = row.into_active_model();
    let mut fields = Vec::new();
    if let Some(slug) = request.slug {
        if !slugs::take(tx, SlugKind::Product, creator.uuid(), &slug, id.uuid()).await? {
            return Err(OpError::refuse_field(UpdateProductRefusal::SlugTaken, "slug"));
        }
        row.slug = Set(slug.as_str().to_owned());
        fields.push("slug");
    }
    if let Some(title) = request.title {
        row.title = Set(title.into_string());
        fields.push("title");
    }
    if let Some(summary) = request.summary {
        row.summary = Set(summary.map(Summary::into_string).unwrap_or_default());
        fields.push("summary");
    }
    if let Some(description) = request.description {
        row.description_markdown = Set(description.source().to_owned());
        row.description_html = Set(description.html().to_owned());
        fields.push("description");
    }
    if let Some(tags) = request.tags {
        tags::set(tx, TagKind::Product, id, &tags).await?;
        fields.push("tags");
    }
    let product = row.update(tx.conn()).await?;
    outbox::publish(tx, version, &Fact::ProductChanged { creator, product: id }).await?;
    audit::record(tx, "product.update", id, &fields).await?;
    Ok(product)
}
