//! What happens to reservations in time: the timer of a hold, and the task that it becomes.

use serde::{Deserialize, Serialize};

use super::lapse::lapse;
use crate::platform::{
    EntityId,
    ids::CheckoutId,
    tasks::{Attempt, Queue, Task, TaskError},
    timers::Timer,
};

/// The hold of a checkout runs out.
#[derive(Debug)]
pub enum HoldLapse {}

impl Timer for HoldLapse {
    type Subject = CheckoutId;
    type Task = LapseCheckout;

    const KIND: &'static str = "hold_lapse";

    fn task(checkout: CheckoutId) -> LapseCheckout {
        LapseCheckout { checkout }
    }
}

/// Lets a checkout lapse whose hold has run out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LapseCheckout {
    /// Which checkout.
    pub checkout: CheckoutId,
}

impl Task for LapseCheckout {
    type Context = ();

    const KIND: &'static str = "lapse_checkout";
    const QUEUE: Queue = Queue::Reservations;
    const REASON: &'static str = "hold-lapse";

    fn subject(&self) -> String {
        self.checkout.public()
    }

    async fn run(self, attempt: &Attempt, _: &()) -> Result<(), TaskError> {
        lapse(&attempt.db, &attempt.scope, self.checkout).await?;
        Ok(())
    }
}
