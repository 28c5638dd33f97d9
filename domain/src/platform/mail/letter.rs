//! The trait of letters, the kinds that a process knows, and the parts common to all letters.
//!
//! Letters are plain text, in lines that a terminal can show. Times are in UTC and marked as such, because
//! the reader's time zone is unknown.

use std::{fmt, future::Future, marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DbErr, JsonValue};
use serde::{Serialize, de::DeserializeOwned};

use super::{LinkBase, SendMail};
use crate::platform::{
    access::SystemScope,
    db::Db,
    entropy::Secret,
    facts::Fact,
    tasks::{NewTask, TaskError},
};

/// A kind of letter. The fields of the type say what it is about: ids, never an address.
///
/// A process knows the kinds in its [`LetterKinds`]; `domain::registry` has the list.
pub trait Letter: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The data for the text. It is read when the letter is written.
    type Content: Send;

    /// The constant name of the kind. It is stored in rows, so it never changes.
    const KIND: &'static str;

    /// Returns the public id of what the letter is about.
    fn subject(&self) -> String;

    /// Returns the letter that a fact causes, if any. The relay queues it in the transaction that stamps the
    /// fact, so it is queued exactly once.
    fn following(_fact: &Fact) -> Option<Self> {
        None
    }

    /// Finds the recipient and reads the content. `None` means that the letter is no longer needed.
    fn prepare(
        &self,
        context: &LetterContext<'_>,
    ) -> impl Future<Output = Result<Option<(Recipient, Self::Content)>, TaskError>> + Send;

    /// Returns the text, without greeting and signature.
    fn words(content: &Self::Content) -> LetterText;
}

/// The context in which a letter is written.
#[derive(Clone, Copy)]
pub struct LetterContext<'a> {
    /// The database.
    pub db: &'a Db,
    /// The scope in which the letter is written.
    pub scope: &'a SystemScope,
    /// The base URL of its links.
    pub links: &'a LinkBase,
}

/// The recipient of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The e-mail address.
    pub address: String,
    /// The person's name; guests have none.
    pub name: Option<String>,
}

/// The words of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterText {
    /// The subject: one line.
    pub subject: String,
    /// The body; each line ends in a line break.
    pub body: String,
}

/// A complete letter with its recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenLetter {
    /// The recipient.
    pub to: Recipient,
    /// The subject: one line.
    pub subject: String,
    /// The whole text.
    pub text: String,
}

impl WrittenLetter {
    /// Builds the letter to a recipient, with a greeting by name if there is one.
    pub fn new(to: Recipient, words: LetterText) -> Self {
        let name = to.name.as_deref().map(one_line).filter(|name| !name.is_empty());
        let greeting = name.map_or("Hello,".to_owned(), |name| format!("Hello {name},"));
        let text = format!("{greeting}\n\n{}\n-- \nSmallrun\n", words.body);
        Self { to, subject: words.subject, text }
    }
}

/// A link with a secret that identifies the reader.
#[derive(Debug, Clone)]
pub struct LetterLink {
    /// The URL.
    pub url: String,
    /// The secret in the URL, for manual entry where the link does not open.
    pub secret: Secret,
    /// How long the link is valid.
    pub valid: TimeDelta,
}

impl LetterLink {
    /// Builds the link to a page that takes a secret, valid until `expires_at`.
    pub fn new(context: &LetterContext<'_>, page: &str, secret: Secret, expires_at: DateTime<Utc>) -> Self {
        let url = context.links.url(page, &secret);
        Self { url, secret, valid: expires_at.signed_duration_since(context.db.now()) }
    }

    /// Returns the paragraphs that ask the reader to open the link.
    pub fn invitation(&self) -> String {
        let (url, code, valid) = (&self.url, self.secret.expose(), span(self.valid));
        format!(
            "Open this link within {valid}; it works once:\n\n{url}\n\n\
             If the shop asks for a code instead, enter this one:\n\n{code}\n"
        )
    }
}

fn span(span: TimeDelta) -> String {
    let plural = |count: i64, word: &str| {
        if count == 1 { format!("{count} {word}") } else { format!("{count} {word}s") }
    };
    // Rounds up, to ignore the moment between the creation of a link and the writing of its letter.
    let minutes = span.num_seconds().saturating_add(59).div_euclid(60);
    match (minutes.div_euclid(60), minutes.rem_euclid(60)) {
        (0, minutes) => plural(minutes, "minute"),
        (hours, 0) => plural(hours, "hour"),
        (_, _) => plural(minutes, "minute"),
    }
}

