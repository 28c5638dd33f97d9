//! From a request to its answer, whatever it came by: HTTP, server-sent events, a socket.
//!
//! [`Executor::admit`] reads and weighs a request and charges its caller; [`Executor::run`] runs what was admitted, and
//! [`Executor::stream`] a subscription. All of the work is done on the runtime of the process, never on the thread that
//! serves the connection, and what is long to read or to validate takes turns, so that other requests go on meanwhile.
//! [`answer`]: what an answer shows besides its data.

mod answer;

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use async_graphql::{
    Pos, Request, Response, Variables,
    parser::types::{ExecutableDocument, OperationType},
};
use domain::{
    catalog::Sight,
    platform::{Db, trace::TraceParent},
};
use futures_util::{Stream, StreamExt, future::poll_fn, stream};
use serde_json::{Map, Value};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{Semaphore, SemaphorePermit, mpsc},
    task::{JoinError, block_in_place},
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument;

use super::{
    RequestContext,
    budget::{Budget, BudgetSettings, Payer, Short},
    errors::{Code, denied, internal},
    guard::{Chosen, Document, Guard, Refused},
    loaders::{Loader, Loaders},
    recent::Recent,
};
use crate::{Api, Schema, live::runs::Turn};

use answer::{Cost, actual, settle};

pub(crate) use answer::is_request_error;

/// A text that is longer, in bytes, is long work to read.
const LONG_TEXT: usize = 4 * 1024;
/// The most tokens of all documents that are kept read: by measure some 30 MB.
const KEPT_TOKENS: u64 = 100_000;
/// A document with more is not kept: it would push out many that are in use.
const KEPT_TOKENS_EACH: u64 = 2_000;
/// What a request costs that is refused before anything is run: about what reading and validating it takes.
const REFUSED_POINTS: u64 = 100;
/// The name of the seconds to wait in the extensions of an error.
const RETRY_AFTER: &str = "retryAfterSecs";

const REFUSALS: &str = "smallrun_graphql_refusals_total";
const RUNNING: &str = "smallrun_graphql_running";

/// A request as it came in.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) query: String,
    pub(crate) operation_name: Option<String>,
    pub(crate) variables: Map<String, Value>,
}

/// A request that may be run.
#[derive(Debug)]
pub(crate) struct Admitted {
    document: Arc<Document>,
    chosen: Chosen,
    operation_name: Option<String>,
    variables: Variables,
    payer: Option<Payer>,
}

impl Admitted {
    /// The document, as it was read.
    pub(crate) fn document(&self) -> &ExecutableDocument {
        self.document.parsed()
    }

    /// What kind of operation it is.
    pub(crate) fn kind(&self) -> OperationType {
        self.chosen.kind
    }

    /// The name of the operation, if it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.chosen.name.as_deref()
    }
}

/// Runs operations. Its copies are the same executor.
#[derive(Clone)]
pub(crate) struct Executor(Arc<Parts>);

struct Parts {
    schema: Schema,
    db: Db,
    introspection: bool,
    query_deadline: Duration,
    guard: Guard,
    budget: Option<Budget>,
    /// Documents that were read lately, by their texts.
    documents: Mutex<Recent<Arc<str>, Arc<Document>>>,
    runtime: Handle,
    /// Turns for long work: one processor is left for the others.
    turns: Semaphore,
    /// Mutations that have begun.
    mutations: TaskTracker,
}

