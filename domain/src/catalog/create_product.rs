//! To add a product; its variants follow one by one.

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

/// A product to be added.
#[derive(Debug, Clone)]
pub struct CreateProduct {
    /// `None` makes one of the title.
    pub slug: Option<Slug>,
    /// What it is called.
    pub title: ProductTitle,
    /// In one or two sentences.
    pub summary: Option<Summary>,
    /// In full; may be empty.
    pub description: Markdown,
    /// By what it is found.
    pub tags: Tags,
}

/// Why a product is not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateProductRefusal {
    /// Another product of the creator has, or once had, this slug.
    #[error("this slug is taken")]
    SlugTaken,
    /// No slug was given, and none can be made of the title.
    #[error("give a slug: none can be made of this title")]
    SlugNeeded,
    /// The creator has as many products as it may have.
    #[error("a creator can have at most 5,000 products")]
    TooManyProducts,
}

const FIELDS: &[&str] = &["slug", "title", "summary", "description", "tags"];

/// Adds a product, in the creator's currency; it is public at once, though nothing of it can be reserved.
pub async fn create_product(
    db: &Db,
    scope: &CreatorScope,
    request: CreateProduct,
) -> Result<Product, OpError<CreateProductRefusal>> {
    in_tx(db, scope, async |tx| create_product_in(tx, scope, request, 0).await).await
}

/// The same within a transaction. `besides` counts products that would be there by now: those of a rehearsal.
pub(super) async fn create_product_in(
    tx: &Tx,
    scope: &CreatorScope,
    request: CreateProduct,
    besides: u64,
) -> Result<Product, OpError<CreateProductRefusal>> {
    // From now on the creator's currency stays, and no other product is added.
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
