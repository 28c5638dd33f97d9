//! Limits on the text of a document, checked without a parser: a parser recurses and takes time.

use super::limits::{Excess, Limit, Limits};

/// What was counted in a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TextCount {
    pub(super) tokens: u64,
    /// The deepest nesting of brackets.
    pub(super) nesting: u64,
    pub(super) name_bytes: u64,
}

/// Checks a text. Errors of syntax are left to the parser.
pub(super) fn check(text: &str, limits: &Limits) -> Result<TextCount, Excess> {
    let counted = count(text);
    limits.check(Limit::Tokens, counted.tokens, None)?;
    limits.check(Limit::Nesting, counted.nesting, None)?;
    limits.check(Limit::NameBytes, counted.name_bytes, None)?;
    Ok(counted)
}

/// Reads a text to its end, in time linear in its length.
fn count(text: &str) -> TextCount {
    let mut counted = TextCount::default();
    let mut open = 0_u64;
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                rest = after;
                continue;
            }
            b'#' => {
                rest = skip_while(after, |byte| !matches!(byte, b'\n' | b'\r'));
                continue;
            }
            b'"' => skip_string(after),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let end = skip_while(after, |byte| byte == b'_' || byte.is_ascii_alphanumeric());
                counted.name_bytes = counted.name_bytes.max(length(rest).saturating_sub(length(end)));
                end
            }
            b'-' | b'0'..=b'9' => {
                skip_while(after, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-'))
            }
            b'.' => skip_while(after, |byte| byte == b'.'),
            b'{' | b'[' | b'(' => {
                open = open.saturating_add(1);
                counted.nesting = counted.nesting.max(open);
                after
            }
            b'}' | b']' | b')' => {
                open = open.saturating_sub(1);
                after
            }
            _ => after,
        };
        counted.tokens = counted.tokens.saturating_add(1);
    }
    counted
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn skip_while(bytes: &[u8], matches: impl Fn(u8) -> bool) -> &[u8] {
    let end = bytes.iter().position(|byte| !matches(*byte)).unwrap_or(bytes.len());
    bytes.get(end..).unwrap_or_default()
}

/// Skips the rest of a string after its first quote. A string that does not end on its line ends there.
fn skip_string(bytes: &[u8]) -> &[u8] {
    if let Some(mut rest) = bytes.strip_prefix(b"\"\"") {
        while let Some((_, after)) = rest.split_first() {
            if let Some(after) = rest.strip_prefix(b"\"\"\"") {
                return after;
            }
            rest = rest.strip_prefix(b"\\\"\"\"").unwrap_or(after);
        }
        return rest;
    }
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'"' => return after,
            b'\n' | b'\r' => return rest,
            // A backslash does not escape a line end.
            b'\\' if !matches!(after.first(), Some(b'\n' | b'\r')) => {
                rest = after.get(1..).unwrap_or_default()
            }
            _ => rest = after,
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> (u64, u64, u64) {
        let TextCount { tokens, nesting, name_bytes } = count(text);
        (tokens, nesting, name_bytes)
    }

    #[test]
    fn tokens_brackets_and_names_are_counted() {
        for (text, expected) in [
            ("", (0, 0, 0)),
            (" ,,\n\t#{[(\n", (0, 0, 0)),
            ("{ a }", (3, 1, 1)),
            ("query Long($a: [Int!]! = [1, -2.5e3]) { a(b: $a) { ...F } }", (30, 2, 5)),
            ("{ a(b: \"[[[ \\\" [[[\") }", (8, 2, 1)),
            ("{ a(b: \"\"\"[[[ \\\"\"\" \" \n [[[\"\"\") }", (8, 2, 1)),
            ("}}}{{", (5, 2, 0)),
            // A string that does not end on its line must not hide the brackets after it.
            ("\"\n[[", (3, 2, 0)),
            ("\"\\\n[[", (3, 2, 0)),
            ("\u{feff}é", (5, 0, 0)),
        ] {
            assert_eq!(counts(text), expected, "{text}");
        }
    }

    #[test]
    fn each_limit_is_reported_with_its_count() {
        let limits = Limits { tokens_max: 6, nesting_max: 2, name_bytes_max: 4, ..Limits::default() };
        for (text, expected) in [
            ("{ a b c d }".to_owned(), None),
            ("{ a b c d e }".to_owned(), Some((Limit::Tokens, 7, 6))),
            ("{a{b{".to_owned(), Some((Limit::Nesting, 3, 2))),
            ("{ abcde }".to_owned(), Some((Limit::NameBytes, 5, 4))),
        ] {
            let excess = check(&text, &limits).err();
            assert_eq!(excess.map(|excess| (excess.limit, excess.count, excess.max)), expected, "{text}");
        }
    }
}
