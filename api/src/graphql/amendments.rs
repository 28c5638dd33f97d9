//! What is added to the schema once all of its types are known.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, ServerResult, Value, parser::types::Field,
    registry::Registry,
};

use super::{connection, user_error};

/// Adds to the schema what follows from all of its types: the arguments of pages, and the interface of
/// errors. Registered last, as if it were a type: the library has no other place that is shown the registry.
pub(crate) struct Amendments;

#[async_trait::async_trait]
impl OutputType for Amendments {
    fn type_name() -> Cow<'static, str> {
        // No type of this name is registered.
        "Amendments".into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        connection::describe_pages(registry);
        user_error::add_interface(registry);
        Self::type_name().into_owned()
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        // No field has this type.
        Ok(Value::Null)
    }
}
