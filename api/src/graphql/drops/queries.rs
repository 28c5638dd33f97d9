//! The drops that there are, and the one that slugs lead to.

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
    context::{Reach, id},
    creators::queries::creator_id_by_slug,
    errors::Internal,
    input::{Form, InvalidInput},
    money::{MoneyInput, prices},
};

/// In which order drops are listed.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "queries::DropSort")]
pub enum DropSort {
    /// The youngest first.
    Newest,
    /// By the opening of the window.
    OpensSoonest,
    /// By the end of the window.
    ClosesSoonest,
    /// By the lowest price of a unit, rising; of use with one currency.
    PriceAscending,
    /// By the lowest price of a unit, falling; of use with one currency.
    PriceDescending,
}

/// Which drops; without a phase: all that are scheduled, open or closed.
#[derive(InputObject, Default)]
pub struct DropFilter {
    /// Of one creator.
    pub creator_id: Option<ID>,
    /// With this tag.
    pub tag: Option<String>,
    /// In one of these phases.
    #[graphql(validator(max_items = 5))]
    pub phases: Option<Vec<DropPhase>>,
    /// Open, and closing within six hours.
    pub closing_soon: Option<bool>,
    /// Open, and with units that can be reserved now.
    pub available: Option<bool>,
    /// With a lowest price at or above this; only drops of its currency.
    pub price_min: Option<MoneyInput>,
    /// With a lowest price at or below this; only drops of its currency.
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

/// Reads of drops.
#[derive(Default)]
pub struct DropsQuery;

#[Object]
impl DropsQuery {
    /// Drops that the viewer may see, as a list to page through.
    async fn drops(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which drops.")] filter: Option<DropFilter>,
        #[graphql(desc = "In which order.", default_with = "DropSort::Newest")] sort: DropSort,
    ) -> async_graphql::Result<Connection<Drop>> {
        let list = List::of(ctx, format!("drops:{sort:?}"))?;
        let filter = filter.unwrap_or_default().parse(ctx.db().now())?;
        let sight = ctx.sight()?;
        let slice = queries::list(ctx.db(), &sight, &filter, sort.into(), &list.page).await.internal()?;
        Ok(list.connection(slice.map(Drop), ctx.db(), (sight, filter), |db, (sight, filter)| async move {
            queries::count(&db, &sight, &filter).await
        }))
    }

    /// A drop by the slugs of its creator and its own, present or past. Null when there is none that the
    /// viewer may see.
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

    /// The stock of a drop, one second old at most: `asOf` says when it was read. It is read once a second
    /// for all who ask, however many they are, so that pages may ask for it alone. Null when there is no such
    /// drop that the viewer may see.
    async fn drop_stock(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which drop.")] drop_id: ID,
    ) -> async_graphql::Result<Option<DropStock>> {
        let Ok(id) = id::<DropId>(&drop_id) else { return Ok(None) };
        let known = ctx.live().stock_lately(id).await.internal()?;
        let seen = known.filter(|known| ctx.sight().is_ok_and(|sight| queries::is_seen(&sight, &known.drop)));
        Ok(seen.map(|known| DropStock { id, currency: known.drop.currency, read: known.read.clone() }))
    }
}
