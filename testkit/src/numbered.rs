//! A task for tests: it has a number and calls a listener when it runs.

use std::{future::Future, pin::Pin, sync::Arc};

use domain::platform::tasks::{Attempt, Queue, Task, TaskError};
use serde::{Deserialize, Serialize};

/// The result of a listener.
pub type ListenerFuture = Pin<Box<dyn Future<Output = Result<(), TaskError>> + Send>>;

/// A function that gets the numbers of the task and the attempt, and decides the attempt's result.
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(u64, i32) -> ListenerFuture + Send + Sync>);

impl Listener {
    /// Wraps a function as a listener.
    pub fn new<F, Fut>(listener: F) -> Self
    where
        F: Fn(u64, i32) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        Self(Arc::new(move |number, attempt| Box::pin(listener(number, attempt))))
    }
}

/// A task with a number, on the mail queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// The number of the task.
    pub number: u64,
}

impl Task for Numbered {
    type Context = Listener;

    const KIND: &'static str = "numbered";
    const QUEUE: Queue = Queue::Mail;
    const REASON: &'static str = "test";

    fn subject(&self) -> String {
        format!("number_{:020}", self.number)
    }

    async fn run(self, attempt: &Attempt, listener: &Listener) -> Result<(), TaskError> {
        (listener.0)(self.number, attempt.number).await
    }
}
