//! Authorisation as a value: who asks ([`Viewer`]), what for ([`Action`]), and the scope that
//! [`authorize`] answers. Scopes are made here only, so an unchecked query does not compile.

use std::{fmt, net::IpAddr};

use sea_orm::DeriveActiveEnum;
use sea_orm::entity::prelude::*;

use super::PersonKey;
use crate::platform::{
    Actor, By,
    ids::{AccountId, CreatorId, GuestId, SessionId, TokenId},
};

/// What a member of a creator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum MemberRole {
    /// May do everything, and answers for it.
    #[sea_orm(string_value = "OWNER")]
    Owner,
    /// Works there.
    #[sea_orm(string_value = "STAFF")]
    Staff,
}

/// The two kinds of API tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum TokenKind {
    /// Safe in a browser: published things, and guest checkout.
    #[sea_orm(string_value = "PUBLISHABLE")]
    Publishable,
    /// For a storefront's server.
    #[sea_orm(string_value = "SECRET")]
    Secret,
}

/// What a secret token may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Read drafts and archived things of the catalogue and the drops.
    CatalogRead,
    /// Change products, variants and drops.
    CatalogWrite,
    /// Read reservations of the creator.
    ReservationsRead,
    /// Change the creator's profile.
    ProfileWrite,
    /// Ask buyers, by e-mail, to let a session be opened for them.
    SessionsOpen,
    /// Ask about the schema where not everybody may: code generators do.
    SchemaRead,
}

impl Permission {
    /// All permissions, with the constant names in which they are stored.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::CatalogRead, "catalog:read"),
        (Self::CatalogWrite, "catalog:write"),
        (Self::ReservationsRead, "reservations:read"),
        (Self::ProfileWrite, "profile:write"),
        (Self::SessionsOpen, "sessions:open"),
        (Self::SchemaRead, "schema:read"),
    ];

    /// The constant name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(permission, _)| *permission == self).map_or("", |(_, name)| name)
    }

    /// Reads a constant name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(permission, _)| *permission)
    }
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// Nobody known.
    Public,
    /// A person who signed in.
    Account(AccountViewer),
    /// A guest with a confirmed e-mail.
    Guest(GuestViewer),
    /// An API token.
    Token(TokenViewer),
}

/// A person who signed in, with all that authorisation needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountViewer {
    /// Who.
    pub account: AccountId,
    /// By which session.
    pub session: SessionId,
    /// Whether a storefront's server holds the session: the person lent it to buy, not to manage the account.
    pub lent: bool,
    /// What stands for the person, once the e-mail address is confirmed.
    pub person: Option<PersonKey>,
    /// Whether this is an administrator of the marketplace.
    pub admin: bool,
    /// Of which creators this is a member.
    pub memberships: Vec<(CreatorId, MemberRole)>,
}

/// A guest, with all that authorisation needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestViewer {
    /// Who.
    pub guest: GuestId,
    /// By which session.
    pub session: SessionId,
    /// What stands for the person.
    pub person: PersonKey,
}

/// An API token, with all that authorisation needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenViewer {
    /// Which.
    pub token: TokenId,
    /// Publishable or secret.
    pub kind: TokenKind,
    /// The creator it belongs to; `None` is the marketplace.
    pub creator: Option<CreatorId>,
    /// What a secret token may do.
    pub permissions: Vec<Permission>,
}

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

/// Published things only, of all creators or of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicScope {
    creator: Option<CreatorId>,
    _made_here: (),
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
    buyer: Buyer,
    person: Option<PersonKey>,
}

