//! The ports of the edge: the traits that the program behind it implements.
//!
//! A [`Backend`] authenticates callers. A [`EdgeViewer`] is an authenticated or anonymous caller and runs
//! admitted requests. The cost of fields and the class of each operation come from the
//! [`SchemaProfile`](crate::guard::SchemaProfile).

use std::{any::Any, collections::HashMap, error::Error, net::IpAddr, sync::Arc, time::Instant};

use async_graphql::{Request, Response, parser::types::OperationType};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::{future::BoxFuture, stream::BoxStream};
use tokio_util::sync::CancellationToken;

use crate::trace::RequestTrace;

/// An error of the program behind the edge. It is logged and never shown to a client.
pub type BackendError = Box<dyn Error + Send + Sync>;

/// A hash of a bearer token, kept for longer than one request in place of the token itself.
pub type Fingerprint = Vec<u8>;

/// The program behind the edge. The methods that are not `async` are called for every request and must return
/// at once.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Returns the viewer of a request without a token.
    fn anonymous(&self) -> Arc<dyn EdgeViewer>;

    /// Returns the fingerprint of a bearer token, or `None` when the text cannot be a token.
    fn fingerprint(&self, token: &str) -> Option<Fingerprint>;

    /// Looks up the current bearer of a token. Returns `None` when the token is not valid.
    ///
    /// # Errors
    ///
    /// When the lookup fails.
    async fn viewer(&self, token: &str) -> Result<Option<Arc<dyn EdgeViewer>>, BackendError>;

    /// Looks up the current bearers of many tokens by their fingerprints. Invalid tokens are left out.
    ///
    /// # Errors
    ///
    /// When the lookup fails.
    async fn viewers(
        &self,
        tokens: &[Fingerprint],
    ) -> Result<HashMap<Fingerprint, Arc<dyn EdgeViewer>>, BackendError>;

    /// Returns the arrival time of a request that arrives now.
    fn arrival_now(&self) -> DateTime<Utc>;

    /// Returns whether the program behind the edge would refuse requests that may be shed, after letting them
    /// wait.
    fn is_crowded(&self) -> bool;

    /// Starts the trace of work that was not caused by a traced request.
    fn start_trace(&self) -> RequestTrace;
}

/// A caller, authenticated or anonymous.
pub trait EdgeViewer: Any + Send + Sync {
    /// Returns whether the viewer is anonymous.
    fn is_anonymous(&self) -> bool;

    /// Returns who is charged for this viewer's requests.
    fn charged(&self) -> Charged;

    /// Returns the group of viewers that get the same answer to every document, or `None` when the viewer is
    /// the only member of the group.
    fn audience(&self) -> Option<Audience>;

    /// Returns whether this viewer may read the schema where it is not open to everybody.
    fn may_read_schema(&self) -> bool;

    /// Returns whether the other viewer is the same person or token with the same permissions.
    fn is_same(&self, other: &dyn EdgeViewer) -> bool;

    /// Runs a query or a mutation.
    fn execute(self: Arc<Self>, work: AdmittedWork) -> BoxFuture<'static, Response>;

    /// Runs a subscription: yields one answer for each event. The stream is dropped when nobody listens any
    /// more.
    fn subscribe(self: Arc<Self>, work: AdmittedWork) -> BoxStream<'static, Response>;
}

/// Who is charged for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charged {
    /// Nobody: this viewer's requests are not counted.
    Nobody,
    /// A known account or token.
    Known {
        /// Its kind, for the log.
        kind: &'static str,
        /// Its id within its kind.
        id: u128,
    },
    /// The caller's network, together with everybody else in it.
    Network,
}

/// A group of viewers that all get the same answer to the same document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Audience(pub String);

/// The context of one request, apart from what it asks for.
#[derive(Clone)]
pub struct RequestContext {
    /// The caller.
    pub viewer: Arc<dyn EdgeViewer>,
    /// The caller's address. Rate limits on guessing are counted by it.
    pub address: Option<IpAddr>,
    /// When the request arrived, by [`Backend::arrival_now`].
    pub arrived_at: DateTime<Utc>,
    /// The arrival on this process's monotonic clock. Waiting times are measured from it.
    pub came_at: Instant,
    /// Cancelled when nobody waits for the answer any more.
    pub gone: CancellationToken,
}

/// A request that the guard and the budget have admitted.
pub struct AdmittedWork {
    /// The parsed document with its variables, and the data that the edge hands to resolvers: uploaded files,
    /// and the [`Turn`](crate::live::runs::Turn) of a subscription.
    pub request: Request,
    /// The kind of the operation.
    pub kind: OperationType,
    /// Whether the request may use introspection, and whether errors may suggest names of the schema.
    pub shows_schema: bool,
    /// The caller, their address and the time of arrival.
    pub context: RequestContext,
}
