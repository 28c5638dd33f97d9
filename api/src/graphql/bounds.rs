//! The bounds in the descriptions of the schema. A doc comment names a bound (`at most {TAGS}`), and
//! [`describe_bounds`] replaces the name with the value of the constant that is enforced.

use std::ops::RangeInclusive;

use async_graphql::registry::{MetaField, MetaInputValue, MetaType, Registry};
use chrono::TimeDelta;
use domain::{
    accounts::{
        AccountName, Email, GUEST_SESSION_LASTS, Password, SESSION_LASTS, TOKEN_YEARS_MAX, TOKENS_MAX,
        TokenName,
        links::{CONFIRM_EMAIL_LASTS, CONFIRM_GUEST_LASTS, OPEN_SESSION_LASTS, RESET_PASSWORD_LASTS},
    },
    catalog::{
        Grams, Millimetres, ProductTitle, Sku, Summary, VariantTitle, imports,
        policy::{PRICE_MINOR_MAX, VARIANTS_MAX},
        sheet::ROWS_MAX,
    },
    creators::{
        CreatorName, CreatorPlace, Tagline,
        pickup_places::{OpeningHours, PICKUP_PLACES_MAX, PickupNote, PickupPlaceName},
    },
    drops::{DROP_PLACES_MAX, terms},
    platform::{
        idempotency::{self, IdempotencyKey},
        slugs::Slug,
        tags::{TAGS_MAX, Tag},
        tasks::{DiscardReason, FAILURES_MAX, REQUEUE_MAX},
        text::Markdown,
    },
    reservations::{
        LINE_UNITS_MAX, LINES_MAX, TARIFFS_MAX,
        address::{City, Phone, PostalCode, RecipientName, Street},
        decide::OPEN_HOLDS_MAX,
        legal::LegalTitle,
    },
};

use super::{node::NODES_MAX, platform::tasks::mutations::KIND_CHARS, scalars::DECIMAL_CHARS_MAX};
use crate::live::PACE;

