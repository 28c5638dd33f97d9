//! Data loaders: every edge of the graph is one batched statement, whatever the size of the page.
//!
//! Each request has one [`Loader`], which loads for its viewer. An edge is a key type, such as
//! `ItemsOf(DropId)`, that is defined next to the types that need it; [`edge!`] defines one in a line.
//!
//! A resolver that loads an edge waits while the keys of that edge are collected. When no resolver of the
//! request can make progress, the batches are loaded. So the batches depend only on the document and never on
//! a timer, and cancelling a request cancels its loads. A query never reads the same key twice. A mutation
//! does, because it changes data along the way.

use std::{
    any::{Any, TypeId},
    collections::{HashMap, HashSet},
    future::{Future, poll_fn},
    hash::Hash,
    mem,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use domain::{
    catalog::Sight,
    platform::{Db, access::Viewer},
};
use futures_util::{
    future::BoxFuture,
    stream::{FuturesUnordered, Stream},
    task::AtomicWaker,
};
use sea_orm::DbErr;

use crate::live::Live;

/// The data that all edges of one request share.
pub(crate) struct Loaders {
    pub(crate) db: Db,
    pub(crate) live: Live,
    pub(crate) viewer: Viewer,
    pub(crate) sight: Sight,
}

/// An edge of the graph, identified by its key.
pub(crate) trait GraphEdge: Copy + Eq + Hash + Send + Sync + 'static {
    /// The value of a key.
    type Value: Clone + Send + Sync + 'static;

    /// Loads the values of many keys. Keys without a value are left out.
    fn load(
        loaders: Arc<Loaders>,
        keys: Vec<Self>,
    ) -> BoxFuture<'static, Result<HashMap<Self, Self::Value>, DbErr>>;
}

