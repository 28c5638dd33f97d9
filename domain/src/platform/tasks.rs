//! Tasks: background work as rows. The row is the truth (attempt, `run_at`, last error); a bus
//! only tells workers that there is something to claim.

#![expect(clippy::disallowed_methods, reason = "the tasks table's own finders")]

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    Condition, DbErr, DeriveActiveEnum, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType, OnConflict},
};
use serde::{Deserialize, Serialize};

use super::{
    audit,
    db::{Db, Tx, in_tx},
    ids::{CheckoutId, EntityId, PaymentId, RefundId, TaskId},
    page::{Page, Slice, SortKey, SortValue, count_capped, slice},
    trace::TraceParent,
};
use crate::{
    accounts::{AdminScope, SystemScope},
    platform::mail::Letter,
};

/// The queues. Each has workers of its own, so that slow work never delays urgent work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// Calls to the payment gateway.
    #[sea_orm(string_value = "payments")]
    Payments,
    /// Changes of our own state that are due: lapses, webhooks taken in.
    #[sea_orm(string_value = "reservations")]
    Reservations,
    /// Letters.
    #[sea_orm(string_value = "mail")]
    Mail,
    /// What the sandbox gateway does in its own time.
    #[sea_orm(string_value = "sandbox")]
    Sandbox,
}

impl Queue {
    /// All queues.
    pub const ALL: [Self; 4] = [Self::Payments, Self::Reservations, Self::Mail, Self::Sandbox];

    /// The constant name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Payments => "payments",
            Self::Reservations => "reservations",
            Self::Mail => "mail",
            Self::Sandbox => "sandbox",
        }
    }
}

/// How many tasks of each queue may be run now.
#[derive(Debug, Default)]
pub(crate) struct Due([AtomicU32; Queue::ALL.len()]);

impl Due {
    fn of(&self, queue: Queue) -> Option<&AtomicU32> {
        Queue::ALL.iter().position(|known| *known == queue).and_then(|at| self.0.get(at))
    }

    pub(crate) fn add(&self, queue: Queue, count: u32) {
        if let Some(due) = self.of(queue) {
            let _always_some = due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| Some(due.saturating_add(count)));
        }
    }

    /// Takes the counts away; queues without any are left out.
    pub(crate) fn take(&self) -> Vec<(Queue, u32)> {
        let counts = Queue::ALL.into_iter().filter_map(|queue| Some((queue, self.of(queue)?.swap(0, Ordering::Relaxed))));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Write and send one letter.
    SendMail { letter: Letter },
    /// Let a checkout lapse whose hold has run out.
    LapseCheckout { checkout: CheckoutId },
    /// Make the gateway's intent of a payment, and confirm it if the buyer chose a method.
    AdvancePayment { payment: PaymentId },
    /// Cancel the gateway's intent of a payment that is no longer wanted.
    CancelPayment { payment: PaymentId },
    /// Ask the gateway to give an amount back.
    MakeRefund { refund: RefundId },
    /// Apply a webhook that the inbox took in.
    ApplyWebhook { gateway: String, event: String },
    /// The sandbox gateway settles what was to settle later and sends its webhooks.
    SandboxOutcome { event: Uuid },
}

impl Task {
    /// The constant name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SendMail { .. } => "send_mail",
            Self::LapseCheckout { .. } => "lapse_checkout",
            Self::AdvancePayment { .. } => "advance_payment",
            Self::CancelPayment { .. } => "cancel_payment",
            Self::MakeRefund { .. } => "make_refund",
            Self::ApplyWebhook { .. } => "apply_webhook",
            Self::SandboxOutcome { .. } => "sandbox_outcome",
        }
    }

    /// The queue it belongs to.
    pub fn queue(&self) -> Queue {
        match self {
            Self::SendMail { .. } => Queue::Mail,
            Self::LapseCheckout { .. } | Self::ApplyWebhook { .. } => Queue::Reservations,
            Self::AdvancePayment { .. } | Self::CancelPayment { .. } | Self::MakeRefund { .. } => Queue::Payments,
            Self::SandboxOutcome { .. } => Queue::Sandbox,
        }
    }
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum TaskState {
    /// Waits for its `run_at` and for a worker.
    #[sea_orm(string_value = "READY")]
    Ready,
    /// A worker has it, until `lease_until`.
    #[sea_orm(string_value = "RUNNING")]
    Running,
    /// Failed too often, or for good: waits for a person.
    #[sea_orm(string_value = "DEAD")]
    Dead,
}

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tasks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: TaskId,
        pub kind: String,
        pub queue: Queue,
        pub payload: Json,
        /// While a task with this key waits, no second one is queued.
        pub unique_key: Option<String>,
        pub state: TaskState,
        pub attempt: i32,
        pub run_at: DateTime<Utc>,
        /// Among tasks that are due, the lower class runs first …
        pub urgency: i32,
        /// … and within a class the older concern.
        pub since: DateTime<Utc>,
        pub lease_until: Option<DateTime<Utc>>,
        pub last_error: Option<String>,
        pub traceparent: Option<String>,
        pub created_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
