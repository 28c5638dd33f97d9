//! Classes of work, which decide what an overloaded process sheds first.

use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection};

/// A class of work, by which load shedding and metrics distinguish operations. The program behind the edge
/// defines the classes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Class {
    /// Its name in metrics.
    pub name: &'static str,
    /// When it is shed; `None` means never.
    pub shed: Option<Shedding>,
}

/// The range of waits in which a growing share of a class is shed, as multiples of
/// [`Settings::shed_from`](crate::Settings::shed_from).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shedding {
    /// The wait from which on some of it is shed.
    pub from: f64,
    /// The wait from which on nearly all of it is shed.
    pub nearly_all_from: f64,
}

/// Returns the class of an operation from its kind and the names of its root fields outside of fragments.
pub type Classify = fn(OperationType, &[&str]) -> Class;

impl Class {
    /// Returns the class of a document. With several operations, of which one will run, this is the class
    /// that is shed first.
    pub(super) fn of(document: &ExecutableDocument, classify: Classify) -> Self {
        let classes = document.operations.iter().map(|(_, operation)| {
            let selections = operation.node.selection_set.node.items.iter();
            let fields = selections.filter_map(|selection| match &selection.node {
                Selection::Field(field) => Some(field.node.name.node.as_str()),
                Selection::FragmentSpread(_) | Selection::InlineFragment(_) => None,
            });
            classify(operation.node.ty, &fields.collect::<Vec<_>>())
        });
        let first = classes.min_by(|one, other| one.shed_from().total_cmp(&other.shed_from()));
        first.unwrap_or_else(|| classify(OperationType::Query, &[]))
    }

    fn shed_from(self) -> f64 {
        self.shed.map_or(f64::INFINITY, |shed| shed.from)
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    const CHEAP: Class = Class { name: "cheap", shed: Some(Shedding { from: 1.0, nearly_all_from: 2.0 }) };
    const DEAR: Class = Class { name: "dear", shed: Some(Shedding { from: 3.0, nearly_all_from: 4.0 }) };
    const NEVER: Class = Class { name: "never", shed: None };

    fn classify(kind: OperationType, fields: &[&str]) -> Class {
        match kind {
            OperationType::Mutation if fields.contains(&"dear") => DEAR,
            OperationType::Mutation => NEVER,
            OperationType::Query | OperationType::Subscription => CHEAP,
        }
    }

    #[test]
    fn a_document_has_the_class_of_its_operation_that_is_shed_first() {
        for (text, expected) in [
            ("{ a { b } }", CHEAP),
            ("mutation { dear { a } }", DEAR),
            ("mutation { other: dear { a } }", DEAR),
            ("mutation { dear: other { a } }", NEVER),
            ("mutation { other { dear } }", NEVER),
            ("mutation A { other } mutation B { dear }", DEAR),
            ("mutation A { other } query B { a }", CHEAP),
        ] {
            assert_eq!(Class::of(&parse_query(text).unwrap(), classify), expected, "{text}");
        }
    }
}
