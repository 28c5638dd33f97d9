//! The operation of the marketplace, for administrators: the audit log, and background tasks in [`tasks`].

pub mod queries;
pub mod tasks;
pub mod types;

pub use queries::PlatformQuery;
pub use types::AuditEntry;
