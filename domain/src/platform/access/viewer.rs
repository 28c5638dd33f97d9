//! The viewer of a request, with everything that authorisation needs.

use sea_orm::{DeriveActiveEnum, entity::prelude::*};

use super::Actor;
use crate::platform::ids::{AccountId, CreatorId, GuestId, SessionId, TokenId};

/// The key of a person, for limits that count persons with or without an account: a hash of the e-mail
/// address, computed by [`person_key`](fn@crate::accounts::person_key).
pub type PersonKey = [u8; 32];

/// The role of a member of a creator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum MemberRole {
    /// An owner, who may do everything and is responsible for the creator.
    #[sea_orm(string_value = "OWNER")]
    Owner,
    /// A member of the staff.
    #[sea_orm(string_value = "STAFF")]
    Staff,
}

/// The two kinds of API tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum TokenKind {
    /// May be used in a browser: reads published objects and allows guest checkout.
    #[sea_orm(string_value = "PUBLISHABLE")]
    Publishable,
    /// Used by a storefront's server.
    #[sea_orm(string_value = "SECRET")]
    Secret,
}

/// A permission of a secret token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Reads drafts and archived objects of the catalog and the drops.
    CatalogRead,
    /// Changes products, variants and drops.
    CatalogWrite,
    /// Reads the creator's reservations.
    ReservationsRead,
    /// Changes the creator's profile.
    ProfileWrite,
    /// Asks buyers by e-mail to allow a session to be opened for them.
    SessionsOpen,
    /// Reads the schema where introspection is restricted; code generators need this.
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

    /// Returns the constant name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(permission, _)| *permission == self).map_or("", |(_, name)| name)
    }

    /// Parses a constant name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(permission, _)| *permission)
    }
}

/// The viewer of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// An anonymous visitor.
    Public,
    /// A person who signed in.
    Account(AccountViewer),
    /// A guest with a confirmed e-mail address.
    Guest(GuestViewer),
    /// An API token.
    Token(TokenViewer),
}

/// A person who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountViewer {
    /// The account.
    pub account: AccountId,
    /// The session.
    pub session: SessionId,
    /// Whether a storefront's server holds the session. The person lent it for buying, not for managing the
    /// account.
    pub lent: bool,
    /// The key of the person, once the e-mail address is confirmed.
    pub person: Option<PersonKey>,
    /// Whether the person is an administrator of the marketplace.
    pub admin: bool,
    /// The creators that the person is a member of, with the role.
    pub memberships: Vec<(CreatorId, MemberRole)>,
}

/// A guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestViewer {
    /// The guest.
    pub guest: GuestId,
    /// The session.
    pub session: SessionId,
    /// The key of the person.
    pub person: PersonKey,
}

/// An API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenViewer {
    /// The token.
    pub token: TokenId,
    /// Whether it is publishable or secret.
    pub kind: TokenKind,
    /// The creator that the token belongs to; `None` is the marketplace.
    pub creator: Option<CreatorId>,
    /// The permissions of a secret token.
    pub permissions: Vec<Permission>,
}

impl Viewer {
    /// Returns the actor for the audit log.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Public => Actor::Public,
            Self::Account(viewer) => Actor::Account(viewer.account),
            Self::Guest(viewer) => Actor::Guest(viewer.guest),
            Self::Token(token) => Actor::Token(token.token),
        }
    }
}
