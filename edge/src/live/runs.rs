//! Subscriptions that run: each once, for all who asked the same and may see the same.
//!
//! Five thousand visitors of one drop send the same document, with the same variables, without a token or with that of the
//! storefront. Their answers are equal, so they are made once and handed to each. Who is signed in has a run of one's own.

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
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::locked;
use crate::{
    backend::{Audience, Backend, RequestContext},
    execute::{Admitted, Executor, is_request_error},
    trace::RequestTrace,
};

/// States that are read at the same time, by all subscriptions together: half of the usual number of connections to the database, so
/// that ordinary requests go on while everything that is watched is looked at anew.
const READS_AT_ONCE: usize = 8;

/// What is the same for all who share a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    audience: Audience,
    query: String,
    operation_name: Option<String>,
    variables: String,
}

/// A subscription that was admitted, as it was asked for.
pub(crate) struct Asked {
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
    shared: Mutex<HashMap<Key, Arc<Run>>>,
}

/// One that runs.
struct Run {
    newest: watch::Sender<Newest>,
    turn: Arc<Turn>,
}

/// The newest answer of a run.
#[derive(Debug, Clone, Default)]
struct Newest {
    /// The newest request for a look that had come before it was read.
    answers: u64,
    /// As JSON; `None` before the first one.
    answer: Option<Bytes>,
    /// Set with the last one.
    end: Option<End>,
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
    /// Counts requests to look: whoever joins wants what is true from then on.
    asked: watch::Sender<u64>,
    /// The states that were read and whose answers are being made, in their order.
    read: Mutex<VecDeque<Read>>,
    /// How many states may be read at the same time.
    reads: Arc<Semaphore>,
}

/// A state that was read.
struct Read {
    /// The newest request to look that had come before.
    answers: u64,
    /// Held until its answer is made.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    fn new(reads: &Arc<Semaphore>) -> Self {
        Self { asked: watch::Sender::new(1), read: Mutex::default(), reads: Arc::clone(reads) }
    }

    /// Hears of requests to look from now on.
    pub fn asked(&self) -> watch::Receiver<u64> {
        self.asked.subscribe()
    }

    /// Waits until a state may be read. It will answer all requests to look up to now, or up to one that is given because it was
    /// read before.
    pub async fn begin(&self, answers: Option<u64>) {
        let permit = Arc::clone(&self.reads).acquire_owned().await.ok();
        let answers = answers.unwrap_or_else(|| *self.asked.borrow());
        locked(&self.read).push_back(Read { answers, _permit: permit });
    }

    /// A state was not read after all.
    pub fn give_up(&self) {
        locked(&self.read).pop_back();
    }

    /// An answer is made: of which request to look is it one? One that no state was read for is the last, and answers all.
    fn answered(&self) -> u64 {
        locked(&self.read).pop_front().map_or(u64::MAX, |read| read.answers)
    }

    fn ask(&self) -> u64 {
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked = asked.wrapping_add(1);
            number = *asked;
        });
        number
    }
}

impl Runs {
    pub(crate) fn new(executor: Executor, backend: Arc<dyn Backend>, runtime: Handle, stopping: CancellationToken) -> Arc<Self> {
        let reads = Arc::new(Semaphore::new(READS_AT_ONCE));
        Arc::new(Self { executor, backend, runtime, reads, stopping, shared: Mutex::default() })
    }

    /// Runs a subscription, or joins one that is the same. Its first answer is true as of now or later.
    pub(crate) fn join(self: &Arc<Self>, asked: Asked) -> Joined {
        let Some(audience) = asked.caller.viewer.audience() else { return self.begin(None, asked) };
        let Asked { query, operation_name, variables, .. } = &asked;
        let key = Key { audience, query: query.clone(), operation_name: operation_name.clone(), variables: variables.clone() };
        let mut shared = locked(&self.shared);
        if let Some(run) = shared.get(&key) {
            return Joined { newest: run.newest.subscribe(), answers: run.turn.ask(), sent: None };
        }
        self.begin(Some((key, &mut *shared)), asked)
    }

