//! What the sandbox gateway holds of persons. A real gateway holds it elsewhere.

use domain::platform::personal_data::{
    Classification::{Personal, Plain, Secret},
    Erase, Export, FoundBy, KeepUntil, PersonalContent, Register, RegisteredTable, RowErasure, RowOwner,
};

/// What the sandbox holds.
pub const REGISTER: Register = Register {
    capability: "sandbox gateway",
    tables: &[
        RegisteredTable {
            name: "sandbox_intents",
            owner: RowOwner::Person {
                found_by: &[FoundBy::Through {
                    column: "reference",
                    other_table: "payments",
                    other_column: "id",
                }],
                erasure: RowErasure::Keep,
            },
            columns: &[
                ("reference", Plain("id of a payment")),
                ("secret", Secret("end of the address of the page on which the payment can be confirmed")),
                ("state", Plain("enum")),
                ("currency", Plain("code of a currency")),
                ("method", Plain("name of a pretended means of payment")),
                (
                    "return_url",
                    Personal(PersonalContent {
                        what: "page of the storefront to which the buyer returns; it may name the buyer's session or order",
                        export: Export::Withheld("a copy of what the payment has"),
                        erase: Erase::Null,
                        keep: KeepUntil::Erasure,
                        why: "the buyer is sent there; the sandbox takes no money, so nothing is kept for the books",
                    }),
                ),
                ("decline_code", Plain("code of the sandbox")),
            ],
        },
        RegisteredTable {
            name: "sandbox_keys",
            owner: RowOwner::Nobody,
            columns: &[
                ("key", Plain("id and a number")),
                (
                    "answer",
                    Personal(PersonalContent {
                        what: "what a call was answered, with the page to which the buyer returns",
                        export: Export::Withheld("a copy of what the payment has"),
                        erase: Erase::WithRow,
                        keep: KeepUntil::Days(30),
                        why: "a call that is repeated is recognised",
                    }),
                ),
            ],
        },
        RegisteredTable {
            name: "sandbox_events",
            owner: RowOwner::Nobody,
            columns: &[("kind", Plain("enum"))],
        },
    ],
    stores: &[],
};