impl Executor {
    /// An executor whose work is done on that runtime, which should have several threads.
    pub(crate) fn new(api: &Api, schema: Schema, runtime: Handle) -> Self {
        metrics::describe_counter!(REFUSALS, "Requests that were refused before they were run, by the limit that they exceed.");
        metrics::describe_gauge!(RUNNING, "Operations that are being run.");
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Parts {
            guard: Guard::new(api.limits, &schema.sdl()),
            schema,
            db: api.db.clone(),
            introspection: api.introspection,
            query_deadline: api.query_deadline,
            budget: api.budget.map(Budget::new),
            documents: Mutex::new(Recent::new(KEPT_TOKENS)),
            runtime,
            turns: Semaphore::new(processors.saturating_sub(1).max(1)),
            mutations: TaskTracker::new(),
        }))
    }

    /// Whether a request may be run: reads its document, weighs it, and charges its caller. The answer of a refusal is
    /// complete, and its error has one of the codes of [`Code`]; `RATE_LIMITED` says with `retryAfterSecs` when to come again.
    pub(crate) async fn admit(&self, asked: Asked, caller: &RequestContext) -> Result<Admitted, Response> {
        let parts = &*self.0;
        let payer = parts.budget.as_ref().and_then(|_| Payer::of(caller));
        // Who has nothing left is not even read.
        parts.take(payer, 1)?;
        let refused = |refused: Refused| parts.refuse(refused, payer);
        parts.guard.check_size(&asked.query, &asked.variables).map_err(refused)?;
        let document = self.document(asked.query).await.map_err(refused)?;
        let variables = Variables::from_json(Value::Object(asked.variables));
        let operation_name = asked.operation_name.filter(|name| !name.is_empty());
        let chosen = parts.guard.choose(&document, operation_name.as_deref(), &variables).map_err(refused)?;
        parts.take(payer, chosen.cost.saturating_sub(1))?;
        Ok(Admitted { document, chosen, operation_name, variables, payer })
    }

    /// Runs a query or a mutation. A query ends with its deadline, and when this future is dropped because its client went
    /// away; a mutation that began runs to its end.
    pub(crate) async fn run(&self, admitted: Admitted, caller: RequestContext) -> Response {
        let parts = Arc::clone(&self.0);
        if admitted.kind() == OperationType::Mutation {
            let begun = parts.mutations.spawn_on(traced(Arc::clone(&parts).perform(admitted, caller)), &parts.runtime);
            return begun.await.unwrap_or_else(|defect| failed(&defect));
        }
        let begun = parts.runtime.spawn(traced(Arc::clone(&parts).perform(admitted, caller)));
        AbortOnDropHandle::new(begun).await.unwrap_or_else(|defect| failed(&defect))
    }

    /// Runs a subscription: an answer for each of its events, or one that says why not, and then the end. Dropped, it ends.
    /// An answer is made when the one before it was taken, so nothing gathers here for a slow reader.
    pub(crate) fn stream(&self, admitted: Admitted, caller: RequestContext, turn: Arc<Turn>) -> impl Stream<Item = Response> + Send + use<> {
        let (send, receive) = mpsc::channel(1);
        let running = AbortOnDropHandle::new(self.0.runtime.spawn(traced(Arc::clone(&self.0).follow(admitted, caller, turn, send))));
        stream::unfold((receive, running), |(mut receive, running)| async move {
            let response = receive.recv().await?;
            Some((response, (receive, running)))
        })
    }

    /// Waits until the mutations that have begun are done, but no longer than that. For the end of a process.
    pub(crate) async fn finish(&self, within: Duration) {
        self.0.mutations.close();
        if tokio::time::timeout(within, self.0.mutations.wait()).await.is_err() {
            tracing::warn!(running = self.0.mutations.len(), "mutations did not end in time");
        }
    }

    /// The document of a text: kept, or read off this thread.
    async fn document(&self, text: String) -> Result<Arc<Document>, Refused> {
        if let Some(kept) = self.0.documents().get(text.as_str()) {
            return Ok(Arc::clone(kept));
        }
        let parts = Arc::clone(&self.0);
        let reading = AbortOnDropHandle::new(self.0.runtime.spawn(async move { parts.read(text).await }));
        let defect = |defect: JoinError| Err(Refused::Error(internal(&defect).into_server_error(Pos::default())));
        reading.await.unwrap_or_else(defect)
    }
}

/// What is known of an operation once its request is made.
struct Running {
    kind: OperationType,
    cost: u64,
    payer: Option<Payer>,
    /// Whether to validate it is long work.
    long: bool,
}

impl Parts {
    fn documents(&self) -> MutexGuard<'_, Recent<Arc<str>, Arc<Document>>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The document of a text that was not kept.
    async fn read(&self, text: String) -> Result<Arc<Document>, Refused> {
        let turn = self.turn(text.len() > LONG_TEXT).await;
        let document = Arc::new(aside(turn.is_some(), || self.guard.read(&text))?);
        drop(turn);
        if document.weight() <= KEPT_TOKENS_EACH {
            self.documents().put(Arc::from(text), Arc::clone(&document), document.weight().max(1));
        }
        Ok(document)
    }

