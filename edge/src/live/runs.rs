//! Running subscriptions, each shared by all clients that made the same request and may see the same.
//!
//! Five thousand visitors of one drop send the same document with the same variables, anonymously or with the
//! storefront's token. Their answers are equal, so each is computed once and sent to all. A signed-in client
//! has a run of its own.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use actix_web::web::Bytes;
use async_graphql::{Response, ServerError, Value};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tokio::{
    pin,
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    feed::{AskedLooks, Feed, LookNumber, Looks, Watcher},
    locked,
};
use crate::{
    backend::{Audience, Backend, RequestContext},
    execute::{Admitted, Executor, is_request_error},
    trace::RequestTrace,
};

/// The most states read at the same time by all subscriptions together. It is half of the default number of
/// database connections, so that ordinary requests make progress while every watched state is read again.
const READS_AT_ONCE: usize = 8;

/// What requests must have in common to share a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RunKey {
    audience: Audience,
    query: String,
    operation_name: Option<String>,
    variables: String,
}

/// An admitted request for a subscription.
pub(crate) struct SubscriptionRequest {
    pub(crate) query: String,
    pub(crate) operation_name: Option<String>,
    /// The variables as JSON.
    pub(crate) variables: String,
    pub(crate) admitted: Admitted,
    pub(crate) caller: RequestContext,
}

/// The subscriptions that run in this process.
pub(crate) struct Runs {
    executor: Executor,
    backend: Arc<dyn Backend>,
    /// The runtime of the runs: not the threads that serve connections.
    runtime: Handle,
    reads: Arc<Semaphore>,
    stopping: CancellationToken,
    shared: Mutex<HashMap<RunKey, Arc<Run>>>,
}

/// A running subscription.
struct Run {
    /// Its newest answer; the last one comes with its end.
    feed: Feed<SubscriptionMessage>,
    turn: Arc<Turn>,
}

/// How a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscriptionEnd {
    /// It has no further answers.
    Over,
    /// It was refused: its answer is the list of errors.
    Refused,
    /// The process is stopping.
    Stopped,
}

/// Coordinates a run with the resolver of its field. It is part of the request's data.
pub struct Turn {
    /// Where clients that join the run request a look.
    looks: Looks,
    /// The states that were read and whose answers are not complete, in order.
    read: Mutex<VecDeque<Read>>,
    /// Limits how many states are read at the same time.
    reads: Arc<Semaphore>,
}

/// A state that was read.
struct Read {
    answers: LookNumber,
    /// Held until the answer is complete.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    fn new(looks: &Looks, reads: &Arc<Semaphore>) -> Self {
        Self { looks: looks.clone(), read: Mutex::default(), reads: Arc::clone(reads) }
    }

    /// Subscribes to looks requested from now on.
    pub fn asked(&self) -> AskedLooks {
        self.looks.asked()
    }

    /// Waits for a permit to read a state. The state answers all looks requested by then, or the looks up
    /// to `answers` if the state was read earlier.
    pub async fn begin(&self, answers: Option<LookNumber>) {
        let permit = Arc::clone(&self.reads).acquire_owned().await.ok();
        let answers = answers.unwrap_or_else(|| self.looks.newest());
        locked(&self.read).push_back(Read { answers, _permit: permit });
    }

    /// Withdraws the last [`begin`](Self::begin), when its state was not read after all.
    pub fn give_up(&self) {
        locked(&self.read).pop_back();
    }

    /// Returns the looks answered by the answer that is complete now. An answer without a state is the last
    /// one and answers all looks.
    fn answered(&self) -> LookNumber {
        locked(&self.read).pop_front().map_or(LookNumber::ALL, |read| read.answers)
    }
}

impl Runs {
    pub(crate) fn new(
        executor: Executor,
        backend: Arc<dyn Backend>,
        runtime: Handle,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        let reads = Arc::new(Semaphore::new(READS_AT_ONCE));
        Arc::new(Self { executor, backend, runtime, reads, stopping, shared: Mutex::default() })
    }

    /// Runs a subscription or joins an equal one. Its first answer reflects a state read after this call.
    pub(crate) fn join(self: &Arc<Self>, asked: SubscriptionRequest) -> Joined {
        let Some(audience) = asked.caller.viewer.audience() else { return self.begin(None, asked) };
        let SubscriptionRequest { query, operation_name, variables, .. } = &asked;
        let key = RunKey {
            audience,
            query: query.clone(),
            operation_name: operation_name.clone(),
            variables: variables.clone(),
        };
        let mut shared = locked(&self.shared);
        if let Some(run) = shared.get(&key) {
            return Joined { watcher: run.feed.watch(), sent: None };
        }
        self.begin(Some((key, &mut *shared)), asked)
    }

    fn begin(
        self: &Arc<Self>,
        shared: Option<(RunKey, &mut HashMap<RunKey, Arc<Run>>)>,
        asked: SubscriptionRequest,
    ) -> Joined {
        let feed = Feed::new();
        let joined = Joined { watcher: feed.watch(), sent: None };
        let turn = Arc::new(Turn::new(feed.looks(), &self.reads));
        let run = Arc::new(Run { feed, turn });
        let key = shared.map(|(key, shared)| {
            shared.insert(key.clone(), Arc::clone(&run));
            key
        });
        let trace = RequestTrace::current().unwrap_or_else(|| self.backend.start_trace());
        let span = tracing::info_span!("subscription", trace_id = trace.trace_id());
        self.runtime.spawn(
            trace.scope(Arc::clone(self).run(key, run, asked.admitted, asked.caller)).instrument(span),
        );
        joined
    }

