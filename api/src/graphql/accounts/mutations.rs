//! To sign up, and to change one's own account.
//!
//! Inputs with secrets have no `Debug`, and their fields are marked, so that no log can show them.

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
    context::Reach,
    errors::Internal,
    input::{Form, parsed},
    payload::{answer, payload},
    user_error::user_error,
};

user_error!(AccountSignUpError, AccountSignUpErrorCode, SignUpRefusal {} wait: TooManyTries = "Too often from your network, or too many letters to this address. `retryAfterSeconds` says how long to wait.");
user_error!(
    AccountConfirmEmailError,
    AccountConfirmEmailErrorCode,
    ConfirmEmailRefusal {
        LinkInvalid: "The link is unknown, was used, or has run out. Signing up again sends a new one."
    }
);
user_error!(AccountRequestPasswordResetError, AccountRequestPasswordResetErrorCode, RequestPasswordResetRefusal {} wait: TooManyTries = "Too often from your network, or too many letters to this address. `retryAfterSeconds` says how long to wait.");
user_error!(
    AccountResetPasswordError,
    AccountResetPasswordErrorCode,
    ResetPasswordRefusal {
        LinkInvalid: "The link is unknown, was used, or has run out. `accountRequestPasswordReset` sends a new one.",
    }
);
user_error!(AccountUpdateError, AccountUpdateErrorCode, NeverRefused {});
user_error!(AccountChangePasswordError, AccountChangePasswordErrorCode, ChangePasswordRefusal {
    WrongPassword: "The present password is another one, or there is none: `accountRequestPasswordReset` sets one.",
} wait: TooManyTries = "Too often for this account. `retryAfterSeconds` says how long to wait.");

payload!(AccountSignUpPayload, AccountSignUpError {
    /// True when it was taken: a letter goes to the address. The answer is the same whether there is an
    /// account already.
    accepted: bool,
} retry_after_seconds);
payload!(
    AccountConfirmEmailPayload,
    AccountConfirmEmailError {
        /// The account, confirmed. Nobody is signed in by this.
        account: Account,
    }
);
payload!(AccountRequestPasswordResetPayload, AccountRequestPasswordResetError {
    /// True when it was taken: a letter goes to the address if there is an account. The answer is the same if
    /// there is none.
    accepted: bool,
} retry_after_seconds);
payload!(
    AccountResetPasswordPayload,
    AccountResetPasswordError {
        /// The account with its new password. Nobody is signed in by this, and all of its sessions have
        /// ended.
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
payload!(AccountChangePasswordPayload, AccountChangePasswordError {
    /// The account with its new password. All of its sessions but this one have ended.
    account: Account,
} retry_after_seconds);

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

/// Writes of accounts.
#[derive(Default)]
pub struct AccountsMutation;

#[Object]
impl AccountsMutation {
    /// Sign up with an address and a password. A letter with a link goes to the address;
    /// `accountConfirmEmail` takes its code. Whether there was an account before is told to the reader of the
    /// letter only.
    async fn account_sign_up(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who wants an account.")] input: AccountSignUpInput,
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

    /// Confirm the address of an account by the letter's link.
    async fn account_confirm_email(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof that the address is its owner's.")] input: AccountConfirmEmailInput,
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

    /// Ask for a letter with a link that lets one choose a new password.
    async fn account_request_password_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose password is forgotten.")] input: AccountRequestPasswordResetInput,
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

    /// Choose a new password by the letter's link. It confirms the address too, and ends all sessions of the
    /// account.
    async fn account_reset_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new password, and the right to choose it.")] input: AccountResetPasswordInput,
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

    /// Change one's own account.
    async fn account_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: AccountUpdateInput,
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

    /// Change one's own password. It ends all other sessions of the account.
    async fn account_change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The present password and the new one.")] input: AccountChangePasswordInput,
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
