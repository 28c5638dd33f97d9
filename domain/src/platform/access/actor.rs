//! The actor of a write, and the tenant whose wall it runs within.

use crate::platform::ids::{AccountId, CreatorId, GuestId, TokenId};

/// The actor of a write, as recorded in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// An anonymous visitor.
    Public,
    /// A signed-in person.
    Account(AccountId),
    /// A guest with a confirmed e-mail address.
    Guest(GuestId),
    /// An API token.
    Token(TokenId),
    /// The system itself; the reason is a constant such as `hold-lapse`.
    System(&'static str),
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Account(id) => id.fmt(f),
            Self::Guest(id) => id.fmt(f),
            Self::Token(id) => id.fmt(f),
            Self::System(reason) => write!(f, "system:{reason}"),
        }
    }
}

/// The actor of an operation, and the tenant that it is limited to, if any. A tenant sees and changes only
/// its own rows.
///
/// A tenant's scope converts to this type and offers its actor in no other way, so that nothing is done in
/// its name outside the second wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    pub(in crate::platform) actor: Actor,
    pub(in crate::platform) tenant: Option<CreatorId>,
}

impl By {
    /// Builds the value for an `actor` who acts for a tenant.
    pub(super) fn tenant(actor: Actor, tenant: CreatorId) -> Self {
        Self { actor, tenant: Some(tenant) }
    }
}

impl From<Actor> for By {
    fn from(actor: Actor) -> Self {
        Self { actor, tenant: None }
    }
}
