//! The register of the personal data in payments, refunds, the ledger and the webhook inbox.

use crate::platform::personal_data::{
    Classification::{Personal, Plain, Secret},
    Erase, Export, FoundBy, KeepUntil, PersonalContent, Register, RegisteredTable, RowErasure, RowOwner,
};

const BY_PAYMENT: &[FoundBy] =
    &[FoundBy::Through { column: "payment_id", other_table: "payments", other_column: "id" }];

/// The register of personal data that payments store.
pub const REGISTER: Register = Register {
    capability: "payments",
    tables: &[
        RegisteredTable {
            name: "payments",
            owner: RowOwner::Person {
                found_by: &[FoundBy::Through {
                    column: "checkout_id",
                    other_table: "checkouts",
                    other_column: "id",
                }],
                erasure: RowErasure::Keep,
            },
            columns: &[
                ("purpose", Plain("enum")),
                ("gateway", Plain("name of a gateway")),
                ("state", Plain("enum")),
                ("currency", Plain("code of a currency")),
                ("intent", Plain("the gateway's id of the payment")),
                (
                    "method",
                    Personal(PersonalContent {
                        what: "the gateway's reference to the means of payment",
                        export: Export::AsItIs,
                        erase: Erase::Null,
                        keep: KeepUntil::Erasure,
                        why: "it is sent to the gateway, and sent again after a failure",
                    }),
                ),
                (
                    "return_url",
                    Personal(PersonalContent {
                        what: "page of the storefront to which the buyer returns; it may name the \
                               buyer's session or order",
                        export: Export::AsItIs,
                        erase: Erase::Null,
                        keep: KeepUntil::Erasure,
                        why: "the gateway sends the buyer there",
                    }),
                ),
                ("action_url", Secret("page of the gateway on which the payment can be confirmed")),
                ("decline_code", Plain("code of the gateway")),
                (
                    "fingerprint",
                    Personal(PersonalContent {
                        what: "hash of the gateway's fingerprint of the means of payment",
                        export: Export::Withheld("a hash is of no use to the person"),
                        erase: Erase::Null,
                        keep: KeepUntil::Erasure,
                        why: "buyers who pay with the same means count as one person for a limit per person",
                    }),
                ),
            ],
        },
        RegisteredTable {
            name: "refunds",
            owner: RowOwner::Person { found_by: BY_PAYMENT, erasure: RowErasure::Keep },
            columns: &[
                ("currency", Plain("code of a currency")),
                ("reason", Plain("enum")),
                ("state", Plain("enum")),
                ("gateway_refund", Plain("the gateway's id of the refund")),
            ],
        },
        RegisteredTable {
            name: "ledger_entries",
            owner: RowOwner::Person { found_by: BY_PAYMENT, erasure: RowErasure::Keep },
            columns: &[
                ("account", Plain("name of an account of the ledger")),
                ("currency", Plain("code of a currency")),
            ],
        },
        RegisteredTable {
            name: "webhook_inbox",
            owner: RowOwner::Person {
                found_by: &[FoundBy::Through {
                    column: "intent",
                    other_table: "payments",
                    other_column: "intent",
                }],
                erasure: RowErasure::Delete,
            },
            columns: &[
                ("gateway", Plain("name of a gateway")),
                ("event", Plain("the gateway's id of the event")),
                ("intent", Plain("the gateway's id of the payment")),
                (
                    "body",
                    Personal(PersonalContent {
                        what: "body of the webhook; it may name the payer",
                        export: Export::Withheld("a copy of what the gateway holds and exports"),
                        erase: Erase::WithRow,
                        keep: KeepUntil::Days(30),
                        why: "the row recognises repeated deliveries; the body is for the investigation of \
                              failures",
                    }),
                ),
            ],
        },
    ],
    stores: &[],
};
