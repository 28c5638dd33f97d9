//! Additions to the schema that need all of its types.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, ServerResult, Value, parser::types::Field,
    registry::Registry,
};

use super::{bounds, connection, user_error};

/// Adds the paging arguments, the bounds in descriptions and the interface of errors to the schema. It is
/// registered last, as if it were a type, because async-graphql gives access to the registry in no other
/// place.
pub(crate) struct Amendments;

#[async_trait::async_trait]
impl OutputType for Amendments {
    fn type_name() -> Cow<'static, str> {
        // No type of this name is registered.
        "Amendments".into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        connection::describe_pages(registry);
        bounds::describe_bounds(registry);
        user_error::add_interface(registry);
        Self::type_name().into_owned()
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        // No field has this type.
        Ok(Value::Null)
    }
}
