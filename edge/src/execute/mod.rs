//! Turns a request into its answer, independent of its transport: HTTP, server-sent events or a WebSocket.
//!
//! [`Executor::admit`] parses and weighs a request and charges its caller. [`Executor::run`] runs an admitted
//! query or mutation, and [`Executor::stream`] a subscription. All work runs on the process's runtime, never
//! on the thread that serves the connection. Long parsing and validation needs a permit, so that other
//! requests make progress meanwhile.
//!
//! [`load`] sheds requests under overload, [`work`] runs operations, [`charge`] charges callers, and
//! [`answer`] completes answers with codes and costs.

mod answer;
mod charge;
mod load;
mod work;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_graphql::{
    Pos, Response, Variables,
    parser::types::{ExecutableDocument, OperationType},
};
use futures_util::{Stream, stream};
use moka::{policy::EvictionPolicy, sync::Cache};
use serde_json::{Map, Value};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
    task::JoinError,
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use self::{
    load::{LoadMonitor, RETRY_AFTER},
    work::traced,
};
use crate::{
    Settings,
    backend::{Backend, RequestContext},
    budget::{Budget, Payer},
    errors::{busy, internal},
    guard::{Chosen, Class, Document, Guard, GuardRefusal, SchemaProfile},
    introspection::Introspection,
    live::runs::Turn,
    uploads::Uploads,
};

pub(crate) use answer::is_request_error;
pub(crate) use charge::retry_after_secs;

/// A document text longer than this, in bytes, is long work to parse.
const LONG_TEXT: usize = 4 * 1024;
/// The most tokens of all cached documents together: tens of megabytes, at about a hundred bytes a token.
const KEPT_TOKENS: u64 = 100_000;
/// A document with more tokens is not cached: it would evict many that are in use.
const KEPT_TOKENS_EACH: u64 = 2_000;

/// A request as it was received.
#[derive(Debug, Default)]
pub struct ExecutionRequest {
    /// The document text.
    pub query: String,
    /// The name of the operation to run.
    pub operation_name: Option<String>,
    /// The variables, as JSON.
    pub variables: Map<String, Value>,
    /// The files sent with the request.
    pub(crate) uploads: Option<Uploads>,
}

/// A request that has been admitted and may be run.
#[derive(Debug)]
pub struct Admitted {
    document: Arc<Document>,
    chosen: Chosen,
    operation_name: Option<String>,
    variables: Variables,
    payer: Option<Payer>,
    uploads: Option<Uploads>,
    /// Whether its document was cached, so that it did not wait to be parsed.
    known: bool,
}

impl Admitted {
    /// Returns the parsed document.
    pub(crate) fn document(&self) -> &ExecutableDocument {
        self.document.parsed()
    }

    /// Returns the kind of the operation.
    pub fn kind(&self) -> OperationType {
        self.chosen.kind
    }

    /// Returns the name of the operation, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.chosen.name.as_deref()
    }
}

impl ExecutorParts {
    fn sheds(&self, class: Class, now: Instant) -> bool {
        self.load.sheds(class, self.backend.is_crowded(), now)
    }
}

/// Runs operations. Clones share the same executor.
#[derive(Clone)]
pub struct Executor(Arc<ExecutorParts>);

struct ExecutorParts {
    introspection: Introspection,
    backend: Arc<dyn Backend>,
    query_deadline: Duration,
    guard: Guard,
    load: LoadMonitor,
    budget: Option<Budget>,
    /// Parsed documents, by their texts.
    documents: Cache<Arc<str>, Arc<Document>>,
    runtime: Handle,
    /// Permits for long work: one processor is left free for other work.
    turns: Semaphore,
    /// The mutations that are running.
    mutations: TaskTracker,
}

