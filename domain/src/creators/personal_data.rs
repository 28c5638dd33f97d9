//! The personal data in creators: the addresses of pickup places, which can be private homes. All else is
//! what creators publish about themselves.

use crate::platform::personal_data::{
    Classification::{self, Personal, Plain},
    Erase, Export, FoundBy, KeepUntil, PersonalContent, Register, RegisteredTable, RowErasure, RowOwner,
};

/// A part of the address of a pickup place, or a text about it.
const fn of_place(what: &'static str) -> Classification {
    Personal(PersonalContent {
        what,
        export: Export::Withheld("it is the creator's, whose members read it in the API"),
        erase: Erase::Unlink,
        keep: KeepUntil::Erasure,
        why: "buyers who have paid come there; it may be the home of a member",
    })
}

/// The register of this capability.
pub const REGISTER: Register = Register {
    capability: "creators",
    tables: &[
        RegisteredTable {
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
        },
        RegisteredTable {
            name: "pickup_places",
            owner: RowOwner::Person {
                found_by: &[FoundBy::Through {
                    column: "creator_id",
                    other_table: "creator_members",
                    other_column: "creator_id",
                }],
                erasure: RowErasure::Keep,
            },
            columns: &[
                ("name", Plain("published by the creator")),
                ("line1", of_place("street and house of a pickup place")),
                ("line2", of_place("second line of its address")),
                ("postal_code", of_place("its postal code")),
                ("city", Plain("published by the creator")),
                ("country", Plain("code of a country")),
                ("hours", of_place("its opening hours")),
                ("note", of_place("a note for those who come")),
            ],
        },
    ],
    stores: &[],
};
