//! To sign up, in and out, to buy as a guest, and to make and revoke API tokens.
//!
//! Inputs with secrets have no `Debug`, and their fields are marked, so that no log can show them.

use std::net::{IpAddr, Ipv4Addr};

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use domain::{
    accounts::{
        AccountName, ChangePassword, ChangePasswordRefusal, ConfirmEmailRefusal, ConfirmGuestRefusal, CreateToken,
        CreateTokenRefusal, Email, OpenSessionRefusal, Password, RequestPasswordResetRefusal, RequestSessionRefusal, ResetPassword,
        ResetPasswordRefusal, RevokeSessionRefusal, RevokeTokenRefusal, SignIn, SignInRefusal, SignUp, SignUpRefusal,
        StartGuestRefusal, TokenName, change_name, change_password, confirm_email, confirm_guest, create_token, open_session,
        request_password_reset, request_session, reset_password, revoke_session, revoke_token, sign_in, sign_out, sign_up,
        start_guest,
    },
    platform::{
        NeverRefused, OpError,
        access::{Enter, EntryScope, ManageTokens, OpenSessions, OwnAccount, OwnSession},
        entropy::Secret,
        ids::{CreatorId, SessionId},
    },
};

use super::{Account, ApiToken, ApiTokenKind, ApiTokenPermission, Viewer};
use crate::graphql::{
    context::{Reach, global, id},
    creators::checked,
    errors::{CommonCode, Complaints, Internal, Stop, payload, user_error},
};

user_error!(
    AccountSignUpError,
    AccountSignUpErrorCode,
    SignUpRefusal {
        TooManyTries: "Too often from your network, or too many letters to this address. `retryAfterSeconds` says how long to wait.",
    }
);
user_error!(
    AccountConfirmEmailError,
    AccountConfirmEmailErrorCode,
    ConfirmEmailRefusal { LinkInvalid: "The link is unknown, was used, or has run out. Signing up again sends a new one." }
);
user_error!(
    AccountRequestPasswordResetError,
    AccountRequestPasswordResetErrorCode,
    RequestPasswordResetRefusal {
        TooManyTries: "Too often from your network, or too many letters to this address. `retryAfterSeconds` says how long to wait.",
    }
);
user_error!(
    AccountResetPasswordError,
    AccountResetPasswordErrorCode,
    ResetPasswordRefusal {
        LinkInvalid: "The link is unknown, was used, or has run out. `accountRequestPasswordReset` sends a new one.",
    }
);
user_error!(AccountUpdateError, AccountUpdateErrorCode, NeverRefused {});
user_error!(
    AccountChangePasswordError,
    AccountChangePasswordErrorCode,
    ChangePasswordRefusal {
        WrongPassword: "The present password is another one, or there is none: `accountRequestPasswordReset` sets one.",
        TooManyTries: "Too often for this account. `retryAfterSeconds` says how long to wait.",
    }
);
user_error!(
    SessionSignInError,
    SessionSignInErrorCode,
    SignInRefusal {
        BadCredentials: "The e-mail address or the password is wrong. It is not told which.",
        TooManyTries: "Too often for this address, or from your network. `retryAfterSeconds` says how long to wait.",
    }
);
user_error!(SessionSignOutError, SessionSignOutErrorCode, NeverRefused {});
user_error!(SessionRevokeError, SessionRevokeErrorCode, RevokeSessionRefusal {} not_found: NotFound);
user_error!(
    GuestStartError,
    GuestStartErrorCode,
    StartGuestRefusal {
        TooManyTries: "Too often from your network, or too many letters to this address. `retryAfterSeconds` says how long to wait.",
    }
);
user_error!(
    GuestConfirmError,
    GuestConfirmErrorCode,
    ConfirmGuestRefusal { LinkInvalid: "The link is unknown, was used, or has run out. `guestStart` sends a new one." }
);
user_error!(
    SessionRequestError,
    SessionRequestErrorCode,
    RequestSessionRefusal {
        TooManyTries: "Too often by this storefront, or too many letters to this address. `retryAfterSeconds` says how long to wait.",
    }
);
user_error!(
    SessionOpenError,
    SessionOpenErrorCode,
    OpenSessionRefusal { LinkInvalid: "The link is unknown, was used, has run out, or was asked for by another storefront." }
);
user_error!(
    ApiTokenCreateError,
    ApiTokenCreateErrorCode,
    CreateTokenRefusal {
        PermissionsOfPublishable: "A publishable token stands in public pages: it has no permissions.",
        NoPermissions: "A secret token needs at least one permission.",
        ExpiryPast: "The expiry is not in the future.",
        ExpiryTooFar: "The expiry is more than two years away; leave it out for a token without one.",
        TooManyTokens: "There are 100 tokens that are good: revoke one first.",
    }
);
user_error!(ApiTokenRevokeError, ApiTokenRevokeErrorCode, RevokeTokenRefusal {} not_found: NotFound);

