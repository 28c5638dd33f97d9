//! The personal data in accounts, guests, sessions, links and API tokens.

use crate::platform::personal_data::{
    Classification::{Personal, Plain, Secret},
    Erase, Export, FoundBy, KeepUntil, Person, PersonalContent, Register, RegisteredTable, RowErasure,
    RowOwner,
};

const BY_ACCOUNT_OR_GUEST: &[FoundBy] = &[
    FoundBy::Id { person: Person::Account, column: "account_id" },
    FoundBy::Id { person: Person::Guest, column: "guest_id" },
];

const EMAIL: PersonalContent = PersonalContent {
    what: "e-mail address",
    export: Export::AsItIs,
    erase: Erase::Replace,
    keep: KeepUntil::Erasure,
    why: "signing in, letters",
};

/// The register of this capability.
pub const REGISTER: Register = Register {
    capability: "accounts",
    tables: &[
        RegisteredTable {
            name: "accounts",
            owner: RowOwner::Person {
                found_by: &[FoundBy::Id { person: Person::Account, column: "id" }],
                erasure: RowErasure::Keep,
            },
            columns: &[
                ("email", Personal(EMAIL)),
                (
                    "name",
                    Personal(PersonalContent {
                        what: "what the person wants to be called",
                        export: Export::AsItIs,
                        erase: Erase::Empty,
                        keep: KeepUntil::Erasure,
                        why: "letters, and the lists of a creator's members",
                    }),
                ),
                (
                    "password_hash",
                    Personal(PersonalContent {
                        what: "hash of the password (argon2id)",
                        export: Export::Withheld("it grants access to whoever guesses what it was made from"),
                        erase: Erase::Null,
                        keep: KeepUntil::Erasure,
                        why: "signing in",
                    }),
                ),
            ],
        },
        RegisteredTable {
            name: "guests",
            owner: RowOwner::Person {
                found_by: &[FoundBy::Id { person: Person::Guest, column: "id" }],
                erasure: RowErasure::Keep,
            },
            columns: &[(
                "email",
                Personal(PersonalContent { why: "letters about what was bought", ..EMAIL }),
            )],
        },
        RegisteredTable {
            name: "sessions",
            owner: RowOwner::Person { found_by: BY_ACCOUNT_OR_GUEST, erasure: RowErasure::Delete },
            columns: &[("secret_hash", Secret("hash of a bearer token"))],
        },
        RegisteredTable {
            name: "email_links",
            owner: RowOwner::Person { found_by: BY_ACCOUNT_OR_GUEST, erasure: RowErasure::Delete },
            columns: &[("purpose", Plain("enum")), ("secret_hash", Secret("hash of the secret in a link"))],
        },
        RegisteredTable {
            name: "creator_members",
            owner: RowOwner::Person {
                found_by: &[FoundBy::Id { person: Person::Account, column: "account_id" }],
                erasure: RowErasure::Delete,
            },
            columns: &[("role", Plain("enum"))],
        },
        RegisteredTable {
            name: "api_tokens",
            owner: RowOwner::Nobody,
            columns: &[
                ("kind", Plain("enum")),
                ("name", Plain("what a program is for, such as `web shop`")),
                ("secret_hash", Secret("hash of an API token")),
                ("permissions", Plain("names of permissions")),
                ("actor", Plain("id of who made it")),
            ],
        },
    ],
    stores: &[],
};
