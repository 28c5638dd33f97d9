//! Accounts and the viewer. The module [`sessions`] has signing in and out and buying as a guest; [`tokens`]
//! has API tokens.

mod entry;
pub mod mutations;
pub mod queries;
pub mod sessions;
pub mod tokens;
pub mod types;

pub use mutations::AccountsMutation;
pub use queries::AccountsQuery;
pub use types::{Account, Guest, MemberRole, Membership, Viewer, ViewerKind};
