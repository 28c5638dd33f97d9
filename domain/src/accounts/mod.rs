//! People, guests, sessions, API tokens, and what each of them may do.
//!
//! [`scope`]: authorisation as a value.

pub mod scope;

pub use scope::*;
