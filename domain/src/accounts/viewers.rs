//! Batched look-ups of the viewers of bearer tokens.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sea_orm::DbErr;
use tokio::{runtime::Handle, sync::oneshot};

use super::viewer_of::{AT_ONCE, TokenLookup, Unnoted, look_up, note, viewer_of};
use crate::platform::{Db, access::Viewer, entropy::Secret};

/// Looks up the viewers of bearer tokens in batches. While one batch is looked up, new requests are gathered
/// for the next batch, so a thousand callers cost a few statements. Nothing is cached: a revocation takes
/// effect with the next request.
#[derive(Clone)]
pub struct Viewers(Arc<Inner>);

struct Inner {
    db: Db,
    runtime: Handle,
    state: Mutex<LookupState>,
}

#[derive(Default)]
struct LookupState {
    waiting: Vec<WaitingLookup>,
    looks: bool,
    unnoted: Unnoted,
    notes: bool,
}

struct WaitingLookup {
    asked: TokenLookup,
    answer: oneshot::Sender<Result<Option<Viewer>, DbErr>>,
}

impl Viewers {
    /// Creates a batcher that looks tokens up on the given runtime.
    pub fn new(db: &Db, runtime: Handle) -> Self {
        Self(Arc::new(Inner { db: db.clone(), runtime, state: Mutex::default() }))
    }

    /// Returns the viewer of a bearer token; `None` if the token is unknown, revoked or expired.
    pub async fn of(&self, secret: &Secret) -> Result<Option<Viewer>, DbErr> {
        let (answer, found) = oneshot::channel();
        let begins = {
            let mut state = self.state();
            state.waiting.push(WaitingLookup { asked: TokenLookup::of(secret), answer });
            !mem::replace(&mut state.looks, true)
        };
        if begins {
            let viewers = self.clone();
            self.0.runtime.spawn(async move { viewers.look().await });
        }
        match found.await {
            Ok(found) => found,
            // The task that looks tokens up has ended.
            Err(_) => viewer_of(&self.0.db, secret).await,
        }
    }

    fn state(&self) -> MutexGuard<'_, LookupState> {
        // The state is consistent between any two statements, so a poisoned lock is safe to use.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up the waiting tokens in batches until none is left.
    async fn look(&self) {
        loop {
            let batch: Vec<WaitingLookup> = {
                let mut state = self.state();
                let count = state.waiting.len().min(AT_ONCE);
                state.looks = count > 0;
                state.waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                return;
            }
            let asked: HashSet<&TokenLookup> = batch.iter().map(|waiting| &waiting.asked).collect();
            match look_up(&self.0.db, asked).await {
                Ok(found) => {
                    for waiting in batch {
                        // The caller may have gone away.
                        let _gone = waiting.answer.send(Ok(found.viewers.get(&waiting.asked.hash).cloned()));
                    }
                    self.note(found.unnoted);
                }
                Err(error) => {
                    for waiting in batch {
                        let _gone = waiting.answer.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    /// Records in the background that tokens were used.
    fn note(&self, used: Unnoted) {
        if used.is_empty() {
            return;
        }
        let begins = {
            let mut state = self.state();
            state.unnoted.add(used);
            !mem::replace(&mut state.notes, true)
        };
        if begins {
            let viewers = self.clone();
            self.0.runtime.spawn(async move {
                loop {
                    let used = {
                        let mut state = viewers.state();
                        state.notes = !state.unnoted.is_empty();
                        mem::take(&mut state.unnoted)
                    };
                    if used.is_empty() {
                        return;
                    }
                    note(&viewers.0.db, used).await;
                }
            });
        }
    }
}
