//! The timer of a hold, and the task that runs when it fires.

use serde::{Deserialize, Serialize};

use super::lapse::lapse;
use crate::platform::{
    EntityId,
    ids::CheckoutId,
    tasks::{Attempt, Queue, Task, TaskError},
    timers::Timer,
};

/// The timer that fires when the hold of a checkout expires.
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

/// Lapses a checkout whose hold has expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LapseCheckout {
    /// The checkout.
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