/// Returns the names of all bounds and the texts that replace them.
fn bounds() -> Vec<(&'static str, String)> {
    let (hold_min, hold_max) = terms::HOLD_SECS.into_inner();
    vec![
        // All capabilities
        ("DECIMAL_CHARS", digits(DECIMAL_CHARS_MAX)),
        ("KEY_CHARS", range(IdempotencyKey::CHARS)),
        ("KEY_DAYS", digits(idempotency::KEPT_DAYS)),
        ("MARKDOWN_CHARS", digits(Markdown::MAX)),
        ("NODES", digits(NODES_MAX)),
        ("SLUG_CHARS", range(Slug::CHARS)),
        ("TAG_CHARS", range(Tag::CHARS)),
        ("TAGS", digits(TAGS_MAX)),
        // Accounts
        ("ACCOUNT_NAME_CHARS", digits(AccountName::MAX)),
        ("CONFIRM_EMAIL_LASTS", duration(CONFIRM_EMAIL_LASTS)),
        ("CONFIRM_GUEST_LASTS", duration(CONFIRM_GUEST_LASTS)),
        ("EMAIL_CHARS", digits(Email::MAX)),
        ("GUEST_SESSION_LASTS", duration(GUEST_SESSION_LASTS)),
        ("OPEN_SESSION_LASTS", duration(OPEN_SESSION_LASTS)),
        ("PASSWORD_CHARS", range(Password::MIN..=Password::MAX)),
        ("RESET_PASSWORD_LASTS", duration(RESET_PASSWORD_LASTS)),
        ("SESSION_LASTS", duration(SESSION_LASTS)),
        ("TOKEN_NAME_CHARS", digits(TokenName::MAX)),
        ("TOKEN_YEARS", word(TOKEN_YEARS_MAX)),
        ("TOKENS", digits(TOKENS_MAX)),
        // Creators
        ("CREATOR_NAME_CHARS", digits(CreatorName::MAX)),
        ("HOURS_CHARS", digits(OpeningHours::MAX)),
        ("PICKUP_NAME_CHARS", digits(PickupPlaceName::MAX)),
        ("PICKUP_NOTE_CHARS", digits(PickupNote::MAX)),
        ("PICKUP_PLACES", digits(PICKUP_PLACES_MAX)),
        ("PLACE_CHARS", digits(CreatorPlace::MAX)),
        ("TAGLINE_CHARS", digits(Tagline::MAX)),
        // The catalogue; drops have titles, summaries and prices of the same form
        ("GRAMS", digits(Grams::MAX)),
        ("IMPORT_DAYS", word(imports::KEPT_DAYS)),
        ("IMPORT_ROWS", digits(ROWS_MAX)),
        ("MILLIMETRES", digits(Millimetres::MAX)),
        ("OPEN_IMPORTS", word(imports::OPEN_MAX)),
        ("PRICE_MINOR", digits(PRICE_MINOR_MAX)),
        ("SKU_CHARS", range(Sku::CHARS)),
        ("SUMMARY_CHARS", digits(Summary::MAX)),
        ("TITLE_CHARS", digits(ProductTitle::MAX)),
        ("VARIANT_TITLE_CHARS", digits(VariantTitle::MAX)),
        ("VARIANTS", digits(VARIANTS_MAX)),
        // Drops
        ("CLOSING_SOON_HOURS", word(terms::CLOSING_SOON_HOURS)),
        ("DROP_PLACES", digits(DROP_PLACES_MAX)),
        ("HOLD_MINUTES", format!("{} to {}", hold_min / 60, hold_max / 60)),
        ("HOLD_SECS", format!("{hold_min} to {hold_max}")),
        ("HOLD_SECS_DEFAULT", terms::HOLD_SECS_DEFAULT.to_string()),
        ("ITEM_UNITS", digits(terms::UNITS_MAX)),
        ("ITEMS", digits(terms::ITEMS_MAX)),
        ("LEAD_TIME_DAYS", digits(terms::LEAD_TIME_DAYS_MAX)),
        ("PRICE_TIERS", digits(terms::TIERS_MAX)),
        ("STATES_PER_SECOND", word(1_000 / PACE.as_millis())),
        ("WINDOW_DAYS", digits(terms::WINDOW_DAYS_MAX)),
        // Reservations
        ("CITY_CHARS", digits(City::MAX)),
        ("LEGAL_TITLE_CHARS", digits(LegalTitle::MAX)),
        ("LINE_UNITS", digits(LINE_UNITS_MAX)),
        ("LINES", digits(LINES_MAX)),
        ("OPEN_HOLDS", word(OPEN_HOLDS_MAX)),
        ("PHONE_CHARS", digits(Phone::MAX)),
        ("POSTAL_CODE_CHARS", digits(PostalCode::MAX)),
        ("RECIPIENT_CHARS", digits(RecipientName::MAX)),
        ("STREET_CHARS", digits(Street::MAX)),
        ("TARIFFS", digits(TARIFFS_MAX)),
        // Tasks
        ("DISCARD_REASON_CHARS", range(DiscardReason::CHARS)),
        ("FAILURES", digits(FAILURES_MAX)),
        ("KIND_CHARS", range(KIND_CHARS)),
        ("REQUEUE", word(REQUEUE_MAX)),
    ]
}