    /// A turn for long work; `None` is for work that needs none.
    async fn turn(&self, long: bool) -> Option<SemaphorePermit<'_>> {
        if long { self.turns.acquire().await.ok() } else { None }
    }

    /// Runs what validates its document, without waiting for anything, when it is polled for the first time.
    async fn begin<F: Future>(&self, long: bool, work: F) -> F::Output {
        let mut work = pin!(work);
        let turn = self.turn(long).await;
        let first = poll_fn(|context| Poll::Ready(aside(turn.is_some(), || work.as_mut().poll(context)))).await;
        drop(turn);
        match first {
            Poll::Ready(done) => done,
            Poll::Pending => work.await,
        }
    }

    /// Runs a query or a mutation to its end: a query within the deadline.
    async fn perform(self: Arc<Self>, admitted: Admitted, caller: RequestContext) -> Response {
        let (running, request) = self.request(admitted, caller);
        let _counted = Counted::new(running.kind);
        let mut response = match request {
            Ok((request, loader)) => {
                let run = self.begin(running.long, loader.drive(self.schema.execute(request)));
                if running.kind == OperationType::Query {
                    tokio::time::timeout(self.query_deadline, run).await.unwrap_or_else(|_| too_late())
                } else {
                    run.await
                }
            }
            Err(response) => response,
        };
        self.close(&mut response, &running);
        response
    }

    /// Runs a subscription until its end, or until nobody listens any more.
    async fn follow(self: Arc<Self>, admitted: Admitted, caller: RequestContext, turn: Arc<Turn>, send: mpsc::Sender<Response>) {
        let (running, request) = self.request(admitted, caller);
        let _counted = Counted::new(running.kind);
        let (mut events, loader) = match request {
            Ok((request, loader)) => (self.schema.execute_stream(request.data(turn)), loader),
            Err(mut response) => {
                self.close(&mut response, &running);
                let _nobody_listens = send.send(response).await;
                return;
            }
        };
        let mut first = true;
        while let Some(mut response) = self.begin(running.long && first, loader.drive(events.next())).await {
            // The next answer is made of what is true then.
            loader.forget();
            if first {
                self.close(&mut response, &running);
                first = false;
            } else {
                settle(&mut response, self.introspection);
                self.charge(running.payer, actual(&response.data));
            }
            if send.send(response).await.is_err() {
                return;
            }
        }
    }

    /// What the library is asked for, or the answer that says why it is not.
    fn request(&self, admitted: Admitted, caller: RequestContext) -> (Running, Result<(Request, Loader), Response>) {
        let Admitted { document, chosen, operation_name, variables, payer } = admitted;
        let running = Running { kind: chosen.kind, cost: chosen.cost, payer, long: document.is_long() };
        let sight = match Sight::of_viewer(&caller.viewer) {
            Ok(sight) => sight,
            Err(why) => return (running, Err(Response::from_errors(vec![denied(why).into_server_error(Pos::default())]))),
        };
        let loaders = Loaders { db: self.db.clone(), viewer: caller.viewer.clone(), sight };
        let loader = Loader::new(loaders, chosen.kind != OperationType::Mutation);
        let mut request = Request::new("").variables(variables).data(caller).data(loader.clone());
        request.operation_name = operation_name;
        request.set_parsed_query(document.parsed().clone());
        (running, Ok((request, loader)))
    }

    /// Completes an answer: codes and bounds of its errors, and its cost; gives back what it did not cost.
    fn close(&self, response: &mut Response, running: &Running) {
        settle(response, self.introspection);
        let (refused, kind) = (is_request_error(response), kind_name(running.kind));
        let least = if refused { REFUSED_POINTS } else { 1 };
        let actual = actual(&response.data).max(least).min(running.cost.max(REFUSED_POINTS));
        let left = match (&self.budget, running.payer) {
            (Some(budget), Some(payer)) => {
                let now = Instant::now();
                let left = match running.cost.checked_sub(actual) {
                    Some(rest) => budget.give_back(payer, rest, now),
                    None => budget.charge(payer, actual.saturating_sub(running.cost), now),
                };
                Some((budget.settings(), left))
            }
            _ => None,
        };
        Cost { requested: Some(running.cost), actual, budget: left }.show(response);
        let outcome = match response.is_ok() {
            true => "ok",
            false if refused => "refused",
            false => "error",
        };
        metrics::counter!("smallrun_graphql_operations_total", "kind" => kind, "outcome" => outcome).increment(1);
    }

    /// Takes points of a caller, or answers that there are too few.
    fn take(&self, payer: Option<Payer>, cost: u64) -> Result<(), Response> {
        let (Some(budget), Some(payer)) = (&self.budget, payer) else { return Ok(()) };
        budget.take(payer, cost, Instant::now()).map(drop).map_err(|short| limited(budget, payer, cost, short))
    }

    fn charge(&self, payer: Option<Payer>, points: u64) -> Option<(BudgetSettings, u64)> {
        let (Some(budget), Some(payer)) = (&self.budget, payer) else { return None };
        Some((budget.settings(), budget.charge(payer, points, Instant::now())))
    }

    /// The answer of a request that is not admitted.
    fn refuse(&self, refused: Refused, payer: Option<Payer>) -> Response {
        metrics::counter!(REFUSALS, "limit" => refused.limit().unwrap_or("none")).increment(1);
        let requested = refused.cost();
        let mut response = Response::from_errors(vec![refused.error()]);
        settle(&mut response, self.introspection);
        let budget = self.charge(payer, REFUSED_POINTS);
        Cost { requested, actual: REFUSED_POINTS, budget }.show(&mut response);
        response
    }
}

