//! A mailer that sends letters through an SMTP server.

use std::{net::IpAddr, time::Duration};

use async_trait::async_trait;
use domain::platform::mail::{Mail, MailError, Mailer};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor, message::Mailbox, transport::smtp};

use super::envelope::{MailTarget, SenderError, masked, message, sender, without};

/// The timeout of an SMTP command: well within the time limit of a task.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The reason why a mailer could not be created.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// The sender is invalid.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// The URL of the server is invalid.
    #[error("not a valid SMTP URL, such as smtps://user:password@mail.example: {0}")]
    Url(smtp::Error),
}

/// Sends letters by SMTP, over a pool of connections.
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl SmtpMailer {
    /// Creates a mailer for `smtps://…` (TLS from the first byte) or `smtp://…` (STARTTLS is required, unless
    /// the server is on this machine or the URL has `?tls=…`). Must be called on a Tokio runtime.
    pub fn new(url: &str, from: &str) -> Result<Self, SmtpError> {
        let url = demand_tls(url);
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&url).map_err(SmtpError::Url)?;
        Ok(Self { transport: builder.timeout(Some(TIMEOUT)).build::<Tokio1Executor>(), from: sender(from)? })
    }
}

/// Adds `tls=required` unless the URL says something about TLS or the server is on this machine.
fn demand_tls(url: &str) -> String {
    let Some(rest) = url.strip_prefix("smtp://") else { return url.to_owned() };
    let query = rest.split_once('?').map(|(_, query)| query);
    let says = query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("tls=")));
    match query {
        _ if says || is_of_this_machine(rest) => url.to_owned(),
        Some(_) => format!("{url}&tls=required"),
        None => format!("{url}?tls=required"),
    }
}

/// Returns whether the host of `user@host:port/path?query` is `localhost` or a loopback address.
fn is_of_this_machine(rest: &str) -> bool {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // The port follows the last colon outside the brackets of an IPv6 address.
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message(&self.from, mail, MailTarget::Wire)?;
        match self.transport.send(message).await {
            Ok(_) => {
                tracing::info!(to = masked(&mail.to), id = mail.id, "the mail server accepted a letter");
                Ok(())
            }
            Err(error) => {
                let text = without(&mail.to, &crate::run::chain(&error));
                if is_of_the_address(&error) {
                    Err(MailError::Never(text))
                } else {
                    Err(MailError::Later(text))
                }
            }
        }
    }
}

/// Returns whether the server refuses this recipient: 550, 551, 553 (RFC 5321, section 4.2.2) and 556 (RFC
/// 7504). Other errors, such as wrong credentials and full mailboxes, may be temporary.
fn is_of_the_address(error: &smtp::Error) -> bool {
    error.status().is_some_and(|code| ["550", "551", "553", "556"].contains(&code.to_string().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passwords_are_not_sent_in_clear_text() {
        for (url, expected) in [
            ("smtp://post:secret@mail.example:587", "smtp://post:secret@mail.example:587?tls=required"),
            ("smtp://mail.example", "smtp://mail.example?tls=required"),
            ("smtp://mail.example?tls=opportunistic", "smtp://mail.example?tls=opportunistic"),
            ("smtp://127.0.0.1:2525", "smtp://127.0.0.1:2525"),
            ("smtp://[::1]:2525", "smtp://[::1]:2525"),
            ("smtp://localhost.example.org", "smtp://localhost.example.org?tls=required"),
            ("smtp://127.example.org:25", "smtp://127.example.org:25?tls=required"),
            ("smtp://post:tls=none@mail.example", "smtp://post:tls=none@mail.example?tls=required"),
            ("smtp://localhost:2525", "smtp://localhost:2525"),
            ("smtps://post:secret@mail.example", "smtps://post:secret@mail.example"),
        ] {
            assert_eq!(demand_tls(url), expected);
            assert!(SmtpMailer::new(url, "post@shop.example").is_ok(), "{url}");
        }
        assert!(SmtpMailer::new("smtp:/", "post@shop.example").is_err());
        assert!(SmtpMailer::new("smtp://localhost", "nobody").is_err());
    }
}
