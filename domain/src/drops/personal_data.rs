//! The personal data in drops: there is none.

use crate::platform::personal_data::{Classification::Plain, Register, RegisteredTable, RowOwner};

/// The register of this capability.
pub const REGISTER: Register = Register {
    capability: "drops",
    tables: &[RegisteredTable {
        name: "drops",
        owner: RowOwner::Nobody,
        columns: &[
            ("slug", Plain("part of a public URL")),
            ("series", Plain("published by the creator")),
            ("title", Plain("published by the creator")),
            ("summary", Plain("published by the creator")),
            ("description_markdown", Plain("published by the creator")),
            ("description_html", Plain("published by the creator")),
            ("state", Plain("enum")),
            ("currency", Plain("code of a currency")),
            ("deposit_kind", Plain("enum")),
            ("balance_kind", Plain("enum")),
        ],
    }],
    stores: &[],
};
