//! The scopes: what a viewer may see and change, as values. Operations and finders take a scope, so an
//! unchecked query does not compile. Only the parent module creates scopes.

use std::net::IpAddr;

use super::{Actor, By, PersonKey};
use crate::platform::ids::{AccountId, CreatorId, GuestId, SessionId, TokenId};

/// Published objects only, of all creators or of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicScope {
    pub(super) creator: Option<CreatorId>,
    pub(super) _made_here: (),
}

impl PublicScope {
    /// Returns the only visible creator; `None` means all creators.
    pub fn creator(&self) -> Option<CreatorId> {
        self.creator
    }
}

/// A buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Buyer {
    /// A person with an account.
    Account(AccountId),
    /// A guest.
    Guest(GuestId),
}

/// The objects of one buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuyerScope {
    pub(super) buyer: Buyer,
    pub(super) person: Option<PersonKey>,
}

impl BuyerScope {
    /// Returns the buyer.
    pub fn buyer(&self) -> Buyer {
        self.buyer
    }
    /// Returns the key of the buyer's person. It is `None` where the system acts for a buyer.
    pub(crate) fn person(&self) -> Option<PersonKey> {
        self.person
    }
    /// Returns the actor for the audit log.
    pub fn actor(&self) -> Actor {
        match self.buyer {
            Buyer::Account(id) => Actor::Account(id),
            Buyer::Guest(id) => Actor::Guest(id),
        }
    }
}

/// The viewer's own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountScope {
    pub(super) account: AccountId,
    pub(super) session: SessionId,
}

impl AccountScope {
    /// Returns the account.
    pub fn account(&self) -> AccountId {
        self.account
    }
    /// Returns the session of the request.
    pub fn session(&self) -> SessionId {
        self.session
    }
    /// Returns the actor for the audit log.
    pub fn actor(&self) -> Actor {
        Actor::Account(self.account)
    }
}

/// The viewer's own session, of an account or of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionScope {
    pub(super) session: SessionId,
    pub(super) actor: Actor,
}

impl SessionScope {
    /// Returns the session.
    pub fn session(&self) -> SessionId {
        self.session
    }
    /// Returns the actor for the audit log.
    pub fn actor(&self) -> Actor {
        self.actor
    }
}

/// The entry for every viewer: signing up, signing in, and using a link from an e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryScope {
    pub(super) origin: Origin,
    pub(super) actor: Actor,
}

impl EntryScope {
    /// Returns the origin whose rate limit the attempts count against.
    pub fn origin(&self) -> Origin {
        self.origin
    }
    /// Returns the actor for the audit log.
    pub fn actor(&self) -> Actor {
        self.actor
    }
}

/// The origin of an attempt to enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A browser or another program, by its network address.
    Address(IpAddr),
    /// A storefront's server with its secret token: it serves many buyers from one address.
    Storefront(TokenId),
}

/// The API tokens of one creator or of the marketplace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokensScope {
    pub(super) creator: Option<CreatorId>,
    pub(super) actor: Actor,
}

impl TokensScope {
    /// Returns the creator whose tokens these are; `None` is the marketplace.
    pub fn creator(&self) -> Option<CreatorId> {
        self.creator
    }
}

/// The tokens of a creator are within the second wall; those of the marketplace belong to no tenant.
impl From<&TokensScope> for By {
    fn from(scope: &TokensScope) -> Self {
        scope.creator.map_or_else(|| Self::from(scope.actor), |creator| Self::tenant(scope.actor, creator))
    }
}

/// The objects of one creator, for its members and its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreatorScope {
    pub(super) creator: CreatorId,
    pub(super) actor: Actor,
}

impl CreatorScope {
    /// Returns the tenant.
    pub fn creator(&self) -> CreatorId {
        self.creator
    }
}

/// Everything done in this scope is done within the second wall, because the actor is not available in
/// another way.
impl From<&CreatorScope> for By {
    fn from(scope: &CreatorScope) -> Self {
        Self::tenant(scope.actor, scope.creator)
    }
}

/// A storefront's server that acts for buyers who agreed by e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorefrontScope {
    pub(super) token: TokenId,
}

impl StorefrontScope {
    /// Returns the token of the request.
    pub fn token(&self) -> TokenId {
        self.token
    }
    /// Returns the actor for the audit log.
    pub fn actor(&self) -> Actor {
        Actor::Token(self.token)
    }
}

/// The whole marketplace, for its administrators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminScope {
    pub(super) actor: Actor,
}

impl AdminScope {
    /// Returns the actor for the audit log.
    pub fn actor(&self) -> Actor {
        self.actor
    }
}

/// The system itself: webhooks, timers, tasks, and the operator's command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemScope {
    reason: &'static str,
}

impl SystemScope {
    /// Creates the scope where work begins without a request by a person. `reason` is a constant for the
    /// audit log.
    pub fn new(reason: &'static str) -> Self {
        Self { reason }
    }
    /// Returns the actor for the audit log.
    pub fn actor(&self) -> Actor {
        Actor::System(self.reason)
    }
    /// Returns the scope of an administrator, for the operator on the command line.
    pub fn as_admin(&self) -> AdminScope {
        AdminScope { actor: self.actor() }
    }
    /// Returns the scope of a creator's member, for the operator's demo.
    pub fn as_creator(&self, creator: CreatorId) -> CreatorScope {
        CreatorScope { creator, actor: self.actor() }
    }
    /// Returns the scope of an owner or an administrator who manages tokens, for the operator.
    pub fn as_tokens(&self, creator: Option<CreatorId>) -> TokensScope {
        TokensScope { creator, actor: self.actor() }
    }
    /// Returns the scope of a buyer, for the operator's demo.
    pub fn as_buyer(&self, buyer: Buyer) -> BuyerScope {
        BuyerScope { buyer, person: None }
    }
}
