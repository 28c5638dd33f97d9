//! Mail: the port that sends letters, and the task that writes and sends one letter.
//!
//! [`letter`] defines what a letter is. Each capability defines its own letters.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{DbErr, JsonValue};
use serde::{Deserialize, Serialize};

use super::{
    Inconsistency,
    entropy::Secret,
    faults::{self, Point},
    ids::EntityId,
    tasks::{Attempt, Queue, Task, TaskError},
};

pub mod letter;

pub use letter::{
    Letter, LetterContext, LetterKinds, LetterLink, LetterText, Recipient, WrittenLetter, one_line,
};

/// A letter that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The same in all attempts. It becomes the Message-ID, so that a duplicate can be recognised.
    pub id: String,
    /// When the letter was requested; the same in all attempts.
    pub asked_at: DateTime<Utc>,
    /// The recipient's address.
    pub to: String,
    /// The subject: one line.
    pub subject: String,
    /// The body, as plain text.
    pub text: String,
}

/// Why a letter was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A temporary failure of the server or the disk: a later attempt may succeed.
    #[error("mail could not be sent now: {0}")]
    Later(String),
    /// A permanent failure: the address is invalid.
    #[error("mail cannot be sent: {0}")]
    Never(String),
}

impl From<MailError> for TaskError {
    fn from(error: MailError) -> Self {
        match error {
            MailError::Later(_) => Self::retry(error),
            MailError::Never(_) => Self::discard(error),
        }
    }
}

/// The port that sends letters.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands over one letter for delivery.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// The base URL of the links in letters.
#[derive(Debug, Clone)]
pub struct LinkBase(String);

impl LinkBase {
    /// Takes the base of links such as `BASE/confirm-email?code=…`.
    pub fn new(base: &str) -> Self {
        Self(base.trim_end_matches('/').to_owned())
    }

    /// Returns the link to a page that takes a secret.
    pub fn url(&self, page: &str, secret: &Secret) -> String {
        // A secret consists of letters, digits and `_`, so nothing needs escaping.
        format!("{}/{page}?code={}", self.0, secret.expose())
    }
}

/// The dependencies for writing and sending letters.
#[derive(Clone)]
pub struct PostOffice {
    /// The port that sends the letters.
    pub mailer: Arc<dyn Mailer>,
    /// The base URL of their links.
    pub links: LinkBase,
    /// The kinds of letters that can be written.
    pub letters: LetterKinds,
}

/// The task that writes one letter and sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendMail {
    /// The letter in the form of [`letter::stored`]. It names its recipient by id. The address is read and
    /// the secret of a link is made only when the letter is written, so that neither is stored in a task row.
    letter: JsonValue,
    /// The subject of the letter; the task row has a column of its own for it.
    #[serde(skip)]
    subject: String,
}

impl SendMail {
    /// Returns the task that writes this letter.
    pub fn new<L: Letter>(letter: &L) -> Result<Self, DbErr> {
        let stored = letter::stored(letter).map_err(|error| Inconsistency::no_json(L::KIND, error))?;
        Ok(Self { letter: stored, subject: letter.subject() })
    }

    /// Returns the letter in the form of [`letter::stored`].
    pub fn letter(&self) -> &JsonValue {
        &self.letter
    }
}

impl Task for SendMail {
    type Context = PostOffice;

    const KIND: &'static str = "send_mail";
    const QUEUE: Queue = Queue::Mail;
    const REASON: &'static str = "mail";

    fn subject(&self) -> String {
        self.subject.clone()
    }

    async fn run(self, attempt: &Attempt, office: &PostOffice) -> Result<(), TaskError> {
        let context = LetterContext { db: &attempt.db, scope: &attempt.scope, links: &office.links };
        let Some(written) = office.letters.write(&self.letter, &context).await? else {
            tracing::debug!("the letter is no longer needed; not sent");
            return Ok(());
        };
        let mail = Mail {
            id: attempt.task.public(),
            asked_at: attempt.task.made_at(),
            to: written.to.address,
            subject: written.subject,
            text: written.text,
        };
        office.mailer.send(&mail).await?;
        Ok(faults::point(Point::MailSent).await?)
    }
}