payload!(
    AccountSignUpPayload,
    AccountSignUpError {
        /// True when it was taken: a letter goes to the address. The answer is the same whether there is an account already.
        accepted: bool,
        /// How long to wait when it was tried too often, in seconds.
        retry_after_seconds: i32,
    }
);
payload!(
    AccountConfirmEmailPayload,
    AccountConfirmEmailError {
        /// The account, confirmed. Nobody is signed in by this.
        account: Account,
    }
);
payload!(
    AccountRequestPasswordResetPayload,
    AccountRequestPasswordResetError {
        /// True when it was taken: a letter goes to the address if there is an account. The answer is the same if there is none.
        accepted: bool,
        /// How long to wait when it was tried too often, in seconds.
        retry_after_seconds: i32,
    }
);
payload!(
    AccountResetPasswordPayload,
    AccountResetPasswordError {
        /// The account with its new password. Nobody is signed in by this, and all of its sessions have ended.
        account: Account,
    }
);
payload!(
    AccountUpdatePayload,
    AccountUpdateError {
        /// The account as it is now.
        account: Account,
    }
);
payload!(
    AccountChangePasswordPayload,
    AccountChangePasswordError {
        /// The account with its new password. All of its sessions but this one have ended.
        account: Account,
        /// How long to wait when it was tried too often, in seconds.
        retry_after_seconds: i32,
    }
);
payload!(SessionSignInPayload, SessionSignInError {
    /// The bearer token of the session, shown this once: send it as `Authorization: Bearer …`.
    token: String,
    /// Until when the session lasts.
    expires_at: DateTime<Utc>,
    /// Who the bearer is from now on.
    viewer: Viewer,
    /// How long to wait when it was tried too often, in seconds.
    retry_after_seconds: i32,
});
payload!(
    SessionSignOutPayload,
    SessionSignOutError {
        /// True when the session has ended: its token is worth nothing any more.
        signed_out: bool,
    }
);
payload!(
    SessionRevokePayload,
    SessionRevokeError {
        /// The session that has ended.
        id: ID,
    }
);
payload!(
    GuestStartPayload,
    GuestStartError {
        /// True when it was taken: a letter goes to the address. The answer is the same for every address.
        accepted: bool,
        /// How long to wait when it was tried too often, in seconds.
        retry_after_seconds: i32,
    }
);
payload!(GuestConfirmPayload, GuestConfirmError {
    /// The bearer token of the guest's session, shown this once: send it as `Authorization: Bearer …`.
    token: String,
    /// Until when the session lasts.
    expires_at: DateTime<Utc>,
    /// Who the bearer is from now on.
    viewer: Viewer,
});
payload!(
    SessionRequestPayload,
    SessionRequestError {
        /// True when it was taken: a letter goes to the address if it is the confirmed one of an account. The answer is the same if not.
        accepted: bool,
        /// How long to wait when it was tried too often, in seconds.
        retry_after_seconds: i32,
    }
);
payload!(SessionOpenPayload, SessionOpenError {
    /// The bearer token of the buyer's session, shown this once. Keep it on the server.
    token: String,
    /// Until when the session lasts.
    expires_at: DateTime<Utc>,
    /// Who the bearer is from now on.
    viewer: Viewer,
});
payload!(
    ApiTokenCreatePayload,
    ApiTokenCreateError {
        /// The bearer token, shown this once: it is not kept, and cannot be shown again.
        secret: String,
        /// The new token.
        token: ApiToken,
    }
);
payload!(
    ApiTokenRevokePayload,
    ApiTokenRevokeError {
        /// The token, which is worth nothing any more; neither are the sessions that it opened for buyers.
        token: ApiToken,
    }
);

/// Who wants an account.
#[derive(InputObject)]
pub struct AccountSignUpInput {
    /// The address, at most 254 characters. A letter with a link goes there.
    pub email: String,
    /// 8 to 128 characters of any script, as typed.
    #[graphql(secret)]
    pub password: String,
    /// What the person wants to be called, at most 80 characters.
    pub name: String,
}

