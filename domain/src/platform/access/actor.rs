//! Who a write is attributed to, and within which tenant's wall it runs.

use crate::platform::ids::{AccountId, CreatorId, GuestId, TokenId};

/// Who does a write, as the audit log keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Nobody known.
    Public,
    /// A signed-in person.
    Account(AccountId),
    /// A guest with a confirmed e-mail.
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

/// By whom something is done and, where that is a tenant, whose rows alone it may see and touch.
///
/// A scope of a tenant converts to this and offers its actor in no other way, so that nothing is done in its
/// name beyond the second wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    pub(in crate::platform) actor: Actor,
    pub(in crate::platform) tenant: Option<CreatorId>,
}

impl By {
    /// Done by `actor` for a tenant.
    pub(super) fn tenant(actor: Actor, tenant: CreatorId) -> Self {
        Self { actor, tenant: Some(tenant) }
    }
}

impl From<Actor> for By {
    fn from(actor: Actor) -> Self {
        Self { actor, tenant: None }
    }
}