pub use entity::Model as TaskRow;
use entity::{ActiveModel, Column as C, Entity};

/// How often a task is tried before it becomes a dead letter.
pub const ATTEMPTS_MAX: i32 = 12;
/// How long a worker may be silent about a task before another takes it: three times as long as between two renewals.
pub const LEASE_SECS: i64 = 10;

/// A task about to be queued.
#[derive(Debug, Clone)]
pub struct NewTask {
    task: Task,
    unique_key: Option<String>,
    run_at: Option<DateTime<Utc>>,
    urgency: i32,
    since: Option<DateTime<Utc>>,
    trace: Option<TraceParent>,
}

impl From<Task> for NewTask {
    fn from(task: Task) -> Self {
        Self { task, unique_key: None, run_at: None, urgency: 0, since: None, trace: None }
    }
}

impl NewTask {
    /// Not before that instant.
    pub fn at(mut self, run_at: DateTime<Utc>) -> Self {
        self.run_at = Some(run_at);
        self
    }

    /// Not while a task of the same kind with the same subject waits.
    pub fn unique(mut self, subject: impl EntityId) -> Self {
        self.unique_key = Some(format!("{}:{}", self.task.kind(), subject.public()));
        self
    }

    /// After all due tasks of a lower class, and within the class by the age of the concern.
    pub fn ranked(mut self, urgency: i32, since: DateTime<Utc>) -> Self {
        self.urgency = urgency;
        self.since = Some(since);
        self
    }

    /// Caused by that trace rather than by the present one.
    pub(crate) fn traced(mut self, trace: Option<TraceParent>) -> Self {
        self.trace = trace;
        self
    }
}

/// Queues a task in the transaction that makes it necessary.
pub async fn enqueue(tx: &Tx, task: impl Into<NewTask>) -> Result<(), DbErr> {
    enqueue_all(tx, vec![task.into()]).await
}

/// Queues several with one statement.
pub async fn enqueue_all(tx: &Tx, tasks: Vec<NewTask>) -> Result<(), DbErr> {
    if tasks.is_empty() {
        return Ok(());
    }
    let here = TraceParent::current();
    let mut rows = Vec::with_capacity(tasks.len());
    for new in tasks {
        let trace = new.trace.or_else(|| here.clone());
        let run_at = new.run_at.unwrap_or(tx.now());
        if run_at <= tx.now() {
            tx.leaves_task(new.task.queue());
        }
        rows.push(ActiveModel {
            id: Set(tx.new_id()),
            kind: Set(new.task.kind().to_owned()),
            queue: Set(new.task.queue()),
            payload: Set(serde_json::to_value(&new.task).map_err(|error| DbErr::Json(error.to_string()))?),
            unique_key: Set(new.unique_key),
            state: Set(TaskState::Ready),
            attempt: Set(0),
            run_at: Set(run_at),
            urgency: Set(new.urgency),
            since: Set(new.since.unwrap_or(tx.now())),
            lease_until: Set(None),
            last_error: Set(None),
            traceparent: Set(trace.map(|trace| trace.header())),
            created_at: Set(tx.now()),
        });
    }
    let twice = OnConflict::column(C::UniqueKey).do_nothing().to_owned();
    Entity::insert_many(rows).on_conflict(twice).exec_without_returning(tx.conn()).await?;
    tx.leaves_work();
    Ok(())
}

