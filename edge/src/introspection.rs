//! Who may use introspection, and the refusal for everybody else.
//!
//! This module finds introspection fields in a document. When
//! [`AdmittedWork::shows_schema`](crate::AdmittedWork) is false, the backend must not suggest names in errors
//! either: suggestions would let a client guess the schema name by name.

use async_graphql::{
    ServerError,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

use crate::{backend::EdgeViewer, errors::Code};

/// Who may read the schema by introspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaAudience {
    /// Everybody.
    Everybody,
    /// Viewers with permission to read it ([`EdgeViewer::may_read_schema`]).
    Permitted,
    /// Nobody.
    Nobody,
}

/// Decides who may use introspection.
#[derive(Debug)]
pub(crate) struct Introspection {
    audience: SchemaAudience,
    /// The permitted viewers in words, for the error text.
    readers: &'static str,
}

impl Introspection {
    pub(crate) fn new(audience: SchemaAudience, readers: &'static str) -> Self {
        Self { audience, readers }
    }

    /// Returns whether this viewer may use introspection.
    pub(crate) fn is_open_to(&self, viewer: &dyn EdgeViewer) -> bool {
        match self.audience {
            SchemaAudience::Everybody => true,
            SchemaAudience::Permitted => viewer.may_read_schema(),
            SchemaAudience::Nobody => false,
        }
    }

    /// Returns the refusal of a document that uses introspection without permission.
    pub(crate) fn refusal(
        &self,
        viewer: &dyn EdgeViewer,
        document: &ExecutableDocument,
    ) -> Option<ServerError> {
        if self.is_open_to(viewer) || !asks_about_schema(document) {
            return None;
        }
        let why = match self.audience {
            SchemaAudience::Everybody | SchemaAudience::Permitted => {
                format!("the schema is shown {}", self.readers)
            }
            SchemaAudience::Nobody => "introspection is disabled on this server".to_owned(),
        };
        Some(Code::IntrospectionDisabled.server_error(why, None))
    }
}

/// Returns whether any operation or fragment selects `__schema` or `__type`, at any depth.
fn asks_about_schema(document: &ExecutableDocument) -> bool {
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    operations.chain(fragments).any(set_asks)
}

/// Recursion is as deep as the brackets of the text, which the guard bounds.
fn set_asks(set: &SelectionSet) -> bool {
    set.items.iter().any(|selection| match &selection.node {
        Selection::Field(field) => {
            matches!(field.node.name.node.as_str(), "__schema" | "__type")
                || set_asks(&field.node.selection_set.node)
        }
        Selection::InlineFragment(fragment) => set_asks(&fragment.node.selection_set.node),
        Selection::FragmentSpread(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn introspection_fields_are_found_anywhere_in_a_document() {
        for (text, asks) in [
            ("{ __schema { types { name } } }", true),
            ("{ a: __type(name: \"Drop\") { name } }", true),
            ("query A { __typename } query B { __schema { description } }", true),
            ("{ ...F } fragment F on Query { ... on Query { __schema { description } } }", true),
            ("{ __typename drops { nodes { __typename } } }", false),
            ("{ schema: __typename # __schema\n }", false),
        ] {
            assert_eq!(asks_about_schema(&parse_query(text).unwrap()), asks, "{text}");
        }
    }
}
