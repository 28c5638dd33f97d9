//! A projection that keeps in memory what it is given, and fails when it is told to.

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

/// How long a test waits for a projection before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps all facts that it is given. Its state outlives the loop that drives it, as a store on disk would.
pub struct RecordingProjection {
    name: &'static str,
    recorded: watch::Sender<Recorded>,
    faults: Mutex<VecDeque<ProjectionFault>>,
    released: Notify,
}

/// What a projection has been given so far.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Its position.
    pub position: Option<i64>,
    /// What it is made of: each fact by its position.
    pub facts: BTreeMap<i64, Fact>,
    /// The positions of the facts of each batch that it was told to apply, whether that went well or not.
    pub batches: Vec<Vec<i64>>,
    /// The position of each rebuild that it was told to do, whether that went well or not.
    pub rebuilds: Vec<i64>,
}

/// What happens with a batch or a rebuild instead of all going well.
#[derive(Debug, Clone, Copy)]
pub enum ProjectionFault {
    /// It fails before anything is done.
    FailBefore,
    /// It fails after the facts are kept and before the position is: a projection that is idempotent, but not
    /// atomic.
    FailBetween,
    /// It waits between the two until [`RecordingProjection::release`].
    WaitBetween,
    /// It panics.
    Panic,
}

impl RecordingProjection {
    /// A projection that was never built.
    pub fn new(name: &'static str) -> Self {
        Self { name, recorded: watch::Sender::default(), faults: Mutex::default(), released: Notify::new() }
    }

    /// A projection that has come to a position before.
    pub fn at(name: &'static str, position: i64) -> Self {
        let projection = Self::new(name);
        projection.recorded.send_modify(|recorded| recorded.position = Some(position));
        projection
    }

    /// Lets faults happen to the next batches and rebuilds, one each.
    pub fn inject(&self, faults: &[ProjectionFault]) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Ends the waiting of [`ProjectionFault::WaitBetween`].
    pub fn release(&self) {
        self.released.notify_one();
    }

    /// What it has been given so far.
    pub fn recorded(&self) -> Recorded {
        self.recorded.borrow().clone()
    }

    /// Waits until a condition holds, and answers what it has been given by then.
    pub async fn until(&self, condition: impl FnMut(&Recorded) -> bool) -> Recorded {
        let mut recorded = self.recorded.subscribe();
        let held = tokio::time::timeout(PATIENCE, recorded.wait_for(condition)).await;
        match held {
            Ok(held) => held.expect("the sender is there").clone(),
            Err(_) => panic!("the projection does not come to it: {:?}", self.recorded()),
        }
    }

    /// Waits until it has come to a position.
    pub async fn reaches(&self, position: i64) -> Recorded {
        self.until(|recorded| recorded.position == Some(position)).await
    }

    async fn keep(&self, facts: BTreeMap<i64, Fact>, position: i64) -> Result<(), ProjectionError> {
        let fault = self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let failed = || Err(ProjectionError::Store("as the test wants it".into()));
        match fault {
            Some(ProjectionFault::FailBefore) => return failed(),
            Some(ProjectionFault::Panic) => panic!("as the test wants it"),
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