/// A task that a worker has claimed.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The row's id: stable over attempts, so good as an idempotency key.
    pub id: TaskId,
    /// What to do.
    pub task: Task,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    /// The trace it belongs to.
    pub trace: Option<TraceParent>,
}

/// Claims up to `limit` due tasks of a queue: those of the lowest class first, the oldest concern first.
/// A running task whose worker fell silent counts as due.
pub async fn claim(tx: &Tx, queue: Queue, limit: u64) -> Result<Vec<Claimed>, DbErr> {
    // Leases are compared across processes, whose clocks may differ.
    let now = tx.decision_now().await?;
    let due = Condition::all().add(C::State.eq(TaskState::Ready)).add(C::RunAt.lte(now));
    let abandoned = Condition::all().add(C::State.eq(TaskState::Running)).add(C::LeaseUntil.lt(now));
    let rows = Entity::find()
        .filter(C::Queue.eq(queue))
        .filter(Condition::any().add(due).add(abandoned))
        .order_by_asc(C::Urgency)
        .order_by_asc(C::Since)
        .limit(limit)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .all(tx.conn())
        .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let lease_until = now.checked_add_signed(TimeDelta::seconds(LEASE_SECS)).unwrap_or(now);
    Entity::update_many()
        .col_expr(C::State, Expr::value(TaskState::Running))
        .col_expr(C::Attempt, ExprTrait::add(Expr::col(C::Attempt), 1))
        .col_expr(C::LeaseUntil, Expr::value(lease_until))
        // Free from now on: what makes the same task necessary again may come after this one has looked.
        .col_expr(C::UniqueKey, Expr::value(Option::<String>::None))
        .filter(C::Id.is_in(rows.iter().map(|row| row.id)))
        .exec(tx.conn())
        .await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows {
        let (id, attempt) = (row.id, row.attempt.saturating_add(1));
        let trace = row.traceparent.as_deref().and_then(TraceParent::parse);
        match serde_json::from_value(row.payload) {
            Ok(task) => claimed.push(Claimed { id, task, attempt, trace }),
            // Perhaps of a newer version, in the middle of a deploy, whose workers know it.
            Err(error) if attempt < ATTEMPTS_MAX => {
                let run_at = now.checked_add_signed(TimeDelta::minutes(1)).unwrap_or(now);
                retry(tx, id, run_at, &format!("not a task of this version: {error}")).await?;
            }
            Err(error) => bury(tx, id, &format!("not a task of this version: {error}")).await?,
        }
    }
    Ok(claimed)
}

/// Says that a worker still has these tasks in hand.
pub async fn renew(tx: &Tx, ids: Vec<TaskId>) -> Result<(), DbErr> {
    let now = tx.decision_now().await?;
    let lease_until = now.checked_add_signed(TimeDelta::seconds(LEASE_SECS)).unwrap_or(now);
    let update = Entity::update_many().col_expr(C::LeaseUntil, Expr::value(lease_until));
    update.filter(C::Id.is_in(ids)).filter(C::State.eq(TaskState::Running)).exec(tx.conn()).await?;
    Ok(())
}

/// Puts back what a server had in hand when it ended without a word; answers how many. Only for a process that begins
/// where no other has workers: there the lease would just keep a buyer waiting.
pub async fn take_back(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    in_tx(db, scope.actor(), async |tx| {
        let update = Entity::update_many().col_expr(C::State, Expr::value(TaskState::Ready));
        Ok(update.filter(C::State.eq(TaskState::Running)).exec(tx.conn()).await?.rows_affected)
    })
    .await
}

/// Ends a task that was done: its row goes.
pub async fn finish(tx: &Tx, id: TaskId) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(tx.conn()).await?;
    Ok(())
}

/// Puts a task back, to run at `run_at`.
pub async fn retry(tx: &Tx, id: TaskId, run_at: DateTime<Utc>, error: &str) -> Result<(), DbErr> {
    let update = Entity::update_many()
        .col_expr(C::State, Expr::value(TaskState::Ready))
        .col_expr(C::RunAt, Expr::value(run_at))
        .col_expr(C::LastError, Expr::value(bounded(error)));
    update.filter(C::Id.eq(id)).exec(tx.conn()).await?;
    Ok(())
}

