//! The outbox: facts, written in the transaction of the change that they describe.
//!
//! The relay stamps committed rows with a gapless `position`. Ids cannot serve as a cursor: they are assigned
//! before the commit, so their order is not the order of commits, and a cursor would skip rows.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the outbox table's own finders, and what its derive makes public"
)]

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbErr, FromQueryResult, QueryOrder, QuerySelect, Statement,
    entity::prelude::*, sea_query::Expr,
};

use super::{
    Inconsistency, bulk,
    db::{Db, Tx},
    facts::Fact,
    faults::{self, Point},
    ids::FactId,
    tasks::{self, NewTask},
    trace::TraceParent,
};

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "outbox")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: FactId,
        pub position: Option<i64>,
        pub kind: String,
        pub aggregate: String,
        pub version: i64,
        pub payload: Json,
        pub traceparent: Option<String>,
        pub created_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

mod lease {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "relay_lease")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub holder: Option<Uuid>,
        pub fence: i64,
        pub expires_at: DateTime<Utc>,
        pub position_last: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// A fact with its position in the sequence of all facts.
#[derive(Debug, Clone)]
pub struct Stamped {
    /// The id of the fact.
    pub id: FactId,
    /// The position, from 1, without gaps.
    pub position: i64,
    /// The version of the aggregate that the fact describes.
    pub version: i64,
    /// What happened.
    pub fact: Fact,
    /// The trace of the request that caused it.
    pub trace: Option<TraceParent>,
}

/// Writes a fact about an aggregate at `version` into the transaction that changes it.
pub async fn publish(tx: &Tx, version: i64, fact: &Fact) -> Result<(), DbErr> {
    publish_all(tx, &[(version, fact.clone())]).await
}

/// Writes several facts with one statement.
pub async fn publish_all(tx: &Tx, facts: &[(i64, Fact)]) -> Result<(), DbErr> {
    let trace = TraceParent::current();
    publish_traced(tx, facts.iter().map(|(version, fact)| (*version, fact.clone(), trace.clone())).collect())
        .await
}

/// Writes facts, each with its own trace, with one statement.
pub(crate) async fn publish_traced(
    tx: &Tx,
    facts: Vec<(i64, Fact, Option<TraceParent>)>,
) -> Result<(), DbErr> {
    if facts.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(facts.len());
    for (version, fact, trace) in facts {
        rows.push(entity::ActiveModel {
            id: Set(tx.new_id()),
            position: Set(None),
            kind: Set(fact.kind().to_owned()),
            aggregate: Set(fact.aggregate()),
            version: Set(version),
            payload: Set(
                serde_json::to_value(&fact).map_err(|error| Inconsistency::no_json(fact.kind(), error))?
            ),
            traceparent: Set(trace.map(|trace| trace.header())),
            created_at: Set(tx.now()),
        });
    }
    bulk::insert_all(tx, rows).await?;
    tx.leaves_work();
    Ok(())
}

/// The duration of the relay's lease: another relay takes over when it was not renewed for this long.
pub const LEASE_SECS: i64 = 5;

/// Returns, with one statement and without waiting for a lock, whether another process than `holder` has the
/// relay's lease.
pub async fn is_leased_to_another(db: &Db, holder: Uuid) -> Result<bool, DbErr> {
    let held = lease::Entity::find_by_id(1).one(db.reader()).await?;
    Ok(held.is_some_and(|held| {
        held.holder.is_some_and(|other| other != holder) && held.expires_at > db.arrival_now()
    }))
}

