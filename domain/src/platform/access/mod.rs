//! Authorisation as a value: who asks ([`Viewer`]), what for ([`Action`]), and the scope that [`authorize`]
//! answers.
//!
//! Architecture invariant: scopes are made in this module only. An operation or a finder takes a scope, so an
//! unchecked query does not compile. The module is part of `platform`, so that tasks, the audit log and every
//! capability can take scopes without knowing accounts.

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

/// Why somebody may not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody is signed in.
    #[error("sign in first: send `Authorization: Bearer` with a session or an API token")]
    Unauthenticated,
    /// Known, but not allowed.
    #[error("you are not allowed to do this")]
    Forbidden,
    /// The account's e-mail address is not confirmed.
    #[error("confirm your e-mail address first")]
    Unconfirmed,
    /// A thing of another tenant: the edge answers exactly as if it did not exist.
    #[error("not found")]
    NotFound,
}

/// Something that somebody wants to do, and the scope in which it may be done.
pub trait Action: fmt::Debug {
    /// The scope that this action is done in.
    type Scope;
    /// Decides.
    fn decide(&self, viewer: &Viewer) -> Result<Self::Scope, Denied>;
}

/// The one door: who asks, for what; answers the scope or why not.
pub fn authorize<A: Action>(viewer: &Viewer, action: A) -> Result<A::Scope, Denied> {
    action.decide(viewer)
}
