//! A task of tests: it has a number, and tells a listener that it runs.

use std::{future::Future, pin::Pin, sync::Arc};

use domain::platform::tasks::{Attempt, Queue, Task, TaskError};
use serde::{Deserialize, Serialize};

/// What a listener answers.
pub type Answer = Pin<Box<dyn Future<Output = Result<(), TaskError>> + Send>>;

/// Is told the number of a task, and of the attempt, and says how that ends.
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(u64, i32) -> Answer + Send + Sync>);

impl Listener {
    /// A listener that does this.
    pub fn new<F, Fut>(listener: F) -> Self
    where
        F: Fn(u64, i32) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        Self(Arc::new(move |number, attempt| Box::pin(listener(number, attempt))))
    }
}

/// A task with a number, on the queue of letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// The number.
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
