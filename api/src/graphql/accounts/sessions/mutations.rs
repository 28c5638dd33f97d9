//! Mutations that sign accounts in and out, start sessions for guests, and let storefronts open sessions for
//! buyers who agreed to that.
//!
//! Inputs with secrets do not implement `Debug`, and their secret fields are marked with
//! `#[graphql(secret)]`, so that secrets cannot appear in a log.

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use domain::{
    accounts::{
        ConfirmGuestRefusal, Email, OpenSessionRefusal, Password, RequestSessionRefusal,
        RevokeSessionRefusal, SignIn, SignInRefusal, StartGuestRefusal, confirm_guest, open_session,
        request_session, revoke_session, sign_in, sign_out, start_guest,
    },
    platform::{
        NeverRefused,
        access::{OpenSessions, OwnAccount, OwnSession},
        ids::SessionId,
    },
};

use crate::graphql::{
    accounts::{
        Viewer,
        entry::{entry_scope, link},
    },
    context::{ContextExt, global},
    errors::Internal,
    input::{Form, parsed},
    payload::{answer, payload},
    user_error::user_error,
};

user_error!(SessionSignInError, SessionSignInErrorCode, SignInRefusal {
    BadCredentials: "The e-mail address or the password is wrong. The error does not say which.",
} wait: TooManyTries = "There were too many tries for this address, or from your network. \
    `retryAfterSeconds` says how long to wait.");
user_error!(SessionSignOutError, SessionSignOutErrorCode, NeverRefused {});
user_error!(SessionRevokeError, SessionRevokeErrorCode, RevokeSessionRefusal {} not_found: NotFound);
user_error!(
    GuestStartError, GuestStartErrorCode,
    StartGuestRefusal {} wait: TooManyTries = "There were too many tries from your network, or too many \
        e-mails to this address. `retryAfterSeconds` says how long to wait."
);
user_error!(
    GuestConfirmError,
    GuestConfirmErrorCode,
    ConfirmGuestRefusal {
        LinkInvalid: "The link is unknown, used or expired. `guestStart` sends a new one."
    }
);
user_error!(
    SessionRequestError, SessionRequestErrorCode,
    RequestSessionRefusal {} wait: TooManyTries = "There were too many tries by this storefront, or too many \
        e-mails to this address. `retryAfterSeconds` says how long to wait."
);
user_error!(
    SessionOpenError,
    SessionOpenErrorCode,
    OpenSessionRefusal {
        LinkInvalid: "The link is unknown, used or expired, or another storefront requested it."
    }
);

payload!(SessionSignInPayload, SessionSignInError {
    /// The bearer token of the session, which is shown only this once. Send it as `Authorization: Bearer …`.
    token: String,
    /// When the session ends.
    expires_at: DateTime<Utc>,
    /// The viewer that the bearer token identifies.
    viewer: Viewer,
} retry_after_seconds);
payload!(
    SessionSignOutPayload,
    SessionSignOutError {
        /// True if the session has ended. Its token no longer works.
        signed_out: bool,
    }
);
payload!(
    SessionRevokePayload,
    SessionRevokeError {
        /// The global id of the session, which has ended.
        id: ID,
    }
);
payload!(GuestStartPayload, GuestStartError {
    /// True if the request was accepted. An e-mail is sent to the address. The result is the same for every
    /// address.
    accepted: bool,
} retry_after_seconds);
payload!(GuestConfirmPayload, GuestConfirmError {
    /// The bearer token of the guest's session, which is shown only this once. Send it as `Authorization:
    /// Bearer …`.
    token: String,
    /// When the session ends.
    expires_at: DateTime<Utc>,
    /// The viewer that the bearer token identifies.
    viewer: Viewer,
});
payload!(SessionRequestPayload, SessionRequestError {
    /// True if the request was accepted. An e-mail is sent to the address if it is the confirmed address of
    /// an account. Otherwise none is sent, but the result is the same.
    accepted: bool,
} retry_after_seconds);
payload!(SessionOpenPayload, SessionOpenError {
    /// The bearer token of the buyer's session, which is shown only this once. Keep it on the server.
    token: String,
    /// When the session ends.
    expires_at: DateTime<Utc>,
    /// The viewer that the bearer token identifies.
    viewer: Viewer,
});

/// The credentials of an account.
#[derive(InputObject)]
pub struct SessionSignInInput {
    /// The e-mail address of the account.
    pub email: String,
    /// The password.
    #[graphql(secret)]
    pub password: String,
}

/// The session to end.
#[derive(InputObject)]
pub struct SessionRevokeInput {
    /// The global id of one of the account's own sessions.
    pub id: ID,
}

/// A request to buy without an account.
#[derive(InputObject)]
pub struct GuestStartInput {
    /// The e-mail address, at most {EMAIL_CHARS} characters. An e-mail with a link is sent there.
    pub email: String,
}

/// The proof that an e-mail address belongs to the guest.
#[derive(InputObject)]
pub struct GuestConfirmInput {
    /// The `code` of the link in the e-mail. It works once, for {CONFIRM_GUEST_LASTS}.
    #[graphql(secret)]
    pub link: String,
}

