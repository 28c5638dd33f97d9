//! The `drops` table and its scoped finders.

#![expect(clippy::disallowed_methods, reason = "the drops table's own finders")]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    DbErr, EntityTrait, QuerySelect, Select,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};

use super::{
    state::{DropPhase, DropState, phase},
    terms::{Balance, BalanceKind, CLOSING_SOON_HOURS, Deposit, DepositKind},
};
use crate::platform::{
    Currency, Days, Inconsistency, Seconds, Tx, Units,
    access::CreatorScope,
    ids::{CreatorId, DropId},
};

/// A row of the `drops` table: one preorder run.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "drops")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DropId,
    pub creator_id: CreatorId,
    pub slug: String,
    /// The series that the drop belongs to, if it is one run of several.
    pub series: Option<String>,
    pub title: String,
    pub summary: String,
    pub description_markdown: String,
    pub description_html: String,
    pub state: DropState,
    pub opens_at: DateTime<Utc>,
    pub closes_at: DateTime<Utc>,
    pub hold_secs: Seconds,
    /// The most units, of all items together, that one person may have, if limited.
    pub per_buyer_max: Option<Units>,
    /// The units that must be paid for, or the run is not made.
    pub minimum_units: Option<Units>,
    pub currency: Currency,
    pub deposit_kind: DepositKind,
    pub deposit_value: i64,
    pub balance_kind: BalanceKind,
    pub balance_due_on: Option<Date>,
    pub lead_time_days: Days,
    pub pickup: bool,
    pub shipping: bool,
    /// The lowest price of a unit, in minor units; 0 while there is no item.
    pub price_min_minor: i64,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub published_at: Option<DateTime<Utc>>,
    pub first_held_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Returns whether the public may see the drop: it is published, or was published when it was cancelled.
    /// A draft that is cancelled was never public and stays hidden.
    pub fn is_announced(&self) -> bool {
        self.published_at.is_some()
    }

    /// Returns the deposit, which is paid at reservation.
    pub fn deposit(&self) -> Result<Deposit, Inconsistency> {
        Deposit::from_stored(self.deposit_kind, self.deposit_value).ok_or_else(|| {
            Inconsistency::value(
                "drops",
                "deposit_value",
                self.id,
                self.deposit_value,
                "a deposit in basis points",
            )
        })
    }

    /// Returns when the balance is due.
    pub fn balance(&self) -> Result<Balance, Inconsistency> {
        Balance::from_stored(self.balance_kind, self.balance_due_on).ok_or_else(|| {
            Inconsistency::value(
                "drops",
                "balance_due_on",
                self.id,
                "null",
                "the date of a balance on a date",
            )
        })
    }

    /// Returns the drop's phase at `now`.
    pub fn phase(&self, now: DateTime<Utc>) -> DropPhase {
        phase(self.state, self.opens_at, self.closes_at, now)
    }

    /// Returns whether the window is open and closes within [`CLOSING_SOON_HOURS`].
    pub fn closing_soon(&self, now: DateTime<Utc>) -> bool {
        let left = self.closes_at.signed_duration_since(now);
        self.phase(now) == DropPhase::Open && left <= chrono::TimeDelta::hours(CLOSING_SOON_HOURS)
    }
}

/// Selects all drops; callers narrow the selection to what the viewer may see.
pub(crate) fn all() -> Select<Entity> {
    Entity::find()
}

/// Selects a creator's drops, in any state.
pub(crate) fn owned(scope: &CreatorScope) -> Select<Entity> {
    Entity::find().filter(Column::CreatorId.eq(scope.creator()))
}

/// Returns whether a drop belongs to the creator.
pub(crate) async fn owns(
    conn: &impl ConnectionTrait,
    scope: &CreatorScope,
    id: DropId,
) -> Result<bool, DbErr> {
    let found: Option<DropId> = owned(scope)
        .filter(Column::Id.eq(id))
        .select_only()
        .column(Column::Id)
        .into_tuple()
        .one(conn)
        .await?;
    Ok(found.is_some())
}

/// Finds a creator's drop.
pub(crate) async fn own(
    conn: &impl ConnectionTrait,
    scope: &CreatorScope,
    id: DropId,
) -> Result<Option<Model>, DbErr> {
    owned(scope).filter(Column::Id.eq(id)).one(conn).await
}

/// Finds drops by id, for any viewer. The caller must have checked the ids.
pub(crate) async fn by_ids(conn: &impl ConnectionTrait, ids: &[DropId]) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Id.is_in(ids.iter().copied())).all(conn).await
}

/// Returns the creators of drops. The statement reads no other columns.
pub(crate) async fn creators_of(
    conn: &impl ConnectionTrait,
    ids: &[DropId],
) -> Result<HashMap<DropId, CreatorId>, DbErr> {
    let select = Entity::find().select_only().column(Column::Id).column(Column::CreatorId);
    let rows: Vec<_> = select.filter(Column::Id.is_in(ids.iter().copied())).into_tuple().all(conn).await?;
    Ok(rows.into_iter().collect())
}

/// Locks a creator's drop by incrementing its version, then reads it.
pub(crate) async fn lock(tx: &Tx, scope: &CreatorScope, id: DropId) -> Result<Option<Model>, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .col_expr(Column::UpdatedAt, Expr::value(tx.now()));
    let update = update.filter(Column::Id.eq(id)).filter(Column::CreatorId.eq(scope.creator()));
    if update.exec(tx.conn()).await?.rows_affected == 0 {
        return Ok(None);
    }
    own(tx.conn(), scope, id).await
}

/// Records the first hold of drops, which freezes their deposit terms.
pub(crate) async fn freeze(tx: &Tx, ids: &[DropId], at: DateTime<Utc>) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::FirstHeldAt, Expr::value(at));
    let update = update.filter(Column::Id.is_in(ids.iter().copied())).filter(Column::FirstHeldAt.is_null());
    update.exec(tx.conn()).await?;
    Ok(())
}

/// Returns the slugs of the drops in a creator's series.
pub(crate) async fn series_slugs(
    conn: &impl ConnectionTrait,
    creator: CreatorId,
    series: &str,
) -> Result<Vec<String>, DbErr> {
    let select = Entity::find().filter(Column::CreatorId.eq(creator)).filter(Column::Series.eq(series));
    select.select_only().column(Column::Slug).into_tuple().all(conn).await
}

/// Stores the lowest price of a drop's items.
pub(crate) async fn set_price_min(tx: &Tx, id: DropId, price_minor: i64) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::PriceMinMinor, Expr::value(price_minor));
    update.filter(Column::Id.eq(id)).exec(tx.conn()).await?;
    Ok(())
}

/// Stores a state that `state::transition` returned.
pub(crate) async fn set_state(
    tx: &Tx,
    id: DropId,
    state: DropState,
    published_at: Option<DateTime<Utc>>,
) -> Result<(), DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::value(state))
        .col_expr(Column::PublishedAt, Expr::value(published_at));
    update.filter(Column::Id.eq(id)).exec(tx.conn()).await?;
    Ok(())
}