/// Does work that waits for nothing. Long work lets the other tasks of this thread go on elsewhere meanwhile.
fn aside<T>(long: bool, work: impl FnOnce() -> T) -> T {
    let alone = Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if long && alone { block_in_place(work) } else { work() }
}

/// The answer for who has too few points left.
fn limited(budget: &Budget, payer: Payer, cost: u64, short: Short) -> Response {
    let secs = short.retry_after.as_secs().saturating_add(u64::from(short.retry_after.subsec_nanos() > 0)).max(1);
    metrics::counter!(REFUSALS, "limit" => "budget").increment(1);
    if short.news {
        tracing::warn!(caller = payer.kind(), cost, left = short.left, "a caller has used up its budget");
    }
    let mut error = Code::RateLimited.server_error(format!("too many requests: ask again in {secs} s"), None);
    error.extensions.get_or_insert_default().set(RETRY_AFTER, secs);
    let mut response = Response::from_errors(vec![error]);
    Cost { requested: Some(cost), actual: 0, budget: Some((budget.settings(), short.left)) }.show(&mut response);
    response
}

/// In how many seconds a caller that is refused may come again; `None` for all other answers.
pub(crate) fn retry_after_secs(response: &Response) -> Option<u64> {
    match response.errors.first()?.extensions.as_ref()?.get(RETRY_AFTER)? {
        async_graphql::Value::Number(secs) => secs.as_u64(),
        _ => None,
    }
}

fn too_late() -> Response {
    Response::from_errors(vec![Code::DeadlineExceeded.server_error("the query took too long: ask for less", None)])
}

fn failed(defect: &JoinError) -> Response {
    Response::from_errors(vec![internal(defect).into_server_error(Pos::default())])
}

fn kind_name(kind: OperationType) -> &'static str {
    match kind {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    }
}

/// Work that belongs to the present request although it is done elsewhere.
fn traced<F: Future + Send>(work: F) -> impl Future<Output = F::Output> + Send {
    let (work, trace) = (work.in_current_span(), TraceParent::current());
    async move {
        match trace {
            Some(trace) => trace.scope(work).await,
            None => work.await,
        }
    }
}

/// An operation that runs, as long as this lives.
struct Counted(&'static str);

impl Counted {
    fn new(kind: OperationType) -> Self {
        let kind = kind_name(kind);
        metrics::gauge!(RUNNING, "kind" => kind).increment(1.0);
        Self(kind)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!(RUNNING, "kind" => self.0).decrement(1.0);
    }
}
