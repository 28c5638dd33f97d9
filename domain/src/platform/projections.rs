//! Projections: whatever is made of the facts and keeps up with them by a position of its own, such as the
//! live feeds, a search index, a cache or the queue of outgoing webhooks.
//!
//! A projection implements [`Projection`] and is given to the workers' loop (`workers::projections`), which
//! is the same for all. The loop finds the facts, in order and without a gap; the projection applies them.
//!
//! A projection keeps its position where it keeps its state, and writes both together: in one transaction, in
//! one commit of an index, in one lock in memory. So the two never disagree, and a crash at any instant costs
//! no more than a batch that is applied again.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use sea_orm::DbErr;

use super::outbox::Stamped;

/// Facts that follow each other without a gap, to be applied together.
#[derive(Debug, Clone)]
pub struct FactBatch {
    /// The facts, in the order of their positions. Positions that are missing belong to facts that a newer
    /// version of the program wrote and this one does not know: nothing can be made of them here.
    pub facts: Vec<Arc<Stamped>>,
    /// The projection's position once the batch is applied. It is that of the last fact, or higher where
    /// unknown facts follow.
    pub position: i64,
}

/// Why a projection could not go on. The loop tries again.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The database failed.
    #[error("the database failed")]
    Db(#[from] DbErr),
    /// The projection's own store failed.
    #[error("the projection's store failed")]
    Store(#[source] Box<dyn Error + Send + Sync>),
}

/// Something that is made of the facts, and can be made again from the database.
#[async_trait]
pub trait Projection: Send + Sync {
    /// The constant name, in logs and metrics. It is unique among the loops of a process.
    fn name(&self) -> &'static str;

    /// The position up to which facts have been applied. `None` asks for a rebuild: the projection was never
    /// built, or what it has cannot be used.
    ///
    /// A projection whose state outlives the process notes with it which version of the projection made it,
    /// and answers `None` to a newer one: the older one has passed over the facts that it did not know.
    async fn position(&self) -> Result<Option<i64>, ProjectionError>;

    /// Applies a batch and sets the position to the batch's: all of it or nothing.
    ///
    /// It must be idempotent. After an error, or a crash whose outcome is not known, the loop asks for the
    /// position again and applies what follows it, which may have been applied before.
    async fn apply(&self, batch: &FactBatch) -> Result<(), ProjectionError>;

    /// Makes the projection anew from the database and sets the position to `position`.
    ///
    /// The loop has read `position` before this is called, so the database shows all facts up to it. It may
    /// show later ones too; these are applied again. The future may be dropped before it ends, at a stop: the
    /// former position, or none, must stand until the rebuild is complete.
    async fn rebuild(&self, position: i64) -> Result<(), ProjectionError>;
}
