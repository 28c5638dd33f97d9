//! The letters to people who have an account, and to people who start to buy as a guest.

use sea_orm::DbErr;
use serde::{Deserialize, Serialize};

use super::{
    account, api_token, guest,
    links::{self, LinkPurpose, NewLink},
};
use crate::platform::{
    EntityId,
    ids::{AccountId, GuestId, TokenId},
    in_tx,
    mail::{Letter, LetterContext, LetterLink, LetterText, Recipient, one_line},
    tasks::TaskError,
};

/// Addresses a letter to the owner of an account, by name.
fn owner(account: account::Model) -> Recipient {
    Recipient { address: account.email.as_str().to_owned(), name: Some(account.name) }
}

fn letter_link(context: &LetterContext<'_>, page: &str, link: NewLink) -> LetterLink {
    LetterLink::new(context, page, link.secret, link.expires_at)
}

/// Returns the owner of an account and a new link for the purpose. Returns `None` if the account does not
/// exist or is not `wanted`.
async fn owner_with_link(
    context: &LetterContext<'_>,
    account: AccountId,
    page: &str,
    wanted: fn(&account::Model) -> bool,
    purpose: fn(AccountId) -> LinkPurpose,
) -> Result<Option<(Recipient, LetterLink)>, TaskError> {
    let made = in_tx(context.db, context.scope.actor(), async |tx| {
        let Some(account) = account::by_id(tx.conn(), account).await?.filter(wanted) else { return Ok(None) };
        let link = links::issue(tx, purpose(account.id)).await?;
        Ok::<_, DbErr>(Some((account, link)))
    });
    Ok(made.await?.map(|(account, link)| (owner(account), letter_link(context, page, link))))
}

/// The link that confirms the e-mail address of a new account. Sent to the owner, unless the address has been
/// confirmed in the meantime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmEmailLetter {
    /// The account whose address is to be confirmed.
    pub account: AccountId,
}

impl Letter for ConfirmEmailLetter {
    type Content = LetterLink;

    const KIND: &'static str = "confirm_email";

    fn subject(&self) -> String {
        self.account.public()
    }

    async fn prepare(
        &self,
        context: &LetterContext<'_>,
    ) -> Result<Option<(Recipient, LetterLink)>, TaskError> {
        let unconfirmed = |account: &account::Model| account.email_confirmed_at.is_none();
        owner_with_link(context, self.account, "confirm-email", unconfirmed, LinkPurpose::ConfirmEmail).await
    }

    fn words(link: &LetterLink) -> LetterText {
        LetterText {
            subject: "Confirm your e-mail address".to_owned(),
            body: format!(
                "Please confirm that this address is yours.\n\n{}\n\
                 If you did not sign up, ignore this letter: nothing will happen.\n",
                link.invitation()
            ),
        }
    }
}

/// Tells the owner of an account that somebody signed up with its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlreadySignedUpLetter {
    /// The account.
    pub account: AccountId,
}

impl Letter for AlreadySignedUpLetter {
    type Content = ();

    const KIND: &'static str = "already_signed_up";

    fn subject(&self) -> String {
        self.account.public()
    }

    async fn prepare(&self, context: &LetterContext<'_>) -> Result<Option<(Recipient, ())>, TaskError> {
        Ok(account::by_id(context.db.reader(), self.account).await?.map(|account| (owner(account), ())))
    }

    fn words((): &()) -> LetterText {
        LetterText {
            subject: "You already have an account".to_owned(),
            body: "Somebody, probably you, signed up with this address. It has an account already, so \
                   nothing was changed.\n\n\
                   Sign in as before. If you forgot your password, ask for a new one where you sign in.\n"
                .to_owned(),
        }
    }
}

/// The link with which the owner of an account chooses a new password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetPasswordLetter {
    /// The account.
    pub account: AccountId,
}

impl Letter for ResetPasswordLetter {
    type Content = LetterLink;

    const KIND: &'static str = "reset_password";

    fn subject(&self) -> String {
        self.account.public()
    }

    async fn prepare(
        &self,
        context: &LetterContext<'_>,
    ) -> Result<Option<(Recipient, LetterLink)>, TaskError> {
        owner_with_link(context, self.account, "reset-password", |_| true, LinkPurpose::ResetPassword).await
    }

    fn words(link: &LetterLink) -> LetterText {
        LetterText {
            subject: "Choose a new password".to_owned(),
            body: format!(
                "Somebody, probably you, asked for a new password for your account.\n\n{}\n\
                 If it was not you, ignore this letter: your password stays as it is.\n",
                link.invitation()
            ),
        }
    }
}

