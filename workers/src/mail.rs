//! The mailers. `envelope` builds messages; [`FolderMailer`] and [`SmtpMailer`] deliver them.

mod envelope;
mod folder;
pub mod personal_data;
mod smtp;

pub use envelope::SenderError;
pub use folder::FolderMailer;
pub use smtp::{SmtpError, SmtpMailer};
