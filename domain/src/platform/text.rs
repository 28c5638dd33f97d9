//! Texts written by people: bounded, free of control characters, and safe to show.

use std::{collections::HashSet, sync::LazyLock};

use ammonia::Builder;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text is empty or white space only.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than its limit.
    #[error("is too long")]
    TooLong,
    /// The text has control characters, or characters that are invisible or change the reading direction.
    #[error("contains characters that are not allowed")]
    ForbiddenSign,
}

/// A line of 1 to `MAX` characters, without white space at its ends.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TextLine<const MAX: usize>(String);

impl<const MAX: usize> TextLine<MAX> {
    /// The maximum length, in characters.
    pub const MAX: usize = MAX;

    /// Trims and checks a line.
    pub fn new(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.len() > MAX.saturating_mul(4) || text.chars().count() > MAX {
            return Err(TextError::TooLong);
        }
        if text.chars().any(|sign| sign.is_control() || is_invisible(sign)) {
            return Err(TextError::ForbiddenSign);
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text as an owned string.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Returns whether a character is invisible or changes the text direction. With such characters a name could
/// imitate another.
fn is_invisible(sign: char) -> bool {
    matches!(sign, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// Markdown of at most [`Markdown::MAX`] characters, with its sanitised HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Markdown {
    source: String,
    html: String,
}

impl Markdown {
    /// The maximum length of a source, in characters.
    pub const MAX: usize = 20_000;

    /// Checks and renders a text; an empty text is allowed.
    pub fn new(source: &str) -> Result<Self, TextError> {
        if source.len() > Self::MAX.saturating_mul(4) || source.chars().count() > Self::MAX {
            return Err(TextError::TooLong);
        }
        let forbidden =
            |sign: char| (sign.is_control() && !matches!(sign, '\n' | '\r' | '\t')) || is_invisible(sign);
        if source.chars().any(forbidden) {
            return Err(TextError::ForbiddenSign);
        }
        Ok(Self { source: source.to_owned(), html: render(source) })
    }

    /// Returns the Markdown as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns HTML that is safe to embed in a page.
    pub fn html(&self) -> &str {
        &self.html
    }
}

fn render(source: &str) -> String {
    let mut options = comrak::Options::default();
    options.extension.table = true;
    options.extension.strikethrough = true;
    options.extension.autolink = true;
    options.extension.header_id_prefix = Some("section-".to_owned());
    let html = comrak::markdown_to_html(source, &options);
    SANITISER.clean(&html).to_string()
}

/// The HTML that a rendered text may contain: what Markdown produces, without scripts and embedded resources.
static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::default();
    builder
        .tags(HashSet::from([
            "a",
            "blockquote",
            "br",
            "code",
            "del",
            "em",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "hr",
            "li",
            "ol",
            "p",
            "pre",
            "strong",
            "table",
            "tbody",
            "td",
            "th",
            "thead",
            "tr",
            "ul",
        ]))
        .generic_attributes(HashSet::from(["id"]))
        .url_schemes(HashSet::from(["https", "http", "mailto"]))
        .link_rel(Some("noopener noreferrer nofollow ugc"));
    builder
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html_with_anchors_and_tables() {
        let text = Markdown::new("# Care\n\n| a | b |\n|---|---|\n| 1 | 2 |\n").unwrap();
        assert!(text.html().contains("id=\"section-care\""), "{}", text.html());
        assert!(text.html().contains("<table>"), "{}", text.html());
    }

    #[test]
    fn active_content_is_removed() {
        for hostile in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "[x](javascript:alert(1))",
            "<a href=\"data:text/html,x\">x</a>",
            "<svg onload=alert(1)>",
            "<iframe src=//evil>",
            "# <b onmouseover=alert(1)>x",
        ] {
            let html = Markdown::new(hostile).unwrap().html().to_lowercase();
            for live in [
                "<script",
                "onerror",
                "href=\"javascript",
                "href=\"data",
                "<svg",
                "<iframe",
                "<b onmouse",
                "<img",
            ] {
                assert!(!html.contains(live), "{hostile} gave {html}");
            }
        }
    }

    #[test]
    fn lines_are_bounded_and_plain() {
        assert_eq!(TextLine::<5>::new("  abc "), Ok(TextLine("abc".to_owned())));
        assert_eq!(TextLine::<5>::new("   "), Err(TextError::Empty));
        assert_eq!(TextLine::<5>::new("abcdef"), Err(TextError::TooLong));
        assert_eq!(TextLine::<5>::new("a\nb"), Err(TextError::ForbiddenSign));
        assert_eq!(TextLine::<5>::new("a\u{202E}b"), Err(TextError::ForbiddenSign));
    }
}
