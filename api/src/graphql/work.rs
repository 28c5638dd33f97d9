//! What the edge must know about the schema: the class of an operation, and the cost of its fields.

use std::sync::LazyLock;

use async_graphql::parser::types::OperationType;
use domain::platform::page::PAGE_SIZE_MAX;
use edge::guard::{Class, PageSizes, SchemaProfile, Shedding};

use super::connection::PAGE_SIZE;

/// The root field that reserves units.
const RESERVE: &str = "checkoutReserve";

/// Operations that only read. They are shed first.
const BROWSE: Class = Class { name: "browse", shed: Some(Shedding { from: 1.0, nearly_all_from: 4.0 }) };
/// Operations that reserve units. They are shed after reads.
const RESERVING: Class = Class { name: "reserve", shed: Some(Shedding { from: 4.0, nearly_all_from: 10.0 }) };
/// Operations that pay, cancel or change anything else. They are never shed.
const OTHER: Class = Class { name: "other", shed: None };

/// The viewers who may read the schema on a deployment that restricts it, as words for the error message.
/// They are the viewers who may perform `ReadSchema`.
const SCHEMA_READERS: &str = "to administrators, and to API tokens with the permission SCHEMA_READ";

/// The profile of the schema, which is computed once per process.
static PROFILE: LazyLock<SchemaProfile> = LazyLock::new(|| {
    let page_sizes = PageSizes { usual: u64::try_from(PAGE_SIZE).unwrap_or(1), max: PAGE_SIZE_MAX };
    SchemaProfile::new(&crate::sdl(), page_sizes, class_of, SCHEMA_READERS)
});

/// Returns what the edge must know about the schema.
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
