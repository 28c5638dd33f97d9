//! To sign in and out, to buy as a guest, and to open a session for a buyer who agreed.
//!
//! Inputs with secrets have no `Debug`, and their fields are marked, so that no log can show them.

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
    context::{Reach, global},
    errors::Internal,
    input::{Form, parsed},
    payload::{answer, payload},
    user_error::user_error,
};

user_error!(SessionSignInError, SessionSignInErrorCode, SignInRefusal {
    BadCredentials: "The e-mail address or the password is wrong. It is not told which.",
} wait: TooManyTries = "Too often for this address, or from your network. `retryAfterSeconds` says how long to wait.");
user_error!(SessionSignOutError, SessionSignOutErrorCode, NeverRefused {});
user_error!(SessionRevokeError, SessionRevokeErrorCode, RevokeSessionRefusal {} not_found: NotFound);
user_error!(GuestStartError, GuestStartErrorCode, StartGuestRefusal {} wait: TooManyTries = "Too often from your network, or too many letters to this address. `retryAfterSeconds` says how long to wait.");
user_error!(
    GuestConfirmError,
    GuestConfirmErrorCode,
    ConfirmGuestRefusal {
        LinkInvalid: "The link is unknown, was used, or has run out. `guestStart` sends a new one."
    }
);
user_error!(SessionRequestError, SessionRequestErrorCode, RequestSessionRefusal {} wait: TooManyTries = "Too often by this storefront, or too many letters to this address. `retryAfterSeconds` says how long to wait.");
user_error!(
    SessionOpenError,
    SessionOpenErrorCode,
    OpenSessionRefusal {
        LinkInvalid: "The link is unknown, was used, has run out, or was asked for by another storefront."
    }
);

payload!(SessionSignInPayload, SessionSignInError {
    /// The bearer token of the session, shown this once: send it as `Authorization: Bearer …`.
    token: String,
    /// Until when the session lasts.
    expires_at: DateTime<Utc>,
    /// Who the bearer is from now on.
    viewer: Viewer,
} retry_after_seconds);
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
payload!(GuestStartPayload, GuestStartError {
    /// True when it was taken: a letter goes to the address. The answer is the same for every address.
    accepted: bool,
} retry_after_seconds);
payload!(GuestConfirmPayload, GuestConfirmError {
    /// The bearer token of the guest's session, shown this once: send it as `Authorization: Bearer …`.
    token: String,
    /// Until when the session lasts.
    expires_at: DateTime<Utc>,
    /// Who the bearer is from now on.
    viewer: Viewer,
});
payload!(SessionRequestPayload, SessionRequestError {
    /// True when it was taken: a letter goes to the address if it is the confirmed one of an account. The
    /// answer is the same if not.
    accepted: bool,
} retry_after_seconds);
payload!(SessionOpenPayload, SessionOpenError {
    /// The bearer token of the buyer's session, shown this once. Keep it on the server.
    token: String,
    /// Until when the session lasts.
    expires_at: DateTime<Utc>,
    /// Who the bearer is from now on.
    viewer: Viewer,
});

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
    /// The address of the buyer's account. A letter with a link goes there and names the storefront by its
    /// token's name.
    pub email: String,
}

/// The proof that a buyer agreed.
#[derive(InputObject)]
pub struct SessionOpenInput {
    /// The `code` of the letter's link. Good once, for 15 minutes, and for the token that asked.
    #[graphql(secret)]
    pub link: String,
}

/// Writes of sessions, of accounts and of guests.
#[derive(Default)]
pub struct SessionsMutation;

#[Object]
impl SessionsMutation {
    /// Sign in: begins a session of 30 days. The address need not be confirmed; what needs that says so.
    async fn session_sign_in(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who wants in.")] input: SessionSignInInput,
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

    /// Sign out: ends the session of the request's bearer token, an account's or a guest's.
    async fn session_sign_out(&self, ctx: &Context<'_>) -> async_graphql::Result<SessionSignOutPayload> {
        answer(async {
            let scope = ctx.scope(OwnSession)?;
            sign_out(ctx.db(), &scope).await.internal()?;
            Ok(SessionSignOutPayload::done(true))
        })
        .await
    }

    /// End one session of one's own account, such as that of a lost device.
    async fn session_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which session is to end.")] input: SessionRevokeInput,
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

    /// Begin to buy without an account. A letter with a link goes to the address; `guestConfirm` takes its
    /// code.
    async fn guest_start(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who wants to buy.")] input: GuestStartInput,
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

    /// Go on as a guest by the letter's link: begins a session of 24 hours, good for reserving and paying.
    async fn guest_confirm(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof that the address is the guest's.")] input: GuestConfirmInput,
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

    /// Ask a buyer, by a letter that names the storefront, to let it open a session. For secret tokens with
    /// SESSIONS_OPEN.
    async fn session_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which buyer is asked.")] input: SessionRequestInput,
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

    /// Open a session of 30 days for a buyer who agreed, by the letter's link. In it the person is a buyer
    /// and nothing more. For the secret token that asked.
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
