//! Walks an operation with fragments expanded: measures its depth, its root fields and its introspection.

use async_graphql::{
    Pos, Positioned,
    parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};

use super::limits::{Excess, Limit, Limits};

/// Typical numbers of types in a schema, and of rows in its other lists.
const TYPES: u64 = 200;
const ROWS: u64 = 10;
/// Introspection lists that lead from a type to further types.
const CIRCULAR: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];
/// Introspection lists that do not.
const PLAIN: [&str; 3] = ["args", "enumValues", "directives"];

/// Checks an operation of a document whose number of selections, with fragments expanded, is bounded. Returns
/// the cost of its introspection.
pub(super) fn check(
    document: &ExecutableDocument,
    operation: &Positioned<OperationDefinition>,
    limits: &Limits,
) -> Result<u64, Excess> {
    let mut walk = Walk { document, seen: DocumentTotals::default() };
    walk.set(&operation.node.selection_set, SelectionPlace::Root);
    let DocumentTotals { root_fields, depth, introspection_depth, introspection_lists, introspection } =
        walk.seen;
    limits.check(Limit::RootFields, root_fields, Some(operation.pos))?;
    limits.check(Limit::Depth, depth.0, depth.1)?;
    limits.check(Limit::IntrospectionDepth, introspection_depth.0, introspection_depth.1)?;
    limits.check(Limit::IntrospectionLists, introspection_lists.0, introspection_lists.1)?;
    limits.check(Limit::IntrospectionComplexity, introspection, Some(operation.pos))?;
    Ok(introspection)
}

/// The largest count of something, and where it was reached first.
type Most = (u64, Option<Pos>);

#[derive(Default)]
struct DocumentTotals {
    root_fields: u64,
    depth: Most,
    introspection_depth: Most,
    introspection_lists: Most,
    introspection: u64,
}

/// A place in an operation.
#[derive(Clone, Copy)]
enum SelectionPlace {
    /// Among the root fields.
    Root,
    /// Below this many fields.
    Field(u64),
    /// In introspection, below this many fields, of which this many are circular lists.
    Introspection(u64, u64),
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    seen: DocumentTotals,
}

impl Walk<'_> {
    /// Returns the cost of introspection in a selection set. Recursion is as deep as selection sets are
    /// nested, and visits each as often as it is spread; both are bounded before.
    fn set(&mut self, set: &Positioned<SelectionSet>, place: SelectionPlace) -> u64 {
        let mut cost = 0_u64;
        for selection in &set.node.items {
            let inside = match &selection.node {
                Selection::Field(field) => self.field(field, place),
                Selection::InlineFragment(fragment) => self.set(&fragment.node.selection_set, place),
                Selection::FragmentSpread(spread) => {
                    match self.document.fragments.get(&spread.node.fragment_name.node) {
                        Some(fragment) => self.set(&fragment.node.selection_set, place),
                        None => 0,
                    }
                }
            };
            cost = cost.saturating_add(inside);
        }
        cost
    }

    fn field(&mut self, field: &Positioned<Field>, place: SelectionPlace) -> u64 {
        let name = field.node.name.node.as_str();
        let set = &field.node.selection_set;
        match place {
            SelectionPlace::Root => {
                self.seen.root_fields = self.seen.root_fields.saturating_add(1);
                if matches!(name, "__schema" | "__type") {
                    most(&mut self.seen.introspection_depth, 1, field.pos);
                    let cost = self.set(set, SelectionPlace::Introspection(1, 0)).saturating_add(1);
                    self.seen.introspection = self.seen.introspection.saturating_add(cost);
                } else {
                    most(&mut self.seen.depth, 1, field.pos);
                    self.set(set, SelectionPlace::Field(1));
                }
                0
            }
            SelectionPlace::Field(depth) => {
                let depth = depth.saturating_add(1);
                most(&mut self.seen.depth, depth, field.pos);
                self.set(set, SelectionPlace::Field(depth))
            }
            SelectionPlace::Introspection(depth, lists) => {
                let (depth, circular) = (depth.saturating_add(1), CIRCULAR.contains(&name));
                let lists = lists.saturating_add(u64::from(circular));
                most(&mut self.seen.introspection_depth, depth, field.pos);
                most(&mut self.seen.introspection_lists, lists, field.pos);
                let rows = match name {
                    "types" => TYPES,
                    _ if circular || PLAIN.contains(&name) => ROWS,
                    _ => 1,
                };
                rows.saturating_mul(self.set(set, SelectionPlace::Introspection(depth, lists)))
                    .saturating_add(1)
            }
        }
    }
}

fn most(most: &mut Most, count: u64, at: Pos) {
    if count > most.0 {
        *most = (count, Some(at));
    }
}
