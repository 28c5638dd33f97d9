//! The actions that a viewer may want to take, each with the rule that grants or denies its scope.

use std::net::IpAddr;

use super::{
    AccountScope, AccountViewer, Action, Actor, AdminScope, Buyer, BuyerScope, CreatorScope, Denied,
    EntryScope, MemberRole, Origin, Permission, PublicScope, SessionScope, StorefrontScope, TokenKind,
    TokensScope, Viewer,
};
use crate::platform::ids::CreatorId;

/// Reads what is published.
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

/// Reserves, pays and cancels, and reads the viewer's own checkouts.
#[derive(Debug, Clone, Copy)]
pub struct Buy;

impl Action for Buy {
    type Scope = BuyerScope;
    fn decide(&self, viewer: &Viewer) -> Result<BuyerScope, Denied> {
        match viewer {
            Viewer::Account(AccountViewer { person: None, .. }) => Err(Denied::Unconfirmed),
            Viewer::Account(viewer) => {
                Ok(BuyerScope { buyer: Buyer::Account(viewer.account), person: viewer.person })
            }
            Viewer::Guest(viewer) => {
                Ok(BuyerScope { buyer: Buyer::Guest(viewer.guest), person: Some(viewer.person) })
            }
            Viewer::Public => Err(Denied::Unauthenticated),
            Viewer::Token(_) => Err(Denied::Forbidden),
        }
    }
}

/// Reads and changes the viewer's own account.
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

/// Ends the viewer's own session, of an account or of a guest.
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

/// Signs up, signs in, buys as a guest, or uses a link from an e-mail. Allowed for every viewer.
#[derive(Debug, Clone, Copy)]
pub struct Enter {
    /// The network address of the request.
    pub address: IpAddr,
}

impl Action for Enter {
    type Scope = EntryScope;
    fn decide(&self, viewer: &Viewer) -> Result<EntryScope, Denied> {
        let origin = match viewer {
            Viewer::Token(token) if token.kind == TokenKind::Secret => Origin::Storefront(token.token),
            Viewer::Token(_) | Viewer::Public | Viewer::Account(_) | Viewer::Guest(..) => {
                Origin::Address(self.address)
            }
        };
        Ok(EntryScope { origin, actor: viewer.actor() })
    }
}

