//! The lag of projections.

use std::time::Duration;

use domain::platform::{Db, outbox};
use metrics::gauge;
use sea_orm::DbErr;
use tokio::sync::watch;

use crate::gauges::{age, float};

/// How often the lag is measured: often enough for a scrape interval of 15 s.
const EVERY: Duration = Duration::from_secs(5);

/// Measures the lag of a projection whose position is known, until it is aborted. The first measurement is
/// delayed, so that the projection can catch up after a start.
pub(super) async fn measure(db: &Db, projection: &'static str, reached: watch::Receiver<Option<i64>>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let known = *reached.borrow();
        let Some(position) = known else { continue };
        match lag(db, position).await {
            Ok((positions, seconds)) => {
                gauge!("smallrun_projection_lag_positions", "projection" => projection).set(float(positions));
                gauge!("smallrun_projection_lag_seconds", "projection" => projection).set(seconds);
            }
            Err(error) => {
                tracing::debug!(projection, %error, "measuring the lag of a projection failed")
            }
        }
    }
}

/// Returns how many facts follow a position, and the age in seconds of the oldest of them that is still kept.
async fn lag(db: &Db, position: i64) -> Result<(i64, f64), DbErr> {
    let newest = outbox::position_last(db).await?;
    if newest <= position {
        return Ok((0, 0.0));
    }
    Ok((newest.saturating_sub(position), age(db.now(), outbox::oldest_after(db, position).await?)))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use domain::platform::{access::Actor, facts::Fact, ids::AccountId, in_tx};
    use testkit::{Kit, on_both};
    use uuid::Uuid;

    use super::*;

    on_both! {
        async fn the_lag_is_the_number_of_unapplied_facts_and_the_age_of_the_oldest(kit: Kit) {
            for number in 0..3 {
                in_tx(&kit.db, Actor::System("test"), async |tx| {
                    let account = AccountId(Uuid::from_u128(number));
                    outbox::publish(tx, 1, &Fact::AccountChanged { account }).await?;
                    let fence = outbox::lease(tx, Uuid::from_u128(1)).await?.ok_or(DbErr::RecordNotUpdated)?;
                    outbox::stamp(tx, fence, 10, |_| Ok(Vec::new())).await
                })
                .await
                .unwrap();
                kit.clock.advance(TimeDelta::seconds(1));
            }
            let mut lags = Vec::new();
            for position in 0..=3 {
                lags.push(lag(&kit.db, position).await.unwrap());
            }
            assert_eq!(lags, [(3, 3.0), (2, 2.0), (1, 1.0), (0, 0.0)]);
        }
    }
}
