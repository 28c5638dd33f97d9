//! The personal data in creators: there is none, only what they publish about themselves.

use crate::platform::personal_data::{Classification::Plain, Register, RegisteredTable, RowOwner};

/// The register of this capability.
pub const REGISTER: Register = Register {
    capability: "creators",
    tables: &[RegisteredTable {
        name: "creators",
        owner: RowOwner::Nobody,
        columns: &[
            ("slug", Plain("part of a public URL")),
            ("name", Plain("published by the creator")),
            ("tagline", Plain("published by the creator")),
            ("place", Plain("published by the creator")),
            ("country", Plain("code of a country")),
            ("time_zone", Plain("name of a time zone")),
            ("currency", Plain("code of a currency")),
            ("story_markdown", Plain("published by the creator")),
            ("story_html", Plain("published by the creator")),
        ],
    }],
    stores: &[],
};
