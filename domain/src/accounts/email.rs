//! E-mail addresses.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::platform::access::PersonKey;

/// An e-mail address in the form that is stored and compared: trimmed and in lower case.
///
/// `Debug` masks the address, so that requests that contain one can be logged.
#[derive(Clone, PartialEq, Eq, Hash, sea_orm::DeriveValueType)]
pub struct Email(String);

/// The reasons why a text is not a valid address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// The text is longer than an address can be (RFC 5321, section 4.5.3.1: 254 characters between the angle
    /// brackets).
    #[error("is too long")]
    TooLong,
    /// The text does not have the form `name@example.org`.
    #[error("is not an e-mail address")]
    Malformed,
}

impl Email {
    /// The most characters of an address.
    pub const MAX: usize = 254;
    /// The most characters before the `@` (RFC 5321, section 4.5.3.1.1).
    const LOCAL_MAX: usize = 64;

    /// Parses an address. Internationalized names and domains are accepted in their ASCII form (`xn--…`)
    /// only, because letters could otherwise go to a person with a name that looks alike.
    pub fn new(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        if text.len() > Self::MAX {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = text.split_once('@').ok_or(EmailError::Malformed)?;
        let dotted = |part: &str, allowed: fn(u8) -> bool| {
            part.split('.').all(|atom| {
                !atom.is_empty() && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || allowed(byte))
            })
        };
        // The characters that need no quotes (RFC 5322, section 3.2.3).
        let local_fits =
            local.len() <= Self::LOCAL_MAX && dotted(local, |byte| b"!#$%&'*+-/=?^_`{|}~".contains(&byte));
        let labels_fit = domain
            .split('.')
            .all(|label| label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-'));
        let domain_fits = domain.contains('.') && labels_fit && dotted(domain, |byte| byte == b'-');
        if local_fits && domain_fits {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(EmailError::Malformed)
        }
    }

    /// Returns the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the address in masked form, for logs: `a***@example.org`.
    pub fn masked(&self) -> String {
        let (local, domain) = self.0.split_once('@').unwrap_or_default();
        let first: String = local.chars().take(1).collect();
        format!("{first}***@{domain}")
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// Returns the key of the person with this address: a SHA-256 hash of it.
pub fn person_key(email: &Email) -> PersonKey {
    Sha256::digest(format!("person:{}", email.0)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_person_however_it_is_typed() {
        let email = Email::new("  Ada.Lovelace+Shop@Example.ORG\n").unwrap();
        assert_eq!(email.as_str(), "ada.lovelace+shop@example.org");
        assert_eq!(person_key(&email), person_key(&Email::new("ada.lovelace+shop@example.org").unwrap()));
        assert_ne!(person_key(&email), person_key(&Email::new("ada@example.org").unwrap()));
    }

    #[test]
    fn logs_show_no_address() {
        assert_eq!(format!("{:?}", Email::new("ada@example.org").unwrap()), "a***@example.org");
    }

    #[test]
    fn an_invalid_address_is_refused() {
        let long_local = format!("{}@example.org", "x".repeat(65));
        let long_label = format!("x@{}.org", "x".repeat(64));
        for bad in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@localhost",
            "a@b@c.org",
            "a b@c.org",
            "ada@example..org",
            ".ada@example.org",
            "ada.@example.org",
            "ada@-example.org",
            "ada@example-.org",
            "ada@example.org,eve@example.org",
            "\"a\"@example.org",
            "ada@example.org\r\nBcc: eve@example.org",
            "ädä@example.org",
            "ada@exämple.org",
            "ada@[192.0.2.1]",
            "<ada@example.org>",
            &long_local,
            &long_label,
        ] {
            assert_eq!(Email::new(bad), Err(EmailError::Malformed), "{bad}");
        }
        assert_eq!(Email::new(&format!("ada@{}org", "example.".repeat(40))), Err(EmailError::TooLong));
    }
}
