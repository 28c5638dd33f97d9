//! The texts of the letters: pure functions from what is known to words.
//!
//! Plain text, lines that a terminal can show; times in UTC, said so, because the reader's zone is not known.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use domain::platform::{Money, entropy::Secret, ids::CheckoutId};

/// A letter without its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// What a letter is made of.
pub(crate) enum Content {
    ConfirmEmail { link: Link },
    AlreadySignedUp,
    ResetPassword { link: Link },
    ConfirmGuest { link: Link },
    OpenSession { storefront: String, link: Link },
    Held(Summary),
    Confirmed(Summary),
    Lapsed(Summary),
}

/// A link that proves who reads it.
pub(crate) struct Link {
    /// Where it leads.
    pub(crate) url: String,
    /// The secret in it, to be typed where the link does not open.
    pub(crate) secret: Secret,
    /// How long it can be used.
    pub(crate) valid: TimeDelta,
}

/// What a letter tells of a checkout.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) checkout: CheckoutId,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) lines: Vec<Line>,
    pub(crate) total: Money,
    pub(crate) due_now: Money,
    pub(crate) due_later: Money,
}

/// One reservation of a checkout.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) units: u32,
    pub(crate) title: String,
    pub(crate) total: Money,
    pub(crate) balance: Money,
    /// When the balance is due.
    pub(crate) balance_due_on: Option<NaiveDate>,
}

/// Writes a letter to somebody, by name if there is one.
pub(crate) fn write(name: Option<&str>, content: &Content) -> Words {
    let (subject, body) = match content {
        Content::ConfirmEmail { link } => (
            "Confirm your e-mail address".to_owned(),
            format!(
                "Please confirm that this address is yours.\n\n{}\nIf you did not sign up, ignore this letter: nothing will happen.\n",
                opened(link)
            ),
        ),
        Content::AlreadySignedUp => (
            "You already have an account".to_owned(),
            "Somebody, probably you, signed up with this address. It has an account already, so nothing was changed.\n\n\
             Sign in as before. If you forgot your password, ask for a new one where you sign in.\n"
                .to_owned(),
        ),
        Content::ResetPassword { link } => (
            "Choose a new password".to_owned(),
            format!(
                "Somebody, probably you, asked for a new password for your account.\n\n{}\n\
                 If it was not you, ignore this letter: your password stays as it is.\n",
                opened(link)
            ),
        ),
        Content::ConfirmGuest { link } => (
            "Confirm your e-mail address to reserve".to_owned(),
            format!(
                "Please confirm that this address is yours; then you can reserve without an account.\n\n{}\n\
                 If you did not ask for this, ignore this letter: nothing will happen.\n",
                opened(link)
            ),
        ),
        Content::OpenSession { storefront, link } => (
            "Sign in to a shop".to_owned(),
            format!(
                "The shop \"{}\" asks to sign you in. Only go on if you were just there.\n\n{}\n\
                 If you were not, ignore this letter: nobody is signed in.\n",
                one_line(storefront),
                opened(link)
            ),
        ),
        Content::Held(summary) => (
            format!("Reserved until {}", time(summary.expires_at)),
            format!(
                "We hold this for you until {}.\n\n{}\nPay the deposit of {} by then, or the reservation ends by itself.\n",
                time(summary.expires_at),
                lines(summary),
                summary.due_now
            ),
        ),
        Content::Confirmed(summary) => (
            "Your reservation is confirmed".to_owned(),
            format!(
                "Your deposit of {} has arrived, and your reservation is confirmed.\n\n{}\n{}",
                summary.due_now,
                lines(summary),
                balance(summary)
            ),
        ),
        Content::Lapsed(summary) => (
            "Your reservation has ended".to_owned(),
            format!(
                "We held this for you until {}; the deposit did not arrive by then, so the reservation has ended.\n\n{}\n\
                 If it is still to be had, you can reserve again. Should a payment arrive after all, the reservation is\n\
                 taken up again if everything in it is still free; otherwise the whole amount is given back at once.\n",
                time(summary.expires_at),
                lines(summary)
            ),
        ),
    };
    let greeting = name.map(one_line).filter(|name| !name.is_empty()).map_or("Hello,".to_owned(), |name| format!("Hello {name},"));
    Words { subject, text: format!("{greeting}\n\n{body}\n-- \nSmallrun\n") }
}

fn opened(link: &Link) -> String {
    let (url, code, valid) = (&link.url, link.secret.expose(), span(link.valid));
    format!(
        "Open this link within {valid}; it works once:\n\n{url}\n\nIf the shop asks for a code instead, enter this one:\n\n{code}\n"
    )
}

fn lines(summary: &Summary) -> String {
    let mut text = String::new();
    for line in &summary.lines {
        // Writing to a string does not fail.
        let _written = writeln!(text, "  {} x {}: {}", line.units, one_line(&line.title), line.total);
    }
    let _written = writeln!(text, "\n  Total: {}\n  Deposit: {}\n  Later: {}\n", summary.total, summary.due_now, summary.due_later);
    let _written = writeln!(text, "Your checkout: {}", summary.checkout);
    text
}