/// The proof that an address is its owner's.
#[derive(InputObject)]
pub struct AccountConfirmEmailInput {
    /// The `code` of the letter's link. Good once, for 48 hours.
    #[graphql(secret)]
    pub link: String,
}

/// Whose password is forgotten.
#[derive(InputObject)]
pub struct AccountRequestPasswordResetInput {
    /// The address of the account.
    pub email: String,
}

/// A new password, and the right to choose it.
#[derive(InputObject)]
pub struct AccountResetPasswordInput {
    /// The `code` of the letter's link. Good once, for an hour.
    #[graphql(secret)]
    pub link: String,
    /// The new password: 8 to 128 characters of any script, as typed.
    #[graphql(secret)]
    pub password: String,
}

/// What is to change of one's own account. Fields that are left out stay as they are.
#[derive(InputObject)]
pub struct AccountUpdateInput {
    /// What the person wants to be called, at most 80 characters.
    pub name: Option<String>,
}

/// The present password and the new one.
#[derive(InputObject)]
pub struct AccountChangePasswordInput {
    /// The present password.
    #[graphql(secret)]
    pub old_password: String,
    /// The new password: 8 to 128 characters of any script, as typed.
    #[graphql(secret)]
    pub new_password: String,
}

/// Who wants in.
#[derive(InputObject)]
pub struct SessionSignInInput {
    /// The address of the account.
    pub email: String,
    /// The password.
    #[graphql(secret)]
    pub password: String,
}

/// Which session is to end.
#[derive(InputObject)]
pub struct SessionRevokeInput {
    /// One of the account's own sessions.
    pub id: ID,
}

/// Who wants to buy without an account.
#[derive(InputObject)]
pub struct GuestStartInput {
    /// The address, at most 254 characters. A letter with a link goes there.
    pub email: String,
}

/// The proof that an address is the guest's.
#[derive(InputObject)]
pub struct GuestConfirmInput {
    /// The `code` of the letter's link. Good once, for an hour.
    #[graphql(secret)]
    pub link: String,
}

/// Which buyer is asked.
#[derive(InputObject)]
pub struct SessionRequestInput {
    /// The address of the buyer's account. A letter with a link goes there and names the storefront by its token's name.
    pub email: String,
}

/// The proof that a buyer agreed.
#[derive(InputObject)]
pub struct SessionOpenInput {
    /// The `code` of the letter's link. Good once, for 15 minutes, and for the token that asked.
    #[graphql(secret)]
    pub link: String,
}

/// A token to be made.
#[derive(InputObject)]
pub struct ApiTokenCreateInput {
    /// Whose; left out, the marketplace's.
    pub creator_id: Option<ID>,
    /// Publishable or secret.
    pub kind: ApiTokenKind,
    /// What it is for, at most 80 characters. Buyers read it when a storefront asks to open a session for them.
    pub name: String,
    /// What a secret token may do, at least one; none for a publishable one.
    #[graphql(default)]
    pub permissions: Vec<ApiTokenPermission>,
    /// Until when it is good, at most two years from now; left out, until it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Which token is to be worthless.
#[derive(InputObject)]
pub struct ApiTokenRevokeInput {
    /// Whose; left out, the marketplace's.
    pub creator_id: Option<ID>,
    /// Which token.
    pub id: ID,
}

/// A refusal that can be to wait.
trait Wait: std::fmt::Debug {
    /// How long, in seconds.
    fn wait_secs(&self) -> Option<u32>;
}

/// Says of each refusal which of its variants is not to wait.
macro_rules! waits {
    ($($refusal:ident { $($other:ident),* })*) => {$(
        impl Wait for $refusal {
            fn wait_secs(&self) -> Option<u32> {
                match self {
                    Self::TooManyTries { wait_secs } => Some(*wait_secs),
                    $(Self::$other => None,)*
                }
            }
        }
    )*};
}
waits! {
    SignUpRefusal {}
    RequestPasswordResetRefusal {}
    ChangePasswordRefusal { WrongPassword }
    SignInRefusal { BadCredentials }
    StartGuestRefusal {}
    RequestSessionRefusal {}
}

/// How long to wait, for `retryAfterSeconds`, noted on the way out.
#[derive(Default)]
struct RetryAfter(Option<i32>);

impl RetryAfter {
    fn noted<R: Wait>(&mut self, error: OpError<R>) -> OpError<R> {
        if let OpError::Refused(why) = &error {
            let secs = why.iter().find_map(|refused| refused.code.wait_secs());
            self.0 = secs.map(|secs| i32::try_from(secs).unwrap_or(i32::MAX));
        }
        error
    }
}

/// The scope of somebody at the door. Requests without an address share one budget.
fn at_the_door(ctx: &Context<'_>) -> async_graphql::Result<EntryScope> {
    ctx.scope(Enter { address: ctx.request().address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) })
}

