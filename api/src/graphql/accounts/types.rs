//! The viewer, and the accounts of people.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::{
    accounts::{self as rules, queries},
    platform::{
        access::{self, AccountViewer, Buy, OwnAccount, authorize},
        ids::CreatorId,
    },
};

use super::{sessions::Session, tokens::ViewerToken};
use crate::graphql::{
    connection::{Connection, List, ListNode},
    context::{ContextExt, global},
    creators::{Creator, CreatorById},
    errors::{Internal, denied},
};

/// The kinds of viewers.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
pub enum ViewerKind {
    /// An unknown viewer, who sees only what is published.
    Public,
    /// A person who is signed in.
    Account,
    /// A guest: an e-mail address that buys without an account.
    Guest,
    /// An API token.
    Token,
}

/// The role of a member of a creator.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "access::MemberRole")]
pub enum MemberRole {
    /// An owner, who may do everything for the creator, including the management of API tokens.
    Owner,
    /// A member of the staff, who may do everything except manage API tokens.
    Staff,
}

/// The viewer.
pub struct Viewer(pub(crate) access::Viewer);

/// The viewer: whoever makes the request, as its bearer token identifies them.
#[Object]
impl Viewer {
    /// The kind of the viewer. For every kind except PUBLIC, one of the other fields has the details.
    async fn kind(&self) -> ViewerKind {
        match self.0 {
            access::Viewer::Public => ViewerKind::Public,
            access::Viewer::Account(_) => ViewerKind::Account,
            access::Viewer::Guest(..) => ViewerKind::Guest,
            access::Viewer::Token(_) => ViewerKind::Token,
        }
    }
    /// The viewer's own account, if the kind is ACCOUNT. Null in a session that a storefront's server opened:
    /// the buyer allowed it to buy, but not to manage the account.
    async fn account(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Account>> {
        let Ok(scope) = authorize(&self.0, OwnAccount) else { return Ok(None) };
        let row = queries::own_account(ctx.db(), &scope).await.internal()?;
        Ok(row.map(|row| Account::seen_by(&self.0, row)))
    }
    /// The guest, if the kind is GUEST.
    async fn guest(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Guest>> {
        let access::Viewer::Guest(viewer) = &self.0 else { return Ok(None) };
        let scope = authorize(&self.0, Buy).map_err(denied)?;
        let email = rules::own_email(ctx.db(), &scope).await.internal()?;
        Ok(email.map(|email| Guest { id: global(viewer.guest), email: email.as_str().to_owned() }))
    }
    /// The API token, if the kind is TOKEN.
    async fn token(&self) -> Option<ViewerToken> {
        match &self.0 {
            access::Viewer::Token(token) => Some(ViewerToken(token.clone())),
            access::Viewer::Public | access::Viewer::Account(_) | access::Viewer::Guest(..) => None,
        }
    }
}

/// A guest: an e-mail address that buys without an account.
#[derive(SimpleObject, Debug, Clone)]
pub struct Guest {
    /// The global id.
    pub id: ID,
    /// The e-mail address, confirmed by the link that was sent there.
    pub email: String,
}

/// An account.
#[derive(Clone)]
pub struct Account {
    row: rules::Account,
    /// The viewer, if the account is the viewer's own. Nobody else may see its memberships and sessions.
    own: Option<AccountViewer>,
}

impl ListNode for Account {}

impl Account {
    /// Returns the account as a viewer may see it.
    pub(crate) fn seen_by(viewer: &access::Viewer, row: rules::Account) -> Self {
        let own = match viewer {
            access::Viewer::Account(viewer) if viewer.account == row.id => Some(viewer.clone()),
            access::Viewer::Account(_)
            | access::Viewer::Public
            | access::Viewer::Guest(..)
            | access::Viewer::Token(_) => None,
        };
        Self { row, own }
    }
}

/// An account: a person who can sign in. Only that person and administrators can see it.
#[Object]
impl Account {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.row.id)
    }
    /// The name that the person wants to be called.
    async fn name(&self) -> &str {
        &self.row.name
    }
    /// The e-mail address, in lower case.
    async fn email(&self) -> &str {
        self.row.email.as_str()
    }
    /// Whether the address is confirmed. Reserving needs a confirmed address.
    async fn email_confirmed(&self) -> bool {
        self.row.email_confirmed_at.is_some()
    }
    /// Whether the person is an administrator of the marketplace.
    async fn admin(&self) -> bool {
        self.row.admin
    }
    /// The creators that the person works for, as far as this session may act for them. Empty in a session
    /// that a storefront opened. Null if the account is not the viewer's own.
    async fn memberships(&self) -> Option<Vec<Membership>> {
        let own = self.own.as_ref()?;
        Some(
            own.memberships
                .iter()
                .map(|(creator, role)| Membership { creator: *creator, role: *role })
                .collect(),
        )
    }
    /// The present sessions of the account, newest first. Null if the account is not the viewer's own.
    async fn sessions(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Connection<Session>>> {
        let list = List::of(ctx, "sessions")?;
        let Some(own) = self.own.clone() else { return Ok(None) };
        let current = own.session;
        let scope = authorize(&access::Viewer::Account(own), OwnAccount).map_err(denied)?;
        let slice = queries::own_sessions(ctx.db(), &scope, &list.page).await.internal()?;
        let slice = slice.map(|row| Session { current: row.id == current, row });
        let count = |db, scope| async move { queries::own_sessions_count(&db, &scope).await };
        Ok(Some(list.connection(slice, ctx.db(), scope, count)))
    }
    /// When the person signed up.
    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }
}

/// The membership of a person in a creator.
pub struct Membership {
    creator: CreatorId,
    role: access::MemberRole,
}

/// The membership of the account's person in a creator.
#[Object]
impl Membership {
    /// The creator.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.load(CreatorById(self.creator)).await?.map(Creator))
    }
    /// The role of the person.
    async fn role(&self) -> MemberRole {
        self.role.into()
    }
}
