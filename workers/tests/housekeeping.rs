//! Tests of housekeeping: old rows are deleted, and recent ones are kept.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::platform::{
    access::Actor,
    budget::{self, Rate},
    facts::Fact,
    idempotency::{self, IdempotencyKey},
    ids::AccountId,
    in_tx, outbox,
    sweep::Sweep,
};
use sea_orm::DbErr;
use testkit::{Kit, on_both};
use uuid::Uuid;
use workers::housekeeping::sweep;

const ACTOR: Actor = Actor::System("test");
const BUDGET: &str = "test:budget";

/// Writes a stamped fact, an idempotency key and a budget.
async fn leave(kit: &Kit, key: &str) {
    in_tx(&kit.db, ACTOR, async |tx| {
        outbox::publish(tx, 1, &Fact::AccountChanged { account: AccountId(Uuid::from_u128(1)) }).await?;
        let fence = outbox::lease(tx, Uuid::from_u128(1)).await?.unwrap();
        outbox::stamp(tx, fence, 10, |_| Ok(Vec::new())).await?;
        let key = IdempotencyKey::new(key).unwrap();
        idempotency::claim(tx, ACTOR, "test", &key, &(), Uuid::from_u128(2)).await?;
        budget::take(tx, BUDGET, Rate::per_minute(10)).await?.unwrap();
        Ok::<_, DbErr>(())
    })
    .await
    .unwrap();
}

/// Reports two deleted rows per round, and counts the rounds.
#[derive(Default)]
struct Keeper(AtomicU64);

#[async_trait]
impl Sweep for Keeper {
    fn name(&self) -> &'static str {
        "keeper"
    }

    async fn sweep(&self) -> Result<u64, DbErr> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(2)
    }
}

on_both! {
    async fn rows_older_than_a_week_are_deleted(kit: Kit) {
        leave(&kit, "old-key-1").await;
        kit.clock.advance(TimeDelta::days(6));
        leave(&kit, "young-key-1").await;
        // Both calls take from one budget row. It is kept, because the budget is not full again yet.
        assert_eq!(sweep(&kit.db, &[]).await.unwrap(), 0);
        kit.clock.advance(TimeDelta::days(1) + TimeDelta::seconds(1));
        assert_eq!(sweep(&kit.db, &[]).await.unwrap(), 3, "a fact, a key and the budget");
        let state = kit.state().await;
        assert_eq!((state.count("outbox"), state.count("idempotency_keys")), (1, 1));
    }

    async fn other_sweepers_run_in_each_round(kit: Kit) {
        let keeper = Arc::new(Keeper::default());
        let others: [Arc<dyn Sweep>; 1] = [keeper.clone()];
        for round in 1..=2 {
            assert_eq!(sweep(&kit.db, &others).await.unwrap(), 2);
            assert_eq!(keeper.0.load(Ordering::Relaxed), round);
        }
    }
}
