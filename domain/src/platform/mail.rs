//! Letters: what may be sent to whom, and the port that sends. Texts are written by the workers.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids::{AccountId, CheckoutId, EntityId, GuestId, TokenId};

/// A letter to be written. It names its recipient by id: the address is read, and a link's secret
/// is made, when the letter is written, so that neither waits in a task row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "letter", rename_all = "snake_case")]
pub enum Letter {
    /// The link that confirms the e-mail address of a new account.
    ConfirmEmail { account: AccountId },
    /// Somebody signed up with the address of an account that exists.
    AlreadySignedUp { account: AccountId },
    /// The link that lets the owner choose a new password.
    ResetPassword { account: AccountId },
    /// The link with which a guest proves to read an address.
    ConfirmGuest { guest: GuestId },
    /// The link with which a buyer lets a storefront's server open a session.
    OpenSession { account: AccountId, token: TokenId },
    /// Units are held; says until when.
    Held { checkout: CheckoutId },
    /// The deposit is paid.
    Confirmed { checkout: CheckoutId },
    /// The hold ran out.
    Lapsed { checkout: CheckoutId },
}

impl Letter {
    /// The public id of what it is about: an account, a guest or a checkout.
    pub fn subject(&self) -> String {
        match self {
            Self::ConfirmEmail { account }
            | Self::AlreadySignedUp { account }
            | Self::ResetPassword { account }
            | Self::OpenSession { account, .. } => account.public(),
            Self::ConfirmGuest { guest } => guest.public(),
            Self::Held { checkout } | Self::Confirmed { checkout } | Self::Lapsed { checkout } => checkout.public(),
        }
    }
}

/// A letter ready to go.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Stable over attempts: becomes the Message-ID, so that a doubled letter can be recognised.
    pub id: String,
    /// When it was asked for; stable over attempts too.
    pub asked_at: DateTime<Utc>,
    /// The recipient's address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// Why a letter did not go.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server or the disk may do better later.
    #[error("mail could not be sent now: {0}")]
    Later(String),
    /// It never will: the address is not one.
    #[error("mail cannot be sent: {0}")]
    Never(String),
}

/// The port that sends letters.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands over one letter.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}
