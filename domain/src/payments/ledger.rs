//! The ledger: every movement of money, in double entry. The entries of one movement sum to zero.

#![expect(unreachable_pub, reason = "the derive of an entity generates public items")]

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, DbErr, entity::prelude::*};

use crate::platform::{
    Money, Tx,
    ids::{CreatorId, PaymentId},
};

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "ledger_entries")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub movement: Uuid,
        pub account: String,
        pub creator_id: Option<CreatorId>,
        pub payment_id: PaymentId,
        pub amount_minor: i64,
        pub currency: crate::platform::Currency,
        pub created_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// Books a captured deposit. The gateway owes the amount to us, and we owe it to the buyers until delivery,
/// split by creator.
pub(crate) async fn deposit_captured(
    tx: &Tx,
    payment: PaymentId,
    amount: Money,
    parts: &[(CreatorId, i64)],
) -> Result<(), DbErr> {
    movement(tx, payment, amount, parts, 1).await
}

/// Books a refund of a deposit or of a part of one.
pub(crate) async fn deposit_refunded(
    tx: &Tx,
    payment: PaymentId,
    amount: Money,
    parts: &[(CreatorId, i64)],
) -> Result<(), DbErr> {
    movement(tx, payment, amount, parts, -1).await
}

async fn movement(
    tx: &Tx,
    payment: PaymentId,
    amount: Money,
    parts: &[(CreatorId, i64)],
    sign: i64,
) -> Result<(), DbErr> {
    let movement = tx.new_id::<PaymentId>().0;
    let entry = |account: &str, creator_id, minor: i64| entity::ActiveModel {
        id: Set(tx.new_id::<PaymentId>().0),
        movement: Set(movement),
        account: Set(account.to_owned()),
        creator_id: Set(creator_id),
        payment_id: Set(payment),
        amount_minor: Set(minor.saturating_mul(sign)),
        currency: Set(amount.currency),
        created_at: Set(tx.now()),
    };
    let mut rows = vec![entry("gateway", None, amount.minor)];
    rows.extend(
        parts.iter().map(|(creator, minor)| entry("deposits", Some(*creator), minor.saturating_neg())),
    );
    entity::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    Ok(())
}
