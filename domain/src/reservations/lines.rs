//! Lines as a buyer asks for them, and what they would cost now.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr};
use serde::Serialize;

use super::{
    decide::LineClaim,
    load::{self, About},
    quote::{Delivery, ItemTerms, LineAsked, Quote, QuoteRefusal, Tables, quote},
    tables,
};
use crate::{
    accounts::PublicScope,
    creators::Country,
    drops::{drop_row, item_row, state::DropState},
    platform::{
        Db, OpError, Refused,
        ids::{CreatorId, DropId, DropItemId},
    },
};

/// The most lines of a checkout.
pub const LINES_MAX: usize = 20;
/// The most units of a line.
pub const LINE_UNITS_MAX: u32 = 1_000;

/// One line of a request. Units are 1 to [`LINE_UNITS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Which item.
    pub item: DropItemId,
    /// How many.
    pub units: u32,
    /// How it reaches the buyer.
    pub delivery: Delivery,
}

/// Everything that pricing needs, loaded once for any number of requests.
pub(crate) struct PriceBook {
    pub(crate) terms: HashMap<DropItemId, ItemTerms>,
    tables: Tables,
}

impl PriceBook {
    /// Loads the terms of items whose rows were read, and the tables for some destinations: five statements.
    pub(crate) async fn load(
        conn: &impl ConnectionTrait,
        drops: &[drop_row::Model],
        items: &[item_row::Model],
        destinations: &BTreeSet<&str>,
    ) -> Result<Self, DbErr> {
        let terms = load::terms_of(conn, drops, items).await?;
        let creators: BTreeSet<CreatorId> = terms.values().map(|terms| terms.creator).collect();
        let origins: BTreeSet<&str> = terms.values().map(|terms| terms.origin_country.as_str()).collect();
        let tables = tables::load(conn, &creators, destinations, &origins).await?;
        Ok(Self { terms, tables })
    }

    /// Prices lines, given how many units of each line's item are taken.
    pub(crate) fn price(
        &self,
        lines: &[Line],
        destination: &Country,
        taken: &[u32],
        at: DateTime<Utc>,
    ) -> Result<Quote, (usize, QuoteRefusal)> {
        let lines = lines.iter().zip(taken).filter_map(|(line, taken)| {
            let terms = self.terms.get(&line.item)?;
            Some(LineAsked { terms, units: line.units, delivery: line.delivery, taken: *taken })
        });
        quote(&lines.collect::<Vec<_>>(), destination.code(), &self.tables, at)
    }
}

/// Lines as claims.
pub(crate) fn claims(lines: &[Line]) -> Vec<LineClaim> {
    lines.iter().map(|line| LineClaim { item: line.item, units: line.units }).collect()
}

/// Why there is no quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskRefusal {
    /// No lines, or more than [`LINES_MAX`].
    #[error("a checkout has 1 to 20 lines")]
    LineCount,
    /// No such item, or not announced.
    #[error("not found")]
    ItemNotFound,
    /// Lines of drops with different currencies.
    #[error("all lines must be of one currency; make one checkout a currency")]
    MixedCurrencies,
    /// There is no tax rate for the destination.
    #[error("this cannot be sold to that country")]
    CountryNotServed,
    /// The creator has no tariff for the destination.
    #[error("the creator does not ship to that country")]
    NotShippedThere,
    /// The drop is not shipped, or not fetched.
    #[error("this drop is not offered with that kind of delivery")]
    DeliveryNotOffered,
    /// Beyond what can be reckoned.
    #[error("the amount is too large")]
    AmountTooLarge,
}

impl From<QuoteRefusal> for AskRefusal {
    fn from(refusal: QuoteRefusal) -> Self {
        match refusal {
            QuoteRefusal::MixedCurrencies => Self::MixedCurrencies,
            QuoteRefusal::CountryNotServed => Self::CountryNotServed,
            QuoteRefusal::NotShippedThere => Self::NotShippedThere,
            QuoteRefusal::DeliveryNotOffered => Self::DeliveryNotOffered,
            QuoteRefusal::AmountTooLarge => Self::AmountTooLarge,
        }
    }
}

/// What lines would cost now, sent to that country. Nothing is held: the price is that of the next
/// free units, and only reserving binds.
pub async fn ask(db: &Db, scope: &PublicScope, lines: &[Line], destination: &Country) -> Result<Quote, OpError<AskRefusal>> {
    if lines.is_empty() || lines.len() > LINES_MAX {
        return Err(OpError::refuse_field(AskRefusal::LineCount, "lines"));
    }
    let ids: BTreeSet<DropItemId> = lines.iter().map(|line| line.item).collect();
    let items = item_row::by_ids(db.reader(), &ids.into_iter().collect::<Vec<_>>()).await?;
    let ids: BTreeSet<DropId> = items.iter().map(|item| item.drop_id).collect();
    let drops = drop_row::by_ids(db.reader(), &ids.into_iter().collect::<Vec<_>>()).await?;
    let book = PriceBook::load(db.reader(), &drops, &items, &BTreeSet::from([destination.code()])).await?;
    let now = db.now();
    let stock = load::stock_of(db.reader(), &drops, &items, About::default(), now).await?;
    let mut complaints = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let visible = book.terms.get(&line.item).is_some_and(|terms| {
            let announced = stock.drops.get(&terms.drop).is_some_and(|window| window.state != DropState::Draft);
            announced && scope.creator().is_none_or(|creator| creator == terms.creator)
        });
        if !visible {
            complaints.push(Refused::item(AskRefusal::ItemNotFound, "lines", at, "itemId"));
        }
    }
    OpError::refuse_if_any(complaints)?;
    let taken: Vec<u32> = lines.iter().map(|line| stock.taken(line.item)).collect();
    book.price(lines, destination, &taken, now).map_err(|(at, refusal)| Refused::item(refusal.into(), "lines", at, "itemId").into())
}
