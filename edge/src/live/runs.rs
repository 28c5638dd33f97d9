//! Subscriptions that run: each once, for all who asked the same and may see the same.
//!
//! Five thousand visitors of one drop send the same document, with the same variables, without a token or
//! with that of the storefront. Their answers are equal, so they are made once and handed to each. Who is
//! signed in has a run of one's own.

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

/// States that are read at the same time, by all subscriptions together: half of the usual number of
/// connections to the database, so that ordinary requests go on while everything that is watched is looked at
/// anew.
const READS_AT_ONCE: usize = 8;

/// What is the same for all who share a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RunKey {
    audience: Audience,
    query: String,
    operation_name: Option<String>,
    variables: String,
}

/// A subscription that was admitted, as it was asked for.
pub(crate) struct SubscriptionRequest {
    pub(crate) query: String,
    pub(crate) operation_name: Option<String>,
    /// The variables as JSON.
    pub(crate) variables: String,
    pub(crate) admitted: Admitted,
    pub(crate) caller: RequestContext,
}

/// All that run in this process.
pub(crate) struct Runs {
    executor: Executor,
    backend: Arc<dyn Backend>,
    /// Where they run: not on the threads that serve connections.
    runtime: Handle,
    reads: Arc<Semaphore>,
    stopping: CancellationToken,
    shared: Mutex<HashMap<RunKey, Arc<Run>>>,
}

/// One that runs.
struct Run {
    /// Its newest answer, and its end with the last one.
    feed: Feed<Told>,
    turn: Arc<Turn>,
}

/// How a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// There is nothing more to tell.
    Over,
    /// Nothing was run: its answer is the list of errors.
    Refused,
    /// The process is at its end.
    Stopped,
}

/// What a run and the resolver of its field tell each other. It is among the data of the request.
pub struct Turn {
    /// Whoever joins the run asks for a look.
    looks: Looks,
    /// The states that were read and whose answers are being made, in their order.
    read: Mutex<VecDeque<Read>>,
    /// How many states may be read at the same time.
    reads: Arc<Semaphore>,
}

/// A state that was read.
struct Read {
    answers: LookNumber,
    /// Held until its answer is made.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    fn new(looks: &Looks, reads: &Arc<Semaphore>) -> Self {
        Self { looks: looks.clone(), read: Mutex::default(), reads: Arc::clone(reads) }
    }

    /// Hears of looks that are asked for from now on.
    pub fn asked(&self) -> AskedLooks {
        self.looks.asked()
    }

    /// Waits until a state may be read. It answers all looks that were asked for up to now, or up to the one
    /// that is given, because the state was read before.
    pub async fn begin(&self, answers: Option<LookNumber>) {
        let permit = Arc::clone(&self.reads).acquire_owned().await.ok();
        let answers = answers.unwrap_or_else(|| self.looks.newest());
        locked(&self.read).push_back(Read { answers, _permit: permit });
    }

    /// A state was not read after all.
    pub fn give_up(&self) {
        locked(&self.read).pop_back();
    }

    /// Which looks does the answer answer that is made now? One that no state was read for is the last, and
    /// answers all.
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

    /// Runs a subscription, or joins one that is the same. Its first answer is true as of now or later.
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
            // Who asks from now on begins anew, or has done so.
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

    /// Hands on one answer after the other; `None` when nobody is left.
    async fn answer(
        &self,
        key: Option<&RunKey>,
        run: &Run,
        responses: impl Stream<Item = Response>,
    ) -> Option<End> {
        pin!(responses);
        let mut is_first = true;
        loop {
            let response = tokio::select! {
                response = responses.next() => response,
                () = self.stopping.cancelled() => return Some(End::Stopped),
                () = run.feed.unwatched() => {
                    if self.leave(key, run) {
                        return None;
                    }
                    continue;
                }
            };
            let Some(response) = response else { return Some(End::Over) };
            // Told with its end: it is another kind of answer.
            let end = (is_first && is_request_error(&response)).then_some(End::Refused);
            run.tell(&response, end);
            if end.is_some() {
                return end;
            }
            is_first = false;
        }
    }

    /// Takes a run away that nobody listens to; `false` when somebody has come meanwhile.
    fn leave(&self, key: Option<&RunKey>, run: &Run) -> bool {
        let mut shared = locked(&self.shared);
        let is_left = !run.feed.is_watched();
        if let Some(key) = key.filter(|_| is_left) {
            shared.remove(key);
        }
        is_left
    }
}

/// An answer as clients read it.
#[derive(Serialize)]
struct SubscriptionAnswer<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    data: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions: Option<&'a BTreeMap<String, Value>>,
}

/// An answer as JSON: the result, or only the list of errors when nothing was run.
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
    // A value that was made of JSON can be written as JSON.
    written.map(Bytes::from).unwrap_or_default()
}

impl Run {
    fn last_answer(&self) -> Option<Bytes> {
        self.feed.last().and_then(|told| told.answer)
    }

    fn tell(&self, response: &Response, end: Option<End>) {
        // Without extensions: what is left of a budget is nobody else's to know.
        let (answer, answers) = (write(response, None), self.turn.answered());
        // The same bytes where they are equal, so that nobody is told the same twice.
        let answer = self.last_answer().filter(|last| *last == answer).unwrap_or(answer);
        self.feed.tell(Told { answer: Some(answer), end }, answers);
    }

    fn end(&self, end: End) {
        self.feed.tell(Told { answer: self.last_answer(), end: Some(end) }, LookNumber::ALL);
    }
}

/// Somebody's part in a run.
pub(crate) struct Joined {
    watcher: Watcher<Told>,
    sent: Option<Bytes>,
}

/// What is to be told next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// A new answer, as JSON.
    pub(crate) answer: Option<Bytes>,
    /// Nothing comes after it.
    pub(crate) end: Option<End>,
}

impl Joined {
    /// The newest answer that was not told yet, or the end. It may be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Told {
        let Some(Told { answer, end }) = self.watcher.next().await else {
            return Told { answer: None, end: Some(End::Stopped) };
        };
        // The end comes with the last answer, which this one may have been told already.
        let is_sent =
            |answer: &Bytes| self.sent.as_ref().is_some_and(|sent| sent.as_ptr() == answer.as_ptr());
        let answer = answer.filter(|answer| !is_sent(answer));
        self.sent = answer.clone().or(self.sent.take());
        Told { answer, end }
    }
}
