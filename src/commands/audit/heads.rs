//! Finds the heads of the audit log in the server's log files.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
    str::FromStr,
};

use domain::platform::audit::{Head, KnownHeads};

/// The message of the log line that the server writes for each segment (`workers/src/sealing.rs`).
const SAID: &str = "an audit segment is sealed";
/// The character that begins a terminal colour code.
const ESCAPE: char = '\u{1b}';

/// A segment and its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownHead {
    pub(super) segment: i64,
    pub(super) head: Head,
}

/// Parses `NUMBER:HEX`.
impl FromStr for KnownHead {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected NUMBER:HEX, as printed by an earlier verification".to_owned();
        let (segment, head) = text.split_once(':').ok_or_else(wrong)?;
        let segment = segment.parse().ok().filter(|segment| *segment > 0).ok_or_else(wrong)?;
        Ok(Self { segment, head: head.parse().map_err(|_| wrong())? })
    }
}

/// Adds the heads found in a log file.
pub(super) fn read(path: &Path, known: &mut KnownHeads) -> io::Result<()> {
    let mut log = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    while log.read_until(b'\n', &mut line)? > 0 {
        // Other lines may contain anything, so invalid UTF-8 is accepted.
        if let Some(found) = head_in(&String::from_utf8_lossy(&line)) {
            known.add(found.segment, found.head);
        }
        line.clear();
    }
    Ok(())
}

/// Returns the head in a log line. The line may be JSON or pretty, with or without colours, and may be
/// wrapped by a log collector.
fn head_in(line: &str) -> Option<KnownHead> {
    if !line.contains(SAID) {
        return None;
    }
    let plain = without_colours(line);
    Some(KnownHead {
        segment: field(&plain, "segment")?.parse().ok()?,
        head: field(&plain, "head")?.parse().ok()?,
    })
}

/// Returns the value of a field written as `name=value` or `"name":"value"`; the quotes may be escaped.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let is_quote = |c: char| matches!(c, '"' | '\\' | ' ');
    line.match_indices(name).find_map(|(at, _)| {
        let (before, rest) = line.split_at(at);
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            return None;
        }
        let value = rest
            .strip_prefix(name)?
            .trim_start_matches(is_quote)
            .strip_prefix(['=', ':'])?
            .trim_start_matches(is_quote);
        value.split(|c: char| !c.is_ascii_alphanumeric()).next()
    })
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split(ESCAPE);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    // A colour code is the escape character, `[`, numbers, and a letter.
    plain.extend(
        parts.map(|part| part.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest)),
    );
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90";

    #[test]
    fn a_head_is_found_in_every_form_of_a_line() {
        let wanted = Some(format!("17:{HEX}").parse::<KnownHead>().unwrap());
        for line in [
            format!(r#"{{"level":"INFO","message":"{SAID}","segment":17,"rows":3,"head":"{HEX}"}}"#),
            format!("2026-11-26T01:00:00.000000Z  INFO audit: {SAID} segment=17 rows=3 head={HEX}\n"),
            format!(
                "\u{1b}[2m2026-11-26T01:00:00Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m audit: {SAID} \
                 \u{1b}[3msegment\u{1b}[0m\u{1b}[2m=\u{1b}[0m17 \
                 \u{1b}[3mhead\u{1b}[0m\u{1b}[2m=\u{1b}[0m{HEX}"
            ),
            format!("Nov 26 01:00:00 shop smallrun[812]: INFO audit: {SAID} segment=17 rows=3 head={HEX}"),
            format!(r#"{{"log":"{{\"message\":\"{SAID}\",\"segment\":17,\"head\":\"{HEX}\"}}\n"}}"#),
            format!(r#"{{ "message": "{SAID}", "head": "{HEX}", "overhead": 1, "segment": 17 }}"#),
        ] {
            assert_eq!(head_in(&line), wanted, "{line}");
        }
    }

    #[test]
    fn other_lines_have_none() {
        for line in [
            String::new(),
            format!("INFO a segment segment=17 head={HEX}"),
            format!("INFO audit: {SAID} segment=17 head=cut"),
            format!("INFO audit: {SAID} segment= head={HEX}"),
            SAID.to_owned(),
        ] {
            assert_eq!(head_in(&line), None, "{line}");
        }
    }

    #[test]
    fn a_head_is_given_with_its_number() {
        for wrong in
            ["", "17", HEX, "17:", &format!("0:{HEX}"), &format!("-1:{HEX}"), &format!("x:{HEX}"), "17:abc"]
        {
            assert!(wrong.parse::<KnownHead>().is_err(), "{wrong}");
        }
    }
}