/// Reduces a text written by a user to one line, so that it cannot imitate a part of the letter.
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// The key of the kind's name within a stored letter.
const KIND_KEY: &str = "letter";

/// Returns a letter as stored in a task: its fields and the name of its kind.
pub fn stored<L: Letter>(letter: &L) -> Result<JsonValue, serde_json::Error> {
    let mut stored = serde_json::to_value(letter)?;
    if let Some(fields) = stored.as_object_mut() {
        fields.insert(KIND_KEY.to_owned(), L::KIND.into());
    }
    Ok(stored)
}

/// A kind of letter; erases the type.
#[async_trait]
trait WriteLetter: Send + Sync {
    async fn write(
        &self,
        letter: &JsonValue,
        context: &LetterContext<'_>,
    ) -> Result<Option<WrittenLetter>, TaskError>;

    /// Returns the task that writes the letter caused by a fact.
    fn following(&self, fact: &Fact) -> Option<Result<SendMail, DbErr>>;
}

struct OfType<L>(PhantomData<fn() -> L>);

#[async_trait]
impl<L: Letter> WriteLetter for OfType<L> {
    async fn write(
        &self,
        letter: &JsonValue,
        context: &LetterContext<'_>,
    ) -> Result<Option<WrittenLetter>, TaskError> {
        let letter: L =
            serde_json::from_value(letter.clone()).map_err(|error| TaskError::Unreadable(error.into()))?;
        let prepared = letter.prepare(context).await?;
        Ok(prepared.map(|(to, content)| WrittenLetter::new(to, L::words(&content))))
    }

    fn following(&self, fact: &Fact) -> Option<Result<SendMail, DbErr>> {
        L::following(fact).map(|letter| SendMail::new(&letter))
    }
}

#[derive(Clone)]
struct LetterKind {
    name: &'static str,
    writer: Arc<dyn WriteLetter>,
}

/// The kinds of letters that a process knows.
#[derive(Clone, Default)]
pub struct LetterKinds(Vec<LetterKind>);

impl LetterKinds {
    /// Adds a kind.
    #[must_use]
    pub fn with<L: Letter>(mut self) -> Self {
        self.0.push(LetterKind { name: L::KIND, writer: Arc::new(OfType::<L>(PhantomData)) });
        self
    }

    /// Returns the names of all kinds.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|kind| kind.name).collect()
    }

    /// Writes a stored letter. `None` means that the letter is no longer needed.
    pub async fn write(
        &self,
        letter: &JsonValue,
        context: &LetterContext<'_>,
    ) -> Result<Option<WrittenLetter>, TaskError> {
        let name = letter.get(KIND_KEY).and_then(JsonValue::as_str).unwrap_or_default();
        match self.0.iter().find(|kind| kind.name == name) {
            Some(kind) => kind.writer.write(letter, context).await,
            None => Err(TaskError::Unknown { what: "letter", name: name.to_owned() }),
        }
    }

    /// Returns the tasks that write the letters caused by a fact.
    pub fn following(&self, fact: &Fact) -> Result<Vec<NewTask>, DbErr> {
        self.0
            .iter()
            .filter_map(|kind| kind.writer.following(fact))
            .map(|task| task.map(NewTask::from))
            .collect()
    }
}

impl fmt::Debug for LetterKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_are_written_in_words() {
        for (span_of, words) in [
            (TimeDelta::minutes(15), "15 minutes"),
            (TimeDelta::hours(1), "1 hour"),
            (TimeDelta::minutes(90), "90 minutes"),
            (TimeDelta::milliseconds(172_799_990), "48 hours"),
        ] {
            assert_eq!(span(span_of), words);
        }
    }

    #[test]
    fn a_name_cannot_start_a_line_of_its_own() {
        let text = |name: Option<&str>| {
            let to = Recipient { address: "eve@example.org".to_owned(), name: name.map(ToOwned::to_owned) };
            WrittenLetter::new(to, LetterText { subject: "Hi".to_owned(), body: "Words.\n".to_owned() }).text
        };
        assert_eq!(text(Some("Eve\r\nBcc: x")), "Hello Eve  Bcc: x,\n\nWords.\n\n-- \nSmallrun\n");
        assert_eq!(text(Some("\n")), "Hello,\n\nWords.\n\n-- \nSmallrun\n");
        assert_eq!(text(None), "Hello,\n\nWords.\n\n-- \nSmallrun\n");
    }
}