/// Takes or renews the relay's lease for `holder`. Returns the fencing token, or `None` while another process
/// holds the lease.
pub async fn lease(tx: &Tx, holder: Uuid) -> Result<Option<i64>, DbErr> {
    use lease::Column as C;
    let now = tx.decision_now().await?;
    let held = lease::Entity::find_by_id(1).lock_exclusive().one(tx.conn()).await?;
    let Some(held) = held else { return Ok(None) };
    let mine = held.holder == Some(holder);
    if !mine && held.expires_at > now {
        return Ok(None);
    }
    let fence = if mine { held.fence } else { held.fence.saturating_add(1) };
    let expires_at = now.checked_add_signed(TimeDelta::seconds(LEASE_SECS)).unwrap_or(now);
    lease::Entity::update_many()
        .col_expr(C::Holder, Expr::value(holder))
        .col_expr(C::Fence, Expr::value(fence))
        .col_expr(C::ExpiresAt, Expr::value(expires_at))
        .filter(C::Id.eq(1))
        .exec(tx.conn())
        .await?;
    Ok(Some(fence))
}

/// Releases the lease, so that another relay need not wait until it expires.
pub async fn release_lease(tx: &Tx, holder: Uuid) -> Result<(), DbErr> {
    use lease::Column as C;
    let update = lease::Entity::update_many()
        .col_expr(C::Holder, Expr::value(Option::<Uuid>::None))
        .col_expr(C::ExpiresAt, Expr::value(tx.now()));
    update.filter(C::Id.eq(1)).filter(C::Holder.eq(holder)).exec(tx.conn()).await?;
    Ok(())
}

/// Returns the statement that numbers the oldest rows without a position whose kinds are known, and returns
/// these rows. It is the same on both databases. The SQL is written by hand for the same reasons as that of
/// `audit::seal`, which numbers rows in the same way.
fn number_rows_sql(limit: u64) -> String {
    let kinds = Fact::KINDS.map(|kind| format!("'{kind}'")).join(", ");
    format!(
        "UPDATE outbox SET position = $1 + waiting.place
         FROM (
             SELECT id AS waiting_id, ROW_NUMBER() OVER (ORDER BY id) AS place
             FROM (
                 SELECT id FROM outbox
                 WHERE position IS NULL AND kind IN ({kinds})
                 ORDER BY id LIMIT {limit}
             ) AS oldest
         ) AS waiting
         WHERE outbox.id = waiting.waiting_id
         RETURNING id, position, kind, aggregate, version, payload, traceparent, created_at"
    )
}

/// Returns whether the fencing token is still the newest. Locks the lease, so that no other process takes it
/// over before the end of `tx`.
pub(super) async fn leads(tx: &Tx, fence: i64) -> Result<bool, DbErr> {
    let held = lease::Entity::find_by_id(1).lock_exclusive().one(tx.conn()).await?;
    Ok(held.is_some_and(|held| held.fence == fence))
}

/// Stamps up to `limit` unstamped rows under the lease and, in the same transaction, queues the tasks that
/// `following` returns for each fact. So the effects of every fact are queued exactly once. Returns an empty
/// list when the fencing token is no longer the newest.
///
/// Facts of kinds that this version does not know are left to the relay of a newer version.
pub async fn stamp<F>(tx: &Tx, fence: i64, limit: u64, following: F) -> Result<Vec<Stamped>, DbErr>
where
    F: Fn(&Fact) -> Result<Vec<NewTask>, DbErr> + Send + Sync,
{
    let held = lease::Entity::find_by_id(1).lock_exclusive().one(tx.conn()).await?;
    let Some(held) = held.filter(|held| held.fence == fence) else { return Ok(Vec::new()) };
    let mut position = held.position_last;
    tx.walk_indexes().await?;
    let backend = tx.conn().get_database_backend();
    let statement = Statement::from_sql_and_values(backend, number_rows_sql(limit), [position.into()]);
    let mut rows = entity::Model::find_by_statement(statement).all(tx.conn()).await?;
    rows.sort_unstable_by_key(|row| row.position);
    let mut stamped = Vec::with_capacity(rows.len());
    for row in rows {
        position = row.position.unwrap_or(position);
        let fact = serde_json::from_value(row.payload)
            .map_err(|error| Inconsistency::value("outbox", "payload", row.id, error, "a fact"))?;
        let trace = row.traceparent.as_deref().and_then(TraceParent::parse);
        stamped.push(Stamped { id: row.id, position, version: row.version, fact, trace });
    }
    if stamped.is_empty() {
        return Ok(stamped);
    }
    lease::Entity::update_many()
        .col_expr(lease::Column::PositionLast, Expr::value(position))
        .filter(lease::Column::Id.eq(1))
        .exec(tx.conn())
        .await?;
    let mut tasks = Vec::new();
    for stamped in &stamped {
        tasks.extend(following(&stamped.fact)?.into_iter().map(|task| task.traced(stamped.trace.clone())));
    }
    tasks::enqueue_all(tx, tasks).await?;
    faults::point(Point::RelayStamped).await?;
    Ok(stamped)
}

