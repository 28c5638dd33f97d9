//! Sessions: signing in and out, buying as a guest, and sessions that a storefront opens for a buyer who
//! agreed.

pub mod mutations;
pub mod types;

pub use mutations::SessionsMutation;
pub use types::Session;