impl BuyerScope {
    /// Who buys.
    pub fn buyer(&self) -> Buyer {
        self.buyer
    }
    /// What stands for the person who buys, as far as the door has seen it: not where the system acts for a buyer.
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
    account: AccountId,
    session: SessionId,
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
    session: SessionId,
    actor: Actor,
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
    origin: Origin,
    actor: Actor,
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
    creator: Option<CreatorId>,
    actor: Actor,
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
    creator: CreatorId,
    actor: Actor,
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
    token: TokenId,
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
    actor: Actor,
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
    /// Made where work begins that no person asked for at this moment; `reason` is a constant for the audit log.
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

/// To read what is published.
#[derive(Debug, Clone, Copy)]
pub struct Browse;

impl Action for Browse {
    type Scope = PublicScope;
    fn decide(&self, viewer: &Viewer) -> Result<PublicScope, Denied> {
        let creator = match viewer {
            Viewer::Token(token) => token.creator,
            Viewer::Public | Viewer::Account(_) | Viewer::Guest(..) => None,
        };
        Ok(PublicScope { creator, _made_here: () })
    }
}

/// To reserve, pay, cancel, and read one's own checkouts.
#[derive(Debug, Clone, Copy)]
pub struct Buy;

impl Action for Buy {
    type Scope = BuyerScope;
    fn decide(&self, viewer: &Viewer) -> Result<BuyerScope, Denied> {
        match viewer {
            Viewer::Account(AccountViewer { person: None, .. }) => Err(Denied::Unconfirmed),
            Viewer::Account(viewer) => Ok(BuyerScope { buyer: Buyer::Account(viewer.account), person: viewer.person }),
            Viewer::Guest(viewer) => Ok(BuyerScope { buyer: Buyer::Guest(viewer.guest), person: Some(viewer.person) }),
            Viewer::Public => Err(Denied::Unauthenticated),
            Viewer::Token(_) => Err(Denied::Forbidden),
        }
    }
}

/// To read and change one's own account.
#[derive(Debug, Clone, Copy)]
pub struct OwnAccount;

impl Action for OwnAccount {
    type Scope = AccountScope;
    fn decide(&self, viewer: &Viewer) -> Result<AccountScope, Denied> {
        match viewer {
            Viewer::Account(viewer) if viewer.lent => Err(Denied::Forbidden),
            Viewer::Account(viewer) => Ok(AccountScope { account: viewer.account, session: viewer.session }),
            Viewer::Public => Err(Denied::Unauthenticated),
            Viewer::Guest(..) | Viewer::Token(_) => Err(Denied::Forbidden),
        }
    }
}

/// To end one's own session, of an account or of a guest.
#[derive(Debug, Clone, Copy)]
pub struct OwnSession;

impl Action for OwnSession {
    type Scope = SessionScope;
    fn decide(&self, viewer: &Viewer) -> Result<SessionScope, Denied> {
        match viewer {
            Viewer::Account(account) => Ok(SessionScope { session: account.session, actor: viewer.actor() }),
            Viewer::Guest(guest) => Ok(SessionScope { session: guest.session, actor: viewer.actor() }),
            Viewer::Public => Err(Denied::Unauthenticated),
            Viewer::Token(_) => Err(Denied::Forbidden),
        }
    }
}

/// To sign up, to sign in, to buy as a guest, to use a link that came by e-mail. Open to everybody.
#[derive(Debug, Clone, Copy)]
pub struct Enter {
    /// The network address that the request came from.
    pub address: IpAddr,
}

impl Action for Enter {
    type Scope = EntryScope;
    fn decide(&self, viewer: &Viewer) -> Result<EntryScope, Denied> {
        let origin = match viewer {
            Viewer::Token(token) if token.kind == TokenKind::Secret => Origin::Storefront(token.token),
            Viewer::Token(_) | Viewer::Public | Viewer::Account(_) | Viewer::Guest(..) => Origin::Address(self.address),
        };
        Ok(EntryScope { origin, actor: viewer.actor() })
    }
}

/// To see, make and revoke API tokens. A token outlives a session and hands rights on: this is for an owner of the
/// creator, or for an administrator of the marketplace, in person; never for a token.
#[derive(Debug, Clone, Copy)]
pub struct ManageTokens {
    /// Whose tokens; `None` is the marketplace.
    pub creator: Option<CreatorId>,
}

impl Action for ManageTokens {
    type Scope = TokensScope;
    fn decide(&self, viewer: &Viewer) -> Result<TokensScope, Denied> {
        let account = match viewer {
            Viewer::Public => return Err(Denied::Unauthenticated),
            Viewer::Guest(..) | Viewer::Token(_) => return Err(Denied::Forbidden),
            Viewer::Account(account) => account,
        };
        match self.creator {
            None if !account.admin => return Err(Denied::Forbidden),
            None => {}
            Some(creator) => match account.memberships.iter().find(|(member_of, _)| *member_of == creator) {
                None => return Err(Denied::NotFound),
                Some((_, MemberRole::Staff)) => return Err(Denied::Forbidden),
                Some((_, MemberRole::Owner)) => {}
            },
        }
        if account.person.is_none() {
            return Err(Denied::Unconfirmed);
        }
        Ok(TokensScope { creator: self.creator, actor: viewer.actor() })
    }
}

/// To open a creator: like one's own account, with a confirmed e-mail address.
#[derive(Debug, Clone, Copy)]
pub struct OpenCreator;

impl Action for OpenCreator {
    type Scope = AccountScope;
    fn decide(&self, viewer: &Viewer) -> Result<AccountScope, Denied> {
        match viewer {
            Viewer::Account(AccountViewer { person: None, .. }) => Err(Denied::Unconfirmed),
            Viewer::Public | Viewer::Account(_) | Viewer::Guest(..) | Viewer::Token(_) => OwnAccount.decide(viewer),
        }
    }
}

/// To act for a creator. A creator that one is not a member of answers `NotFound`.
#[derive(Debug, Clone, Copy)]
pub struct Manage {
    /// Which creator.
    pub creator: CreatorId,
    /// What a token needs for it; members may do all of these.
    pub permission: Permission,
}

impl Action for Manage {
    type Scope = CreatorScope;
    fn decide(&self, viewer: &Viewer) -> Result<CreatorScope, Denied> {
        match viewer {
            Viewer::Public => Err(Denied::Unauthenticated),
            Viewer::Guest(..) => Err(Denied::Forbidden),
            Viewer::Account(viewer) => {
                let member = viewer.memberships.iter().any(|(creator, _)| *creator == self.creator);
                let actor = Actor::Account(viewer.account);
                if member { Ok(CreatorScope { creator: self.creator, actor }) } else { Err(Denied::NotFound) }
            }
            Viewer::Token(token) if token.kind == TokenKind::Publishable => Err(Denied::Forbidden),
            Viewer::Token(token) if !token.permissions.contains(&self.permission) => Err(Denied::Forbidden),
            Viewer::Token(token) if token.creator == Some(self.creator) => {
                Ok(CreatorScope { creator: self.creator, actor: Actor::Token(token.token) })
            }
            Viewer::Token(_) => Err(Denied::NotFound),
        }
    }
}

/// To open sessions for buyers who agree by e-mail.
#[derive(Debug, Clone, Copy)]
pub struct OpenSessions;

impl Action for OpenSessions {
    type Scope = StorefrontScope;
    fn decide(&self, viewer: &Viewer) -> Result<StorefrontScope, Denied> {
        match viewer {
            Viewer::Token(token) if token.kind == TokenKind::Secret && token.permissions.contains(&Permission::SessionsOpen) => {
                Ok(StorefrontScope { token: token.token })
            }
            Viewer::Public => Err(Denied::Unauthenticated),
            Viewer::Token(_) | Viewer::Account(_) | Viewer::Guest(..) => Err(Denied::Forbidden),
        }
    }
}

/// To ask about the schema of the API where not everybody may.
#[derive(Debug, Clone, Copy)]
pub struct ReadSchema;

impl Action for ReadSchema {
    /// It is no one's and shows no rows.
    type Scope = ();
    fn decide(&self, viewer: &Viewer) -> Result<(), Denied> {
        match viewer {
            Viewer::Account(viewer) if viewer.admin => Ok(()),
            Viewer::Token(token) if token.kind == TokenKind::Secret && token.permissions.contains(&Permission::SchemaRead) => {
                Ok(())
            }
            Viewer::Public => Err(Denied::Unauthenticated),
            Viewer::Account(_) | Viewer::Guest(..) | Viewer::Token(_) => Err(Denied::Forbidden),
        }
    }
}

/// To run the marketplace.
#[derive(Debug, Clone, Copy)]
pub struct Administer;

impl Action for Administer {
    type Scope = AdminScope;
    fn decide(&self, viewer: &Viewer) -> Result<AdminScope, Denied> {
        match viewer {
            Viewer::Account(viewer) if viewer.admin => Ok(AdminScope { actor: Actor::Account(viewer.account) }),
            Viewer::Public => Err(Denied::Unauthenticated),
            Viewer::Account(_) | Viewer::Guest(..) | Viewer::Token(_) => Err(Denied::Forbidden),
        }
    }
}

impl Viewer {
    /// For the audit log.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Public => Actor::Public,
            Self::Account(viewer) => Actor::Account(viewer.account),
            Self::Guest(viewer) => Actor::Guest(viewer.guest),
            Self::Token(token) => Actor::Token(token.token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn viewers(creator: CreatorId) -> Vec<(&'static str, Viewer)> {
        let id = Uuid::from_u128;
        let account = |confirmed: bool, admin, memberships| {
            let (account, session, person) = (AccountId(id(1)), SessionId(id(2)), confirmed.then_some([1; 32]));
            Viewer::Account(AccountViewer { account, session, lent: false, person, admin, memberships })
        };
        let lent = |viewer: Viewer| match viewer {
            Viewer::Account(viewer) => Viewer::Account(AccountViewer { lent: true, ..viewer }),
            other => other,
        };
        let token = |kind, creator, permissions: &[Permission]| {
            Viewer::Token(TokenViewer { token: TokenId(id(3)), kind, creator, permissions: permissions.to_vec() })
        };
        let other = CreatorId(id(99));
        vec![
            ("public", Viewer::Public),
            ("unconfirmed", account(false, false, vec![])),
            ("buyer", account(true, false, vec![])),
            ("buyer, lent", lent(account(true, false, vec![]))),
            ("member", account(true, false, vec![(creator, MemberRole::Staff)])),
            ("owner", account(true, false, vec![(creator, MemberRole::Owner)])),
            ("unconfirmed owner", account(false, false, vec![(creator, MemberRole::Owner)])),
            ("other member", account(true, false, vec![(other, MemberRole::Owner)])),
            ("admin", account(true, true, vec![])),
            ("guest", Viewer::Guest(GuestViewer { guest: GuestId(id(4)), session: SessionId(id(5)), person: [4; 32] })),
            ("publishable", token(TokenKind::Publishable, Some(creator), &[Permission::CatalogWrite])),
            ("secret with", token(TokenKind::Secret, Some(creator), &[Permission::CatalogWrite, Permission::SessionsOpen])),
            ("secret without", token(TokenKind::Secret, Some(creator), &[])),
            ("other's secret", token(TokenKind::Secret, Some(other), &[Permission::CatalogWrite])),
            ("marketplace secret", token(TokenKind::Secret, None, &[Permission::CatalogWrite])),
        ]
    }

    #[test]
    fn every_viewer_may_do_exactly_what_the_table_says() {
        let creator = CreatorId(Uuid::from_u128(7));
        let manage = Manage { creator, permission: Permission::CatalogWrite };
        let seen: Vec<_> = viewers(creator)
            .iter()
            .map(|(name, viewer)| {
                let word = |result: Result<(), Denied>| match result {
                    Ok(()) => "yes",
                    Err(Denied::Unauthenticated) => "sign-in",
                    Err(Denied::Forbidden) => "no",
                    Err(Denied::Unconfirmed) => "confirm",
                    Err(Denied::NotFound) => "unknown",
                };
                (
                    *name,
                    word(authorize(viewer, Buy).map(drop)),
                    word(authorize(viewer, manage).map(drop)),
                    word(authorize(viewer, OwnAccount).map(drop)),
                    word(authorize(viewer, OpenSessions).map(drop)),
                    word(authorize(viewer, Administer).map(drop)),
                    word(authorize(viewer, OwnSession).map(drop)),
                    word(authorize(viewer, ManageTokens { creator: Some(creator) }).map(drop)),
                    word(authorize(viewer, ManageTokens { creator: None }).map(drop)),
                )
            })
            .collect();
        // Buy, Manage, OwnAccount, OpenSessions, Administer, OwnSession, ManageTokens of the creator, of the marketplace.
        let expected = [
            ("public", "sign-in", "sign-in", "sign-in", "sign-in", "sign-in", "sign-in", "sign-in", "sign-in"),
            ("unconfirmed", "confirm", "unknown", "yes", "no", "no", "yes", "unknown", "no"),
            ("buyer", "yes", "unknown", "yes", "no", "no", "yes", "unknown", "no"),
            ("buyer, lent", "yes", "unknown", "no", "no", "no", "yes", "unknown", "no"),
            ("member", "yes", "yes", "yes", "no", "no", "yes", "no", "no"),
            ("owner", "yes", "yes", "yes", "no", "no", "yes", "yes", "no"),
            ("unconfirmed owner", "confirm", "yes", "yes", "no", "no", "yes", "confirm", "no"),
            ("other member", "yes", "unknown", "yes", "no", "no", "yes", "unknown", "no"),
            ("admin", "yes", "unknown", "yes", "no", "yes", "yes", "unknown", "yes"),
            ("guest", "yes", "no", "no", "no", "no", "yes", "no", "no"),
            ("publishable", "no", "no", "no", "no", "no", "no", "no", "no"),
            ("secret with", "no", "yes", "no", "yes", "no", "no", "no", "no"),
            ("secret without", "no", "no", "no", "no", "no", "no", "no", "no"),
            ("other's secret", "no", "unknown", "no", "no", "no", "no", "no", "no"),
            ("marketplace secret", "no", "unknown", "no", "no", "no", "no", "no", "no"),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_schema_is_read_by_administrators_and_by_secret_tokens_that_may() {
        let creator = CreatorId(Uuid::from_u128(7));
        let token = |kind, permissions: &[Permission]| {
            let (token, permissions) = (TokenId(Uuid::from_u128(3)), permissions.to_vec());
            Viewer::Token(TokenViewer { token, kind, creator: Some(creator), permissions })
        };
        assert_eq!(authorize(&token(TokenKind::Secret, &[Permission::SchemaRead]), ReadSchema), Ok(()));
        assert_eq!(authorize(&token(TokenKind::Publishable, &[Permission::SchemaRead]), ReadSchema), Err(Denied::Forbidden));
        for (name, viewer) in viewers(creator) {
            let expected = match name {
                "admin" => Ok(()),
                "public" => Err(Denied::Unauthenticated),
                _ => Err(Denied::Forbidden),
            };
            assert_eq!(authorize(&viewer, ReadSchema), expected, "{name}");
        }
    }

    #[test]
    fn everybody_may_enter_and_only_a_storefronts_server_is_not_told_by_its_address() {
        let address = IpAddr::from([192, 0, 2, 7]);
        for (name, viewer) in viewers(CreatorId(Uuid::from_u128(7))) {
            let scope = authorize(&viewer, Enter { address }).unwrap();
            let server = name.contains("secret");
            let expected = if server { Origin::Storefront(TokenId(Uuid::from_u128(3))) } else { Origin::Address(address) };
            assert_eq!(scope.origin(), expected, "{name}");
        }
    }
}
