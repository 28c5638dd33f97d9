//! The interface of all errors that a user can mend.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, ServerResult, Value,
    indexmap::{IndexMap, IndexSet},
    parser::types::Field,
    registry::{MetaType, Registry},
};

/// What the error types of all mutations have in common.
///
/// Written by hand, because there are as many such types as mutations: every object type whose name ends in `Error` and that has
/// the two fields implements it. Registered last, when all of them are known.
pub(crate) struct UserError;

const NAME: &str = "UserError";
const DESCRIPTION: &str =
    "Why a mutation changed nothing, in a form that its user can act on. Each mutation has an error type of its own with a `code`.";

#[async_trait::async_trait]
impl OutputType for UserError {
    fn type_name() -> Cow<'static, str> {
        NAME.into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        let mut fields = IndexMap::new();
        let mut errors = IndexSet::new();
        for known in registry.types.values() {
            let MetaType::Object { name, fields: own, .. } = known else { continue };
            let (Some(message), Some(path)) = (own.get("message"), own.get("path")) else { continue };
            if name.ends_with("Error") {
                fields.insert(message.name.clone(), message.clone());
                fields.insert(path.name.clone(), path.clone());
                errors.insert(name.clone());
            }
        }
        for error in &errors {
            registry.add_implements(error, NAME);
        }
        let interface = MetaType::Interface {
            name: NAME.to_owned(),
            description: Some(DESCRIPTION.to_owned()),
            fields,
            possible_types: errors,
            extends: false,
            keys: None,
            visible: None,
            inaccessible: false,
            tags: Vec::new(),
            rust_typename: None,
            directive_invocations: Vec::new(),
            requires_scopes: Vec::new(),
        };
        registry.types.insert(NAME.to_owned(), interface);
        NAME.to_owned()
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        // No field has this type.
        Ok(Value::Null)
    }
}
