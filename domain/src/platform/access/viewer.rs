//! Who is asking, with all that authorisation needs to know.

use sea_orm::{DeriveActiveEnum, entity::prelude::*};

use super::Actor;
use crate::platform::ids::{AccountId, CreatorId, GuestId, SessionId, TokenId};

/// Stands for a person wherever limits count persons, with or without an account: a hash of the e-mail
/// address, as [`person_key`](fn@crate::accounts::person_key) makes it.
pub type PersonKey = [u8; 32];

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