impl Executor {
    /// Creates an executor that works on the given runtime, which should have several threads.
    pub(crate) fn new(
        settings: &Settings,
        schema: &'static SchemaProfile,
        backend: Arc<dyn Backend>,
        runtime: Handle,
    ) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(ExecutorParts {
            guard: Guard::new(settings.limits, schema),
            load: LoadMonitor::new(settings.shed_from),
            introspection: Introspection::new(settings.introspection, schema.readers()),
            backend,
            query_deadline: settings.query_deadline,
            budget: settings.budget.map(Budget::new),
            documents: read_lately(),
            runtime,
            turns: Semaphore::new(processors.saturating_sub(1).max(1)),
            mutations: TaskTracker::new(),
        }))
    }

    /// Returns the `BUSY` answer if an overloaded process sheds the request before any work is done for it.
    /// This applies to cached documents only: the class of an unknown document is found out when it is
    /// admitted.
    pub fn overload(&self, query: &str) -> Option<Response> {
        let now = Instant::now();
        if !self.0.load.is_busy(now) {
            return None;
        }
        let class = self.kept(query)?.class();
        self.0.sheds(class, now).then(turned_away)
    }

    /// Parses and weighs the document of a request and charges its caller. The error is a complete answer
    /// whose error has one of the codes of [`Code`](crate::errors::Code). A `RATE_LIMITED` error says in
    /// `retryAfterSecs` when to retry.
    pub async fn admit(
        &self,
        asked: ExecutionRequest,
        caller: &RequestContext,
    ) -> Result<Admitted, Response> {
        let parts = &*self.0;
        let payer = parts.budget.as_ref().and_then(|_| Payer::of(caller));
        // The document of a caller without points is not even parsed.
        parts.check(payer).map_err(|limited| *limited)?;
        let bytes = asked.query.len();
        let refused = |refused: GuardRefusal| parts.refuse(refused, bytes, payer);
        parts.guard.check_size(&asked.query, &asked.variables).map_err(refused)?;
        let kept = self.kept(&asked.query);
        let known = kept.is_some();
        let document = match kept {
            Some(document) => document,
            None => self.document(asked.query).await.map_err(refused)?,
        };
        if !known && parts.sheds(document.class(), Instant::now()) {
            return Err(turned_away());
        }
        let variables = Variables::from_json(Value::Object(asked.variables));
        let operation_name = asked.operation_name.filter(|name| !name.is_empty());
        let chosen = parts.guard.choose(&document, operation_name.as_deref(), &variables).map_err(refused)?;
        parts.take(payer, chosen.cost).map_err(|limited| *limited)?;
        Ok(Admitted { document, chosen, operation_name, variables, payer, uploads: asked.uploads, known })
    }

    /// Runs a query or a mutation. A query ends at its deadline, and when this future is dropped because the
    /// client has disconnected. A mutation that has begun runs to its end.
    pub async fn run(&self, admitted: Admitted, caller: RequestContext) -> Response {
        let parts = Arc::clone(&self.0);
        if admitted.kind() == OperationType::Mutation {
            let begun = parts
                .mutations
                .spawn_on(traced(Arc::clone(&parts).perform(admitted, caller)), &parts.runtime);
            return begun.await.unwrap_or_else(|defect| failed(&defect));
        }
        let begun = parts.runtime.spawn(traced(Arc::clone(&parts).perform(admitted, caller)));
        AbortOnDropHandle::new(begun).await.unwrap_or_else(|defect| failed(&defect))
    }

    /// Runs a subscription: yields one answer for each event, or a single refusal. Dropping the stream ends
    /// the subscription. An answer is computed only after the previous one was taken, so no answers pile up
    /// for a slow reader.
    pub(crate) fn stream(
        &self,
        admitted: Admitted,
        caller: RequestContext,
        turn: Arc<Turn>,
    ) -> impl Stream<Item = Response> + Send + use<> {
        let (send, receive) = mpsc::channel(1);
        let running = AbortOnDropHandle::new(
            self.0.runtime.spawn(traced(Arc::clone(&self.0).follow(admitted, caller, turn, send))),
        );
        stream::unfold((receive, running), |(mut receive, running)| async move {
            let response = receive.recv().await?;
            Some((response, (receive, running)))
        })
    }

    /// Returns the number of running mutations.
    pub fn mutations(&self) -> usize {
        self.0.mutations.len()
    }

    /// Waits for running mutations to finish, at most for the given time. For use at shutdown.
    pub async fn finish(&self, within: Duration) {
        self.0.mutations.close();
        if tokio::time::timeout(within, self.0.mutations.wait()).await.is_err() {
            tracing::warn!(running = self.0.mutations.len(), "mutations did not finish in time");
        }
    }

    fn kept(&self, text: &str) -> Option<Arc<Document>> {
        self.0.documents.get(text)
    }

    /// Parses a document that is not cached, off this thread.
    async fn document(&self, text: String) -> Result<Arc<Document>, GuardRefusal> {
        let parts = Arc::clone(&self.0);
        let reading = AbortOnDropHandle::new(self.0.runtime.spawn(async move { parts.read(text).await }));
        // Long texts wait for a permit.
        match tokio::time::timeout(self.0.query_deadline, reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(defect)) => Err(GuardRefusal::Error(internal(&defect).into_server_error(Pos::default()))),
            Err(_) => Err(GuardRefusal::Error(work::too_late())),
        }
    }
}

/// Creates the cache of parsed documents, which evicts the least recently used.
fn read_lately() -> Cache<Arc<str>, Arc<Document>> {
    let weight =
        |_: &Arc<str>, document: &Arc<Document>| u32::try_from(document.weight().max(1)).unwrap_or(u32::MAX);
    Cache::builder().max_capacity(KEPT_TOKENS).weigher(weight).eviction_policy(EvictionPolicy::lru()).build()
}

fn turned_away() -> Response {
    Response::from_errors(vec![busy(RETRY_AFTER)])
}

fn failed(defect: &JoinError) -> Response {
    Response::from_errors(vec![internal(defect).into_server_error(Pos::default())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{Limits, market::MARKET};

    #[test]
    fn documents_in_use_stay_cached_and_the_cache_is_bounded_by_tokens() {
        let (kept, guard) = (read_lately(), Guard::new(Limits::default(), &MARKET));
        let heavy = Arc::new(guard.read(&format!("{{ viewer {{ {} }} }}", "kind ".repeat(500))).unwrap());
        assert!(heavy.weight() > 500, "{}", heavy.weight());
        kept.insert("used".into(), Arc::clone(&heavy));
        for number in 0..1_000 {
            kept.insert(number.to_string().into(), Arc::clone(&heavy));
            assert!(kept.get("used").is_some(), "after {number}");
        }
        kept.run_pending_tasks();
        assert!(kept.weighted_size() <= KEPT_TOKENS && kept.entry_count() > 100, "{}", kept.weighted_size());
        assert!(kept.get("0").is_none() && kept.get("999").is_some());
    }
}
