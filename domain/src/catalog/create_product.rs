//! Creates a product. Variants are added afterwards, one by one.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, PaginatorTrait};

use super::{
    Product, ProductTitle, Summary,
    policy::PRODUCTS_MAX,
    product::{self, ActiveModel},
};
use crate::{
    creators,
    platform::{
        Db, EntityId, OpError, Tx,
        access::CreatorScope,
        audit,
        facts::Fact,
        ids::ProductId,
        in_tx, outbox,
        slugs::{self, Slug, SlugKind},
        tags::{self, TagKind, Tags},
        text::Markdown,
    },
};

/// A request to create a product.
#[derive(Debug, Clone)]
pub struct CreateProduct {
    /// The slug; if `None`, it is derived from the title.
    pub slug: Option<Slug>,
    /// The title.
    pub title: ProductTitle,
    /// A summary of one or two sentences.
    pub summary: Option<Summary>,
    /// The full description; may be empty.
    pub description: Markdown,
    /// The tags that the product can be found by.
    pub tags: Tags,
}

/// The reasons to refuse to create a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateProductRefusal {
    /// Another product of the creator has or had this slug.
    #[error("this slug is taken")]
    SlugTaken,
    /// The request has no slug, and none can be derived from the title.
    #[error("no slug can be derived from this title: choose one")]
    SlugNeeded,
    /// The creator has as many products as allowed.
    #[error("a creator can have at most 5,000 products")]
    TooManyProducts,
}

const FIELDS: &[&str] = &["slug", "title", "summary", "description", "tags"];

/// Creates a product in the creator's currency. It is public at once, but nothing of it can be reserved yet.
pub async fn create_product(
    db: &Db,
    scope: &CreatorScope,
    request: CreateProduct,
) -> Result<Product, OpError<CreateProductRefusal>> {
    in_tx(db, scope, async |tx| create_product_in(tx, scope, request, 0).await).await
}

/// Creates a product within a transaction. `besides` counts products that a dry run has already created and
/// rolled back.
pub(super) async fn create_product_in(
    tx: &Tx,
    scope: &CreatorScope,
    request: CreateProduct,
    besides: u64,
) -> Result<Product, OpError<CreateProductRefusal>> {
    // From here to the end of the transaction, the currency cannot change and no other product can be
    // created.
    let creator = creators::hold(tx, scope).await?;
    if product::owned(scope).count(tx.conn()).await?.saturating_add(besides) >= PRODUCTS_MAX {
        return Err(OpError::refuse(CreateProductRefusal::TooManyProducts));
    }
    let slug = request.slug.or_else(|| Slug::from_title(request.title.as_str()));
    let slug = slug.ok_or_else(|| OpError::refuse_field(CreateProductRefusal::SlugNeeded, "slug"))?;
    let id: ProductId = tx.new_id();
    if !slugs::take(tx, SlugKind::Product, creator.id.uuid(), &slug, id.uuid()).await? {
        return Err(OpError::refuse_field(CreateProductRefusal::SlugTaken, "slug"));
    }
    let row = ActiveModel {
        id: Set(id),
        creator_id: Set(creator.id),
        slug: Set(slug.as_str().to_owned()),
        title: Set(request.title.into_string()),
        summary: Set(request.summary.map(Summary::into_string).unwrap_or_default()),
        description_markdown: Set(request.description.source().to_owned()),
        description_html: Set(request.description.html().to_owned()),
        price_min_minor: Set(0),
        currency: Set(creator.currency),
        version: Set(1),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
        archived_at: Set(None),
    };
    let product = row.insert(tx.conn()).await?;
    tags::set(tx, TagKind::Product, id, &request.tags).await?;
    outbox::publish(tx, product.version, &Fact::ProductChanged { creator: creator.id, product: id }).await?;
    audit::record(tx, "product.create", id, FIELDS).await?;
    Ok(product)
}
