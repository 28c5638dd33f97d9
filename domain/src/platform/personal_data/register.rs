//! The personal data in the platform's tables, in the log and on the bus.

use super::{
    Classification::{Personal, Plain},
    Erase, Export, KeepUntil, PersonalContent, Register, RegisteredStore, RegisteredTable, RowOwner,
};

/// The platform's own data.
pub const REGISTER: Register = Register {
    capability: "platform",
    tables: &[
        RegisteredTable {
            name: "outbox",
            owner: RowOwner::Nobody,
            columns: &[
                ("kind", Plain("enum")),
                ("aggregate", Plain("id of what changed")),
                ("payload", Plain("a fact: ids only")),
                ("traceparent", Plain("id of a trace")),
            ],
        },
        RegisteredTable {
            name: "tasks",
            owner: RowOwner::Nobody,
            columns: &[
                ("kind", Plain("enum")),
                ("queue", Plain("enum")),
                ("payload", Plain("ids only: a letter is written, and its address read, when the task runs")),
                ("unique_key", Plain("kind and id")),
                ("state", Plain("enum")),
                ("last_error", Plain("text of an error, without the address of a letter")),
                ("traceparent", Plain("id of a trace")),
                ("subject", Plain("id of what the task is about")),
            ],
        },
        RegisteredTable {
            name: "task_failures",
            owner: RowOwner::Nobody,
            columns: &[
                ("outcome", Plain("enum")),
                ("error", Plain("text of an error, without the address of a letter")),
            ],
        },
        RegisteredTable {
            name: "task_discards",
            owner: RowOwner::Nobody,
            columns: &[("kind", Plain("enum")), ("subject", Plain("id of what the task was about"))],
        },
        RegisteredTable {
            name: "timers",
            owner: RowOwner::Nobody,
            columns: &[("kind", Plain("enum")), ("traceparent", Plain("id of a trace"))],
        },
        RegisteredTable {
            name: "audit",
            owner: RowOwner::Nobody,
            columns: &[
                ("actor", Plain("id of who did it")),
                ("action", Plain("enum")),
                ("subject", Plain("id of what was changed")),
                ("fields", Plain("names of fields, never their values")),
                ("trace_id", Plain("id of a trace")),
                ("reason", Plain("an administrator's reason, which is to name nobody")),
            ],
        },
        RegisteredTable {
            name: "audit_segments",
            owner: RowOwner::Nobody,
            columns: &[
                ("row_hashes", Plain("ids and hashes of audit rows")),
                ("previous_head", Plain("hash")),
                ("head", Plain("hash")),
            ],
        },
        RegisteredTable {
            name: "idempotency_keys",
            owner: RowOwner::Nobody,
            columns: &[
                ("principal", Plain("id of an account, a guest or a token")),
                ("operation", Plain("enum")),
                ("key", Plain("chosen by a program, at random")),
                ("input_hash", Plain("hash of a request, kept seven days")),
            ],
        },
        RegisteredTable {
            name: "budgets",
            owner: RowOwner::Nobody,
            columns: &[(
                "name",
                Personal(PersonalContent {
                    what: "what is limited, and whom: a network address, or the hash of an e-mail address",
                    export: Export::Withheld(
                        "it is found by no account, and gone by the time an export is made",
                    ),
                    erase: Erase::WithRow,
                    keep: KeepUntil::Days(1),
                    why: "guessing of passwords and flooding of mailboxes is stopped",
                }),
            )],
        },
        RegisteredTable {
            name: "slugs",
            owner: RowOwner::Nobody,
            columns: &[("kind", Plain("enum")), ("slug", Plain("part of a public URL"))],
        },
        RegisteredTable {
            name: "tags",
            owner: RowOwner::Nobody,
            columns: &[("kind", Plain("enum")), ("tag", Plain("published by a creator"))],
        },
        RegisteredTable {
            name: "seaql_migrations",
            owner: RowOwner::Nobody,
            columns: &[("version", Plain("name of a migration"))],
        },
    ],
    stores: &[
        RegisteredStore {
            name: "log",
            classification: Plain("ids; of an e-mail address the first letter and the domain"),
        },
        RegisteredStore { name: "broker", classification: Plain("facts and permits: ids only") },
    ],
};
