//! The lines of a request, and what they would cost now.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr};
use serde::Serialize;

use super::{
    decide::LineClaim,
    load::{self, About},
    quote::{DeliveryMethod, ItemTerms, LineAsked, Quote, QuoteRefusal, Tables, quote},
    tables,
};
use crate::{
    catalog::{self, Variant},
    creators::{self, Creator},
    drops::{drop_row, item_row, offered_place::PlacesByDrop},
    platform::{
        Country, Db, OpError, Quantity, Refused, StoreError,
        access::PublicScope,
        ids::{CreatorId, DropId, DropItemId, PickupPlaceId, VariantId},
    },
};

/// The maximum number of lines in a checkout.
pub const LINES_MAX: usize = 20;
/// The maximum number of units in a line.
pub const LINE_UNITS_MAX: u32 = 1_000;

/// One line of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RequestedLine {
    /// The item.
    pub item: DropItemId,
    /// The number of units, up to [`LINE_UNITS_MAX`].
    pub units: Quantity,
    /// How the line is delivered.
    pub delivery: DeliveryMethod,
    /// Where a line is picked up. It may be left out if the drop has only one place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pickup_place: Option<PickupPlaceId>,
}

/// The data that prices depend on and that no gate guards: variants, the terms of their creators, tax rates
/// and tariffs.
pub(crate) struct Conditions {
    pub(super) variants: HashMap<VariantId, Variant>,
    pub(super) creators: HashMap<CreatorId, Creator>,
    /// The countries in which goods are picked up. The tables have their tax rates.
    origins: BTreeSet<Country>,
    tables: Tables,
}

impl Conditions {
    /// Loads the conditions of items and their drops' pickup places for some destinations, with four
    /// statements.
    pub(crate) async fn load(
        conn: &impl ConnectionTrait,
        items: &[item_row::Model],
        places: &PlacesByDrop,
        destinations: &BTreeSet<Country>,
    ) -> Result<Self, DbErr> {
        let variants: BTreeSet<VariantId> = items.iter().map(|item| item.variant_id).collect();
        let variants = catalog::variants_for_sale(conn, &variants.into_iter().collect::<Vec<_>>()).await?;
        let creators: BTreeSet<CreatorId> = items.iter().map(|item| item.creator_id).collect();
        let found = creators::for_sale(conn, &creators.iter().copied().collect::<Vec<_>>()).await?;
        let origins = found.values().map(|creator| creator.country).chain(countries_of(places)).collect();
        let tables = tables::load(conn, &creators, destinations, &origins).await?;
        Ok(Self { variants, creators: found, origins, tables })
    }

    /// Whether the conditions cover all of these items and pickup places.
    pub(super) fn serve(&self, items: &[item_row::Model], places: &PlacesByDrop) -> bool {
        let known = |item: &item_row::Model| {
            self.variants.contains_key(&item.variant_id) && self.creators.contains_key(&item.creator_id)
        };
        items.iter().all(known) && countries_of(places).all(|country| self.origins.contains(&country))
    }
}

fn countries_of(places: &PlacesByDrop) -> impl Iterator<Item = Country> + '_ {
    places.values().flatten().map(|place| place.country)
}

/// The data that pricing needs, loaded once for any number of requests.
pub(crate) struct PriceBook {
    pub(crate) terms: HashMap<DropItemId, ItemTerms>,
    conditions: Arc<Conditions>,
}

impl PriceBook {
    /// Loads the terms of items, in one statement.
    pub(crate) async fn load(
        conn: &impl ConnectionTrait,
        drops: &[drop_row::Model],
        items: &[item_row::Model],
        places: &PlacesByDrop,
        conditions: Arc<Conditions>,
    ) -> Result<Self, StoreError> {
        let terms = load::terms_of(conn, drops, items, places, &conditions).await?;
        Ok(Self { terms, conditions })
    }

    /// Prices lines. `taken` contains the number of units taken of each line's item.
    pub(crate) fn price(
        &self,
        lines: &[RequestedLine],
        destination: Country,
        taken: &[u32],
        at: DateTime<Utc>,
    ) -> Result<Quote, (usize, QuoteRefusal)> {
        let lines = lines.iter().zip(taken).filter_map(|(line, taken)| {
            let terms = self.terms.get(&line.item)?;
            let RequestedLine { item: _, units, delivery, pickup_place } = *line;
            Some(LineAsked { terms, units, delivery, pickup_place, taken: *taken })
        });
        quote(&lines.collect::<Vec<_>>(), destination, &self.conditions.tables, at)
    }
}

/// Converts lines to claims.
pub(crate) fn claims(lines: &[RequestedLine]) -> Vec<LineClaim> {
    lines.iter().map(|line| LineClaim { item: line.item, units: line.units.get() }).collect()
}

/// Why a quote is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskRefusal {
    /// No lines, or more than [`LINES_MAX`].
    #[error("a checkout has 1 to 20 lines")]
    LineCount,
    /// The item does not exist, or its drop is not announced.
    #[error("not found")]
    ItemNotFound,
    /// The lines cannot be priced.
    #[error(transparent)]
    Quote(#[from] QuoteRefusal),
}

/// Returns what lines would cost now, delivered to a country. Nothing is held. The quote uses the price of
/// the next free units; only reserving fixes the price.
pub async fn ask(
    db: &Db,
    scope: &PublicScope,
    lines: &[RequestedLine],
    destination: Country,
) -> Result<Quote, OpError<AskRefusal>> {
    if lines.is_empty() || lines.len() > LINES_MAX {
        return Err(OpError::refuse_field(AskRefusal::LineCount, "lines"));
    }
    let ids: BTreeSet<DropItemId> = lines.iter().map(|line| line.item).collect();
    let items = item_row::by_ids(db.reader(), &ids.into_iter().collect::<Vec<_>>()).await?;
    let ids: BTreeSet<DropId> = items.iter().map(|item| item.drop_id).collect();
    let drops = drop_row::by_ids(db.reader(), &ids.into_iter().collect::<Vec<_>>()).await?;
    let places = load::places_of(db.reader(), &drops).await?;
    let conditions = Conditions::load(db.reader(), &items, &places, &BTreeSet::from([destination])).await?;
    let book = PriceBook::load(db.reader(), &drops, &items, &places, Arc::new(conditions)).await?;
    let now = db.now();
    let stock = load::stock_of(db.reader(), &drops, &items, About::default(), now).await?;
    let mut complaints = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let visible = book.terms.get(&line.item).is_some_and(|terms| {
            let announced = drops.iter().any(|drop| drop.id == terms.drop && drop.is_announced());
            announced && scope.creator().is_none_or(|creator| creator == terms.creator)
        });
        if !visible {
            complaints.push(Refused::item(AskRefusal::ItemNotFound, "lines", at, "itemId"));
        }
    }
    OpError::refuse_if_any(complaints)?;
    let taken: Vec<u32> = lines.iter().map(|line| stock.taken(line.item)).collect();
    book.price(lines, destination, &taken, now).map_err(|(at, refusal)| {
        Refused::item(AskRefusal::Quote(refusal), "lines", at, refusal.field()).into()
    })
}
