//! Runs admitted operations on the process's runtime. Long parsing and validation waits for a permit.

use std::{pin::pin, sync::Arc, task::Poll, time::Instant};

use async_graphql::{Request, Response, ServerError, parser::types::OperationType};
use futures_util::{StreamExt, future::poll_fn};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{SemaphorePermit, mpsc},
    task::block_in_place,
};
use tracing::Instrument;

use super::{
    Admitted, ExecutorParts, KEPT_TOKENS_EACH, LONG_TEXT,
    answer::{Cost, is_request_error, settle, values},
    charge::actual,
};
use crate::{
    backend::{AdmittedWork, RequestContext},
    budget::Payer,
    errors::Code,
    guard::{Document, GuardRefusal},
    live::runs::Turn,
    trace::RequestTrace,
};

const RUNNING: &str = "smallrun_graphql_running";

/// An operation that is about to run.
struct RunningOperation {
    kind: OperationType,
    cost: u64,
    payer: Option<Payer>,
    /// The number of tokens of its document.
    tokens: u64,
    /// Whether validating it is long work.
    long: bool,
}

impl ExecutorParts {
    /// Parses a document that is not cached.
    pub(super) async fn read(&self, text: String) -> Result<Arc<Document>, GuardRefusal> {
        let turn = self.turn(text.len() > LONG_TEXT).await;
        let document = Arc::new(aside(turn.is_some(), || self.guard.read(&text))?);
        drop(turn);
        if document.weight() <= KEPT_TOKENS_EACH {
            self.documents.insert(Arc::from(text), Arc::clone(&document));
        }
        Ok(document)
    }

    /// Waits for a permit for long work; `None` for work that needs none.
    async fn turn(&self, long: bool) -> Option<SemaphorePermit<'_>> {
        if long { self.turns.acquire().await.ok() } else { None }
    }

    /// Polls a future for the first time with a permit if it is long work: the first poll validates the
    /// document without waiting for anything.
    async fn begin<F: Future>(&self, long: bool, work: F) -> F::Output {
        let mut work = pin!(work);
        let turn = self.turn(long).await;
        let first =
            poll_fn(|context| Poll::Ready(aside(turn.is_some(), || work.as_mut().poll(context)))).await;
        drop(turn);
        match first {
            Poll::Ready(done) => done,
            Poll::Pending => work.await,
        }
    }

    /// Runs a query or a mutation to its end, a query within the deadline. A query that is dropped with its
    /// client is not refunded: it costs its maximal cost.
    pub(super) async fn perform(self: Arc<Self>, admitted: Admitted, caller: RequestContext) -> Response {
        if admitted.known {
            // Documents that are not cached may have waited for a permit; that says nothing about other
            // requests.
            let began = Instant::now();
            self.load.note(began.saturating_duration_since(caller.came_at), began);
        }
        let (running, work) = self.work(admitted, caller);
        let _counted = RunningGauge::new(running.kind);
        let mut response = match work {
            Ok(work) => {
                let run = self.begin(running.long, Arc::clone(&work.context.viewer).execute(work));
                if running.kind == OperationType::Query {
                    tokio::time::timeout(self.query_deadline, run)
                        .await
                        .unwrap_or_else(|_| Response::from_errors(vec![too_late()]))
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
    pub(super) async fn follow(
        self: Arc<Self>,
        admitted: Admitted,
        caller: RequestContext,
        turn: Arc<Turn>,
        send: mpsc::Sender<Response>,
    ) {
        let (running, work) = self.work(admitted, caller);
        let _counted = RunningGauge::new(running.kind);
        let mut events = match work {
            Ok(AdmittedWork { request, context, kind, shows_schema }) => {
                let work = AdmittedWork { request: request.data(turn), context, kind, shows_schema };
                Arc::clone(&work.context.viewer).subscribe(work)
            }
            Err(mut response) => {
                self.close(&mut response, &running);
                let _nobody_listens = send.send(response).await;
                return;
            }
        };
        let mut first = true;
        while let Some(mut response) = self.begin(running.long && first, events.next()).await {
            if first {
                self.close(&mut response, &running);
                first = false;
            } else {
                settle(&mut response);
                self.charge(running.payer, values(&response.data));
            }
            if send.send(response).await.is_err() {
                return;
            }
        }
    }

    /// Builds the work to run, or the answer of a refusal.
    fn work(
        &self,
        admitted: Admitted,
        caller: RequestContext,
    ) -> (RunningOperation, Result<AdmittedWork, Response>) {
        let Admitted { document, chosen, operation_name, variables, payer, uploads, known: _ } = admitted;
        let (tokens, long) = (document.weight(), document.is_long());
        let running = RunningOperation { kind: chosen.kind, cost: chosen.cost, payer, tokens, long };
        if let Some(why) = self.introspection.refusal(&*caller.viewer, document.parsed()) {
            return (running, Err(Response::from_errors(vec![why])));
        }
        let mut request = Request::new("").variables(variables);
        if let Some(uploads) = uploads {
            request = request.data(uploads);
        }
        request.operation_name = operation_name;
        request.set_parsed_query(document.parsed().clone());
        let shows_schema = self.introspection.is_open_to(&*caller.viewer);
        (running, Ok(AdmittedWork { request, kind: chosen.kind, shows_schema, context: caller }))
    }

    /// Completes an answer: settles its errors, refunds unused points and adds the cost.
    fn close(&self, response: &mut Response, running: &RunningOperation) {
        settle(response);
        let (refused, kind) = (is_request_error(response), kind_name(running.kind));
        let actual = actual(values(&response.data), running.tokens, refused);
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
        metrics::counter!("smallrun_graphql_operations_total", "kind" => kind, "outcome" => outcome)
            .increment(1);
    }
}

/// Runs blocking work. Long work first hands the other tasks of this thread to another thread.
fn aside<T>(long: bool, work: impl FnOnce() -> T) -> T {
    let alone =
        Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if long && alone { block_in_place(work) } else { work() }
}

pub(super) fn too_late() -> ServerError {
    Code::DeadlineExceeded.server_error("the query took too long: request less data", None)
}

fn kind_name(kind: OperationType) -> &'static str {
    match kind {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    }
}

/// Carries the current span and trace into a future that runs on another task.
pub(super) fn traced<F: Future + Send>(work: F) -> impl Future<Output = F::Output> + Send {
    let (work, trace) = (work.in_current_span(), RequestTrace::current());
    async move {
        match trace {
            Some(trace) => trace.scope(work).await,
            None => work.await,
        }
    }
}

/// Counts an operation as running for as long as it exists.
struct RunningGauge(&'static str);

impl RunningGauge {
    fn new(kind: OperationType) -> Self {
        let kind = kind_name(kind);
        metrics::gauge!(RUNNING, "kind" => kind).increment(1.0);
        Self(kind)
    }
}

impl Drop for RunningGauge {
    fn drop(&mut self) {
        metrics::gauge!(RUNNING, "kind" => self.0).decrement(1.0);
    }
}
