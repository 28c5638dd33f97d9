//! Imports of products from a file, a [`Sheet`](super::sheet::Sheet). A file is accepted as a whole and then
//! processed in the background.
//!
//! - [`start_import()`] stores the rows and queues the task [`ImportProducts`].
//! - The task calls [`run_import()`], which processes some rows in one transaction, by the operations of the
//!   catalogue, and returns whether rows are left.
//! - [`queries`] has the reads.
//! - [`reconcile`] finds imports without a task.
//!
//! The tables are `product_imports`, whose cursor tells which rows are done, and `product_import_rows`, with
//! the outcome of each row. Invariant: a row's effect, its report and the cursor are written in one
//! transaction, so each row takes effect once.

pub(crate) mod apply_row;
pub mod complaint;
pub(crate) mod import_row;
pub mod queries;
pub mod reconcile;
pub(crate) mod report_row;
mod run_import;
mod start_import;

pub use complaint::{Complaint, ComplaintCode};
pub use import_row::{Model as ProductImport, sweep};
pub use report_row::{Model as ImportRow, RowComplaints, RowOutcome};
pub use run_import::{ImportProducts, Progress, run_import};
pub use start_import::{OPEN_MAX, StartImport, StartImportRefusal, start_import};

/// How long a finished import is kept before [`sweep`] deletes it, in days: longer than its idempotency key.
pub const KEPT_DAYS: i64 = 30;