/// Returns whether there is a row that [`stamp`] would stamp.
pub async fn any_unstamped(db: &Db) -> Result<bool, DbErr> {
    use entity::Column as C;
    let waiting = entity::Entity::find().filter(C::Position.is_null()).filter(C::Kind.is_in(Fact::KINDS));
    Ok(waiting.select_only().column(C::Id).limit(1).into_tuple::<FactId>().one(db.reader()).await?.is_some())
}

/// Returns the position of the newest stamped fact, or 0.
pub async fn position_last(db: &Db) -> Result<i64, DbErr> {
    let lease = lease::Entity::find_by_id(1).select_only().column(lease::Column::PositionLast);
    Ok(lease.into_tuple().one(db.reader()).await?.unwrap_or(0))
}

/// Returns when the oldest stored fact after a position was written, or `None` if there is none.
pub async fn oldest_after(db: &Db, position: i64) -> Result<Option<DateTime<Utc>>, DbErr> {
    use entity::Column as C;
    let after = entity::Entity::find().filter(C::Position.gt(position)).order_by_asc(C::Position).limit(1);
    after.select_only().column(C::CreatedAt).into_tuple().one(db.reader()).await
}

/// Returns up to `limit` facts after a position, in order. A fact that this version does not know is `None`
/// beside its position.
pub async fn read_after(db: &Db, position: i64, limit: u64) -> Result<Vec<(i64, Option<Stamped>)>, DbErr> {
    let after = entity::Entity::find().filter(entity::Column::Position.gt(position));
    let rows = after.order_by_asc(entity::Column::Position).limit(limit).all(db.reader()).await?;
    let stamped = rows.into_iter().filter_map(|row| {
        let position = row.position?;
        let trace = row.traceparent.as_deref().and_then(TraceParent::parse);
        let fact = serde_json::from_value(row.payload).ok();
        Some((position, fact.map(|fact| Stamped { id: row.id, position, version: row.version, fact, trace })))
    });
    Ok(stamped.collect())
}

/// Counts the unstamped rows.
pub async fn unstamped_count(db: &Db) -> Result<u64, DbErr> {
    entity::Entity::find().filter(entity::Column::Position.is_null()).count(db.reader()).await
}

/// Returns, by kind, the number of unstamped rows and when the oldest was written, with one statement.
pub async fn unstamped(db: &Db) -> Result<Vec<(String, i64, DateTime<Utc>)>, DbErr> {
    use entity::Column as C;
    let waiting = entity::Entity::find().select_only().column(C::Kind).column_as(C::Id.count(), "waiting");
    let waiting =
        waiting.column_as(C::CreatedAt.min(), "since").filter(C::Position.is_null()).group_by(C::Kind);
    waiting.into_tuple().all(db.reader()).await
}

/// Deletes stamped rows written before `before` and returns their number. A reader with an older position has
/// to rebuild.
pub async fn sweep(tx: &Tx, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let old = entity::Entity::delete_many()
        .filter(entity::Column::Position.is_not_null())
        .filter(entity::Column::CreatedAt.lt(before));
    Ok(old.exec(tx.conn()).await?.rows_affected)
}