    fn begin(self: &Arc<Self>, shared: Option<(Key, &mut HashMap<Key, Arc<Run>>)>, asked: Asked) -> Joined {
        let run = Arc::new(Run { newest: watch::Sender::default(), turn: Arc::new(Turn::new(&self.reads)) });
        let joined = Joined { newest: run.newest.subscribe(), answers: 1, sent: None };
        let key = shared.map(|(key, shared)| {
            shared.insert(key.clone(), Arc::clone(&run));
            key
        });
        let trace = RequestTrace::current().unwrap_or_else(|| self.backend.start_trace());
        let span = tracing::info_span!("subscription", trace_id = trace.trace_id());
        self.runtime.spawn(trace.scope(Arc::clone(self).run(key, run, asked.admitted, asked.caller)).instrument(span));
        joined
    }

    async fn run(self: Arc<Self>, key: Option<Key>, run: Arc<Run>, admitted: Admitted, caller: RequestContext) {
        metrics::gauge!("smallrun_live_runs").increment(1);
        let end = self.answer(key.as_ref(), &run, self.executor.stream(admitted, caller, Arc::clone(&run.turn))).await;
        if let Some(key) = &key {
            // Who asks from now on begins anew, or has done so.
            let mut shared = locked(&self.shared);
            if shared.get(key).is_some_and(|present| Arc::ptr_eq(present, &run)) {
                shared.remove(key);
            }
        }
        run.newest.send_modify(|newest| newest.end = end);
        metrics::gauge!("smallrun_live_runs").decrement(1);
    }

    /// Hands on one answer after the other; `None` when nobody is left.
    async fn answer(&self, key: Option<&Key>, run: &Run, responses: impl Stream<Item = Response>) -> Option<End> {
        pin!(responses);
        let mut is_first = true;
        loop {
            let response = tokio::select! {
                response = responses.next() => response,
                () = self.stopping.cancelled() => return Some(End::Stopped),
                () = run.newest.closed() => {
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
    fn leave(&self, key: Option<&Key>, run: &Run) -> bool {
        let mut shared = locked(&self.shared);
        let unheard = run.newest.receiver_count() == 0;
        if let Some(key) = key.filter(|_| unheard) {
            shared.remove(key);
        }
        unheard
    }
}

/// An answer as clients read it.
#[derive(Serialize)]
struct Answer<'a> {
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
        serde_json::to_vec(&Answer { errors: &response.errors, data: &response.data, extensions })
    };
    // A value that was made of JSON can be written as JSON.
    written.map(Bytes::from).unwrap_or_default()
}

impl Run {
    fn tell(&self, response: &Response, end: Option<End>) {
        // Without extensions: what is left of a budget is nobody else's to know.
        let (answer, answers) = (write(response, None), self.turn.answered());
        self.newest.send_modify(|newest| {
            newest.answers = answers;
            // The same bytes, so that nobody is told the same twice.
            if newest.answer.as_ref() != Some(&answer) {
                newest.answer = Some(answer);
            }
            newest.end = end;
        });
    }
}

/// Somebody's part in a run.
pub(crate) struct Joined {
    newest: watch::Receiver<Newest>,
    answers: u64,
    sent: Option<Bytes>,
}

/// What is to be told next.
#[derive(Debug)]
pub(crate) struct Told {
    /// A new answer.
    pub(crate) answer: Option<Bytes>,
    /// Nothing comes after it.
    pub(crate) end: Option<End>,
}

impl Joined {
    /// The newest answer that was not told yet. It may be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Told {
        loop {
            let answers = self.answers;
            let ready = match self.sent {
                None => self.newest.wait_for(|newest| newest.answers >= answers || newest.end.is_some()).await.map(drop),
                Some(_) => self.newest.changed().await,
            };
            if ready.is_err() {
                return Told { answer: None, end: Some(End::Stopped) };
            }
            let Newest { answer, end, .. } = self.newest.borrow_and_update().clone();
            let is_sent = |answer: &Bytes| self.sent.as_ref().is_some_and(|sent| sent.as_ptr() == answer.as_ptr());
            let answer = answer.filter(|answer| !is_sent(answer));
            if answer.is_some() || end.is_some() {
                self.sent = answer.clone().or(self.sent.take());
                return Told { answer, end };
            }
        }
    }
}
