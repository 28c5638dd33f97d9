//! Time zones, by their names in the IANA database.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use super::stored::stored_text;

/// A time zone such as `Europe/Lisbon`. The due dates of a creator are dates in its time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeZone(Tz);

/// The text is not a name in the IANA time zone database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a time zone of the IANA database, such as Europe/Lisbon")]
pub struct UnknownTimeZone;

impl TimeZone {
    /// Returns the IANA name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Returns the local date at an instant.
    pub fn date_at(self, instant: DateTime<Utc>) -> NaiveDate {
        instant.with_timezone(&self.0).date_naive()
    }
}

stored_text!(TimeZone, TimeZone::name, "a time zone of the IANA database");

impl FromStr for TimeZone {
    type Err = UnknownTimeZone;
    fn from_str(name: &str) -> Result<Self, UnknownTimeZone> {
        name.parse().map(Self).map_err(|_| UnknownTimeZone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_local_to_its_zone() {
        let late: DateTime<Utc> = "2026-11-23T23:30:00Z".parse().unwrap();
        let date_in = |zone: &str| zone.parse::<TimeZone>().unwrap().date_at(late).to_string();
        assert_eq!(
            (date_in("UTC").as_str(), date_in("Europe/Berlin").as_str()),
            ("2026-11-23", "2026-11-24")
        );
    }

    #[test]
    fn zones_are_named_as_the_database_names_them() {
        for (name, known) in
            [("Europe/Lisbon", true), ("UTC", true), ("europe/lisbon", false), ("Lisbon", false), ("", false)]
        {
            assert_eq!(name.parse::<TimeZone>().map(|zone| zone.name()).ok(), known.then_some(name));
        }
    }
}
