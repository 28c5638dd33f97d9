//! The register of personal data in checkouts, their addresses and reservations.

use crate::platform::personal_data::{
    Classification::{self, Personal, Plain},
    Erase, Export, FoundBy, KeepUntil, Person, PersonalContent, Register, RegisteredTable, RowErasure,
    RowOwner,
};

/// A part of the address that an invoice names.
const fn invoiced(what: &'static str) -> Classification {
    Personal(PersonalContent {
        what,
        export: Export::AsItIs,
        erase: Erase::WithRow,
        keep: KeepUntil::BooksAreClosed,
        why: "delivery, and the invoice that names its recipient",
    })
}

/// A part of the contract. It is the marketplace's own business once it can no longer be linked to a person.
const fn agreed(what: &'static str, why: &'static str) -> Classification {
    Personal(PersonalContent {
        what,
        export: Export::AsItIs,
        erase: Erase::Unlink,
        keep: KeepUntil::BooksAreClosed,
        why,
    })
}

/// The register of personal data that reservations store.
pub const REGISTER: Register = Register {
    capability: "reservations",
    tables: &[
        RegisteredTable {
            name: "checkouts",
            owner: RowOwner::Person {
                found_by: &[
                    FoundBy::Id { person: Person::Account, column: "account_id" },
                    FoundBy::Id { person: Person::Guest, column: "guest_id" },
                ],
                erasure: RowErasure::Keep,
            },
            columns: &[
                ("currency", Plain("code of a currency")),
                ("country", agreed("country of delivery", "it decides the tax")),
                ("quote", agreed("what was ordered, and at what price", "the contract and its books")),
                ("legal_text_ids", agreed("which legal texts were accepted", "proof of the contract")),
            ],
        },
        RegisteredTable {
            name: "checkout_addresses",
            owner: RowOwner::Person {
                found_by: &[FoundBy::Through {
                    column: "checkout_id",
                    other_table: "checkouts",
                    other_column: "id",
                }],
                erasure: RowErasure::Delete,
            },
            columns: &[
                ("name", invoiced("name of the recipient")),
                ("line1", invoiced("street and house")),
                ("line2", invoiced("second line of the address")),
                ("postal_code", invoiced("postal code")),
                ("city", invoiced("city")),
                ("country", invoiced("country")),
                (
                    "phone",
                    Personal(PersonalContent {
                        what: "telephone number",
                        export: Export::AsItIs,
                        erase: Erase::Null,
                        keep: KeepUntil::Erasure,
                        why: "delivery; no invoice names it",
                    }),
                ),
            ],
        },
        RegisteredTable {
            name: "reservations",
            owner: RowOwner::Person {
                found_by: &[FoundBy::Through {
                    column: "checkout_id",
                    other_table: "checkouts",
                    other_column: "id",
                }],
                erasure: RowErasure::Keep,
            },
            columns: &[
                (
                    "person_key",
                    Personal(PersonalContent {
                        what: "hash of the buyer's e-mail address",
                        export: Export::Withheld("the address itself is exported"),
                        erase: Erase::Replace,
                        keep: KeepUntil::Erasure,
                        why: "limits per person are counted by it",
                    }),
                ),
                ("state", Plain("enum")),
                ("currency", Plain("code of a currency")),
                ("delivery", Plain("enum")),
            ],
        },
        RegisteredTable {
            name: "legal_texts",
            owner: RowOwner::Nobody,
            columns: &[
                ("kind", Plain("enum")),
                ("title", Plain("published by the marketplace")),
                ("body_markdown", Plain("published by the marketplace")),
                ("body_html", Plain("published by the marketplace")),
            ],
        },
        RegisteredTable {
            name: "tax_rates",
            owner: RowOwner::Nobody,
            columns: &[("country", Plain("code of a country")), ("tax_class", Plain("enum"))],
        },
        RegisteredTable {
            name: "shipping_tariffs",
            owner: RowOwner::Nobody,
            columns: &[("country", Plain("code of a country")), ("currency", Plain("code of a currency"))],
        },
    ],
    stores: &[],
};
