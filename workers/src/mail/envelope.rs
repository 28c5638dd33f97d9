//! Builds messages (RFC 5322) from letters, and masks addresses for logs.

use domain::platform::mail::{Mail, MailError};
use lettre::{
    Message,
    message::{
        Body, Mailbox,
        header::{ContentTransferEncoding, ContentType},
    },
};

/// An invalid sender address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid sender, such as `Shop <post@shop.example>`: {0}")]
pub struct SenderError(String);

/// Parses a sender such as `Shop <post@shop.example>`.
pub(super) fn sender(text: &str) -> Result<Mailbox, SenderError> {
    text.parse().map_err(|error| SenderError(format!("{error}")))
}

/// The destination of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MailTarget {
    /// A file, which a person may open in a text editor.
    File,
    /// A server, which may accept only ASCII.
    Wire,
}

/// Builds the message of a letter. The Message-ID consists of the letter's id and the sender's host, and the
/// date is the time of the request, so all attempts send the same message.
pub(super) fn message(from: &Mailbox, mail: &Mail, place: MailTarget) -> Result<Message, MailError> {
    let never = |error: &dyn std::fmt::Display| MailError::Never(error.to_string());
    let to = mail.to.parse().map_err(|_| never(&"the recipient's address is invalid"))?;
    let builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(&mail.subject)
        .date(mail.asked_at.into())
        .message_id(Some(format!("<{}@{}>", mail.id, from.email.domain())))
        .header(ContentType::TEXT_PLAIN);
    let body = body(&mail.text, place);
    builder.body(body).map_err(|error| never(&error))
}

/// Returns the text unchanged where possible, so that links stay in one piece, and encoded otherwise.
fn body(text: &str, place: MailTarget) -> Body {
    // RFC 5322, section 2.1.1: a line has at most 998 characters.
    let plain = text.lines().all(|line| line.len() <= 998 && !line.contains(['\0', '\r']));
    let encoding = match place {
        _ if plain && text.is_ascii() => ContentTransferEncoding::SevenBit,
        MailTarget::File if plain => ContentTransferEncoding::EightBit,
        MailTarget::File | MailTarget::Wire => return Body::new(text.to_owned()),
    };
    let lines: String = text.lines().flat_map(|line| [line, "\r\n"]).collect();
    Body::dangerous_pre_encoded(lines.into_bytes(), encoding)
}

/// Masks an address: it can be recognised by somebody who knows it, and by nobody else. Example: `a…@e….org`.
pub(super) fn masked(address: &str) -> String {
    let (name, host) = address.rsplit_once('@').unwrap_or((address, ""));
    let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
    let (host, top) = host.rsplit_once('.').unwrap_or((host, ""));
    format!("{}…@{}….{top}", first(name), first(host))
}

/// Masks an address in a server's reply.
pub(super) fn without(address: &str, text: &str) -> String {
    text.replace(address, &masked(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(to: &str, text: &str) -> Mail {
        let (id, subject) = ("task_01".to_owned(), "Reserved – café".to_owned());
        let asked_at = chrono::DateTime::from_timestamp(1_772_446_200, 0).unwrap();
        Mail { id, asked_at, to: to.to_owned(), subject, text: text.to_owned() }
    }

    #[test]
    fn a_message_has_an_id_and_addresses_and_its_link_in_one_piece() {
        let from = sender("Shop <post@shop.example>").unwrap();
        let link = "https://shop.example/confirm-email?code=sr_link_0123456789abcdef0123456789abcdef\
                    0123456789abcdef0123456789abcdef";
        let text = |words: &str, place| {
            let formatted = message(&from, &mail("ada@example.org", &format!("{words}\n{link}\n")), place)
                .unwrap()
                .formatted();
            String::from_utf8(formatted).unwrap()
        };
        let file = text("Grüße", MailTarget::File);
        for part in [
            "Message-ID: <task_01@shop.example>\r\n",
            "To: ada@example.org\r\n",
            "Date: ",
            "charset=utf-8",
            link,
            "Grüße\r\n",
        ] {
            assert!(file.contains(part), "{part}: {file}");
        }
        assert!(text("Greetings", MailTarget::Wire).contains(&format!("\r\n\r\nGreetings\r\n{link}\r\n")));
        assert!(text("Grüße", MailTarget::Wire).is_ascii());
    }

    #[test]
    fn an_invalid_address_fails_for_good() {
        let from = sender("post@shop.example").unwrap();
        for to in ["", "ada", "ada@example.org\r\nBcc: eve@example.org", "a b@example.org"] {
            assert!(
                matches!(message(&from, &mail(to, "x"), MailTarget::Wire), Err(MailError::Never(_))),
                "{to}"
            );
        }
        assert!(sender("nobody").is_err());
    }

    #[test]
    fn a_subject_cannot_add_a_header() {
        let from = sender("post@shop.example").unwrap();
        let mail = Mail { subject: "x\r\nBcc: eve@example.org".to_owned(), ..mail("ada@example.org", "x") };
        let text = String::from_utf8(message(&from, &mail, MailTarget::Wire).unwrap().formatted()).unwrap();
        assert!(!text.contains("\r\nBcc:"), "{text}");
    }

    #[test]
    fn logs_show_no_full_address() {
        assert_eq!(masked("ada.lovelace@mail.example.org"), "a…@m….org");
        assert_eq!(masked("nobody"), "n…@….");
        assert_eq!(without("ada@example.org", "550 <ada@example.org>: unknown"), "550 <a…@e….org>: unknown");
    }
}