fn email<C: CommonCode>(wrong: &mut Complaints<C>, text: &str) -> Option<Email> {
    wrong.take(&["email"], Email::new(text))
}

fn link<C: CommonCode>(wrong: &mut Complaints<C>, text: &str) -> Option<Secret> {
    wrong.take(&["link"], Secret::presented(text).ok_or("is not the code of a link"))
}

/// Whose tokens; `None` is the marketplace's.
fn whose<C: CommonCode>(wrong: &mut Complaints<C>, creator: Option<&ID>) -> Option<CreatorId> {
    wrong.take_some(&["creatorId"], creator.map(id))
}

async fn register(
    ctx: &Context<'_>,
    input: AccountSignUpInput,
    retry: &mut RetryAfter,
) -> Result<AccountSignUpPayload, Stop<AccountSignUpErrorCode>> {
    let scope = at_the_door(ctx)?;
    let mut wrong = Complaints::new();
    let email = email(&mut wrong, &input.email);
    let password = wrong.take(&["password"], Password::new(&input.password));
    let name = wrong.take(&["name"], AccountName::new(&input.name));
    let (Some(email), Some(password), Some(name)) = (email, password, name) else { return Err(wrong.into()) };
    sign_up(ctx.db(), &scope, SignUp { email, password, name }).await.map_err(|error| retry.noted(error))?;
    Ok(AccountSignUpPayload { accepted: Some(true), ..Default::default() })
}

async fn confirm(
    ctx: &Context<'_>,
    input: AccountConfirmEmailInput,
) -> Result<AccountConfirmEmailPayload, Stop<AccountConfirmEmailErrorCode>> {
    let scope = at_the_door(ctx)?;
    let mut wrong = Complaints::new();
    let Some(link) = link(&mut wrong, &input.link) else { return Err(wrong.into()) };
    let row = confirm_email(ctx.db(), &scope, &link).await?;
    Ok(AccountConfirmEmailPayload { account: Some(Account::seen_by(ctx.viewer(), row)), ..Default::default() })
}

async fn forgot(
    ctx: &Context<'_>,
    input: AccountRequestPasswordResetInput,
    retry: &mut RetryAfter,
) -> Result<AccountRequestPasswordResetPayload, Stop<AccountRequestPasswordResetErrorCode>> {
    let scope = at_the_door(ctx)?;
    let mut wrong = Complaints::new();
    let Some(email) = email(&mut wrong, &input.email) else { return Err(wrong.into()) };
    request_password_reset(ctx.db(), &scope, &email).await.map_err(|error| retry.noted(error))?;
    Ok(AccountRequestPasswordResetPayload { accepted: Some(true), ..Default::default() })
}

async fn reset(
    ctx: &Context<'_>,
    input: AccountResetPasswordInput,
) -> Result<AccountResetPasswordPayload, Stop<AccountResetPasswordErrorCode>> {
    let scope = at_the_door(ctx)?;
    let mut wrong = Complaints::new();
    let link = link(&mut wrong, &input.link);
    let password = wrong.take(&["password"], Password::new(&input.password));
    let (Some(link), Some(password)) = (link, password) else { return Err(wrong.into()) };
    let row = reset_password(ctx.db(), &scope, ResetPassword { link, password }).await?;
    Ok(AccountResetPasswordPayload { account: Some(Account::seen_by(ctx.viewer(), row)), ..Default::default() })
}

async fn update(ctx: &Context<'_>, input: AccountUpdateInput) -> Result<AccountUpdatePayload, Stop<AccountUpdateErrorCode>> {
    let scope = ctx.scope(OwnAccount)?;
    let mut wrong = Complaints::new();
    let name = wrong.take_some(&["name"], input.name.as_deref().map(AccountName::new));
    checked(wrong, Some(()))?;
    let row = match name {
        Some(name) => Some(change_name(ctx.db(), &scope, name).await.internal()?),
        None => domain::accounts::queries::own_account(ctx.db(), &scope).await.internal()?,
    };
    Ok(AccountUpdatePayload { account: row.map(|row| Account::seen_by(ctx.viewer(), row)), ..Default::default() })
}

