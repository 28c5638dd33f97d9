//! Queries of products: the list, and a product by slugs.

use async_graphql::{Context, Enum, ID, InputObject, Object};
use domain::{
    catalog::{
        PriceRange, ProductSort as Sort,
        queries::{self, ProductFilter as Filter},
    },
    platform::access::{Manage, Permission},
};

use super::Product;
use crate::graphql::{
    connection::{Connection, List},
    context::{ContextExt, id},
    creators::queries::creator_id_by_slug,
    errors::{Internal, bad_input},
    input::{Form, InvalidInput, parsed},
    money::{MoneyInput, prices},
};

/// The order of a list of products.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "Sort")]
pub enum ProductSort {
    /// The most recently created first.
    Newest,
    /// By the lowest price of a variant, ascending. Amounts of different currencies are not converted.
    PriceAscending,
    /// By the lowest price of a variant, descending. Amounts of different currencies are not converted.
    PriceDescending,
    /// By title, from A to Z.
    Title,
}

/// A filter of products. All conditions must hold.
#[derive(InputObject, Default)]
pub struct ProductFilter {
    /// Only products of this creator.
    pub creator_id: Option<ID>,
    /// Only products with this tag.
    pub tag: Option<String>,
    /// Only products whose lowest price is at or above this, in the same currency.
    pub price_min: Option<MoneyInput>,
    /// Only products whose lowest price is at or below this, in the same currency.
    pub price_max: Option<MoneyInput>,
    /// Whether to include archived products. Needs `creatorId`. For the creator's members, and for its secret
    /// tokens with `CATALOG_READ`.
    pub archived: Option<bool>,
}

impl ProductFilter {
    fn parse(self) -> Result<Filter, InvalidInput> {
        let mut form = Form::new();
        let filter = form.inside("filter", |form| {
            parsed!(Filter {
                price: prices(form, self.price_min, self.price_max).map(|(min, max)| {
                    let (min_minor, max_minor) = (min.map(|price| price.minor), max.map(|price| price.minor));
                    min.or(max).map(|price| PriceRange { currency: price.currency, min_minor, max_minor })
                }),
                creator: form.optional("creatorId", self.creator_id.as_ref().map(id)),
                tag: form.optional("tag", self.tag.as_deref().map(str::parse)),
            })
        });
        form.finish(filter)
    }
}

/// The queries of the catalogue.
#[derive(Default)]
pub struct CatalogQuery;

#[Object]
impl CatalogQuery {
    /// The products that are not archived. A creator's token gets only the products of that creator.
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A filter.")] filter: Option<ProductFilter>,
        #[graphql(desc = "The order.", default_with = "ProductSort::Newest")] sort: ProductSort,
    ) -> async_graphql::Result<Connection<Product>> {
        let list = List::of(ctx, format!("products:{sort:?}"))?;
        let filter = filter.unwrap_or_default();
        let archived = filter.archived.unwrap_or(false);
        let filter = filter.parse()?;
        let (db, public) = (ctx.db(), *ctx.sight()?.public_scope());
        if archived {
            let creator =
                filter.creator.ok_or_else(|| bad_input("`filter.archived`: needs `filter.creatorId`"))?;
            let scope = ctx.scope(Manage { creator, permission: Permission::CatalogRead })?;
            let slice =
                queries::list_own(db, &scope, &filter, true, sort.into(), &list.page).await.internal()?;
            return Ok(list.connection(
                slice.map(Product),
                db,
                (scope, filter),
                |db, (scope, filter)| async move { queries::count_own(&db, &scope, &filter, true).await },
            ));
        }
        let slice = queries::list(db, &public, &filter, sort.into(), &list.page).await.internal()?;
        Ok(list.connection(slice.map(Product), db, filter, move |db, filter| async move {
            queries::count(&db, &public, &filter).await
        }))
    }

    /// The product with the given slugs of its creator and its own, current or past. Compare `slug` with the
    /// one you asked for, and redirect if they differ. Null if there is no such product, or the viewer may
    /// not see it.
    async fn product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The creator's slug.")] creator: String,
        #[graphql(desc = "The product's slug.")] slug: String,
    ) -> async_graphql::Result<Option<Product>> {
        let sight = ctx.sight()?;
        let Some(creator) = creator_id_by_slug(ctx, &creator).await? else { return Ok(None) };
        Ok(queries::by_slug(ctx.db(), &sight, creator, &slug).await.internal()?.map(Product))
    }
}
