//! The cost of an operation: one point for each field, and for a list the number of its rows times the cost
//! of a row.
//!
//! The sizes of lists are read from the schema, so that no new list is forgotten. A field with `first` and
//! `last` is a page of the requested size. A list with `ids` has as many rows as ids. Any other list of
//! objects is assumed to have ten rows.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, Variables,
    parser::{
        parse_schema,
        types::{
            BaseType, ExecutableDocument, Field, FieldDefinition, OperationDefinition, OperationType,
            Selection, SelectionSet, Type, TypeKind, TypeSystemDefinition, VariableDefinition,
        },
    },
};
use async_graphql_value::{ConstValue, Value};

/// The assumed number of rows in a list without a page size.
const ROWS: u64 = 10;
/// The cost of counting all rows: the database has to find them.
const COUNT: u64 = 5;

/// The page sizes of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSizes {
    /// The default page size.
    pub usual: u64,
    /// The largest page size.
    pub max: u64,
}

/// How a field multiplies the cost of its selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    One,
    /// As many rows as `first` or `last` requests.
    Page,
    /// As many rows as `ids` are given.
    Ids,
    Typical,
    /// No rows, but a count of them.
    Count,
}

#[derive(Debug, Clone, Copy)]
struct FieldCost {
    rows: Rows,
    /// The index of its rows' type, if that type has fields.
    of: Option<usize>,
}

/// The fields of one type, by name.
type Fields = HashMap<Name, FieldCost>;

/// The costs of all fields in a schema.
#[derive(Debug)]
pub(super) struct Costs {
    page_sizes: PageSizes,
    types: Vec<Fields>,
    numbers: HashMap<Name, usize>,
}

impl Costs {
    /// Reads a schema in the schema definition language. An unreadable schema yields no list sizes. That does
    /// not happen: the text is generated from the schema, and a test parses it.
    pub(super) fn of(sdl: &str, page_sizes: PageSizes) -> Self {
        let definitions = parse_schema(sdl).map(|schema| schema.definitions).unwrap_or_default();
        let mut found: Vec<(Name, Vec<Positioned<FieldDefinition>>)> = Vec::new();
        for definition in definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node;
            match definition.node.kind {
                TypeKind::Object(object) => found.push((name, object.fields)),
                TypeKind::Interface(interface) => found.push((name, interface.fields)),
                TypeKind::Union(_) => found.push((name, Vec::new())),
                TypeKind::Scalar | TypeKind::Enum(_) | TypeKind::InputObject(_) => {}
            }
        }
        let numbers: HashMap<Name, usize> =
            found.iter().enumerate().map(|(number, (name, _))| (name.clone(), number)).collect();
        let types = found.iter().map(|(_, fields)| {
            let is_connection = fields.iter().any(|field| field.node.name.node == "pageInfo");
            let cost = |field: &Positioned<FieldDefinition>| {
                let of = numbers.get(inner(&field.node.ty.node)).copied();
                (
                    field.node.name.node.clone(),
                    FieldCost { rows: rows(&field.node, of.is_some(), is_connection), of },
                )
            };
            fields.iter().map(cost).collect()
        });
        Self { page_sizes, types: types.collect(), numbers: numbers.clone() }
    }

    /// Returns the cost of an operation with these variables, without its introspection. The whole document
    /// is walked with fragments expanded, so it must have passed the limits on its shape.
    pub(super) fn of_operation(
        &self,
        document: &ExecutableDocument,
        operation: &Positioned<OperationDefinition>,
        variables: &Variables,
    ) -> u64 {
        let root = match operation.node.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let asked = WeighedOperation {
            costs: self,
            document,
            declared: &operation.node.variable_definitions,
            variables,
        };
        asked.set(&operation.node.selection_set, self.numbers.get(root).copied())
    }
}

/// Returns the name of the innermost type.
fn inner(ty: &Type) -> &Name {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(inner_type) => inner(inner_type),
    }
}

