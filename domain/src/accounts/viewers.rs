//! Who many bearer tokens are that come at once: looked up together.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sea_orm::DbErr;
use tokio::{runtime::Handle, sync::oneshot};

use super::viewer_of::{AT_ONCE, Asked, Unnoted, look_up, note, viewer_of};
use crate::platform::{Db, access::Viewer, entropy::Secret};

/// Finds the viewers of bearer tokens. While some are looked up, those that come are gathered, and looked up
/// together next: a thousand callers cost a few statements, and a revocation holds with the next request all
/// the same, because nothing is kept.
#[derive(Clone)]
pub struct Viewers(Arc<Inner>);

struct Inner {
    db: Db,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    looks: bool,
    unnoted: Unnoted,
    notes: bool,
}

struct Waiting {
    asked: Asked,
    answer: oneshot::Sender<Result<Option<Viewer>, DbErr>>,
}

impl Viewers {
    /// Looks them up on that runtime.
    pub fn new(db: &Db, runtime: Handle) -> Self {
        Self(Arc::new(Inner { db: db.clone(), runtime, state: Mutex::default() }))
    }

    /// The viewer of a bearer token; `None` when it is unknown, revoked or run out.
    pub async fn of(&self, secret: &Secret) -> Result<Option<Viewer>, DbErr> {
        let (answer, found) = oneshot::channel();
        let begins = {
            let mut state = self.state();
            state.waiting.push(Waiting { asked: Asked::of(secret), answer });
            !mem::replace(&mut state.looks, true)
        };
        if begins {
            let viewers = self.clone();
            self.0.runtime.spawn(async move { viewers.look().await });
        }
        match found.await {
            Ok(found) => found,
            // The task that looked is gone.
            Err(_) => viewer_of(&self.0.db, secret).await,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is guarded is whole between any two statements.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up those who wait, until nobody does.
    async fn look(&self) {
        loop {
            let batch: Vec<Waiting> = {
                let mut state = self.state();
                let count = state.waiting.len().min(AT_ONCE);
                state.looks = count > 0;
                state.waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                return;
            }
            let asked: HashSet<&Asked> = batch.iter().map(|waiting| &waiting.asked).collect();
            match look_up(&self.0.db, asked).await {
                Ok(found) => {
                    for waiting in batch {
                        // Whoever is gone needs no answer.
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

    /// Has it noted that tokens were used; nobody waits for that.
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