    async fn run(
        self: Arc<Self>,
        key: Option<RunKey>,
        run: Arc<Run>,
        admitted: Admitted,
        caller: RequestContext,
    ) {
        metrics::gauge!("smallrun_live_runs").increment(1);
        let end = self
            .answer(key.as_ref(), &run, self.executor.stream(admitted, caller, Arc::clone(&run.turn)))
            .await;
        if let Some(key) = &key {
            // New requests start a new run, or have already done so.
            let mut shared = locked(&self.shared);
            if shared.get(key).is_some_and(|present| Arc::ptr_eq(present, &run)) {
                shared.remove(key);
            }
        }
        if let Some(end) = end {
            run.end(end);
        }
        metrics::gauge!("smallrun_live_runs").decrement(1);
    }

    /// Passes on one answer after another; `None` when nobody listens any more.
    async fn answer(
        &self,
        key: Option<&RunKey>,
        run: &Run,
        responses: impl Stream<Item = Response>,
    ) -> Option<SubscriptionEnd> {
        pin!(responses);
        let mut is_first = true;
        loop {
            let response = tokio::select! {
                response = responses.next() => response,
                () = self.stopping.cancelled() => return Some(SubscriptionEnd::Stopped),
                () = run.feed.unwatched() => {
                    if self.leave(key, run) {
                        return None;
                    }
                    continue;
                }
            };
            let Some(response) = response else { return Some(SubscriptionEnd::Over) };
            // Sent together with the end, because a refusal is written differently.
            let end = (is_first && is_request_error(&response)).then_some(SubscriptionEnd::Refused);
            run.tell(&response, end);
            if end.is_some() {
                return end;
            }
            is_first = false;
        }
    }

    /// Removes a run that nobody listens to; `false` when a listener has joined meanwhile.
    fn leave(&self, key: Option<&RunKey>, run: &Run) -> bool {
        let mut shared = locked(&self.shared);
        let is_left = !run.feed.is_watched();
        if let Some(key) = key.filter(|_| is_left) {
            shared.remove(key);
        }
        is_left
    }
}

/// The serialized form of an answer.
#[derive(Serialize)]
struct SubscriptionAnswer<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    data: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions: Option<&'a BTreeMap<String, Value>>,
}

/// Serializes an answer: the result, or the list of errors when nothing was run.
pub(crate) fn written(response: &Response) -> Bytes {
    let extensions = Some(&response.extensions).filter(|extensions| !extensions.is_empty());
    write(response, extensions)
}

fn write(response: &Response, extensions: Option<&BTreeMap<String, Value>>) -> Bytes {
    let written = if is_request_error(response) {
        serde_json::to_vec(&response.errors)
    } else {
        serde_json::to_vec(&SubscriptionAnswer { errors: &response.errors, data: &response.data, extensions })
    };
    // A value that was built from JSON can be serialized as JSON.
    written.map(Bytes::from).unwrap_or_default()
}

impl Run {
    fn last_answer(&self) -> Option<Bytes> {
        self.feed.last().and_then(|told| told.answer)
    }

    fn tell(&self, response: &Response, end: Option<SubscriptionEnd>) {
        // Without extensions: they contain the budget of a single caller.
        let (answer, answers) = (write(response, None), self.turn.answered());
        // Equal answers share the same bytes, so that nobody is sent the same answer twice.
        let answer = self.last_answer().filter(|last| *last == answer).unwrap_or(answer);
        self.feed.tell(SubscriptionMessage { answer: Some(answer), end }, answers);
    }

    fn end(&self, end: SubscriptionEnd) {
        self.feed.tell(SubscriptionMessage { answer: self.last_answer(), end: Some(end) }, LookNumber::ALL);
    }
}

/// A client's share in a run.
pub(crate) struct Joined {
    watcher: Watcher<SubscriptionMessage>,
    sent: Option<Bytes>,
}

/// The next message of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubscriptionMessage {
    /// A new answer, as JSON.
    pub(crate) answer: Option<Bytes>,
    /// Nothing follows after it.
    pub(crate) end: Option<SubscriptionEnd>,
}

impl Joined {
    /// Returns the newest answer that was not sent yet, or the end. It is cancel safe.
    pub(crate) async fn next(&mut self) -> SubscriptionMessage {
        let Some(SubscriptionMessage { answer, end }) = self.watcher.next().await else {
            return SubscriptionMessage { answer: None, end: Some(SubscriptionEnd::Stopped) };
        };
        // The end comes with the last answer, which may already have been sent.
        let is_sent =
            |answer: &Bytes| self.sent.as_ref().is_some_and(|sent| sent.as_ptr() == answer.as_ptr());
        let answer = answer.filter(|answer| !is_sent(answer));
        self.sent = answer.clone().or(self.sent.take());
        SubscriptionMessage { answer, end }
    }
}