async fn new_password(
    ctx: &Context<'_>,
    input: AccountChangePasswordInput,
    retry: &mut RetryAfter,
) -> Result<AccountChangePasswordPayload, Stop<AccountChangePasswordErrorCode>> {
    let scope = ctx.scope(OwnAccount)?;
    let mut wrong = Complaints::new();
    let old = wrong.take(&["oldPassword"], Password::new(&input.old_password));
    let new = wrong.take(&["newPassword"], Password::new(&input.new_password));
    let (Some(old), Some(new)) = (old, new) else { return Err(wrong.into()) };
    let row = change_password(ctx.db(), &scope, ChangePassword { old, new }).await.map_err(|error| retry.noted(error))?;
    Ok(AccountChangePasswordPayload { account: Some(Account::seen_by(ctx.viewer(), row)), ..Default::default() })
}

async fn enter(
    ctx: &Context<'_>,
    input: SessionSignInInput,
    retry: &mut RetryAfter,
) -> Result<SessionSignInPayload, Stop<SessionSignInErrorCode>> {
    let scope = at_the_door(ctx)?;
    let mut wrong = Complaints::new();
    let email = email(&mut wrong, &input.email);
    let password = wrong.take(&["password"], Password::new(&input.password));
    let (Some(email), Some(password)) = (email, password) else { return Err(wrong.into()) };
    let begun = sign_in(ctx.db(), &scope, &SignIn { email, password }).await.map_err(|error| retry.noted(error))?;
    Ok(SessionSignInPayload {
        token: Some(begun.secret.expose().to_owned()),
        expires_at: Some(begun.session.expires_at),
        viewer: Some(Viewer(begun.viewer)),
        ..Default::default()
    })
}

async fn leave(ctx: &Context<'_>) -> Result<SessionSignOutPayload, Stop<SessionSignOutErrorCode>> {
    let scope = ctx.scope(OwnSession)?;
    sign_out(ctx.db(), &scope).await.internal()?;
    Ok(SessionSignOutPayload { signed_out: Some(true), ..Default::default() })
}

async fn end_session(ctx: &Context<'_>, input: SessionRevokeInput) -> Result<SessionRevokePayload, Stop<SessionRevokeErrorCode>> {
    let scope = ctx.scope(OwnAccount)?;
    let mut wrong = Complaints::new();
    let Some(session) = wrong.take(&["id"], id::<SessionId>(&input.id)) else { return Err(wrong.into()) };
    revoke_session(ctx.db(), &scope, session).await?;
    Ok(SessionRevokePayload { id: Some(global(session)), ..Default::default() })
}

async fn begin_as_guest(
    ctx: &Context<'_>,
    input: GuestStartInput,
    retry: &mut RetryAfter,
) -> Result<GuestStartPayload, Stop<GuestStartErrorCode>> {
    let scope = at_the_door(ctx)?;
    let mut wrong = Complaints::new();
    let Some(email) = email(&mut wrong, &input.email) else { return Err(wrong.into()) };
    start_guest(ctx.db(), &scope, &email).await.map_err(|error| retry.noted(error))?;
    Ok(GuestStartPayload { accepted: Some(true), ..Default::default() })
}

async fn go_on_as_guest(ctx: &Context<'_>, input: GuestConfirmInput) -> Result<GuestConfirmPayload, Stop<GuestConfirmErrorCode>> {
    let scope = at_the_door(ctx)?;
    let mut wrong = Complaints::new();
    let Some(link) = link(&mut wrong, &input.link) else { return Err(wrong.into()) };
    let begun = confirm_guest(ctx.db(), &scope, &link).await?;
    Ok(GuestConfirmPayload {
        token: Some(begun.secret.expose().to_owned()),
        expires_at: Some(begun.session.expires_at),
        viewer: Some(Viewer(begun.viewer)),
        ..Default::default()
    })
}

