//! The scopes: what somebody may see and change, as values. Operations and finders take one, so an unchecked
//! query does not compile. Only the parent module makes scopes.

use std::net::IpAddr;

use super::{Actor, By, PersonKey};
use crate::platform::ids::{AccountId, CreatorId, GuestId, SessionId, TokenId};

/// Published things only, of all creators or of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicScope {
    pub(super) creator: Option<CreatorId>,
    pub(super) _made_here: (),
}

impl PublicScope {
    /// The one creator that is visible; `None` is all.
    pub fn creator(&self) -> Option<CreatorId> {
        self.creator
    }
}

/// Who buys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Buyer {
    /// A person with an account.
    Account(AccountId),
    /// A guest.
    Guest(GuestId),
}

/// A buyer's own things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuyerScope {
    pub(super) buyer: Buyer,
    pub(super) person: Option<PersonKey>,
}

impl BuyerScope {
    /// Who buys.
    pub fn buyer(&self) -> Buyer {
        self.buyer
    }
    /// What stands for the person who buys, as far as the door has seen it: not where the system acts for a
    /// buyer.
    pub(crate) fn person(&self) -> Option<PersonKey> {
        self.person
    }
    /// For the audit log.
    pub fn actor(&self) -> Actor {
        match self.buyer {
            Buyer::Account(id) => Actor::Account(id),
            Buyer::Guest(id) => Actor::Guest(id),
        }
    }
}

/// A person's own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountScope {
    pub(super) account: AccountId,
    pub(super) session: SessionId,
}

impl AccountScope {
    /// Whose account.
    pub fn account(&self) -> AccountId {
        self.account
    }
    /// The session that asks.
    pub fn session(&self) -> SessionId {
        self.session
    }
    /// For the audit log.
    pub fn actor(&self) -> Actor {
        Actor::Account(self.account)
    }
}

/// One's own session, of an account or of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionScope {
    pub(super) session: SessionId,
    pub(super) actor: Actor,
}

impl SessionScope {
    /// Which session.
    pub fn session(&self) -> SessionId {
        self.session
    }
    /// For the audit log.
    pub fn actor(&self) -> Actor {
        self.actor
    }
}

/// Anybody at the door: to sign up, to sign in, to use a link that came by e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryScope {
    pub(super) origin: Origin,
    pub(super) actor: Actor,
}

impl EntryScope {
    /// Whose budget the tries count against.
    pub fn origin(&self) -> Origin {
        self.origin
    }
    /// For the audit log.
    pub fn actor(&self) -> Actor {
        self.actor
    }
}

/// Where somebody at the door comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A browser or another program, by its network address.
    Address(IpAddr),
    /// A storefront's server with its secret token: many buyers behind one address.
    Storefront(TokenId),
}

/// The API tokens of one creator, or of the marketplace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokensScope {
    pub(super) creator: Option<CreatorId>,
    pub(super) actor: Actor,
}

impl TokensScope {
    /// Whose tokens; `None` is the marketplace.
    pub fn creator(&self) -> Option<CreatorId> {
        self.creator
    }
}

/// A creator's tokens are within the second wall, the marketplace's are no tenant's.
impl From<&TokensScope> for By {
    fn from(scope: &TokensScope) -> Self {
        scope.creator.map_or_else(|| Self::from(scope.actor), |creator| Self::tenant(scope.actor, creator))
    }
}

/// One creator's things, for its members and its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreatorScope {
    pub(super) creator: CreatorId,
    pub(super) actor: Actor,
}

impl CreatorScope {
    /// The tenant.
    pub fn creator(&self) -> CreatorId {
        self.creator
    }
}

/// Whatever is done in this scope is done within the second wall: there is no other way to its actor.
impl From<&CreatorScope> for By {
    fn from(scope: &CreatorScope) -> Self {
        Self::tenant(scope.actor, scope.creator)
    }
}

/// A storefront's server that acts for its buyers, once they agreed by e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorefrontScope {
    pub(super) token: TokenId,
}

impl StorefrontScope {
    /// The token that asks.
    pub fn token(&self) -> TokenId {
        self.token
    }
    /// For the audit log.
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
    /// For the audit log.
    pub fn actor(&self) -> Actor {
        self.actor
    }
}

/// The system itself: webhooks, timers, tasks, the command line of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemScope {
    reason: &'static str,
}

impl SystemScope {
    /// Made where work begins that no person asked for at this moment; `reason` is a constant for the audit
    /// log.
    pub fn new(reason: &'static str) -> Self {
        Self { reason }
    }
    /// For the audit log.
    pub fn actor(&self) -> Actor {
        Actor::System(self.reason)
    }
    /// The operator at the machine may do what an administrator may.
    pub fn as_admin(&self) -> AdminScope {
        AdminScope { actor: self.actor() }
    }
    /// The operator's demo acts for a creator as its member would.
    pub fn as_creator(&self, creator: CreatorId) -> CreatorScope {
        CreatorScope { creator, actor: self.actor() }
    }
    /// The operator makes tokens as an owner, or an administrator, would.
    pub fn as_tokens(&self, creator: Option<CreatorId>) -> TokensScope {
        TokensScope { creator, actor: self.actor() }
    }
    /// The operator's demo acts as a buyer would.
    pub fn as_buyer(&self, buyer: Buyer) -> BuyerScope {
        BuyerScope { buyer, person: None }
    }
}
