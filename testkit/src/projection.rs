//! An in-memory projection that records its input and fails on demand.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use domain::platform::{
    facts::Fact,
    projections::{FactBatch, Projection, ProjectionError},
};
use tokio::sync::{Notify, watch};

/// The longest wait for a condition before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A projection that records all facts it is given. Its state outlives the loop that drives it, like a store
/// on disk.
pub struct RecordingProjection {
    name: &'static str,
    recorded: watch::Sender<Recorded>,
    faults: Mutex<VecDeque<ProjectionFault>>,
    released: Notify,
}

/// The input of a [`RecordingProjection`] so far.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// The position of the projection.
    pub position: Option<i64>,
    /// The projected facts by position.
    pub facts: BTreeMap<i64, Fact>,
    /// The positions of the facts of each batch passed to `apply`, failed calls included.
    pub batches: Vec<Vec<i64>>,
    /// The position of each call of `rebuild`, failed calls included.
    pub rebuilds: Vec<i64>,
}

/// A fault to inject into a batch or a rebuild.
#[derive(Debug, Clone, Copy)]
pub enum ProjectionFault {
    /// Fails before anything is stored.
    FailBefore,
    /// Fails after the facts are stored and before the position is, as in a projection that is idempotent but
    /// not atomic.
    FailBetween,
    /// Waits between storing the facts and storing the position, until [`RecordingProjection::release`].
    WaitBetween,
    /// Panics.
    Panic,
}

impl RecordingProjection {
    /// Creates a projection that was never built.
    pub fn new(name: &'static str) -> Self {
        Self { name, recorded: watch::Sender::default(), faults: Mutex::default(), released: Notify::new() }
    }

    /// Creates a projection that has already reached a position.
    pub fn at(name: &'static str, position: i64) -> Self {
        let projection = Self::new(name);
        projection.recorded.send_modify(|recorded| recorded.position = Some(position));
        projection
    }

    /// Injects faults into the next batches and rebuilds, one each.
    pub fn inject(&self, faults: &[ProjectionFault]) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Ends the wait of [`ProjectionFault::WaitBetween`].
    pub fn release(&self) {
        self.released.notify_one();
    }

    /// Returns the input so far.
    pub fn recorded(&self) -> Recorded {
        self.recorded.borrow().clone()
    }

    /// Waits until a condition holds, and returns the input at that time.
    pub async fn until(&self, condition: impl FnMut(&Recorded) -> bool) -> Recorded {
        let mut recorded = self.recorded.subscribe();
        let held = tokio::time::timeout(PATIENCE, recorded.wait_for(condition)).await;
        match held {
            Ok(held) => held.expect("the sender is there").clone(),
            Err(_) => panic!("the projection did not meet the condition in time: {:?}", self.recorded()),
        }
    }

    /// Waits until the projection has reached a position.
    pub async fn reaches(&self, position: i64) -> Recorded {
        self.until(|recorded| recorded.position == Some(position)).await
    }

    async fn keep(&self, facts: BTreeMap<i64, Fact>, position: i64) -> Result<(), ProjectionError> {
        let fault = self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let failed = || Err(ProjectionError::Store("injected by the test".into()));
        match fault {
            Some(ProjectionFault::FailBefore) => return failed(),
            Some(ProjectionFault::Panic) => panic!("injected by the test"),
            Some(ProjectionFault::FailBetween | ProjectionFault::WaitBetween) | None => {}
        }
        self.recorded.send_modify(|recorded| recorded.facts.extend(facts));
        match fault {
            Some(ProjectionFault::FailBetween) => return failed(),
            Some(ProjectionFault::WaitBetween) => self.released.notified().await,
            Some(ProjectionFault::FailBefore | ProjectionFault::Panic) | None => {}
        }
        self.recorded.send_modify(|recorded| recorded.position = Some(position));
        Ok(())
    }
}

#[async_trait]
impl Projection for RecordingProjection {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn position(&self) -> Result<Option<i64>, ProjectionError> {
        Ok(self.recorded.borrow().position)
    }

    async fn apply(&self, batch: &FactBatch) -> Result<(), ProjectionError> {
        let facts: BTreeMap<_, _> =
            batch.facts.iter().map(|stamped| (stamped.position, stamped.fact.clone())).collect();
        let positions = batch.facts.iter().map(|stamped| stamped.position).collect();
        self.recorded.send_modify(|recorded| recorded.batches.push(positions));
        self.keep(facts, batch.position).await
    }

    async fn rebuild(&self, position: i64) -> Result<(), ProjectionError> {
        self.recorded.send_modify(|recorded| recorded.rebuilds.push(position));
        self.keep(BTreeMap::new(), position).await
    }
}
