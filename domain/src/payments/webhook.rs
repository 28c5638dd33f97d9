//! Webhooks: each is stored in the inbox when it arrives, and applied once by a task.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "these are the inbox's own queries, and the derive generates public items"
)]

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    DbErr, QueryOrder,
    entity::prelude::*,
    sea_query::{Expr, OnConflict},
};

use super::{
    apply::{ApplyRefusal, apply},
    gateway::{GatewayEvent, GatewayIdentity, PaymentGateway},
    payable::Payables,
    step::StepError,
    tasks::{ApplyWebhook, webhook_subject},
};
use crate::platform::{
    Db, OpError, Tx,
    access::SystemScope,
    faults::{self, Point},
    in_tx,
    reconcile::Missed,
    tasks::{self, Task},
};

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "webhook_inbox")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub gateway: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub event: String,
        pub intent: Option<String>,
        pub body: String,
        pub received_at: DateTime<Utc>,
        pub applied_at: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
use entity::{ActiveModel, Column as C, Entity};

/// Stores a webhook with a valid signature in the inbox and queues the task that applies it. A repeated
/// delivery changes nothing.
pub async fn receive_webhook(
    db: &Db,
    scope: &SystemScope,
    gateway: &GatewayIdentity,
    event: &GatewayEvent,
    body: &str,
) -> Result<(), DbErr> {
    in_tx(db, scope.actor(), async |tx| {
        let row = ActiveModel {
            gateway: Set(gateway.as_str().to_owned()),
            event: Set(event.id.clone()),
            intent: Set(event.intent.clone()),
            body: Set(body.to_owned()),
            received_at: Set(tx.now()),
            applied_at: Set(None),
        };
        let known = OnConflict::columns([C::Gateway, C::Event]).do_nothing().to_owned();
        let inserted = Entity::insert(row).on_conflict(known).exec_without_returning(tx.conn()).await?;
        if inserted == 1 && event.intent.is_some() {
            tasks::enqueue(tx, to_apply(gateway.as_str(), &event.id)).await?;
        }
        faults::point(Point::WebhookNoted).await
    })
    .await?;
    faults::point(Point::WebhookTaken).await
}

fn to_apply(gateway: &str, event: &str) -> ApplyWebhook {
    ApplyWebhook { gateway: gateway.to_owned(), event: event.to_owned() }
}

/// Queues again the webhooks that were received before `before`, are not applied, and have no task. Returns
/// how many were queued.
pub(super) async fn requeue_unapplied(
    db: &Db,
    scope: &SystemScope,
    before: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let waiting = Entity::find()
        .filter(C::AppliedAt.is_null())
        .filter(C::Intent.is_not_null())
        .filter(C::ReceivedAt.lt(before));
    let missed = Missed {
        what: "webhook_unapplied",
        warns: true,
        candidates: waiting.order_by_asc(C::ReceivedAt),
        kinds: &[ApplyWebhook::KIND],
        subject: |row: &entity::Model| webhook_subject(&row.gateway, &row.event),
    };
    missed.queue(db, scope, |row| to_apply(&row.gateway, &row.event).into()).await
}

/// Applies a webhook from the inbox. The event may be outdated by now, so the current intent is fetched from
/// the gateway.
pub async fn apply_webhook(
    db: &Db,
    scope: &SystemScope,
    payables: &Payables,
    gateway: &dyn PaymentGateway,
    event: &str,
) -> Result<(), StepError> {
    let row = Entity::find_by_id((gateway.identity().as_str().to_owned(), event.to_owned()))
        .one(db.reader())
        .await?;
    let Some(intent) = row.filter(|row| row.applied_at.is_none()).and_then(|row| row.intent) else {
        return Ok(());
    };
    let intent = gateway.retrieve(&intent).await?;
    faults::point(Point::WebhookFetched).await?;
    match apply(db, scope, payables, gateway.identity().as_str(), &intent, Some(event)).await {
        // The intent belongs to another system that shares the gateway account, so there is nothing to apply.
        Err(OpError::Refused(why))
            if why.iter().all(|refused| refused.code == ApplyRefusal::UnknownPayment) =>
        {
            Ok(in_tx(db, scope.actor(), async |tx| {
                mark_applied(tx, gateway.identity().as_str(), event).await
            })
            .await?)
        }
        other => {
            other?;
            Ok(faults::point(Point::WebhookApplied).await?)
        }
    }
}

/// Marks a webhook as applied, in the transaction that applies it.
pub(crate) async fn mark_applied(tx: &Tx, gateway: &str, event: &str) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(C::AppliedAt, Expr::value(tx.now()));
    update.filter(C::Gateway.eq(gateway)).filter(C::Event.eq(event)).exec(tx.conn()).await?;
    Ok(())
}

/// Deletes applied webhooks that were received before `before`. Returns how many were deleted.
pub async fn sweep_inbox(tx: &Tx, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let old = Entity::delete_many().filter(C::ReceivedAt.lt(before)).filter(C::AppliedAt.is_not_null());
    Ok(old.exec(tx.conn()).await?.rows_affected)
}
