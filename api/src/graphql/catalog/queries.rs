//! The products that there are, and the one that slugs lead to.

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
    context::{Reach, id},
    creators::queries::creator_id_by_slug,
    errors::{Internal, bad_input},
    input::{Form, InvalidInput, parsed},
    money::{MoneyInput, prices},
};

/// In which order products are listed.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "Sort")]
pub enum ProductSort {
    /// Those made last first.
    Newest,
    /// By the lowest price of a variant, rising; of use with one currency.
    PriceAscending,
    /// By the lowest price of a variant, falling; of use with one currency.
    PriceDescending,
    /// By title, from A to Z.
    Title,
}

/// Which products; all conditions hold together.
#[derive(InputObject, Default)]
pub struct ProductFilter {
    /// Of one creator.
    pub creator_id: Option<ID>,
    /// With this tag.
    pub tag: Option<String>,
    /// With a lowest price at or above this; only products of its currency.
    pub price_min: Option<MoneyInput>,
    /// With a lowest price at or below this; only products of its currency.
    pub price_max: Option<MoneyInput>,
    /// Archived ones too. Needs `creatorId`: for the creator's members, and its secret tokens with
    /// `catalog:read`.
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

/// Reads of the catalogue.
#[derive(Default)]
pub struct CatalogQuery;

#[Object]
impl CatalogQuery {
    /// Products that are not archived, as a list to page through. With a creator's token: of that creator
    /// only.
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which products.")] filter: Option<ProductFilter>,
        #[graphql(desc = "In which order.", default_with = "ProductSort::Newest")] sort: ProductSort,
    ) -> async_graphql::Result<Connection<Product>> {
        let list = List::of(ctx, format!("products:{sort:?}"))?;
        let filter = filter.unwrap_or_default();
        let archived = filter.archived.unwrap_or(false);
        let filter = filter.parse()?;
        let (db, public) = (ctx.db(), *ctx.sight()?.public_scope());
        if archived {
            let creator =
                filter.creator.ok_or_else(|| bad_input("`filter.archived` needs `filter.creatorId`"))?;
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

    /// A product by the slugs of its creator and its own, present or past: compare `slug` with what you asked
    /// for, and redirect when it differs. Null when there is none that the viewer may see.
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