async fn ask_buyer(
    ctx: &Context<'_>,
    input: SessionRequestInput,
    retry: &mut RetryAfter,
) -> Result<SessionRequestPayload, Stop<SessionRequestErrorCode>> {
    let scope = ctx.scope(OpenSessions)?;
    let mut wrong = Complaints::new();
    let Some(email) = email(&mut wrong, &input.email) else { return Err(wrong.into()) };
    request_session(ctx.db(), &scope, &email).await.map_err(|error| retry.noted(error))?;
    Ok(SessionRequestPayload { accepted: Some(true), ..Default::default() })
}

async fn open_for_buyer(ctx: &Context<'_>, input: SessionOpenInput) -> Result<SessionOpenPayload, Stop<SessionOpenErrorCode>> {
    let scope = ctx.scope(OpenSessions)?;
    let mut wrong = Complaints::new();
    let Some(link) = link(&mut wrong, &input.link) else { return Err(wrong.into()) };
    let begun = open_session(ctx.db(), &scope, &link).await?;
    Ok(SessionOpenPayload {
        token: Some(begun.secret.expose().to_owned()),
        expires_at: Some(begun.session.expires_at),
        viewer: Some(Viewer(begun.viewer)),
        ..Default::default()
    })
}

async fn make_token(ctx: &Context<'_>, input: ApiTokenCreateInput) -> Result<ApiTokenCreatePayload, Stop<ApiTokenCreateErrorCode>> {
    let mut wrong = Complaints::new();
    let creator = whose(&mut wrong, input.creator_id.as_ref());
    let name = checked_name(wrong, &input.name)?;
    let scope = ctx.scope_at(ManageTokens { creator }, "creatorId")?;
    let permissions = input.permissions.into_iter().map(Into::into).collect();
    let request = CreateToken { name, kind: input.kind.into(), permissions, expires_at: input.expires_at };
    let made = create_token(ctx.db(), &scope, request).await?;
    Ok(ApiTokenCreatePayload {
        secret: Some(made.secret.expose().to_owned()),
        token: Some(ApiToken(made.token)),
        ..Default::default()
    })
}

fn checked_name<C: CommonCode>(mut wrong: Complaints<C>, name: &str) -> Result<TokenName, Stop<C>> {
    let name = wrong.take(&["name"], TokenName::new(name));
    checked(wrong, name)
}

async fn kill_token(ctx: &Context<'_>, input: ApiTokenRevokeInput) -> Result<ApiTokenRevokePayload, Stop<ApiTokenRevokeErrorCode>> {
    let mut wrong = Complaints::new();
    let creator = whose(&mut wrong, input.creator_id.as_ref());
    let token = wrong.take(&["id"], id(&input.id));
    let token = checked(wrong, token)?;
    let scope = ctx.scope_at(ManageTokens { creator }, "creatorId")?;
    let token = revoke_token(ctx.db(), &scope, token).await?;
    Ok(ApiTokenRevokePayload { token: Some(ApiToken(token)), ..Default::default() })
}

/// To sign up, in and out, to buy as a guest, and to make and revoke API tokens.
#[derive(Default)]
pub struct AccountsMutation;

#[Object]
impl AccountsMutation {
    /// Sign up with an address and a password. A letter with a link goes to the address; `accountConfirmEmail` takes its code.
    /// Whether there was an account before is told to the reader of the letter only.
    async fn account_sign_up(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who wants an account.")] input: AccountSignUpInput,
    ) -> async_graphql::Result<AccountSignUpPayload> {
        let mut retry = RetryAfter::default();
        let payload = AccountSignUpPayload::of(register(ctx, input, &mut retry).await)?;
        Ok(AccountSignUpPayload { retry_after_seconds: retry.0, ..payload })
    }

    /// Confirm the address of an account by the letter's link.
    async fn account_confirm_email(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof that the address is its owner's.")] input: AccountConfirmEmailInput,
    ) -> async_graphql::Result<AccountConfirmEmailPayload> {
        AccountConfirmEmailPayload::of(confirm(ctx, input).await)
    }

