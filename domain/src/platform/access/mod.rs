//! Authorisation as a value: [`authorize`] takes a [`Viewer`] and an [`Action`], and returns a scope.
//!
//! Architecture invariant: only this module creates scopes. Operations and finders take a scope, so an
//! unchecked query does not compile. The module is part of `platform`, so that tasks, the audit log and every
//! capability can take scopes without a dependency on accounts.

use std::fmt;

mod actions;
mod actor;
mod scopes;
mod viewer;

pub use actions::{
    Administer, Browse, Buy, Enter, Manage, ManageTokens, OpenCreator, OpenSessions, OwnAccount, OwnSession,
    ReadSchema,
};
pub use actor::{Actor, By};
pub use scopes::{
    AccountScope, AdminScope, Buyer, BuyerScope, CreatorScope, EntryScope, Origin, PublicScope, SessionScope,
    StorefrontScope, SystemScope, TokensScope,
};
pub use viewer::{
    AccountViewer, GuestViewer, MemberRole, Permission, PersonKey, TokenKind, TokenViewer, Viewer,
};

/// Why an action is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The viewer is not signed in.
    #[error("sign in first: send `Authorization: Bearer` with a session or an API token")]
    Unauthenticated,
    /// The viewer is known, but not allowed to do this.
    #[error("you are not allowed to do this")]
    Forbidden,
    /// The e-mail address of the account is not confirmed.
    #[error("confirm your e-mail address first")]
    Unconfirmed,
    /// The object belongs to another tenant. The API answers exactly as if it did not exist.
    #[error("not found")]
    NotFound,
}

/// Something that a viewer wants to do.
pub trait Action: fmt::Debug {
    /// The scope that the action needs.
    type Scope;
    /// Returns the scope if the viewer may do this.
    fn decide(&self, viewer: &Viewer) -> Result<Self::Scope, Denied>;
}

/// Returns the scope for an action of a viewer, or why it is denied. All authorisation goes through this
/// function.
pub fn authorize<A: Action>(viewer: &Viewer, action: A) -> Result<A::Scope, Denied> {
    action.decide(viewer)
}
