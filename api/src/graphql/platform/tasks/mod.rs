//! Background tasks: the list with their history, and the actions of administrators on dead letters.

pub mod mutations;
pub mod queries;
pub mod types;

pub use mutations::TasksMutation;
pub use queries::TasksQuery;
pub(crate) use types::SeenTask;
pub use types::{Task, TaskQueue, TaskState};
