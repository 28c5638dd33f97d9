//! The personal data in the catalogue: there is none.

use crate::platform::personal_data::{
    Classification::Plain, Register, RegisteredStore, RegisteredTable, RowOwner,
};

/// The register of this capability.
pub const REGISTER: Register = Register {
    capability: "catalog",
    tables: &[
        RegisteredTable {
            name: "products",
            owner: RowOwner::Nobody,
            columns: &[
                ("slug", Plain("part of a public URL")),
                ("title", Plain("published by the creator")),
                ("summary", Plain("published by the creator")),
                ("description_markdown", Plain("published by the creator")),
                ("description_html", Plain("published by the creator")),
                ("currency", Plain("code of a currency")),
            ],
        },
        RegisteredTable {
            name: "variants",
            owner: RowOwner::Nobody,
            columns: &[
                ("sku", Plain("the creator's number of an article")),
                ("title", Plain("published by the creator")),
                ("currency", Plain("code of a currency")),
                ("tax_class", Plain("enum")),
            ],
        },
        RegisteredTable {
            name: "product_import_rows",
            owner: RowOwner::Nobody,
            columns: &[
                ("cells", Plain("a row of a file of products")),
                ("complaints", Plain("what is wrong with such a row")),
                ("product_outcome", Plain("enum")),
                ("variant_outcome", Plain("enum")),
            ],
        },
    ],
    stores: &[RegisteredStore {
        name: "uploads",
        classification: Plain("files of products; they have no name and go with the request"),
    }],
};
