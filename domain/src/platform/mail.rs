//! Mail: the port that sends letters, and the task that writes one and sends it.
//!
//! [`letter`] says what a letter is. The letters stand in the files of their capabilities.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{DbErr, JsonValue};
use serde::{Deserialize, Serialize};

use super::{
    entropy::Secret,
    faults::{self, Point},
    ids::EntityId,
    tasks::{Attempt, Queue, Task, TaskError},
};

pub mod letter;

pub use letter::{
    Letter, LetterContext, LetterKinds, LetterLink, LetterText, Recipient, WrittenLetter, one_line,
};

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
    /// Hands over one letter.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// What the links in letters begin with.
#[derive(Debug, Clone)]
pub struct LinkBase(String);

impl LinkBase {
    /// Links to `BASE/confirm-email?code=…` and the like.
    pub fn new(base: &str) -> Self {
        Self(base.trim_end_matches('/').to_owned())
    }

    /// The link to a page that takes a secret.
    pub fn url(&self, page: &str, secret: &Secret) -> String {
        // A secret is made of letters, digits and `_`: nothing to escape.
        format!("{}/{page}?code={}", self.0, secret.expose())
    }
}

/// What it takes to write letters and to send them.
#[derive(Clone)]
pub struct PostOffice {
    /// Sends them.
    pub mailer: Arc<dyn Mailer>,
    /// What their links begin with.
    pub links: LinkBase,
    /// The letters that can be written.
    pub letters: LetterKinds,
}

/// Writes one letter and sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendMail {
    /// Which letter, as [`letter::stored`] has it. It names its recipient by id: the address is read, and a
    /// link's secret is made, when the letter is written, so that neither waits in a task row.
    letter: JsonValue,
    /// What the letter is about. The task's row has it in a column of its own.
    #[serde(skip)]
    subject: String,
}

impl SendMail {
    /// The task that writes this letter.
    pub fn new<L: Letter>(letter: &L) -> Result<Self, DbErr> {
        let stored = letter::stored(letter).map_err(|error| DbErr::Json(error.to_string()))?;
        Ok(Self { letter: stored, subject: letter.subject() })
    }

    /// Which letter, as [`letter::stored`] has it.
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
            tracing::debug!("the letter is not wanted any more");
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
