//! Mutations that create an account and change the viewer's own account.
//!
//! Inputs with secrets do not implement `Debug`, and their secret fields are marked, so that they cannot
//! appear in a log.

use async_graphql::{Context, InputObject, Object};
use domain::{
    accounts::{
        AccountName, ChangePassword, ChangePasswordRefusal, ConfirmEmailRefusal, Email, Password,
        RequestPasswordResetRefusal, ResetPassword, ResetPasswordRefusal, SignUp, SignUpRefusal, change_name,
        change_password, confirm_email, queries, request_password_reset, reset_password, sign_up,
    },
    platform::{NeverRefused, access::OwnAccount},
};

use super::{
    Account,
    entry::{entry_scope, link},
};
use crate::graphql::{
    context::ContextExt,
    errors::Internal,
    input::{Form, parsed},
    payload::{answer, payload},
    user_error::user_error,
};

user_error!(
    AccountSignUpError, AccountSignUpErrorCode,
    SignUpRefusal {} wait: TooManyTries = "There were too many tries from your network, or too many e-mails \
        to this address. `retryAfterSeconds` says how long to wait."
);
user_error!(
    AccountConfirmEmailError,
    AccountConfirmEmailErrorCode,
    ConfirmEmailRefusal {
        LinkInvalid: "The link is unknown, used or expired. `accountSignUp` sends a new one."
    }
);
user_error!(
    AccountRequestPasswordResetError, AccountRequestPasswordResetErrorCode,
    RequestPasswordResetRefusal {} wait: TooManyTries = "There were too many tries from your network, or too \
        many e-mails to this address. `retryAfterSeconds` says how long to wait."
);
user_error!(
    AccountResetPasswordError,
    AccountResetPasswordErrorCode,
    ResetPasswordRefusal {
        LinkInvalid: "The link is unknown, used or expired. `accountRequestPasswordReset` sends a new one.",
    }
);
user_error!(AccountUpdateError, AccountUpdateErrorCode, NeverRefused {});
user_error!(AccountChangePasswordError, AccountChangePasswordErrorCode, ChangePasswordRefusal {
    WrongPassword: "The present password is wrong, or the account has none. `accountRequestPasswordReset` \
        sends a link to set one.",
} wait: TooManyTries = "There were too many tries for this account. `retryAfterSeconds` says how long to \
    wait.");

payload!(AccountSignUpPayload, AccountSignUpError {
    /// True if the request was accepted. An e-mail is sent to the address, whether or not there is an account
    /// already.
    accepted: bool,
} retry_after_seconds);
payload!(
    AccountConfirmEmailPayload,
    AccountConfirmEmailError {
        /// The confirmed account. The mutation does not sign in.
        account: Account,
    }
);
payload!(AccountRequestPasswordResetPayload, AccountRequestPasswordResetError {
    /// True if the request was accepted. An e-mail is sent to the address if there is an account. The result
    /// is the same if there is none.
    accepted: bool,
} retry_after_seconds);
payload!(
    AccountResetPasswordPayload,
    AccountResetPasswordError {
        /// The account with its new password. All of its sessions have ended, and the mutation does not sign
        /// in.
        account: Account,
    }
);
payload!(
    AccountUpdatePayload,
    AccountUpdateError {
        /// The account after the change.
        account: Account,
    }
);
payload!(AccountChangePasswordPayload, AccountChangePasswordError {
    /// The account with its new password. All of its other sessions have ended.
    account: Account,
} retry_after_seconds);

/// A request for an account.
#[derive(InputObject)]
pub struct AccountSignUpInput {
    /// The e-mail address, at most {EMAIL_CHARS} characters. An e-mail with a link is sent there.
    pub email: String,
    /// The password: {PASSWORD_CHARS} characters of any script, as typed.
    #[graphql(secret)]
    pub password: String,
    /// The name that the person wants to be called, at most {ACCOUNT_NAME_CHARS} characters.
    pub name: String,
}

/// The proof that an e-mail address belongs to the account's owner.
#[derive(InputObject)]
pub struct AccountConfirmEmailInput {
    /// The `code` of the link in the e-mail. It works once, for {CONFIRM_EMAIL_LASTS}.
    #[graphql(secret)]
    pub link: String,
}

/// The account whose password is to be reset.
#[derive(InputObject)]
pub struct AccountRequestPasswordResetInput {
    /// The e-mail address of the account.
    pub email: String,
}

/// A new password, with the code of the link in the e-mail.
#[derive(InputObject)]
pub struct AccountResetPasswordInput {
    /// The `code` of the link in the e-mail. It works once, for {RESET_PASSWORD_LASTS}.
    #[graphql(secret)]
    pub link: String,
    /// The new password: {PASSWORD_CHARS} characters of any script, as typed.
    #[graphql(secret)]
    pub password: String,
}

