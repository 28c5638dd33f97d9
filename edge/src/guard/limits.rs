//! The limits of a request, and how it is told that one of them is exceeded.

use async_graphql::{Pos, ServerError};

use crate::errors::Code;

/// The limits of every request, whoever sends it. Counts and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a request: document and variables together.
    pub bytes_max: u32,
    /// The most tokens of a document.
    pub tokens_max: u32,
    /// The longest name, in bytes: names come back in answers and in errors.
    pub name_bytes_max: u32,
    /// The deepest nesting of brackets of all kinds, with fragments in their places: parser and validation
    /// recurse as deep.
    pub nesting_max: u32,
    /// The most directives.
    pub directives_max: u32,
    /// The most aliases: with them one field is asked for many times.
    pub aliases_max: u32,
    /// The most fields of an operation itself, with fragments in their places.
    pub root_fields_max: u32,
    /// The most variables that an operation declares, and that are sent.
    pub variables_max: u32,
    /// The most values in all variables together; each text, number, list and object is one.
    pub values_max: u32,
    /// The deepest nesting of lists and objects in a variable.
    pub values_nesting_max: u32,
    /// The most fields and fragments once all fragments are in their places.
    pub selections_max: u32,
    /// The deepest nesting of fields.
    pub depth_max: u32,
    /// The most that the fields of an operation may cost together: each field is one, a list costs its size
    /// times its rows.
    pub complexity_max: u32,
    /// The deepest nesting of fields in questions about the schema.
    pub introspection_depth_max: u32,
    /// How often lists that lead round in circles (`fields`, `inputFields`, `interfaces`, `possibleTypes`)
    /// may be nested in questions about the schema. graphql-js has the same rule and the same bound
    /// (`MaxIntrospectionDepthRule`).
    pub introspection_lists_max: u32,
    /// The most that questions about the schema may cost, with typical sizes of its lists.
    pub introspection_complexity_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 100 * 1024,
            tokens_max: 4_000,
            name_bytes_max: 200,
            nesting_max: 50,
            directives_max: 100,
            aliases_max: 100,
            root_fields_max: 50,
            variables_max: 100,
            values_max: 10_000,
            values_nesting_max: 20,
            selections_max: 5_000,
            depth_max: 15,
            complexity_max: 20_000,
            introspection_depth_max: 20,
            introspection_lists_max: 2,
            introspection_complexity_max: 2_000_000,
        }
    }
}

impl Limits {
    fn max(&self, limit: Limit) -> u32 {
        match limit {
            Limit::Bytes => self.bytes_max,
            Limit::Tokens => self.tokens_max,
            Limit::NameBytes => self.name_bytes_max,
            Limit::Nesting => self.nesting_max,
            Limit::Directives => self.directives_max,
            Limit::Aliases => self.aliases_max,
            Limit::RootFields => self.root_fields_max,
            Limit::Variables => self.variables_max,
            Limit::Values => self.values_max,
            Limit::ValuesNesting => self.values_nesting_max,
            Limit::Selections => self.selections_max,
            Limit::Depth => self.depth_max,
            Limit::Complexity => self.complexity_max,
            Limit::IntrospectionDepth => self.introspection_depth_max,
            Limit::IntrospectionLists => self.introspection_lists_max,
            Limit::IntrospectionComplexity => self.introspection_complexity_max,
        }
    }

    /// Whether a count is within its limit.
    pub(super) fn check(&self, limit: Limit, count: u64, at: Option<Pos>) -> Result<(), Excess> {
        let max = self.max(limit);
        if count <= u64::from(max) { Ok(()) } else { Err(Excess { limit, count, max, at }) }
    }
}

/// Which limit: see the fields of [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Bytes,
    Tokens,
    NameBytes,
    Nesting,
    Directives,
    Aliases,
    RootFields,
    Variables,
    Values,
    ValuesNesting,
    Selections,
    Depth,
    Complexity,
    IntrospectionDepth,
    IntrospectionLists,
    IntrospectionComplexity,
}

impl Limit {
    /// As refusals and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Tokens => "tokens",
            Self::NameBytes => "name bytes",
            Self::Nesting => "nesting",
            Self::Directives => "directives",
            Self::Aliases => "aliases",
            Self::RootFields => "root fields",
            Self::Variables => "variables",
            Self::Values => "values",
            Self::ValuesNesting => "nesting of values",
            Self::Selections => "selections",
            Self::Depth => "depth",
            Self::Complexity => "complexity",
            Self::IntrospectionDepth => "introspection depth",
            Self::IntrospectionLists => "introspection lists",
            Self::IntrospectionComplexity => "introspection complexity",
        }
    }
}

/// A limit that a request exceeds, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// Which limit.
    pub limit: Limit,
    /// How much of it there is.
    pub count: u64,
    /// How much there may be.
    pub max: u32,
    /// Where in the document.
    pub at: Option<Pos>,
}

impl Excess {
    /// As it is told: `aliases: 10000, at most 100`.
    pub(super) fn error(&self) -> ServerError {
        let name = self.limit.name();
        let mut error =
            Code::TooCostly.server_error(format!("{name}: {}, at most {}", self.count, self.max), self.at);
        let extensions = error.extensions.get_or_insert_default();
        extensions.set("limit", name);
        extensions.set("count", self.count);
        extensions.set("max", self.max);
        error
    }
}