/// A request to open a session for a buyer, to which the buyer must agree.
#[derive(InputObject)]
pub struct SessionRequestInput {
    /// The e-mail address of the buyer's account. An e-mail with a link is sent there. It calls the
    /// storefront by the name of the API token that makes the request.
    pub email: String,
}

/// The proof that a buyer agreed to a session.
#[derive(InputObject)]
pub struct SessionOpenInput {
    /// The `code` of the link in the e-mail. It works once, for {OPEN_SESSION_LASTS}, and only for the API
    /// token that requested the link.
    #[graphql(secret)]
    pub link: String,
}

/// The mutations that start and end sessions.
#[derive(Default)]
pub struct SessionsMutation;

#[Object]
impl SessionsMutation {
    /// Signs in: starts a session that lasts {SESSION_LASTS}. The e-mail address need not be confirmed, but
    /// some operations require a confirmed address.
    async fn session_sign_in(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The credentials.")] input: SessionSignInInput,
    ) -> async_graphql::Result<SessionSignInPayload> {
        answer(async {
            let scope = entry_scope(ctx)?;
            let mut form = Form::new();
            let request = parsed!(SignIn {
                email: form.field("email", Email::new(&input.email)),
                password: form.field("password", Password::new(&input.password)),
            });
            let begun = sign_in(ctx.db(), &scope, &form.finish(request)?).await?;
            Ok(SessionSignInPayload::done(
                begun.secret.expose().to_owned(),
                begun.session.expires_at,
                Viewer(begun.viewer),
            ))
        })
        .await
    }

    /// Signs out: ends the session of the request's bearer token. The session may be an account's or a
    /// guest's.
    async fn session_sign_out(&self, ctx: &Context<'_>) -> async_graphql::Result<SessionSignOutPayload> {
        answer(async {
            let scope = ctx.scope(OwnSession)?;
            sign_out(ctx.db(), &scope).await.internal()?;
            Ok(SessionSignOutPayload::done(true))
        })
        .await
    }

    /// Ends one session of the viewer's own account, such as the session of a lost device.
    async fn session_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session to end.")] input: SessionRevokeInput,
    ) -> async_graphql::Result<SessionRevokePayload> {
        answer(async {
            let scope = ctx.scope(OwnAccount)?;
            let mut form = Form::new();
            let session = form.id::<SessionId>("id", &input.id);
            let session = form.finish(session)?;
            revoke_session(ctx.db(), &scope, session).await?;
            Ok(SessionRevokePayload::done(global(session)))
        })
        .await
    }

    /// The first step to buy without an account. Sends an e-mail with a link to the address. The second step
    /// is `guestConfirm` with the code of the link.
    async fn guest_start(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The guest's e-mail address.")] input: GuestStartInput,
    ) -> async_graphql::Result<GuestStartPayload> {
        answer(async {
            let scope = entry_scope(ctx)?;
            let mut form = Form::new();
            let email = form.field("email", Email::new(&input.email));
            start_guest(ctx.db(), &scope, &form.finish(email)?).await?;
            Ok(GuestStartPayload::done(true))
        })
        .await
    }

    /// Starts the session of a guest, with the code of the link in the e-mail. The session lasts
    /// {GUEST_SESSION_LASTS}. In this session the guest can reserve and pay.
    async fn guest_confirm(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof that the address belongs to the guest.")] input: GuestConfirmInput,
    ) -> async_graphql::Result<GuestConfirmPayload> {
        answer(async {
            let scope = entry_scope(ctx)?;
            let mut form = Form::new();
            let link = link(&mut form, &input.link);
            let begun = confirm_guest(ctx.db(), &scope, &form.finish(link)?).await?;
            Ok(GuestConfirmPayload::done(
                begun.secret.expose().to_owned(),
                begun.session.expires_at,
                Viewer(begun.viewer),
            ))
        })
        .await
    }

    /// Asks a buyer by e-mail to let the storefront open a session for them. Requires a secret API token with
    /// the permission `SESSIONS_OPEN`.
    async fn session_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The buyer.")] input: SessionRequestInput,
    ) -> async_graphql::Result<SessionRequestPayload> {
        answer(async {
            let scope = ctx.scope(OpenSessions)?;
            let mut form = Form::new();
            let email = form.field("email", Email::new(&input.email));
            request_session(ctx.db(), &scope, &form.finish(email)?).await?;
            Ok(SessionRequestPayload::done(true))
        })
        .await
    }

    /// Opens a session for a buyer who agreed, with the code of the link in the e-mail. The session lasts
    /// {SESSION_LASTS}. In this session the viewer can buy, but cannot manage the account or act for
    /// creators. Requires the secret API token that requested the link.
    async fn session_open(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof that the buyer agreed.")] input: SessionOpenInput,
    ) -> async_graphql::Result<SessionOpenPayload> {
        answer(async {
            let scope = ctx.scope(OpenSessions)?;
            let mut form = Form::new();
            let link = link(&mut form, &input.link);
            let begun = open_session(ctx.db(), &scope, &form.finish(link)?).await?;
            Ok(SessionOpenPayload::done(
                begun.secret.expose().to_owned(),
                begun.session.expires_at,
                Viewer(begun.viewer),
            ))
        })
        .await
    }
}