/// Sets a task aside for a person to look at; its unique key is free again.
pub async fn bury(tx: &Tx, id: TaskId, error: &str) -> Result<(), DbErr> {
    let update = Entity::update_many()
        .col_expr(C::State, Expr::value(TaskState::Dead))
        .col_expr(C::UniqueKey, Expr::value(Option::<String>::None))
        .col_expr(C::LastError, Expr::value(bounded(error)));
    update.filter(C::Id.eq(id)).exec(tx.conn()).await?;
    Ok(())
}

fn bounded(error: &str) -> String {
    error.chars().take(2_000).collect()
}

/// When the next task of a queue is due, if any waits.
pub async fn next_due(db: &Db, queue: Queue) -> Result<Option<DateTime<Utc>>, DbErr> {
    let next = Entity::find().filter(C::Queue.eq(queue)).filter(C::State.eq(TaskState::Ready));
    Ok(next.order_by_asc(C::RunAt).one(db.reader()).await?.map(|row| row.run_at))
}

/// Tasks that were queued for later and came due after `after`, until `until`, by queue; those that could be run at once
/// were counted by the transaction that queued them ([`Db::take_due`]).
pub async fn come_due(db: &Db, after: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<(Queue, i64)>, DbErr> {
    let waiting = Entity::find().filter(C::State.eq(TaskState::Ready)).filter(C::RunAt.gt(after)).filter(C::RunAt.lte(until));
    let postponed = waiting.filter(Expr::col(C::RunAt).gt(Expr::col(C::CreatedAt)));
    let counts = postponed.select_only().column(C::Queue).column_as(C::Id.count(), "count").group_by(C::Queue);
    counts.into_tuple().all(db.reader()).await
}

/// When the first task that was queued for later than `after` comes due, whatever its queue.
pub async fn next_due_after(db: &Db, after: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, DbErr> {
    let waiting = Entity::find().filter(C::State.eq(TaskState::Ready)).filter(C::RunAt.gt(after));
    let first = waiting.select_only().column_as(C::RunAt.min(), "first");
    Ok(first.into_tuple::<Option<DateTime<Utc>>>().one(db.reader()).await?.flatten())
}

/// Waiting and running tasks of each queue, and the dead letters, for the metrics and for tests that wait for peace.
pub async fn depths(db: &Db) -> Result<Vec<(Queue, TaskState, i64)>, DbErr> {
    Entity::find()
        .select_only()
        .column(C::Queue)
        .column(C::State)
        .column_as(C::Id.count(), "depth")
        .group_by(C::Queue)
        .group_by(C::State)
        .into_tuple()
        .all(db.reader())
        .await
}

/// The dead letters, newest first.
pub async fn dead_letters(db: &Db, _scope: &AdminScope, page: &Page) -> Result<Slice<TaskRow>, DbErr> {
    let select = Entity::find().filter(C::State.eq(TaskState::Dead));
    slice(db.reader(), select, (C::CreatedAt, C::Id), true, page, |row| SortKey::new(SortValue::Time(row.created_at), row.id)).await
}

/// How many dead letters there are, capped.
pub async fn dead_letters_count(db: &Db, _scope: &AdminScope) -> Result<u64, DbErr> {
    count_capped(db.reader(), Entity::find().filter(C::State.eq(TaskState::Dead))).await
}

/// Puts a dead letter back into its queue; `false` when there is no such dead letter.
pub async fn requeue(db: &Db, scope: &AdminScope, id: TaskId) -> Result<bool, DbErr> {
    in_tx(db, scope.actor(), async |tx| {
        let update = Entity::update_many()
            .col_expr(C::State, Expr::value(TaskState::Ready))
            .col_expr(C::Attempt, Expr::value(0))
            .col_expr(C::RunAt, Expr::value(tx.now()));
        let done = update.filter(C::Id.eq(id)).filter(C::State.eq(TaskState::Dead)).exec(tx.conn()).await?;
        if done.rows_affected == 0 {
            return Ok(false);
        }
        tx.leaves_work();
        audit::record(tx, "task.requeue", id, &["state"]).await?;
        Ok(true)
    })
    .await
}
