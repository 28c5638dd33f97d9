//! Queries of drops: the list, a drop by slugs, and its stock.

use async_graphql::{Context, Enum, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use domain::{
    drops::queries::{self, DropFilter as Filter},
    platform::ids::DropId,
    reservations::claims::with_units_left,
};

use super::{Drop, DropPhase, stock::DropStock};
use crate::graphql::{
    connection::{Connection, List},
    context::{ContextExt, id},
    creators::queries::creator_id_by_slug,
    errors::Internal,
    input::{Form, InvalidInput},
    money::{MoneyInput, prices},
};

/// The order of a list of drops.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "queries::DropSort")]
pub enum DropSort {
    /// The most recently created first.
    Newest,
    /// By the opening of the window, the earliest first.
    OpensSoonest,
    /// By the end of the window, the earliest first.
    ClosesSoonest,
    /// By the lowest price of a unit, ascending. Amounts of different currencies are not converted.
    PriceAscending,
    /// By the lowest price of a unit, descending. Amounts of different currencies are not converted.
    PriceDescending,
}

/// A filter of drops. All conditions must hold. Without `phases`, the list has the scheduled, open and closed
/// drops.
#[derive(InputObject, Default)]
pub struct DropFilter {
    /// Only drops of this creator.
    pub creator_id: Option<ID>,
    /// Only drops with this tag.
    pub tag: Option<String>,
    /// Only drops in one of these phases.
    #[graphql(validator(max_items = 5))]
    pub phases: Option<Vec<DropPhase>>,
    /// Only open drops that close within {CLOSING_SOON_HOURS} hours.
    pub closing_soon: Option<bool>,
    /// Only open drops with units that can be reserved now.
    pub available: Option<bool>,
    /// Only drops whose lowest price is at or above this, in the same currency.
    pub price_min: Option<MoneyInput>,
    /// Only drops whose lowest price is at or below this, in the same currency.
    pub price_max: Option<MoneyInput>,
}

impl DropFilter {
    fn parse(self, now: DateTime<Utc>) -> Result<Filter, InvalidInput> {
        let mut form = Form::new();
        let filter = form.inside("filter", |form| {
            let range = prices(form, self.price_min, self.price_max);
            let creator = form.optional("creatorId", self.creator_id.as_ref().map(id));
            let tag = form.optional("tag", self.tag.as_deref().map(str::parse));
            let (min, max) = range?;
            Ok(Filter {
                creator: creator?,
                tag: tag?,
                phases: self.phases.map(|phases| phases.into_iter().map(Into::into).collect()),
                closing_soon: self.closing_soon.unwrap_or(false),
                available: self.available.unwrap_or(false).then(|| with_units_left(now)),
                price_min_minor: min.map(|price| price.minor),
                price_max_minor: max.map(|price| price.minor),
                currency: min.or(max).map(|price| price.currency),
            })
        });
        form.finish(filter)
    }
}

/// The queries of drops.
#[derive(Default)]
pub struct DropsQuery;

#[Object]
impl DropsQuery {
    /// The drops that the viewer may see.
    async fn drops(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A filter.")] filter: Option<DropFilter>,
        #[graphql(desc = "The order.", default_with = "DropSort::Newest")] sort: DropSort,
    ) -> async_graphql::Result<Connection<Drop>> {
        let list = List::of(ctx, format!("drops:{sort:?}"))?;
        let filter = filter.unwrap_or_default().parse(ctx.db().now())?;
        let sight = ctx.sight()?;
        let slice = queries::list(ctx.db(), &sight, &filter, sort.into(), &list.page).await.internal()?;
        Ok(list.connection(slice.map(Drop), ctx.db(), (sight, filter), |db, (sight, filter)| async move {
            queries::count(&db, &sight, &filter).await
        }))
    }

    /// The drop with the given slugs of its creator and its own, current or past. Compare `slug` with the one
    /// you asked for, and redirect if they differ. Null if there is no such drop, or the viewer may not see
    /// it.
    async fn drop(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The creator's slug.")] creator: String,
        #[graphql(desc = "The drop's slug.")] slug: String,
    ) -> async_graphql::Result<Option<Drop>> {
        let sight = ctx.sight()?;
        let Some(creator) = creator_id_by_slug(ctx, &creator).await? else { return Ok(None) };
        Ok(queries::by_slug(ctx.db(), &sight, creator, &slug).await.internal()?.map(Drop))
    }

    /// The stock of a drop, at most one second old: `asOf` says when it was read. The server reads it at most
    /// once a second for all viewers together, so pages may poll this field alone. Null if there is no such
    /// drop, or the viewer may not see it.
    async fn drop_stock(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the drop.")] drop_id: ID,
    ) -> async_graphql::Result<Option<DropStock>> {
        let Ok(id) = id::<DropId>(&drop_id) else { return Ok(None) };
        let known = ctx.live().stock_lately(id).await.internal()?;
        let seen = known.filter(|known| ctx.sight().is_ok_and(|sight| queries::is_seen(&sight, &known.drop)));
        Ok(seen.map(|known| DropStock { id, currency: known.drop.currency, read: known.read.clone() }))
    }
}
