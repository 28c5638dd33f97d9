//! The limits of a request, and the error of an exceeded limit.

use async_graphql::{Pos, ServerError};

use crate::errors::Code;

/// The limits of a request. They are the same for all callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest size of a request in bytes, document and variables together.
    pub bytes_max: u32,
    /// The most tokens of a document.
    pub tokens_max: u32,
    /// The longest name, in bytes. It is limited because responses and errors repeat names.
    pub name_bytes_max: u32,
    /// The deepest nesting of brackets of all kinds, with fragments expanded. It bounds the recursion of the
    /// parser and of the validation.
    pub nesting_max: u32,
    /// The most directives in a document.
    pub directives_max: u32,
    /// The most aliases in a document. Aliases let a document request one field many times.
    pub aliases_max: u32,
    /// The most root fields of an operation, with fragments expanded.
    pub root_fields_max: u32,
    /// The most variables, both declared by an operation and sent with the request.
    pub variables_max: u32,
    /// The most values in all variables together. Each scalar, list and object is one value.
    pub values_max: u32,
    /// The deepest nesting of lists and objects in a variable.
    pub values_nesting_max: u32,
    /// The most fields and fragments in a document, with fragments expanded.
    pub selections_max: u32,
    /// The deepest nesting of fields outside introspection, with fragments expanded.
    pub depth_max: u32,
    /// The highest cost of an operation: each field costs one, plus the cost of its selected fields. A list
    /// costs its number of rows times the cost of one row.
    pub complexity_max: u32,
    /// The deepest nesting of fields in introspection.
    pub introspection_depth_max: u32,
    /// The deepest nesting, in introspection, of the lists that lead back to types (`fields`, `inputFields`,
    /// `interfaces`, `possibleTypes`). graphql-js has the same rule with the same bound
    /// (`MaxIntrospectionDepthRule`).
    pub introspection_lists_max: u32,
    /// The highest cost of introspection. Its lists are assumed to have typical sizes.
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

    /// Checks that a count is within its limit.
    pub(super) fn check(&self, limit: Limit, count: u64, at: Option<Pos>) -> Result<(), Excess> {
        let max = self.max(limit);
        if count <= u64::from(max) { Ok(()) } else { Err(Excess { limit, count, max, at }) }
    }
}

/// The kinds of limits. Each is a field of [`Limits`].
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
    /// Returns the name of the limit in errors and metrics.
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

/// A limit that a request exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// The exceeded limit.
    pub limit: Limit,
    /// The count in the request.
    pub count: u64,
    /// The largest allowed count.
    pub max: u32,
    /// The position in the document, if the count belongs to one.
    pub at: Option<Pos>,
}

impl Excess {
    /// Returns the error to show, such as `aliases: 10000, at most 100`.
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
