//! The mailers: what hands a letter over to the world. `envelope` has the form of a message; [`FolderMailer`]
//! and [`SmtpMailer`] send.

mod envelope;
mod folder;
pub mod personal_data;
mod smtp;

pub use envelope::SenderError;
pub use folder::FolderMailer;
pub use smtp::{SmtpError, SmtpMailer};