    /// Ask for a letter with a link that lets one choose a new password.
    async fn account_request_password_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose password is forgotten.")] input: AccountRequestPasswordResetInput,
    ) -> async_graphql::Result<AccountRequestPasswordResetPayload> {
        let mut retry = RetryAfter::default();
        let payload = AccountRequestPasswordResetPayload::of(forgot(ctx, input, &mut retry).await)?;
        Ok(AccountRequestPasswordResetPayload { retry_after_seconds: retry.0, ..payload })
    }

    /// Choose a new password by the letter's link. It confirms the address too, and ends all sessions of the account.
    async fn account_reset_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new password, and the right to choose it.")] input: AccountResetPasswordInput,
    ) -> async_graphql::Result<AccountResetPasswordPayload> {
        AccountResetPasswordPayload::of(reset(ctx, input).await)
    }

    /// Change one's own account.
    async fn account_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: AccountUpdateInput,
    ) -> async_graphql::Result<AccountUpdatePayload> {
        AccountUpdatePayload::of(update(ctx, input).await)
    }

    /// Change one's own password. It ends all other sessions of the account.
    async fn account_change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The present password and the new one.")] input: AccountChangePasswordInput,
    ) -> async_graphql::Result<AccountChangePasswordPayload> {
        let mut retry = RetryAfter::default();
        let payload = AccountChangePasswordPayload::of(new_password(ctx, input, &mut retry).await)?;
        Ok(AccountChangePasswordPayload { retry_after_seconds: retry.0, ..payload })
    }

    /// Sign in: begins a session of 30 days. The address need not be confirmed; what needs that says so.
    async fn session_sign_in(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who wants in.")] input: SessionSignInInput,
    ) -> async_graphql::Result<SessionSignInPayload> {
        let mut retry = RetryAfter::default();
        let payload = SessionSignInPayload::of(enter(ctx, input, &mut retry).await)?;
        Ok(SessionSignInPayload { retry_after_seconds: retry.0, ..payload })
    }

    /// Sign out: ends the session of the request's bearer token, an account's or a guest's.
    async fn session_sign_out(&self, ctx: &Context<'_>) -> async_graphql::Result<SessionSignOutPayload> {
        SessionSignOutPayload::of(leave(ctx).await)
    }

    /// End one session of one's own account, such as that of a lost device.
    async fn session_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which session is to end.")] input: SessionRevokeInput,
    ) -> async_graphql::Result<SessionRevokePayload> {
        SessionRevokePayload::of(end_session(ctx, input).await)
    }

    /// Begin to buy without an account. A letter with a link goes to the address; `guestConfirm` takes its code.
    async fn guest_start(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who wants to buy.")] input: GuestStartInput,
    ) -> async_graphql::Result<GuestStartPayload> {
        let mut retry = RetryAfter::default();
        let payload = GuestStartPayload::of(begin_as_guest(ctx, input, &mut retry).await)?;
        Ok(GuestStartPayload { retry_after_seconds: retry.0, ..payload })
    }

    /// Go on as a guest by the letter's link: begins a session of 24 hours, good for reserving and paying.
    async fn guest_confirm(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof that the address is the guest's.")] input: GuestConfirmInput,
    ) -> async_graphql::Result<GuestConfirmPayload> {
        GuestConfirmPayload::of(go_on_as_guest(ctx, input).await)
    }

    /// Ask a buyer, by a letter that names the storefront, to let it open a session. For secret tokens with SESSIONS_OPEN.
    async fn session_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which buyer is asked.")] input: SessionRequestInput,
    ) -> async_graphql::Result<SessionRequestPayload> {
        let mut retry = RetryAfter::default();
        let payload = SessionRequestPayload::of(ask_buyer(ctx, input, &mut retry).await)?;
        Ok(SessionRequestPayload { retry_after_seconds: retry.0, ..payload })
    }

    /// Open a session of 30 days for a buyer who agreed, by the letter's link. In it the person is a buyer and nothing more. For the
    /// secret token that asked.
    async fn session_open(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof that the buyer agreed.")] input: SessionOpenInput,
    ) -> async_graphql::Result<SessionOpenPayload> {
        SessionOpenPayload::of(open_for_buyer(ctx, input).await)
    }

    /// Make an API token. For owners of the creator, and for administrators of the marketplace, signed in; its secret is shown once.
    async fn api_token_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token to be made.")] input: ApiTokenCreateInput,
    ) -> async_graphql::Result<ApiTokenCreatePayload> {
        ApiTokenCreatePayload::of(make_token(ctx, input).await)
    }

    /// Revoke an API token, and with it the sessions that it opened for buyers. One that is revoked already stays so.
    async fn api_token_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which token is to be worthless.")] input: ApiTokenRevokeInput,
    ) -> async_graphql::Result<ApiTokenRevokePayload> {
        ApiTokenRevokePayload::of(kill_token(ctx, input).await)
    }
}
