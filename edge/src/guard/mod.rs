//! What a request may cost, decided before it is validated: bytes, tokens and nesting of the text before it
//! is parsed ([`text`]), what it holds with fragments in their places ([`shape`], [`walk`]), its variables
//! ([`values`]), and what its fields cost together ([`costs`]). All of it takes time linear in the text, or
//! in what was bounded before. [`limits`] are the numbers.

mod class;
mod costs;
mod limits;
mod shape;
mod text;
mod values;
mod walk;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod introspection;
#[cfg(test)]
pub(crate) mod market;

use async_graphql::{
    Name, Positioned, ServerError, Variables,
    parser::{
        self, parse_query,
        types::{ExecutableDocument, OperationDefinition, OperationType},
    },
};
use serde_json::{Map, Value};

use self::costs::Costs;
use crate::errors::Code;

pub use class::{Class, Classify, Shedding};
pub use costs::PageSizes;
pub use limits::{Excess, Limit, Limits};

/// A document whose selections are more, fragments in their places, is long work to validate.
const LONG_SELECTIONS: u64 = 500;
/// Questions about the schema that cost more are long work: they are answered without ever waiting for
/// anything.
const LONG_INTROSPECTION: u64 = 10_000;
/// What this many units of a question about the schema cost is one of ordinary fields: no database is asked.
const INTROSPECTION_PER_POINT: u64 = 100;

/// Why a request is not admitted.
#[derive(Debug)]
pub enum GuardRefusal {
    /// It exceeds a limit.
    Excess(Excess),
    /// It is no document, or has no such operation.
    Error(ServerError),
}

impl From<Excess> for GuardRefusal {
    fn from(excess: Excess) -> Self {
        Self::Excess(excess)
    }
}

impl GuardRefusal {
    /// As it is told.
    pub fn error(self) -> ServerError {
        match self {
            Self::Excess(excess) => excess.error(),
            Self::Error(error) => error,
        }
    }

    /// What it would have cost, as far as that is known.
    pub fn cost(&self) -> Option<u64> {
        match self {
            Self::Excess(Excess { limit: Limit::Complexity, count, .. }) => Some(*count),
            Self::Excess(_) | Self::Error(_) => None,
        }
    }

    /// For metrics.
    pub fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Excess(excess) => Some(excess.limit.name()),
            Self::Error(_) => None,
        }
    }
}

/// A document within all limits that do not depend on variables.
#[derive(Debug)]
pub struct Document {
    parsed: ExecutableDocument,
    tokens: u64,
    selections: u64,
    /// What its operations ask about the schema, in units of [`Limits::introspection_complexity_max`].
    introspection: u64,
    class: Class,
}

impl Document {
    /// What it does, as far as shedding asks.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The document.
    pub fn parsed(&self) -> &ExecutableDocument {
        &self.parsed
    }

    /// How much memory it takes, roughly: as many units as it has tokens.
    pub fn weight(&self) -> u64 {
        self.tokens
    }

    /// Whether to validate it is long work, which is not to hold up other requests.
    pub fn is_long(&self) -> bool {
        self.selections > LONG_SELECTIONS || self.introspection > LONG_INTROSPECTION
    }
}

/// The operation of a document that is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Whether it is a query, a mutation or a subscription.
    pub kind: OperationType,
    /// What it costs at most, in points: at least one.
    pub cost: u64,
}

/// What the edge has to know of a schema: what its fields cost, what its operations are, and who may ask
/// about it.
#[derive(Debug)]
pub struct SchemaProfile {
    costs: Costs,
    classify: Classify,
    readers: &'static str,
}

impl SchemaProfile {
    /// Of a schema in the schema definition language, whose lists have pages of these sizes. `readers` names
    /// those to whom it is shown where not everybody may see it: "to such and such".
    pub fn new(sdl: &str, page_sizes: PageSizes, classify: Classify, readers: &'static str) -> Self {
        Self { costs: Costs::of(sdl, page_sizes), classify, readers }
    }

    pub(crate) fn readers(&self) -> &'static str {
        self.readers
    }
}

/// Knows the limits, and what the fields of the schema cost.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    schema: &'static SchemaProfile,
}

impl Guard {
    /// The guard of a schema.
    pub fn new(limits: Limits, schema: &'static SchemaProfile) -> Self {
        Self { limits, schema }
    }

    /// Checks the size of a request: no text is read.
    pub fn check_size(&self, text: &str, variables: &Map<String, Value>) -> Result<(), GuardRefusal> {
        Ok(values::check(variables, text.len(), &self.limits)?)
    }

    /// Reads a document. May take milliseconds.
    pub fn read(&self, text: &str) -> Result<Document, GuardRefusal> {
        let counted = text::check(text, &self.limits)?;
        let parsed = parse_query(text).map_err(|error| GuardRefusal::Error(unreadable(error)))?;
        let selections = shape::check(&parsed, &self.limits)?;
        let mut introspection = 0_u64;
        for (_, operation) in parsed.operations.iter() {
            introspection = introspection.saturating_add(walk::check(&parsed, operation, &self.limits)?);
        }
        let class = Class::of(&parsed, self.schema.classify);
        Ok(Document { parsed, tokens: counted.tokens, selections, introspection, class })
    }

    /// Finds the operation that is meant, and checks what it costs with these variables.
    pub fn choose(
        &self,
        document: &Document,
        wanted: Option<&str>,
        variables: &Variables,
    ) -> Result<Chosen, GuardRefusal> {
        let (name, operation) = chosen(&document.parsed, wanted).map_err(GuardRefusal::Error)?;
        let complexity = self.schema.costs.of_operation(&document.parsed, operation, variables);
        self.limits.check(Limit::Complexity, complexity, Some(operation.pos))?;
        let cost = complexity.saturating_add(document.introspection.div_ceil(INTROSPECTION_PER_POINT)).max(1);
        Ok(Chosen { name: name.map(ToString::to_string), kind: operation.node.ty, cost })
    }
}

/// What the parser says in one line: by itself it repeats the line of the document that it could not read.
fn unreadable(error: parser::Error) -> ServerError {
    let (at, text) = (error.positions().next(), error.to_string());
    let message = match text.rsplit_once("\n  = ") {
        Some((_, expected)) => format!("syntax error: {expected}"),
        None => text,
    };
    Code::ParseFailed.server_error(message, at)
}

/// An operation of a document, with its name.
type Named<'a> = (Option<&'a Name>, &'a Positioned<OperationDefinition>);

/// Which operation is meant (GraphQL, October 2021, section 6.1).
fn chosen<'a>(document: &'a ExecutableDocument, wanted: Option<&str>) -> Result<Named<'a>, ServerError> {
    let mut operations = document.operations.iter();
    let found = match (wanted, operations.next(), operations.next()) {
        (None, only, None) => only,
        (None, _, Some(_)) => {
            return Err(
                Code::BadRequest.server_error("several operations: say which by `operationName`", None)
            );
        }
        (Some(wanted), _, _) => {
            document.operations.iter().find(|(name, _)| name.is_some_and(|name| name.as_str() == wanted))
        }
    };
    found.ok_or_else(|| {
        Code::BadRequest.server_error("the document has no operation of that `operationName`", None)
    })
}