fn balance(summary: &Summary) -> String {
    let mut by_day: std::collections::BTreeMap<NaiveDate, Money> = std::collections::BTreeMap::new();
    for line in summary.lines.iter().filter(|line| line.balance.minor > 0) {
        let Some(day) = line.balance_due_on else { continue };
        let sum = by_day.get(&day).map_or(Ok(line.balance), |sum| sum.plus(line.balance));
        by_day.insert(day, sum.unwrap_or(line.balance));
    }
    let mut text = String::new();
    for (day, sum) in by_day {
        let _written = writeln!(text, "The balance of {sum} is due on {}.", day.format("%A, %-d %B %Y"));
    }
    if text.is_empty() && summary.due_later.minor > 0 {
        let _written = writeln!(text, "The balance of {} is due before shipping.", summary.due_later);
    }
    text
}

/// Such as `Monday, 2 March 2026, 10:10 UTC`.
fn time(at: DateTime<Utc>) -> String {
    at.format("%A, %-d %B %Y, %H:%M UTC").to_string()
}

fn span(span: TimeDelta) -> String {
    let plural = |count: i64, word: &str| if count == 1 { format!("{count} {word}") } else { format!("{count} {word}s") };
    // The moment between making a link and writing its letter does not count.
    let minutes = span.num_seconds().saturating_add(59).div_euclid(60);
    match (minutes.div_euclid(60), minutes.rem_euclid(60)) {
        (0, minutes) => plural(minutes, "minute"),
        (hours, 0) => plural(hours, "hour"),
        (_, _) => plural(minutes, "minute"),
    }
}

/// A text of somebody's own, kept to its line so that it cannot pass for a part of the letter.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use domain::platform::Currency;
    use uuid::Uuid;

    use super::*;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::from_code("EUR").unwrap())
    }

    fn summary() -> Summary {
        let line = |units, title: &str, total, balance, day| Line {
            units,
            title: title.to_owned(),
            total: eur(total),
            balance: eur(balance),
            balance_due_on: NaiveDate::from_ymd_opt(2026, 4, day),
        };
        Summary {
            checkout: CheckoutId(Uuid::from_u128(0x0192_7f3a_0000_7000_8000_0000_0000_0001)),
            expires_at: DateTime::from_timestamp(1_772_446_200, 0).unwrap(),
            lines: vec![
                line(2, "Jug, blue", 9_000, 7_000, 1),
                line(1, "Bowl\nTotal: 0", 3_000, 2_500, 1),
                line(1, "Cup", 1_000, 900, 9),
            ],
            total: eur(13_000),
            due_now: eur(2_600),
            due_later: eur(10_400),
        }
    }

    fn link() -> Link {
        let secret = Secret::presented("sr_link_abc").unwrap();
        Link { url: "https://shop.example/confirm-email?code=sr_link_abc".to_owned(), secret, valid: TimeDelta::hours(48) }
    }

    #[test]
    fn a_held_letter_names_the_deadline_with_its_zone_the_lines_and_the_deposit() {
        let words = write(Some("Ada"), &Content::Held(summary()));
        assert_eq!(words.subject, "Reserved until Monday, 2 March 2026, 10:10 UTC");
        for part in ["Hello Ada,", "  2 x Jug, blue: 90.00 EUR\n", "Deposit: 26.00 EUR", "checkout_", "UTC"] {
            assert!(words.text.contains(part), "{part}: {}", words.text);
        }
    }

    #[test]
    fn a_title_cannot_start_a_line_of_its_own() {
        let words = write(None, &Content::Held(summary()));
        assert!(words.text.contains("  1 x Bowl Total: 0: 30.00 EUR"), "{}", words.text);
        assert!(words.text.starts_with("Hello,\n"));
        assert!(write(Some("Eve\r\nBcc: x"), &Content::AlreadySignedUp).text.starts_with("Hello Eve  Bcc: x,\n"));
    }

    #[test]
    fn a_confirmed_letter_says_when_each_balance_is_due() {
        let words = write(Some("Ada"), &Content::Confirmed(summary()));
        assert!(words.text.contains("The balance of 95.00 EUR is due on Wednesday, 1 April 2026."), "{}", words.text);
        assert!(words.text.contains("The balance of 9.00 EUR is due on Thursday, 9 April 2026."), "{}", words.text);
    }

    #[test]
    fn a_link_stands_on_a_line_of_its_own_with_its_code_and_its_time() {
        for content in [
            Content::ConfirmEmail { link: link() },
            Content::ResetPassword { link: link() },
            Content::ConfirmGuest { link: link() },
            Content::OpenSession { storefront: "Clay & Co".to_owned(), link: link() },
        ] {
            let words = write(Some("Ada"), &content);
            assert!(words.text.contains("\nhttps://shop.example/confirm-email?code=sr_link_abc\n"), "{}", words.text);
            assert!(words.text.contains("\nsr_link_abc\n") && words.text.contains("within 48 hours;"), "{}", words.text);
            assert!(!words.subject.contains("sr_link"));
        }
    }

    #[test]
    fn spans_are_said_in_words() {
        for (span_of, words) in [
            (TimeDelta::minutes(15), "15 minutes"),
            (TimeDelta::hours(1), "1 hour"),
            (TimeDelta::minutes(90), "90 minutes"),
            (TimeDelta::milliseconds(172_799_990), "48 hours"),
        ] {
            assert_eq!(span(span_of), words);
        }
    }
}
