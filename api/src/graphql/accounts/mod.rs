//! Accounts: who asks, and the people who can sign in; [`sessions`] to sign in and out and to buy as a guest,
//! [`tokens`] of APIs.

mod entry;
pub mod mutations;
pub mod queries;
pub mod sessions;
pub mod tokens;
pub mod types;

pub use mutations::AccountsMutation;
pub use queries::AccountsQuery;
pub use types::{Account, Guest, MemberRole, Membership, Viewer, ViewerKind};
