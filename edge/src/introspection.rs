//! Who may ask about the schema, and what the others get instead.
//!
//! Questions about the schema are found here. Whoever runs a request for somebody to whom the schema is not
//! shown ([`AdmittedWork::shows_schema`](crate::AdmittedWork)) must not suggest names in errors either: with
//! near misses the schema can be guessed name by name.

use async_graphql::{
    ServerError,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

use crate::{backend::Viewer, errors::Code};

/// Who may ask about the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaAudience {
    /// Everybody.
    Everybody,
    /// Those who may read it ([`Viewer::may_read_schema`]).
    Permitted,
    /// Nobody.
    Nobody,
}

/// Shows the schema to those who may see it.
#[derive(Debug)]
pub(crate) struct Introspection {
    audience: SchemaAudience,
    /// Those who are permitted, in words.
    readers: &'static str,
}

impl Introspection {
    pub(crate) fn new(audience: SchemaAudience, readers: &'static str) -> Self {
        Self { audience, readers }
    }

    /// Whether the schema is shown to that viewer.
    pub(crate) fn is_open_to(&self, viewer: &dyn Viewer) -> bool {
        match self.audience {
            SchemaAudience::Everybody => true,
            SchemaAudience::Permitted => viewer.may_read_schema(),
            SchemaAudience::Nobody => false,
        }
    }

    /// Why a document cannot be executed for that viewer: it asks about the schema, and the viewer may not.
    pub(crate) fn refusal(&self, viewer: &dyn Viewer, document: &ExecutableDocument) -> Option<ServerError> {
        if self.is_open_to(viewer) || !asks_about_schema(document) {
            return None;
        }
        let why = match self.audience {
            SchemaAudience::Everybody | SchemaAudience::Permitted => {
                format!("the schema is shown {}", self.readers)
            }
            SchemaAudience::Nobody => "this server does not answer questions about its schema".to_owned(),
        };
        Some(Code::IntrospectionDisabled.server_error(why, None))
    }
}

/// Whether some operation or fragment has `__schema` or `__type`, at whatever depth.
fn asks_about_schema(document: &ExecutableDocument) -> bool {
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    operations.chain(fragments).any(set_asks)
}

/// Recurses as deep as brackets are nested, which the bounds on the text keep shallow.
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
    fn questions_about_the_schema_are_found_wherever_they_stand() {
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
