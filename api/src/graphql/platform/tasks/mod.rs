//! Background work: all tasks with their history, and what administrators do with dead letters.

pub mod mutations;
pub mod queries;
pub mod types;

pub use mutations::TasksMutation;
pub use queries::TasksQuery;
pub(crate) use types::SeenTask;
pub use types::{Task, TaskQueue, TaskState};
