//! Limits on what a request may cost, checked before the document is validated.
//!
//! - [`text`] counts bytes, tokens and nesting before the text is parsed.
//! - [`shape`] and [`walk`] measure the document with all fragments expanded.
//! - [`values`] measures the variables.
//! - [`costs`] adds up what the fields cost.
//! - [`limits`] holds the numbers.
//!
//! All checks take time linear in the text or in a quantity that was bounded before.

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

/// A document with more selections, fragments expanded, is long work to validate.
const LONG_SELECTIONS: u64 = 500;
/// Introspection that costs more is long work: it is answered without ever yielding to other tasks.
const LONG_INTROSPECTION: u64 = 10_000;
/// This many units of introspection cost one point: introspection needs no database.
const INTROSPECTION_PER_POINT: u64 = 100;

/// Why a request is not admitted.
#[derive(Debug)]
pub enum GuardRefusal {
    /// The request exceeds a limit.
    Excess(Excess),
    /// The text is not a document, or the document does not have the requested operation.
    Error(ServerError),
}

impl From<Excess> for GuardRefusal {
    fn from(excess: Excess) -> Self {
        Self::Excess(excess)
    }
}

impl GuardRefusal {
    /// Returns the error to show.
    pub fn error(self) -> ServerError {
        match self {
            Self::Excess(excess) => excess.error(),
            Self::Error(error) => error,
        }
    }

    /// Returns the cost of the refused operation, if it is known.
    pub fn cost(&self) -> Option<u64> {
        match self {
            Self::Excess(Excess { limit: Limit::Complexity, count, .. }) => Some(*count),
            Self::Excess(_) | Self::Error(_) => None,
        }
    }

    /// Returns the name of the exceeded limit, for metrics.
    pub fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Excess(excess) => Some(excess.limit.name()),
            Self::Error(_) => None,
        }
    }
}

/// A parsed document within all limits that do not depend on variables.
#[derive(Debug)]
pub struct Document {
    parsed: ExecutableDocument,
    tokens: u64,
    selections: u64,
    /// The cost of its introspection, in units of [`Limits::introspection_complexity_max`].
    introspection: u64,
    class: Class,
}

impl Document {
    /// Returns its class of work, for load shedding.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Returns the parsed document.
    pub fn parsed(&self) -> &ExecutableDocument {
        &self.parsed
    }

    /// Returns a rough measure of the memory it takes: its number of tokens.
    pub fn weight(&self) -> u64 {
        self.tokens
    }

    /// Returns whether validating it is long work, which must not delay other requests.
    pub fn is_long(&self) -> bool {
        self.selections > LONG_SELECTIONS || self.introspection > LONG_INTROSPECTION
    }
}

/// The operation of a document that will run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Whether it is a query, a mutation or a subscription.
    pub kind: OperationType,
    /// Its maximal cost in points, at least one.
    pub cost: u64,
}

/// What the edge knows of a schema: the cost of its fields, the class of its operations, and who may use
/// introspection.
#[derive(Debug)]
pub struct SchemaProfile {
    costs: Costs,
    classify: Classify,
    readers: &'static str,
}

impl SchemaProfile {
    /// Creates the profile of a schema given in the schema definition language, whose lists have pages of the
    /// given sizes. `readers` names the viewers who may use introspection where it is restricted, such as "to
    /// administrators".
    pub fn new(sdl: &str, page_sizes: PageSizes, classify: Classify, readers: &'static str) -> Self {
        Self { costs: Costs::of(sdl, page_sizes), classify, readers }
    }

    pub(crate) fn readers(&self) -> &'static str {
        self.readers
    }
}

/// Checks requests against the limits and the costs of a schema.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    schema: &'static SchemaProfile,
}

impl Guard {
    /// Creates a guard for a schema.
    pub fn new(limits: Limits, schema: &'static SchemaProfile) -> Self {
        Self { limits, schema }
    }

    /// Checks the size of a request without parsing its text.
    pub fn check_size(&self, text: &str, variables: &Map<String, Value>) -> Result<(), GuardRefusal> {
        Ok(values::check(variables, text.len(), &self.limits)?)
    }

    /// Parses a document and checks it. This may take milliseconds.
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

    /// Selects the operation to run and checks its cost with these variables.
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

/// Returns the error of an unreadable text in one line. The parser's own message repeats the line of the
/// document that it could not read.
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

/// Selects the operation to run (GraphQL, October 2021, section 6.1).
fn chosen<'a>(document: &'a ExecutableDocument, wanted: Option<&str>) -> Result<Named<'a>, ServerError> {
    let mut operations = document.operations.iter();
    let found = match (wanted, operations.next(), operations.next()) {
        (None, only, None) => only,
        (None, _, Some(_)) => {
            return Err(Code::BadRequest
                .server_error("the document has several operations: name one in `operationName`", None));
        }
        (Some(wanted), _, _) => {
            document.operations.iter().find(|(name, _)| name.is_some_and(|name| name.as_str() == wanted))
        }
    };
    found.ok_or_else(|| {
        Code::BadRequest.server_error("the document has no operation named by `operationName`", None)
    })
}
