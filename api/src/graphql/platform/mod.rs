//! What runs the marketplace: the audit log, and in [`tasks`] background work. For administrators.

pub mod queries;
pub mod tasks;
pub mod types;

pub use queries::PlatformQuery;
pub use types::AuditEntry;
