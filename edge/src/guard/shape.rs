//! The shape of a parsed document: how much it holds once its fragments are expanded.
//!
//! Validation walks a fragment wherever it is spread. A chain of thirty fragments, each like
//! `fragment F0 { ...F1 ...F1 }`, is a kilobyte of text that would take hours to walk. So each fragment is
//! weighed once by itself, and the weights are then added up along the spreads, in time linear in the text. A
//! document that passes is small enough to be walked as it will run.

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Positioned, ServerError,
    parser::types::{Directive, ExecutableDocument, Selection, SelectionSet},
};

use super::{
    GuardRefusal,
    limits::{Limit, Limits},
};
use crate::errors::Code;

/// Checks all limits that do not depend on the schema. Returns the number of selections in the document, with
/// fragments expanded.
pub(super) fn check(document: &ExecutableDocument, limits: &Limits) -> Result<u64, GuardRefusal> {
    let mut scales = Scales::default();
    let fragments = document.fragments.iter().map(|(name, fragment)| {
        scales.directives(&fragment.node.directives);
        (name, fragment.pos, scales.weigh(&fragment.node.selection_set))
    });
    let fragments = Fragments::of(fragments.collect());
    let mut operations = Vec::new();
    for (_, operation) in document.operations.iter() {
        let operation_node = &operation.node;
        let declared = u64::try_from(operation_node.variable_definitions.len()).unwrap_or(u64::MAX);
        limits.check(Limit::Variables, declared, Some(operation.pos))?;
        scales.directives(&operation_node.directives);
        operation_node
            .variable_definitions
            .iter()
            .for_each(|variable| scales.directives(&variable.node.directives));
        operations.push((operation.pos, scales.weigh(&operation_node.selection_set)));
    }
    limits.check(Limit::Aliases, scales.aliases, None)?;
    limits.check(Limit::Directives, scales.directives, None)?;
    let totals = fragments.totals()?;
    let mut all = Total::default();
    for (pos, local) in &operations {
        let total = fragments.sum(local, &totals);
        all = Total { selections: all.selections.saturating_add(total.selections), levels: total.levels };
        all.check(*pos, limits)?;
    }
    // Unused fragments count too, because validation walks them. Only the worst are reported, so that the
    // error does not depend on their order.
    let unused = || fragments.all.iter().map(|fragment| fragment.pos).zip(totals.iter().flatten());
    let worst =
        [unused().max_by_key(|(_, total)| total.selections), unused().max_by_key(|(_, total)| total.levels)];
    for (pos, total) in worst.into_iter().flatten() {
        total.check(pos, limits)?;
    }
    Ok(all.selections)
}

/// The weight of one definition by itself.
#[derive(Default)]
struct Local<'a> {
    selections: u64,
    /// The nesting depth of its selection sets.
    levels: u64,
    /// The fragments it spreads, each with the depth of the spread.
    spreads: Vec<(&'a Name, u64)>,
}

/// Counts over the whole document.
#[derive(Default)]
struct Scales {
    aliases: u64,
    directives: u64,
}

impl Scales {
    fn weigh<'a>(&mut self, set: &'a Positioned<SelectionSet>) -> Local<'a> {
        let mut local = Local::default();
        self.add(&mut local, set, 1);
        local
    }

    /// Recursion is as deep as the brackets of the text, which are bounded before.
    fn add<'a>(&mut self, local: &mut Local<'a>, set: &'a Positioned<SelectionSet>, level: u64) {
        local.levels = local.levels.max(level);
        let below = level.saturating_add(1);
        for selection in &set.node.items {
            local.selections = local.selections.saturating_add(1);
            self.directives(selection.node.directives());
            match &selection.node {
                Selection::Field(field) => {
                    self.aliases = self.aliases.saturating_add(u64::from(field.node.alias.is_some()));
                    if !field.node.selection_set.node.items.is_empty() {
                        self.add(local, &field.node.selection_set, below);
                    }
                }
                Selection::InlineFragment(fragment) => self.add(local, &fragment.node.selection_set, below),
                Selection::FragmentSpread(spread) => {
                    local.spreads.push((&spread.node.fragment_name.node, level))
                }
            }
        }
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) {
        self.directives = self.directives.saturating_add(u64::try_from(directives.len()).unwrap_or(u64::MAX));
    }
}

/// The weight of a definition with fragments expanded.
#[derive(Default, Clone, Copy)]
struct Total {
    selections: u64,
    levels: u64,
}

impl Total {
    fn check(&self, at: Pos, limits: &Limits) -> Result<(), GuardRefusal> {
        limits.check(Limit::Selections, self.selections, Some(at))?;
        limits.check(Limit::Nesting, self.levels, Some(at))?;
        Ok(())
    }
}

struct Fragment<'a> {
    name: &'a Name,
    pos: Pos,
    local: Local<'a>,
}

/// The fragments of a document, by index.
struct Fragments<'a> {
    all: Vec<Fragment<'a>>,
    numbers: HashMap<&'a Name, usize>,
}

impl<'a> Fragments<'a> {
    fn of(all: Vec<(&'a Name, Pos, Local<'a>)>) -> Self {
        let all: Vec<_> = all.into_iter().map(|(name, pos, local)| Fragment { name, pos, local }).collect();
        let numbers = all.iter().enumerate().map(|(number, fragment)| (fragment.name, number)).collect();
        Self { all, numbers }
    }

    /// Returns the totals of all fragments, by index. It does not recurse, because a chain of fragments can
    /// be as long as the text.
    fn totals(&self) -> Result<Vec<Option<Total>>, GuardRefusal> {
        let mut totals: Vec<Option<Total>> = vec![None; self.all.len()];
        let mut begun = vec![false; self.all.len()];
        for first in 0..self.all.len() {
            // Fragments in progress, each with the number of its spreads already visited.
            let mut open = vec![(first, 0_usize)];
            while let Some((number, seen)) = open.pop() {
                let Some(fragment) = self.all.get(number) else { continue };
                if totals.get(number).is_some_and(Option::is_some) {
                    continue;
                }
                if let Some(begun) = begun.get_mut(number) {
                    *begun = true;
                }
                let Some((name, _)) = fragment.local.spreads.get(seen) else {
                    let total = self.sum(&fragment.local, &totals);
                    if let Some(place) = totals.get_mut(number) {
                        *place = Some(total);
                    }
                    continue;
                };
                open.push((number, seen.saturating_add(1)));
                let Some(&inner) = self.numbers.get(name) else { continue };
                if totals.get(inner).is_some_and(Option::is_none) {
                    if begun.get(inner).copied().unwrap_or(false) {
                        return Err(GuardRefusal::Error(circle(fragment)));
                    }
                    open.push((inner, 0));
                }
            }
        }
        Ok(totals)
    }

    /// Adds up a definition and the totals of the fragments it spreads. Unknown fragments are left to
    /// validation.
    fn sum(&self, local: &Local<'_>, totals: &[Option<Total>]) -> Total {
        let mut sum = Total { selections: local.selections, levels: local.levels };
        for (name, level) in &local.spreads {
            let Some(inner) =
                self.numbers.get(name).and_then(|number| totals.get(*number).copied().flatten())
            else {
                continue;
            };
            sum.selections = sum.selections.saturating_add(inner.selections);
            sum.levels = sum.levels.max(level.saturating_add(inner.levels));
        }
        sum
    }
}

fn circle(fragment: &Fragment<'_>) -> ServerError {
    let message = format!("the fragment `{}` contains itself", fragment.name);
    Code::ValidationFailed.server_error(message, Some(fragment.pos))
}
