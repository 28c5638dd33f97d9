//! Tells a listener of this process of every fact, whichever process made it true.

use std::{sync::Arc, time::Duration};

use domain::platform::{Db, facts::FactListener};
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{
        Bus,
        follower::{FollowError, Follower},
    },
    loops::until,
};

/// A database that failed is asked again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Tells until it is told to stop.
pub(crate) async fn run(db: Db, bus: Arc<dyn Bus>, listener: Arc<dyn FactListener>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match until(&stop, follow(&db, bus.as_ref(), listener.as_ref())).await {
            Some(FollowError::TooOld(position)) => {
                tracing::warn!(position, "facts are no longer kept; it is gone on with the newest")
            }
            Some(FollowError::Db(error)) => {
                tracing::warn!(%error, "facts cannot be followed; it is tried again");
                until(&stop, tokio::time::sleep(AGAIN_AFTER)).await;
            }
            None => {}
        }
    }
}

/// Tells of what happens from now on, until it cannot begin or has fallen too far behind.
async fn follow(db: &Db, bus: &dyn Bus, listener: &dyn FactListener) -> FollowError {
    let mut follower = match Follower::from_now(db, bus).await {
        Ok(follower) => follower,
        Err(error) => return FollowError::Db(error),
    };
    // Nobody told of what happened before.
    listener.missed();
    loop {
        match follower.next().await {
            Ok(stamped) => listener.heard(&stamped.fact),
            Err(error @ FollowError::TooOld(_)) => return error,
            Err(FollowError::Db(error)) => {
                tracing::warn!(%error, "facts cannot be read; it is tried again");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}
