//! The ports of the edge: what the program behind it knows, and the edge does not.
//!
//! [`Backend`] finds out who asks, [`Viewer`] is one who asks and runs what was admitted; what fields cost
//! and which operations are what kind of work is the [`SchemaProfile`](crate::guard::SchemaProfile).

use std::{any::Any, collections::HashMap, error::Error, net::IpAddr, sync::Arc, time::Instant};

use async_graphql::{Request, Response, parser::types::OperationType};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::{future::BoxFuture, stream::BoxStream};
use tokio_util::sync::CancellationToken;

use crate::trace::RequestTrace;

/// Why the program behind the edge could not say something; it is logged, and nobody is shown it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What stands for a bearer token where it is kept for longer than a request: never the token itself.
pub type Fingerprint = Vec<u8>;

/// The program behind the edge. Its methods that are not `async` are called for each request, and take no
/// time.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Whoever sends no token.
    fn anonymous(&self) -> Arc<dyn Viewer>;

    /// The fingerprint of a bearer token; `None` when the text cannot be one.
    fn fingerprint(&self, token: &str) -> Option<Fingerprint>;

    /// Whose a bearer token is now; `None` when it is good for nothing.
    ///
    /// # Errors
    ///
    /// When that cannot be found out at present.
    async fn viewer(&self, token: &str) -> Result<Option<Arc<dyn Viewer>>, Failure>;

    /// Whose many tokens are now, by their fingerprints; those that are good for nothing are left out.
    ///
    /// # Errors
    ///
    /// When that cannot be found out at present.
    async fn viewers(&self, tokens: &[Fingerprint])
    -> Result<HashMap<Fingerprint, Arc<dyn Viewer>>, Failure>;

    /// The time, as it counts for a request that arrives now.
    fn arrival_now(&self) -> DateTime<Utc>;

    /// Whether requests that may be shed would wait behind the edge, only to be turned away there.
    fn is_crowded(&self) -> bool;

    /// Begins the trace of work that no request with a trace has caused.
    fn start_trace(&self) -> RequestTrace;
}

/// Somebody who asks.
pub trait Viewer: Any + Send + Sync {
    /// Whether this is nobody in particular.
    fn is_anonymous(&self) -> bool;

    /// Who pays for what this viewer asks.
    fn charged(&self) -> Charged;

    /// Who sees the same as this viewer, whatever is asked; `None` when nobody else does.
    fn audience(&self) -> Option<Audience>;

    /// Whether this viewer may ask about the schema where not everybody may.
    fn may_read_schema(&self) -> bool;

    /// Whether another viewer is the same one and may do the same.
    fn is_same(&self, other: &dyn Viewer) -> bool;

    /// Runs a query or a mutation.
    fn execute(self: Arc<Self>, work: AdmittedWork) -> BoxFuture<'static, Response>;

    /// Runs a subscription: an answer for each of its events. It is dropped when nobody listens any more.
    fn subscribe(self: Arc<Self>, work: AdmittedWork) -> BoxStream<'static, Response>;
}

/// Who pays for what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charged {
    /// Nobody: what this viewer asks is not counted.
    Nobody,
    /// A known one.
    Known {
        /// What kind, for the log.
        kind: &'static str,
        /// Which of its kind.
        id: u128,
    },
    /// Everybody who asks from the same network.
    Network,
}

/// All viewers of one audience get the same answer to the same document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Audience(pub String);

/// What belongs to one request, besides what it asks for.
#[derive(Clone)]
pub struct RequestContext {
    /// Who asks.
    pub viewer: Arc<dyn Viewer>,
    /// From where: limits on guessing count by it.
    pub address: Option<IpAddr>,
    /// When the request came in, by [`Backend::arrival_now`].
    pub arrived_at: DateTime<Utc>,
    /// The same on the clock of this process that only goes forward: how long it waits is counted from here.
    pub came_at: Instant,
    /// Cancelled when nobody waits for the answer any more.
    pub gone: CancellationToken,
}

/// A request that is to be run now.
pub struct AdmittedWork {
    /// The parsed document with its variables, and what the edge hands to resolvers: files, and a
    /// subscription's [`Turn`](crate::live::runs::Turn).
    pub request: Request,
    /// What kind of operation it is.
    pub kind: OperationType,
    /// Whether it may ask about the schema, and errors may say which names there are.
    pub shows_schema: bool,
    /// Who asked, from where and when.
    pub context: RequestContext,
}
