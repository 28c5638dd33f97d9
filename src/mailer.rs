//! Creates the mailer that the configuration names.

use std::sync::Arc;

use domain::platform::mail::Mailer;
use workers::mail::{FolderMailer, SmtpMailer};

use crate::{
    config::{Config, MailUrl},
    exit::{Exit, Failure, Outcome},
};

/// Creates the mailer for the setting `mail_url`.
pub(crate) fn mailer(config: &Config) -> Outcome<Arc<dyn Mailer>> {
    let from = config.mail_from.as_str();
    match &config.mail_url {
        MailUrl::Folder(folder) => {
            std::fs::create_dir_all(folder).map_err(|cause| Failure::writing(folder, &cause))?;
            Ok(Arc::new(FolderMailer::new(folder, from).map_err(|error| bad("mail_from", &error))?))
        }
        MailUrl::Smtp(url) => {
            Ok(Arc::new(SmtpMailer::new(url, from).map_err(|error| bad("mail_url or mail_from", &error))?))
        }
    }
}

fn bad(setting: &str, error: &dyn std::error::Error) -> Failure {
    let what = format!("e-mails cannot be sent with this {setting}: {error}");
    Failure::new(Exit::BadSetting, what, "Correct the setting; `smallrun config` shows its current value")
}
