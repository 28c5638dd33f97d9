//! How a buyer pays: the method, and where the buyer comes back to.

use serde::Serialize;

/// An opaque reference to a method of payment, as the gateway's own script made it: 3 to 200 plain
/// characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// Reads a reference; `None` when it is none.
    pub fn new(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        ((3..=200).contains(&text.len()) && plain).then(|| Self(text.to_owned()))
    }

    /// The reference.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// Where the buyer comes back to after an action: an `https` address, or `http` on this machine, without
/// credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReturnUrl(String);

impl ReturnUrl {
    /// Reads an address; `None` when it may not be returned to.
    pub fn new(text: &str) -> Option<Self> {
        let plain = text.len() <= 1_000
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte));
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let local = matches!(host, "localhost" | "127.0.0.1");
        let allowed = scheme == "https" || (scheme == "http" && local);
        (plain && allowed && !host.is_empty() && !authority.contains('@')).then(|| Self(text.to_owned()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_addresses_are_returned_to() {
        for good in ["https://shop.example/thanks?x=1", "http://localhost:3000/a", "http://127.0.0.1/"] {
            assert!(ReturnUrl::new(good).is_some(), "{good}");
        }
        for bad in [
            "http://shop.example/",
            "javascript:alert(1)",
            "https://",
            "https://user:pw@shop.example/",
            "https://a b/",
            "https://x/\"><script>",
            "//shop.example",
            "ftp://shop.example/",
            "http://localhost@evil.example/",
        ] {
            assert!(ReturnUrl::new(bad).is_none(), "{bad}");
        }
    }
}
