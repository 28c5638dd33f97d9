//! A mailer that writes letters to a folder, one file each, for development and demos.

use std::path::PathBuf;

use async_trait::async_trait;
use domain::platform::mail::{Mail, MailError, Mailer};
use lettre::message::Mailbox;

use super::envelope::{MailTarget, SenderError, masked, message, sender};

/// Writes letters as `.eml` files, which mail programs open. A repeated letter replaces its file.
pub struct FolderMailer {
    folder: PathBuf,
    from: Mailbox,
}

impl FolderMailer {
    /// Creates a mailer for a folder. The folder is created with the first letter.
    pub fn new(folder: impl Into<PathBuf>, from: &str) -> Result<Self, SenderError> {
        Ok(Self { folder: folder.into(), from: sender(from)? })
    }
}

#[async_trait]
impl Mailer for FolderMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let later = |error: std::io::Error| MailError::Later(format!("{}: {error}", self.folder.display()));
        let message = message(&self.from, mail, MailTarget::File)?.formatted();
        tokio::fs::create_dir_all(&self.folder).await.map_err(later)?;
        // The name starts with the time, so that names sort by time. Colons are avoided in file names.
        let name = format!("{}-{}.eml", mail.asked_at.format("%Y%m%dT%H%M%S%3fZ"), mail.id);
        // The file is written under another name and renamed, so that readers never see a partial letter.
        let aside = self.folder.join(format!(".{name}.part"));
        tokio::fs::write(&aside, message).await.map_err(later)?;
        tokio::fs::rename(&aside, self.folder.join(&name)).await.map_err(later)?;
        tracing::debug!(to = masked(&mail.to), file = name, "wrote a letter to the folder");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(text: &str) -> Mail {
        let asked_at = chrono::DateTime::from_timestamp(1_772_446_200, 5_000_000).unwrap();
        Mail {
            id: "task_1".into(),
            asked_at,
            to: "ada@example.org".into(),
            subject: "Hello".into(),
            text: text.into(),
        }
    }

    #[tokio::test]
    async fn a_repeated_letter_replaces_its_file_which_is_named_by_time_and_id() {
        let folder = std::env::temp_dir().join(format!("smallrun-mail-{}", std::process::id()));
        let mailer = FolderMailer::new(&folder, "Shop <post@shop.example>").unwrap();
        mailer.send(&mail("First try\n")).await.unwrap();
        mailer.send(&mail("Text\n")).await.unwrap();
        let names: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, ["20260302T101000005Z-task_1.eml"]);
        let text = std::fs::read_to_string(folder.join(&names[0])).unwrap();
        assert!(text.ends_with("\r\n\r\nText\r\n"), "{text:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_created_is_retried_later() {
        let mailer = FolderMailer::new("/dev/null/mail", "post@shop.example").unwrap();
        assert!(matches!(mailer.send(&mail("x")).await, Err(MailError::Later(_))));
    }
}