/// Writes a number with thousands separators.
fn digits(number: impl ToString) -> String {
    let number = number.to_string();
    let mut text = String::new();
    for (at, digit) in number.chars().enumerate() {
        if at > 0 && number.len().saturating_sub(at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a number as a word, if it has a short one.
fn word(number: impl ToString) -> String {
    let digits = digits(number);
    let word = match digits.as_str() {
        "2" => "two",
        "3" => "three",
        "4" => "four",
        "5" => "five",
        "6" => "six",
        "7" => "seven",
        "8" => "eight",
        "9" => "nine",
        "10" => "ten",
        "20" => "twenty",
        "30" => "thirty",
        "10,000" => "ten thousand",
        _ => return digits,
    };
    word.to_owned()
}

/// Writes the least and the greatest number.
fn range(numbers: RangeInclusive<usize>) -> String {
    let (least, greatest) = numbers.into_inner();
    format!("{} to {}", digits(least), digits(greatest))
}

/// Writes a duration in days, hours or minutes.
fn duration(lasts: TimeDelta) -> String {
    match (lasts.num_hours(), lasts.num_minutes()) {
        (1, 60) => "an hour".to_owned(),
        (hours @ 49.., _) if hours % 24 == 0 => format!("{} days", lasts.num_days()),
        (hours, minutes) if hours * 60 == minutes => format!("{hours} hours"),
        (_, minutes) => format!("{minutes} minutes"),
    }
}

/// Replaces the names of bounds in all descriptions of an otherwise complete schema. An unknown name stays as
/// it is.
pub(super) fn describe_bounds(registry: &mut Registry) {
    let bounds = bounds();
    let texts = registry.types.values_mut().flat_map(descriptions).flatten();
    for text in texts.filter(|text| text.contains('{')) {
        for (name, value) in &bounds {
            *text = text.replace(&format!("{{{name}}}"), value);
        }
    }
}

/// Returns the descriptions of a type, its fields, their arguments and its values.
fn descriptions(known: &mut MetaType) -> Vec<&mut Option<String>> {
    fn of_field(field: &mut MetaField) -> impl Iterator<Item = &mut Option<String>> {
        std::iter::once(&mut field.description).chain(field.args.values_mut().map(of_input))
    }
    fn of_input(input: &mut MetaInputValue) -> &mut Option<String> {
        &mut input.description
    }
    let (own, mut texts): (_, Vec<_>) = match known {
        MetaType::Scalar { description, .. } | MetaType::Union { description, .. } => {
            (description, Vec::new())
        }
        MetaType::Object { description, fields, .. } | MetaType::Interface { description, fields, .. } => {
            (description, fields.values_mut().flat_map(of_field).collect())
        }
        MetaType::Enum { description, enum_values, .. } => {
            (description, enum_values.values_mut().map(|value| &mut value.description).collect())
        }
        MetaType::InputObject { description, input_fields, .. } => {
            (description, input_fields.values_mut().map(of_input).collect())
        }
    };
    texts.push(own);
    texts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use async_graphql::Schema;

    use super::*;
    use crate::{Mutation, Query, Subscription};

    /// The names of bounds in a schema: capitals, digits and underscores in braces.
    fn names_in(sdl: &str) -> BTreeSet<&str> {
        let sign = |sign: char| sign.is_ascii_uppercase() || sign.is_ascii_digit() || sign == '_';
        let named = sdl.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
        named.filter(|name| !name.is_empty() && name.chars().all(sign)).collect()
    }

    #[test]
    fn every_bound_is_known_and_used() {
        let as_written =
            Schema::build(Query::default(), Mutation::default(), Subscription::default()).finish().sdl();
        let bounds = bounds();
        let known: BTreeSet<_> = bounds.iter().map(|(name, _)| *name).collect();
        assert_eq!(known.len(), bounds.len(), "two bounds have one name");
        assert_eq!(names_in(&as_written), known);
        assert_eq!(names_in(&crate::sdl()), BTreeSet::new());
    }

    #[test]
    fn numbers_and_durations_read_well() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (20_000, "20,000")] {
            assert_eq!(digits(number), text);
        }
        assert_eq!(digits(1_000_000_000), "1,000,000,000");
        assert_eq!((word(3), word(31)), ("three".to_owned(), "31".to_owned()));
        assert_eq!(range(2..=1_000), "2 to 1,000");
        for (minutes, text) in [
            (15, "15 minutes"),
            (60, "an hour"),
            (90, "90 minutes"),
            (24 * 60, "24 hours"),
            (48 * 60, "48 hours"),
            (30 * 24 * 60, "30 days"),
        ] {
            assert_eq!(duration(TimeDelta::minutes(minutes)), text);
        }
    }
}
