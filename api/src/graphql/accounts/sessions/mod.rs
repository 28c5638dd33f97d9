//! Sessions: to sign in and out, to buy as a guest, and to open a session for a buyer who agreed.

pub mod mutations;
pub mod types;

pub use mutations::SessionsMutation;
pub use types::Session;
