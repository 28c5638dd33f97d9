//! What a document does, as far as it matters to an overloaded process.

use async_graphql::{
    Positioned,
    parser::types::{ExecutableDocument, OperationType, Selection},
};

/// The root field that reserves.
const RESERVE: &str = "checkoutReserve";

/// What a document does, as far as shedding asks. Ordered by what is shed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// It only reads.
    Browse,
    /// It reserves.
    Reserve,
    /// It pays, gives up, or changes something else.
    Other,
}

impl Class {
    /// The class of a document: the least of its operations, of which one is run.
    pub(crate) fn of(document: &ExecutableDocument) -> Self {
        let of_operation = |kind: OperationType, fields: &[Positioned<Selection>]| {
            let reserves = |field: &Positioned<Selection>| match &field.node {
                Selection::Field(field) => field.node.name.node == RESERVE,
                Selection::FragmentSpread(_) | Selection::InlineFragment(_) => false,
            };
            match kind {
                OperationType::Mutation if fields.iter().any(reserves) => Self::Reserve,
                OperationType::Mutation => Self::Other,
                OperationType::Query | OperationType::Subscription => Self::Browse,
            }
        };
        let classes = document.operations.iter().map(|(_, one)| of_operation(one.node.ty, &one.node.selection_set.node.items));
        classes.min().unwrap_or(Self::Browse)
    }

    /// As metrics name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Browse => "browse",
            Self::Reserve => "reserve",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn what_a_document_does_is_known_from_its_root_fields() {
        for (text, expected) in [
            ("{ drops { nodes { id } } }", Class::Browse),
            ("mutation($i: I!) { checkoutReserve(input: $i) { errors { code } } }", Class::Reserve),
            ("mutation($i: I!) { held: checkoutReserve(input: $i) { errors { code } } }", Class::Reserve),
            ("mutation($i: I!) { checkoutPay(input: $i) { errors { code } } }", Class::Other),
            ("mutation A { checkoutPay { a } } query B { drops { a } }", Class::Browse),
        ] {
            assert_eq!(Class::of(&parse_query(text).unwrap()), expected, "{text}");
        }
    }
}
