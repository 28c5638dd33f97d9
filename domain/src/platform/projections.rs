//! Projections: states derived from the facts, each with a position of its own. Examples are the live feeds,
//! a search index, a cache, or a queue of outgoing webhooks.
//!
//! A projection implements [`Projection`]. The workers' loop (`workers::projections`), which is the same for
//! all projections, reads the facts in order and without a gap. The projection applies them.
//!
//! A projection stores its position together with its state, and writes both atomically: in one transaction,
//! in one commit of an index, or under one lock in memory. So the two never disagree, and after a crash at
//! most one batch is applied again.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use sea_orm::DbErr;

use super::outbox::Stamped;

/// Consecutive facts, to be applied together.
#[derive(Debug, Clone)]
pub struct FactBatch {
    /// The facts, in the order of their positions. A missing position belongs to a fact that a newer version
    /// wrote and this version does not know, so it is skipped.
    pub facts: Vec<Arc<Stamped>>,
    /// The position of the projection after the batch: that of the last fact, or a higher one where unknown
    /// facts follow.
    pub position: i64,
}

/// Why a projection failed. The loop retries.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The database failed.
    #[error("the database failed")]
    Db(#[from] DbErr),
    /// The store of the projection failed.
    #[error("the projection's store failed")]
    Store(#[source] Box<dyn Error + Send + Sync>),
}

/// A state that is derived from the facts and can be rebuilt from the database.
#[async_trait]
pub trait Projection: Send + Sync {
    /// Returns the constant name for logs and metrics. It is unique among the loops of a process.
    fn name(&self) -> &'static str;

    /// Returns the position up to which facts have been applied. `None` requests a rebuild, because the
    /// projection was never built or its state cannot be used.
    ///
    /// A projection whose state outlives the process stores with it the version of the projection that built
    /// it. A newer version returns `None`, because the older one has skipped the facts that it did not know.
    async fn position(&self) -> Result<Option<i64>, ProjectionError>;

    /// Applies a batch and sets the position to that of the batch, atomically.
    ///
    /// It must be idempotent. After an error, or a crash with an unknown outcome, the loop reads the position
    /// again and applies the facts after it, which may have been applied before.
    async fn apply(&self, batch: &FactBatch) -> Result<(), ProjectionError>;

    /// Rebuilds the projection from the database and sets the position to `position`.
    ///
    /// The loop has read `position` before this call, so the database contains all facts up to it. It may
    /// contain later ones too; they are applied again. The future may be dropped before it completes, when
    /// the process stops. So the previous position, or none, must stay in place until the rebuild is
    /// complete.
    async fn rebuild(&self, position: i64) -> Result<(), ProjectionError>;
}
