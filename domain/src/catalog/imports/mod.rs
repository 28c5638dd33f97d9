//! Products that come as a file, a [`Sheet`](super::sheet::Sheet): taken in whole, then worked off in the
//! background.
//!
//! Operations: [`start_import()`] keeps the rows and queues the task; [`run_import()`] works off some of them
//! in one transaction, through the operations of the catalogue, and says whether more wait; the task
//! [`ImportProducts`] calls it. The tables are `product_imports`, whose cursor says which rows are done, and
//! `product_import_rows` with what became of each. Reads: [`queries`]. What was missed: [`reconcile`].
//! Invariant: a row's effect, its report and the cursor are of one transaction, so that each has its effect
//! once.

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