/// The changes to the viewer's own account. Fields that are left out stay as they are.
#[derive(InputObject)]
pub struct AccountUpdateInput {
    /// The name that the person wants to be called, at most {ACCOUNT_NAME_CHARS} characters.
    pub name: Option<String>,
}

/// The present and the new password.
#[derive(InputObject)]
pub struct AccountChangePasswordInput {
    /// The present password.
    #[graphql(secret)]
    pub old_password: String,
    /// The new password: {PASSWORD_CHARS} characters of any script, as typed.
    #[graphql(secret)]
    pub new_password: String,
}

/// The mutations of accounts.
#[derive(Default)]
pub struct AccountsMutation;

#[Object]
impl AccountsMutation {
    /// Signs up with an e-mail address and a password. An e-mail with a link is sent to the address, and
    /// `accountConfirmEmail` takes the code of the link. Only the e-mail says whether there was an account
    /// already.
    async fn account_sign_up(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new account.")] input: AccountSignUpInput,
    ) -> async_graphql::Result<AccountSignUpPayload> {
        answer(async {
            let scope = entry_scope(ctx)?;
            let mut form = Form::new();
            let request = parsed!(SignUp {
                email: form.field("email", Email::new(&input.email)),
                password: form.field("password", Password::new(&input.password)),
                name: form.field("name", AccountName::new(&input.name)),
            });
            sign_up(ctx.db(), &scope, form.finish(request)?).await?;
            Ok(AccountSignUpPayload::done(true))
        })
        .await
    }

    /// Confirms the e-mail address of an account with the code of the link in the e-mail.
    async fn account_confirm_email(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof that the address is the owner's.")] input: AccountConfirmEmailInput,
    ) -> async_graphql::Result<AccountConfirmEmailPayload> {
        answer(async {
            let scope = entry_scope(ctx)?;
            let mut form = Form::new();
            let link = link(&mut form, &input.link);
            let row = confirm_email(ctx.db(), &scope, &form.finish(link)?).await?;
            Ok(AccountConfirmEmailPayload::done(Account::seen_by(ctx.viewer(), row)))
        })
        .await
    }

    /// Requests an e-mail with a link for setting a new password.
    async fn account_request_password_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account.")] input: AccountRequestPasswordResetInput,
    ) -> async_graphql::Result<AccountRequestPasswordResetPayload> {
        answer(async {
            let scope = entry_scope(ctx)?;
            let mut form = Form::new();
            let email = form.field("email", Email::new(&input.email));
            request_password_reset(ctx.db(), &scope, &form.finish(email)?).await?;
            Ok(AccountRequestPasswordResetPayload::done(true))
        })
        .await
    }

    /// Sets a new password with the code of the link in the e-mail. It also confirms the address, and ends
    /// all sessions of the account.
    async fn account_reset_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new password and the code.")] input: AccountResetPasswordInput,
    ) -> async_graphql::Result<AccountResetPasswordPayload> {
        answer(async {
            let scope = entry_scope(ctx)?;
            let mut form = Form::new();
            let request = parsed!(ResetPassword {
                link: link(&mut form, &input.link),
                password: form.field("password", Password::new(&input.password)),
            });
            let row = reset_password(ctx.db(), &scope, form.finish(request)?).await?;
            Ok(AccountResetPasswordPayload::done(Account::seen_by(ctx.viewer(), row)))
        })
        .await
    }

    /// Changes the viewer's own account.
    async fn account_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: AccountUpdateInput,
    ) -> async_graphql::Result<AccountUpdatePayload> {
        answer(async {
            let scope = ctx.scope(OwnAccount)?;
            let mut form = Form::new();
            let name = form.optional("name", input.name.as_deref().map(AccountName::new));
            let row = match form.finish(name)? {
                Some(name) => Some(change_name(ctx.db(), &scope, name).await.internal()?),
                None => queries::own_account(ctx.db(), &scope).await.internal()?,
            };
            Ok(AccountUpdatePayload::done(row.map(|row| Account::seen_by(ctx.viewer(), row))))
        })
        .await
    }

    /// Changes the password of the viewer's own account, and ends all of its other sessions.
    async fn account_change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The present and the new password.")] input: AccountChangePasswordInput,
    ) -> async_graphql::Result<AccountChangePasswordPayload> {
        answer(async {
            let scope = ctx.scope(OwnAccount)?;
            let mut form = Form::new();
            let request = parsed!(ChangePassword {
                old: form.field("oldPassword", Password::new(&input.old_password)),
                new: form.field("newPassword", Password::new(&input.new_password)),
            });
            let row = change_password(ctx.db(), &scope, form.finish(request)?).await?;
            Ok(AccountChangePasswordPayload::done(Account::seen_by(ctx.viewer(), row)))
        })
        .await
    }
}