/// The link with which a guest confirms an address. Sent to that address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmGuestLetter {
    /// The guest.
    pub guest: GuestId,
}

impl Letter for ConfirmGuestLetter {
    type Content = LetterLink;

    const KIND: &'static str = "confirm_guest";

    fn subject(&self) -> String {
        self.guest.public()
    }

    async fn prepare(
        &self,
        context: &LetterContext<'_>,
    ) -> Result<Option<(Recipient, LetterLink)>, TaskError> {
        let made = in_tx(context.db, context.scope.actor(), async |tx| {
            let Some(guest) = guest::by_id(tx.conn(), self.guest).await? else { return Ok(None) };
            let link = links::issue(tx, LinkPurpose::ConfirmGuest(guest.id)).await?;
            Ok::<_, DbErr>(Some((guest, link)))
        });
        let to = |guest: guest::Model| Recipient { address: guest.email.as_str().to_owned(), name: None };
        Ok(made.await?.map(|(guest, link)| (to(guest), letter_link(context, "confirm-guest", link))))
    }

    fn words(link: &LetterLink) -> LetterText {
        LetterText {
            subject: "Confirm your e-mail address to reserve".to_owned(),
            body: format!(
                "Please confirm that this address is yours; then you can reserve without an account.\n\n{}\n\
                 If you did not ask for this, ignore this letter: nothing will happen.\n",
                link.invitation()
            ),
        }
    }
}

/// The link with which the owner of an account lets a storefront's server open a session. It is sent only
/// while the storefront's token is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSessionLetter {
    /// The account that the session is for.
    pub account: AccountId,
    /// The storefront's token.
    pub token: TokenId,
}

impl Letter for OpenSessionLetter {
    /// The name of the storefront (its token's name), and the link.
    type Content = (String, LetterLink);

    const KIND: &'static str = "open_session";

    fn subject(&self) -> String {
        self.account.public()
    }

    async fn prepare(
        &self,
        context: &LetterContext<'_>,
    ) -> Result<Option<(Recipient, Self::Content)>, TaskError> {
        let made = in_tx(context.db, context.scope.actor(), async |tx| {
            let Some(token) = api_token::live_by_id(tx.conn(), self.token, tx.now()).await? else {
                return Ok(None);
            };
            let Some(account) = account::by_id(tx.conn(), self.account).await? else { return Ok(None) };
            let link = links::issue(tx, LinkPurpose::OpenSession(account.id, token.id)).await?;
            Ok::<_, DbErr>(Some((account, token, link)))
        });
        let made = made.await?;
        Ok(made.map(|(account, token, link)| {
            (owner(account), (token.name, letter_link(context, "open-session", link)))
        }))
    }

    fn words((storefront, link): &Self::Content) -> LetterText {
        LetterText {
            subject: "Sign in to a shop".to_owned(),
            body: format!(
                "The shop \"{}\" asks to sign you in. Only go on if you were just there.\n\n{}\n\
                 If you were not, ignore this letter: nobody is signed in.\n",
                one_line(storefront),
                link.invitation()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::platform::entropy::Secret;

    #[test]
    fn a_link_has_its_own_line_with_its_code_and_its_validity() {
        let secret = Secret::presented("sr_link_abc").unwrap();
        let url = "https://shop.example/confirm-email?code=sr_link_abc".to_owned();
        let link = LetterLink { url, secret, valid: TimeDelta::hours(48) };
        for LetterText { subject, body } in [
            ConfirmEmailLetter::words(&link),
            ResetPasswordLetter::words(&link),
            ConfirmGuestLetter::words(&link),
            OpenSessionLetter::words(&("Clay & Co".to_owned(), link.clone())),
        ] {
            assert!(body.contains("\nhttps://shop.example/confirm-email?code=sr_link_abc\n"), "{body}");
            assert!(body.contains("\nsr_link_abc\n") && body.contains("within 48 hours;"), "{body}");
            assert!(!subject.contains("sr_link"));
        }
    }

    #[test]
    fn the_name_of_a_storefront_cannot_start_a_line_of_its_own() {
        let link = LetterLink {
            url: String::new(),
            secret: Secret::presented("sr_link_abc").unwrap(),
            valid: TimeDelta::zero(),
        };
        let body = OpenSessionLetter::words(&("Clay\n\"Nobody\"".to_owned(), link)).body;
        assert!(body.starts_with("The shop \"Clay \"Nobody\"\" asks"), "{body}");
    }
}