fn rows(field: &FieldDefinition, of_objects: bool, in_connection: bool) -> Rows {
    let has = |name: &str| field.arguments.iter().any(|argument| argument.node.name.node == name);
    match &field.ty.node.base {
        _ if has("first") => Rows::Page,
        BaseType::List(_) if has("ids") => Rows::Ids,
        // The rows of a connection are counted by its page size.
        BaseType::List(_) if of_objects && !in_connection => Rows::Typical,
        BaseType::Named(_) if in_connection && field.name.node == "totalCount" => Rows::Count,
        BaseType::List(_) | BaseType::Named(_) => Rows::One,
    }
}

/// An operation with its variables.
struct WeighedOperation<'a> {
    costs: &'a Costs,
    document: &'a ExecutableDocument,
    declared: &'a [Positioned<VariableDefinition>],
    variables: &'a Variables,
}

impl WeighedOperation<'_> {
    fn set(&self, set: &Positioned<SelectionSet>, of: Option<usize>) -> u64 {
        let mut cost = 0_u64;
        for selection in &set.node.items {
            let inside = match &selection.node {
                Selection::Field(field) => self.field(&field.node, of),
                Selection::InlineFragment(fragment) => {
                    let on = fragment.node.type_condition.as_ref().map(|condition| &condition.node.on.node);
                    let of = on.map_or(of, |name| self.costs.numbers.get(name).copied());
                    self.set(&fragment.node.selection_set, of)
                }
                Selection::FragmentSpread(spread) => {
                    match self.document.fragments.get(&spread.node.fragment_name.node) {
                        Some(fragment) => {
                            let of =
                                self.costs.numbers.get(&fragment.node.type_condition.node.on.node).copied();
                            self.set(&fragment.node.selection_set, of)
                        }
                        None => 0,
                    }
                }
            };
            cost = cost.saturating_add(inside);
        }
        cost
    }

    fn field(&self, field: &Field, of: Option<usize>) -> u64 {
        if matches!(field.name.node.as_str(), "__schema" | "__type") {
            return 1;
        }
        let known = of
            .and_then(|number| self.costs.types.get(number))
            .and_then(|fields| fields.get(&field.name.node));
        let (rows, of) = known.map_or((Rows::One, None), |known| (known.rows, known.of));
        let child = self.set(&field.selection_set, of);
        let rows = match rows {
            Rows::One => 1,
            Rows::Count => return COUNT,
            Rows::Typical => ROWS,
            Rows::Page => self.page_size(field),
            Rows::Ids => self.argument(field, "ids").map_or(1, |ids| match ids {
                Argument::Written(Value::List(ids)) => u64::try_from(ids.len()).unwrap_or(u64::MAX),
                Argument::Sent(ConstValue::List(ids)) => u64::try_from(ids.len()).unwrap_or(u64::MAX),
                Argument::Written(_) | Argument::Sent(_) => 1,
            }),
        };
        rows.saturating_mul(child).saturating_add(1)
    }

    /// A size that is out of bounds is refused later, by the field itself.
    fn page_size(&self, field: &Field) -> u64 {
        let sizes = ["first", "last"].into_iter().filter_map(|name| {
            let number = match self.argument(field, name)? {
                Argument::Written(Value::Number(number)) => number,
                Argument::Sent(ConstValue::Number(number)) => number,
                Argument::Written(_) | Argument::Sent(_) => return None,
            };
            Some(number.as_u64().unwrap_or(0).clamp(1, self.costs.page_sizes.max))
        });
        sizes.max().unwrap_or(self.costs.page_sizes.usual)
    }

    /// Returns the value of an argument, if it has one.
    fn argument<'a>(&'a self, field: &'a Field, name: &str) -> Option<Argument<'a>> {
        let value = &field.get_argument(name)?.node;
        let Value::Variable(variable) = value else { return Some(Argument::Written(value)) };
        if let Some(sent) = self.variables.get(variable) {
            return Some(Argument::Sent(sent));
        }
        let declared = self.declared.iter().find(|declared| declared.node.name.node == *variable)?;
        declared.node.default_value.as_ref().map(|value| Argument::Sent(&value.node))
    }
}

/// The value of an argument.
enum Argument<'a> {
    /// Written in the document.
    Written(&'a Value),
    /// Sent in the variables, or the default of a variable.
    Sent(&'a ConstValue),
}
