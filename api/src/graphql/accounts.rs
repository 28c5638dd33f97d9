//! Accounts: who asks, one's own account with its sessions, and API tokens.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::{
    accounts::{self as rules, queries},
    platform::{
        access::{self, AccountViewer, Buy, Denied, ManageTokens, OwnAccount, Permission, TokenViewer, authorize},
        ids::CreatorId,
    },
};

use super::{
    connection::{PageArgs, connection, counting},
    context::{Reach, global, id},
    creators::{Creator, CreatorById},
    errors::{Internal, denied},
};

pub mod mutations;

pub use mutations::AccountsMutation;

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

/// The two kinds of API tokens.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "access::TokenKind")]
pub enum ApiTokenKind {
    /// Safe in a browser: reads what is published, and lets guests buy. Begins with `sr_pub_`.
    Publishable,
    /// For a storefront's server, which keeps it to itself. Begins with `sr_sec_`.
    Secret,
}

/// What a secret token may do.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "access::Permission")]
pub enum ApiTokenPermission {
    /// Read drafts, and archived things of the catalogue.
    CatalogRead,
    /// Change products, variants and drops.
    CatalogWrite,
    /// Read the creator's reservations.
    ReservationsRead,
    /// Change the creator's profile.
    ProfileWrite,
    /// Ask buyers by e-mail to let a session be opened for them: `sessionRequest` and `sessionOpen`.
    SessionsOpen,
    /// Ask about the schema where the deployment does not let everybody: for code generators.
    SchemaRead,
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
    /// The viewer's own account, when the kind is ACCOUNT. Null in a session that a storefront's server holds: the buyer lent it to
    /// buy, not to manage the account.
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

/// The API token that asks.
pub struct ViewerToken(TokenViewer);

/// The API token that asks: what it is and may do.
#[Object]
impl ViewerToken {
    /// Global id.
    async fn id(&self) -> ID {
        global(self.0.token)
    }
    /// Publishable or secret.
    async fn kind(&self) -> ApiTokenKind {
        self.0.kind.into()
    }
    /// The creator that it belongs to; null is the marketplace.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        creator(ctx, self.0.creator).await
    }
    /// What it may do besides reading what is published. Empty for a publishable one.
    async fn permissions(&self) -> Vec<ApiTokenPermission> {
        permissions(&self.0.permissions)
    }
}

async fn creator(ctx: &Context<'_>, creator: Option<CreatorId>) -> async_graphql::Result<Option<Creator>> {
    let Some(creator) = creator else { return Ok(None) };
    Ok(ctx.loader().load_one(CreatorById(creator)).await.internal()?.map(Creator))
}

fn permissions(permissions: &[Permission]) -> Vec<ApiTokenPermission> {
    permissions.iter().copied().map(ApiTokenPermission::from).collect()
}

/// A person who can sign in.
#[derive(Clone)]
pub struct Account {
    row: rules::Account,
    /// Whoever looks at the account that is its own: memberships and sessions are nobody else's business.
    own: Option<AccountViewer>,
}

connection!(AccountConnection, AccountEdge, Account);

