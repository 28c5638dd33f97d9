//! What kind of work an operation is, and what a field costs: what the edge has to know of the schema.

use std::sync::LazyLock;

use async_graphql::parser::types::OperationType;
use domain::platform::page::PAGE_SIZE_MAX;
use edge::guard::{Class, PageSizes, SchemaProfile, Shedding};

use super::connection::PAGE_SIZE;

/// The root field that reserves.
const RESERVE: &str = "checkoutReserve";

/// It only reads: shed first.
const BROWSE: Class = Class { name: "browse", shed: Some(Shedding { from: 1.0, nearly_all_from: 4.0 }) };
/// It reserves: shed when reading is.
const RESERVING: Class = Class { name: "reserve", shed: Some(Shedding { from: 4.0, nearly_all_from: 10.0 }) };
/// It pays, gives up, or changes something else: never shed.
const OTHER: Class = Class { name: "other", shed: None };

/// To whom the schema is shown where not everybody may see it, in the words of the refusal: those who may
/// `ReadSchema`.
const SCHEMA_READERS: &str = "to administrators, and to API tokens with the permission SCHEMA_READ";

/// What the edge has to know of the schema: read of it once a process.
static PROFILE: LazyLock<SchemaProfile> = LazyLock::new(|| {
    let page_sizes = PageSizes { usual: u64::try_from(PAGE_SIZE).unwrap_or(1), max: PAGE_SIZE_MAX };
    SchemaProfile::new(&crate::sdl(), page_sizes, class_of, SCHEMA_READERS)
});

/// What the edge has to know of the schema.
pub fn profile() -> &'static SchemaProfile {
    &PROFILE
}

fn class_of(kind: OperationType, fields: &[&str]) -> Class {
    match kind {
        OperationType::Mutation if fields.contains(&RESERVE) => RESERVING,
        OperationType::Mutation => OTHER,
        OperationType::Query | OperationType::Subscription => BROWSE,
    }
}

#[cfg(test)]
mod tests {
    use edge::guard::{Guard, Limits};

    use super::*;

    #[test]
    fn what_a_document_does_is_known_from_its_root_fields() {
        let guard = Guard::new(Limits::default(), profile());
        for (text, expected) in [
            ("{ drops { nodes { id } } }", BROWSE),
            ("mutation($i: I!) { checkoutReserve(input: $i) { errors { code } } }", RESERVING),
            ("mutation($i: I!) { held: checkoutReserve(input: $i) { errors { code } } }", RESERVING),
            ("mutation($i: I!) { checkoutPay(input: $i) { errors { code } } }", OTHER),
            ("mutation A { checkoutPay { a } } query B { drops { a } }", BROWSE),
        ] {
            assert_eq!(guard.read(text).unwrap().class(), expected, "{text}");
        }
    }
}
