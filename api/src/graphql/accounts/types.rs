//! Who asks, and the accounts of people.

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
    context::{Reach, global},
    creators::{Creator, CreatorById},
    errors::{Internal, denied},
};

/// What somebody who asks can be.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
pub enum ViewerKind {
    /// Nobody known: sees what is published.
    Public,
    /// A person who signed in.
    Account,
    /// An address that buys without an account.
    Guest,
    /// An API token.
    Token,
}

/// What a member of a creator is.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "access::MemberRole")]
pub enum MemberRole {
    /// May do everything for the creator, API tokens included.
    Owner,
    /// Works there: may do everything but manage API tokens.
    Staff,
}

/// Who asks, by the bearer token of the request.
pub struct Viewer(pub(crate) access::Viewer);

/// Who asks, by the bearer token of the request.
#[Object]
impl Viewer {
    /// What the viewer is. One of the fields below says more, except for PUBLIC.
    async fn kind(&self) -> ViewerKind {
        match self.0 {
            access::Viewer::Public => ViewerKind::Public,
            access::Viewer::Account(_) => ViewerKind::Account,
            access::Viewer::Guest(..) => ViewerKind::Guest,
            access::Viewer::Token(_) => ViewerKind::Token,
        }
    }
    /// The viewer's own account, when the kind is ACCOUNT. Null in a session that a storefront's server
    /// holds: the buyer lent it to buy, not to manage the account.
    async fn account(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Account>> {
        let Ok(scope) = authorize(&self.0, OwnAccount) else { return Ok(None) };
        let row = queries::own_account(ctx.db(), &scope).await.internal()?;
        Ok(row.map(|row| Account::seen_by(&self.0, row)))
    }
    /// The guest, when the kind is GUEST.
    async fn guest(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Guest>> {
        let access::Viewer::Guest(viewer) = &self.0 else { return Ok(None) };
        let scope = authorize(&self.0, Buy).map_err(denied)?;
        let email = rules::own_email(ctx.db(), &scope).await.internal()?;
        Ok(email.map(|email| Guest { id: global(viewer.guest), email: email.as_str().to_owned() }))
    }
    /// The API token, when the kind is TOKEN.
    async fn token(&self) -> Option<ViewerToken> {
        match &self.0 {
            access::Viewer::Token(token) => Some(ViewerToken(token.clone())),
            access::Viewer::Public | access::Viewer::Account(_) | access::Viewer::Guest(..) => None,
        }
    }
}

/// An e-mail address that buys without an account.
#[derive(SimpleObject, Debug, Clone)]
pub struct Guest {
    /// Global id.
    pub id: ID,
    /// The address, confirmed by the link that was sent there.
    pub email: String,
}

/// A person who can sign in.
#[derive(Clone)]
pub struct Account {
    row: rules::Account,
    /// Whoever looks at the account that is its own: memberships and sessions are nobody else's business.
    own: Option<AccountViewer>,
}

impl ListNode for Account {}

impl Account {
    /// The account as that viewer sees it.
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

/// A person who can sign in. Seen by that person, and by administrators.
#[Object]
impl Account {
    /// Global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.row.id)
    }
    /// What the person wants to be called.
    async fn name(&self) -> &str {
        &self.row.name
    }
    /// The e-mail address, in lower case.
    async fn email(&self) -> &str {
        self.row.email.as_str()
    }
    /// Whether the address is known to be the person's. Reserving needs it.
    async fn email_confirmed(&self) -> bool {
        self.row.email_confirmed_at.is_some()
    }
    /// Whether this is an administrator of the marketplace.
    async fn admin(&self) -> bool {
        self.row.admin
    }
    /// For which creators the person works, as far as this session may act for them: none in a session that a
    /// storefront opened. Null when the account is not the viewer's own.
    async fn memberships(&self) -> Option<Vec<Membership>> {
        let own = self.own.as_ref()?;
        Some(
            own.memberships
                .iter()
                .map(|(creator, role)| Membership { creator: *creator, role: *role })
                .collect(),
        )
    }
    /// The sessions in which the person is signed in now, newest first. Null when the account is not the
    /// viewer's own.
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

/// That somebody works for a creator.
pub struct Membership {
    creator: CreatorId,
    role: access::MemberRole,
}

/// That the account's person works for a creator.
#[Object]
impl Membership {
    /// For whom.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.load(CreatorById(self.creator)).await?.map(Creator))
    }
    /// As what.
    async fn role(&self) -> MemberRole {
        self.role.into()
    }
}