impl Account {
    /// The account as that viewer sees it.
    pub(crate) fn seen_by(viewer: &access::Viewer, row: rules::Account) -> Self {
        let own = match viewer {
            access::Viewer::Account(viewer) if viewer.account == row.id => Some(viewer.clone()),
            access::Viewer::Account(_) | access::Viewer::Public | access::Viewer::Guest(..) | access::Viewer::Token(_) => None,
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
    /// For which creators the person works, as far as this session may act for them: none in a session that a storefront opened.
    /// Null when the account is not the viewer's own.
    async fn memberships(&self) -> Option<Vec<Membership>> {
        let own = self.own.as_ref()?;
        Some(own.memberships.iter().map(|(creator, role)| Membership { creator: *creator, role: *role }).collect())
    }
    /// The sessions in which the person is signed in now, newest first. Null when the account is not the viewer's own.
    async fn sessions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many rows, 0 to 100; 20 if neither `first` nor `last` is given.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<Option<SessionConnection>> {
        let page = PageArgs { first, after, last, before }.page("sessions")?;
        let Some(own) = self.own.clone() else { return Ok(None) };
        let current = own.session;
        let scope = authorize(&access::Viewer::Account(own), OwnAccount).map_err(denied)?;
        let slice = queries::own_sessions(ctx.db(), &scope, &page).await.internal()?;
        let slice = slice.map(|row| Session { current: row.id == current, row });
        let counting = counting(ctx.db(), scope, |db, scope| async move { queries::own_sessions_count(&db, &scope).await });
        Ok(Some(SessionConnection::new("sessions", slice, counting)))
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
        creator(ctx, Some(self.creator)).await
    }
    /// As what.
    async fn role(&self) -> MemberRole {
        self.role.into()
    }
}

/// A session in which one is signed in.
#[derive(Clone)]
pub struct Session {
    row: rules::Session,
    current: bool,
}

connection!(SessionConnection, SessionEdge, Session);

/// A session in which one is signed in.
#[Object]
impl Session {
    /// Global id, for `sessionRevoke`.
    async fn id(&self) -> ID {
        global(self.row.id)
    }
    /// Whether it is the one that asks.
    async fn current(&self) -> bool {
        self.current
    }
    /// The id of the API token of the storefront that opened it; null when the person signed in.
    async fn opened_by_token_id(&self) -> Option<ID> {
        self.row.opened_by.map(global)
    }
    /// Since when.
    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }
    /// Until when.
    async fn expires_at(&self) -> DateTime<Utc> {
        self.row.expires_at
    }
    /// When it was last used, to the minute.
    async fn last_used_at(&self) -> DateTime<Utc> {
        self.row.last_used_at
    }
}

/// An API token, without its secret.
#[derive(Clone)]
pub struct ApiToken(pub(crate) rules::ApiToken);

connection!(ApiTokenConnection, ApiTokenEdge, ApiToken);

/// An API token of a creator or of the marketplace. Its secret was shown when it was made, and is not kept.
#[Object]
impl ApiToken {
    /// Global id.
    async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// What it is for. Buyers read the name of a storefront's token when it asks to open a session for them.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// Publishable or secret.
    async fn kind(&self) -> ApiTokenKind {
        self.0.kind.into()
    }
    /// Whose it is; null is the marketplace's.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        creator(ctx, self.0.creator).await
    }
    /// What it may do besides reading what is published. Empty for a publishable one.
    async fn permissions(&self) -> Vec<ApiTokenPermission> {
        permissions(&self.0.permissions)
    }
    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// Until when it is good; null is until it is revoked.
    async fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.expires_at
    }
    /// When it was last used, to the minute; null when never.
    async fn last_used_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_used_at
    }
    /// Since when it is worth nothing, if it was revoked.
    async fn revoked_at(&self) -> Option<DateTime<Utc>> {
        self.0.revoked_at
    }
}

/// Reads of who asks, and of API tokens.
#[derive(Default)]
pub struct AccountsQuery;

#[Object]
impl AccountsQuery {
    /// Who asks, by the bearer token of the request.
    async fn viewer(&self, ctx: &Context<'_>) -> Viewer {
        Viewer(ctx.viewer().clone())
    }

    /// The API tokens of a creator, or of the marketplace, newest first, revoked ones too. For owners of the creator, and for
    /// administrators, who are signed in and have confirmed their address. Null when there is no such creator, or it is not yours.
    async fn api_tokens(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose; left out, the marketplace's.")] creator_id: Option<ID>,
        #[graphql(desc = "The first so many rows, 0 to 100; 20 if neither `first` nor `last` is given.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<Option<ApiTokenConnection>> {
        let page = PageArgs { first, after, last, before }.page("apiTokens")?;
        let Ok(creator) = creator_id.as_ref().map(id::<CreatorId>).transpose() else { return Ok(None) };
        let scope = match authorize(ctx.viewer(), ManageTokens { creator }) {
            Ok(scope) => scope,
            // Another's creator reads exactly like one that does not exist.
            Err(Denied::NotFound) => return Ok(None),
            Err(why) => return Err(denied(why)),
        };
        let slice = queries::tokens(ctx.db(), &scope, &page).await.internal()?;
        let counting = counting(ctx.db(), scope, |db, scope| async move { queries::tokens_count(&db, &scope).await });
        Ok(Some(ApiTokenConnection::new("apiTokens", slice.map(ApiToken), counting)))
    }
}