/// Defines an edge: `edge!(ItemsOf(DropId) -> Vec<DropItem>, |loaders, ids| items_of(&loaders.db, ids));`
///
/// The expression is a future that returns a map from the inner id. It runs once for all ids of a batch.
macro_rules! edge {
    ($(#[$doc:meta])* $key:ident($id:ty) -> $value:ty, |$loaders:ident, $ids:ident| $query:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) struct $key(pub(crate) $id);

        impl crate::graphql::loaders::GraphEdge for $key {
            type Value = $value;

            fn load(
                loaders: std::sync::Arc<crate::graphql::loaders::Loaders>,
                keys: Vec<Self>,
            ) -> futures_util::future::BoxFuture<
                'static,
                Result<std::collections::HashMap<Self, $value>, sea_orm::DbErr>,
            > {
                Box::pin(async move {
                    let $loaders = &*loaders;
                    let ids: Vec<$id> = keys.iter().map(|key| key.0).collect();
                    let $ids = ids.as_slice();
                    let found: std::collections::HashMap<$id, $value> = $query.await?;
                    Ok(found.into_iter().map(|(id, value)| ($key(id), value)).collect())
                })
            }
        }
    };
}
pub(crate) use edge;

/// The result of a batch, or its failure. All resolvers that wait for the batch share it.
type BatchResult<K> = Result<Arc<HashMap<K, <K as GraphEdge>::Value>>, Arc<DbErr>>;

/// The keys of one edge that are loaded together.
struct Batch<K: GraphEdge>(Mutex<BatchState<K>>);

struct BatchState<K: GraphEdge> {
    keys: Vec<K>,
    waiting: Vec<Waker>,
    found: Option<BatchResult<K>>,
}

impl<K: GraphEdge> Batch<K> {
    fn new() -> Self {
        Self(Mutex::new(BatchState { keys: Vec::new(), waiting: Vec::new(), found: None }))
    }

    fn poll(&self, context: &Context<'_>) -> Poll<BatchResult<K>> {
        let mut state = locked(&self.0);
        match &state.found {
            Some(found) => Poll::Ready(found.clone()),
            None => {
                state.waiting.push(context.waker().clone());
                Poll::Pending
            }
        }
    }

    async fn run(&self, shared: Arc<SharedLoaders>) {
        let asked: HashSet<K> = mem::take(&mut locked(&self.0).keys).into_iter().collect();
        // Another batch may have loaded some of these keys in the meantime.
        let (mut found, mut missing) = (HashMap::with_capacity(asked.len()), Vec::new());
        for key in asked {
            match shared.known(key) {
                Some(known) => found.extend(known.map(|value| (key, value))),
                None => missing.push(key),
            }
        }
        let loaded = match missing.is_empty() {
            true => Ok(HashMap::new()),
            false => K::load(Arc::clone(&shared.loaders), missing.clone()).await,
        };
        let found = loaded.map_err(Arc::new).map(|loaded| {
            shared.keep(missing, &loaded);
            found.extend(loaded);
            Arc::new(found)
        });
        let waiting = {
            let mut state = locked(&self.0);
            state.found = Some(found);
            mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// The loader of one request.
#[derive(Clone)]
pub(crate) struct Loader(Arc<SharedLoaders>);

struct SharedLoaders {
    loaders: Arc<Loaders>,
    /// The batch of each edge that still accepts keys.
    open: Mutex<HashMap<TypeId, Box<dyn Any + Send>>>,
    /// The same batches as futures that have not been started.
    queued: Mutex<Vec<BoxFuture<'static, ()>>>,
    /// The earlier results of each edge, including keys without a value. `None` if the loader keeps nothing.
    known: Option<Mutex<HashMap<TypeId, Box<dyn Any + Send>>>>,
}

/// The earlier results of one edge.
type Known<K> = HashMap<K, Option<<K as GraphEdge>::Value>>;

impl SharedLoaders {
    fn keep<K: GraphEdge>(&self, asked: Vec<K>, found: &HashMap<K, K::Value>) {
        let Some(known) = &self.known else { return };
        let mut known = locked(known);
        let known = known.entry(TypeId::of::<K>()).or_insert_with(|| Box::new(Known::<K>::new()));
        if let Some(known) = known.downcast_mut::<Known<K>>() {
            known.extend(asked.into_iter().map(|key| (key, found.get(&key).cloned())));
        }
    }

    fn known<K: GraphEdge>(&self, key: K) -> Option<Option<K::Value>> {
        locked(self.known.as_ref()?).get(&TypeId::of::<K>())?.downcast_ref::<Known<K>>()?.get(&key).cloned()
    }
}

impl Loader {
    /// Makes the loader of one request. If `keeps` is set, it never reads the same key twice.
    pub(crate) fn new(loaders: Loaders, keeps: bool) -> Self {
        let known = keeps.then(Mutex::default);
        Self(Arc::new(SharedLoaders {
            loaders: Arc::new(loaders),
            open: Mutex::default(),
            queued: Mutex::default(),
            known,
        }))
    }

    /// Forgets all results, so that later loads read the database again.
    pub(crate) fn forget(&self) {
        if let Some(known) = &self.0.known {
            locked(known).clear();
        }
    }

    /// Loads the value of one key.
    pub(crate) async fn load_one<K: GraphEdge>(&self, key: K) -> Result<Option<K::Value>, Arc<DbErr>> {
        if let Some(known) = self.0.known(key) {
            return Ok(known);
        }
        Ok(self.found([key]).await?.get(&key).cloned())
    }

    /// Loads the values of many keys.
    pub(crate) async fn load_many<K: GraphEdge>(
        &self,
        keys: &[K],
    ) -> Result<HashMap<K, K::Value>, Arc<DbErr>> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.found(keys.iter().copied()).await?;
        Ok(keys.iter().filter_map(|key| Some((*key, found.get(key)?.clone()))).collect())
    }

    async fn found<K: GraphEdge>(&self, keys: impl IntoIterator<Item = K>) -> BatchResult<K> {
        let batch = self.batch::<K>();
        locked(&batch.0).keys.extend(keys);
        poll_fn(|context| batch.poll(context)).await
    }

    /// Returns the batch of an edge that accepts keys now.
    fn batch<K: GraphEdge>(&self) -> Arc<Batch<K>> {
        let mut open = locked(&self.0.open);
        if let Some(batch) =
            open.get(&TypeId::of::<K>()).and_then(|batch| batch.downcast_ref::<Arc<Batch<K>>>())
        {
            return Arc::clone(batch);
        }
        let batch = Arc::new(Batch::<K>::new());
        open.insert(TypeId::of::<K>(), Box::new(Arc::clone(&batch)));
        let (run, shared) = (Arc::clone(&batch), Arc::clone(&self.0));
        locked(&self.0.queued).push(Box::pin(async move { run.run(shared).await }));
        batch
    }

    /// Closes the open batches and returns them as futures that have not been started.
    fn close(&self) -> Vec<BoxFuture<'static, ()>> {
        locked(&self.0.open).clear();
        mem::take(&mut *locked(&self.0.queued))
    }

    /// Runs the resolvers of a request to their end, together with the batches that they wait for.
    pub(crate) async fn drive<F: Future>(&self, resolvers: F) -> F::Output {
        let mut resolvers = pin!(resolvers);
        let mut running: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        poll_fn(move |context| {
            woken.outer.register(context.waker());
            loop {
                // A set of futures yields after each round, although some of its futures can make progress,
                // and wakes itself. The loop is bounded, because a future that has used up its budget wakes
                // itself in the same way until the next poll.
                for _ in 0..ROUNDS_MAX {
                    woken.inside.store(false, Ordering::Release);
                    if let Poll::Ready(done) = resolvers.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return Poll::Ready(done);
                    }
                    if !woken.inside.load(Ordering::Acquire) {
                        break;
                    }
                }
                // Batches that are running may lead to more keys for those that are queued. Waiting for all
                // of them costs little, and makes the number of statements deterministic.
                if running.is_empty() {
                    running.extend(self.close());
                }
                let mut landed = false;
                while let Poll::Ready(Some(())) = Pin::new(&mut running).poll_next(context) {
                    landed = true;
                }
                if !landed {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// The most polls of the resolvers before their batches are loaded, complete or not.
const ROUNDS_MAX: usize = 32;

/// Records that a resolver was woken, and passes the wake-up on.
#[derive(Default)]
struct Woken {
    inside: AtomicBool,
    outer: AtomicWaker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.inside.store(true, Ordering::Release);
        self.outer.wake();
    }
}

/// Locks a mutex even if it is poisoned. The guarded data is consistent between any two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
