//! How a buyer pays: the method, and the page the buyer returns to.

use serde::Serialize;

/// An opaque reference to a method of payment, as created by the gateway's own script: 3 to 200 ASCII
/// letters, digits, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// Parses a reference. Returns `None` if the text is not a valid reference.
    pub fn new(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        ((3..=200).contains(&text.len()) && plain).then(|| Self(text.to_owned()))
    }

    /// Returns the reference as text.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// The page that the buyer returns to after an action: an `https` URL, or an `http` URL on this machine,
/// without credentials and at most 1,000 bytes long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReturnUrl(String);

impl ReturnUrl {
    /// Parses a URL. Returns `None` if the buyer must not be sent there.
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

    /// Returns the URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the URL as text.
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