/// Lists, creates and revokes API tokens. A token outlives a session and passes rights on. So this is allowed
/// only for an owner of the creator, or for an administrator of the marketplace, who signed in personally,
/// and never for a token.
#[derive(Debug, Clone, Copy)]
pub struct ManageTokens {
    /// The creator whose tokens are managed; `None` is the marketplace.
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

/// Opens a creator. It needs an account with a confirmed e-mail address.
#[derive(Debug, Clone, Copy)]
pub struct OpenCreator;

impl Action for OpenCreator {
    type Scope = AccountScope;
    fn decide(&self, viewer: &Viewer) -> Result<AccountScope, Denied> {
        match viewer {
            Viewer::Account(AccountViewer { person: None, .. }) => Err(Denied::Unconfirmed),
            Viewer::Public | Viewer::Account(_) | Viewer::Guest(..) | Viewer::Token(_) => {
                OwnAccount.decide(viewer)
            }
        }
    }
}

/// Acts for a creator. A viewer who is not a member gets `NotFound`.
#[derive(Debug, Clone, Copy)]
pub struct Manage {
    /// The creator.
    pub creator: CreatorId,
    /// The permission that a token needs; members have all of them.
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

/// Opens sessions for buyers who agree by e-mail.
#[derive(Debug, Clone, Copy)]
pub struct OpenSessions;

impl Action for OpenSessions {
    type Scope = StorefrontScope;
    fn decide(&self, viewer: &Viewer) -> Result<StorefrontScope, Denied> {
        match viewer {
            Viewer::Token(token)
                if token.kind == TokenKind::Secret
                    && token.permissions.contains(&Permission::SessionsOpen) =>
            {
                Ok(StorefrontScope { token: token.token })
            }
            Viewer::Public => Err(Denied::Unauthenticated),
            Viewer::Token(_) | Viewer::Account(_) | Viewer::Guest(..) => Err(Denied::Forbidden),
        }
    }
}

/// Reads the schema of the API where introspection is restricted.
#[derive(Debug, Clone, Copy)]
pub struct ReadSchema;

impl Action for ReadSchema {
    /// There is no scope, because the schema shows no rows.
    type Scope = ();
    fn decide(&self, viewer: &Viewer) -> Result<(), Denied> {
        match viewer {
            Viewer::Account(viewer) if viewer.admin => Ok(()),
            Viewer::Token(token)
                if token.kind == TokenKind::Secret && token.permissions.contains(&Permission::SchemaRead) =>
            {
                Ok(())
            }
            Viewer::Public => Err(Denied::Unauthenticated),
            Viewer::Account(_) | Viewer::Guest(..) | Viewer::Token(_) => Err(Denied::Forbidden),
        }
    }
}

/// Administers the marketplace.
#[derive(Debug, Clone, Copy)]
pub struct Administer;

impl Action for Administer {
    type Scope = AdminScope;
    fn decide(&self, viewer: &Viewer) -> Result<AdminScope, Denied> {
        match viewer {
            Viewer::Account(viewer) if viewer.admin => {
                Ok(AdminScope { actor: Actor::Account(viewer.account) })
            }
            Viewer::Public => Err(Denied::Unauthenticated),
            Viewer::Account(_) | Viewer::Guest(..) | Viewer::Token(_) => Err(Denied::Forbidden),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{super::*, *};
    use crate::platform::ids::{AccountId, GuestId, SessionId, TokenId};

    fn viewers(creator: CreatorId) -> Vec<(&'static str, Viewer)> {
        let id = Uuid::from_u128;
        let account = |confirmed: bool, admin, memberships| {
            let (account, session, person) =
                (AccountId(id(1)), SessionId(id(2)), confirmed.then_some([1; 32]));
            Viewer::Account(AccountViewer { account, session, lent: false, person, admin, memberships })
        };
        let lent = |viewer: Viewer| match viewer {
            Viewer::Account(viewer) => Viewer::Account(AccountViewer { lent: true, ..viewer }),
            other => other,
        };
        let token = |kind, creator, permissions: &[Permission]| {
            Viewer::Token(TokenViewer {
                token: TokenId(id(3)),
                kind,
                creator,
                permissions: permissions.to_vec(),
            })
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
            (
                "guest",
                Viewer::Guest(GuestViewer {
                    guest: GuestId(id(4)),
                    session: SessionId(id(5)),
                    person: [4; 32],
                }),
            ),
            ("publishable", token(TokenKind::Publishable, Some(creator), &[Permission::CatalogWrite])),
            (
                "secret with",
                token(
                    TokenKind::Secret,
                    Some(creator),
                    &[Permission::CatalogWrite, Permission::SessionsOpen],
                ),
            ),
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
        // Columns: Buy, Manage, OwnAccount, OpenSessions, Administer, OwnSession, ManageTokens of the
        // creator, ManageTokens of the marketplace.
        let expected = [
            (
                "public", "sign-in", "sign-in", "sign-in", "sign-in", "sign-in", "sign-in", "sign-in",
                "sign-in",
            ),
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
    fn administrators_and_permitted_secret_tokens_may_read_the_schema() {
        let creator = CreatorId(Uuid::from_u128(7));
        let token = |kind, permissions: &[Permission]| {
            let (token, permissions) = (TokenId(Uuid::from_u128(3)), permissions.to_vec());
            Viewer::Token(TokenViewer { token, kind, creator: Some(creator), permissions })
        };
        assert_eq!(authorize(&token(TokenKind::Secret, &[Permission::SchemaRead]), ReadSchema), Ok(()));
        assert_eq!(
            authorize(&token(TokenKind::Publishable, &[Permission::SchemaRead]), ReadSchema),
            Err(Denied::Forbidden)
        );
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
            let expected = if server {
                Origin::Storefront(TokenId(Uuid::from_u128(3)))
            } else {
                Origin::Address(address)
            };
            assert_eq!(scope.origin(), expected, "{name}");
        }
    }
}
