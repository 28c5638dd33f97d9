//! The personal data that the sandbox gateway stores. A real gateway stores it in its own systems.

use domain::platform::personal_data::{
    Classification::{Personal, Plain, Secret},
    Erase, Export, FoundBy, KeepUntil, PersonalContent, Register, RegisteredTable, RowErasure, RowOwner,
};

/// The register of the sandbox's tables.
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
                ("secret", Secret("last segment of the URL of the payment's confirmation page")),
                ("state", Plain("enum")),
                ("currency", Plain("currency code")),
                ("method", Plain("name of a simulated payment method")),
                (
                    "return_url",
                    Personal(PersonalContent {
                        what: "page of the storefront to which the buyer returns; it may name the buyer's \
                               session or order",
                        export: Export::Withheld("a copy of the payment's return URL"),
                        erase: Erase::Null,
                        keep: KeepUntil::Erasure,
                        why: "the buyer is sent there; the sandbox takes no money, so no records are kept \
                              for accounting",
                    }),
                ),
                ("decline_code", Plain("decline code of the sandbox")),
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
                        what: "the answer to a call, with the page to which the buyer returns",
                        export: Export::Withheld("a copy of the payment's data"),
                        erase: Erase::WithRow,
                        keep: KeepUntil::Days(30),
                        why: "a repeated call gets the same answer",
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
