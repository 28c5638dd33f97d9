//! Completes answers: gives errors their codes, bounds their number and size, and adds the cost.

use async_graphql::{Name, Response, ServerError, Value, indexmap::IndexMap};

use crate::{
    budget::BudgetSettings,
    errors::{Code, internal},
};

/// The most errors in one answer: a document can be wrong in every place.
const ERRORS_MAX: usize = 20;
/// The most characters of an error message: some messages repeat the input.
const MESSAGE_MAX: usize = 400;
/// The most locations of one error.
const LOCATIONS_MAX: usize = 10;

/// Returns whether nothing was run. Such an answer has no `data` (GraphQL, October 2021, section 7.1).
pub(crate) fn is_request_error(response: &Response) -> bool {
    response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// Gives every error a code, and bounds the number of errors and the length of their messages.
pub(super) fn settle(response: &mut Response) {
    if response.errors.is_empty() && response.data == Value::Null {
        // Every field was skipped: the answer has neither fields nor errors (GraphQL, October 2021, section
        // 7.1.1).
        response.data = Value::Object(IndexMap::new());
    }
    response.errors.truncate(ERRORS_MAX);
    for error in &mut response.errors {
        mark(error);
        shorten(&mut error.message);
        error.locations.truncate(LOCATIONS_MAX);
    }
}

/// Gives an error of the library one of our codes. An error from a resolver without a code is an internal
/// failure that must not be shown.
fn mark(error: &mut ServerError) {
    if error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some()) {
        return;
    }
    if error.source.is_some() {
        let shown = internal(&Unmarked(error.message.clone()));
        error.message = shown.message;
        error.extensions = shown.extensions;
        error.source = None;
    } else if !error.path.is_empty() {
        Code::BadUserInput.mark(error);
    } else {
        Code::ValidationFailed.mark(error);
    }
}

/// A failure that reached the edge without passing through [`internal`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unmarked(String);

/// Truncates a message that is too long.
fn shorten(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(MESSAGE_MAX) {
        text.truncate(at);
        text.push('…');
    }
}

/// The cost of a request, and the points its caller has left.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// The maximal cost; `None` when the request was refused before it was known.
    pub(crate) requested: Option<u64>,
    /// The actual cost.
    pub(crate) actual: u64,
    /// The caller's budget and the points left; `None` for callers without a budget.
    pub(crate) budget: Option<(BudgetSettings, u64)>,
}

impl Cost {
    /// Writes the cost into the extensions of an answer, as `cost`. An answer that shared caches may store
    /// must be written without `budget`.
    pub(crate) fn show(&self, response: &mut Response) {
        let mut cost = IndexMap::new();
        if let Some(requested) = self.requested {
            cost.insert(Name::new("requested"), Value::from(requested));
        }
        cost.insert(Name::new("actual"), Value::from(self.actual));
        if let Some((settings, left)) = self.budget {
            let budget = IndexMap::from([
                (Name::new("max"), Value::from(settings.points_max)),
                (Name::new("left"), Value::from(left)),
                (Name::new("perSecond"), Value::from(settings.points_per_second)),
            ]);
            cost.insert(Name::new("budget"), Value::Object(budget));
        }
        response.extensions.insert("cost".to_owned(), Value::Object(cost));
    }
}

/// Counts the named values of an answer.
pub(super) fn values(data: &Value) -> u64 {
    match data {
        Value::Object(fields) => {
            fields.values().fold(0, |sum, value| values(value).saturating_add(1).saturating_add(sum))
        }
        Value::List(rows) => rows.iter().fold(0, |sum, row| values(row).saturating_add(sum)),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{Pos, value};

    use super::*;

    #[test]
    fn the_number_and_size_of_errors_are_bounded() {
        let error = |message: &str| {
            let mut error = ServerError::new(message, None);
            error.locations = vec![Pos::default(); 1_000];
            error
        };
        let mut errors = vec![error(&"é".repeat(100_000))];
        errors.resize_with(1_000, || error("x"));
        let mut response = Response::from_errors(errors);
        settle(&mut response);
        assert_eq!(response.errors.len(), ERRORS_MAX);
        assert_eq!(response.errors[0].message.chars().count(), MESSAGE_MAX + 1);
        assert!(serde_json::to_string(&response).unwrap().len() < 20_000);
    }

    #[test]
    fn when_every_field_is_skipped_data_is_an_empty_object() {
        let mut response = Response::new(Value::Null);
        settle(&mut response);
        assert_eq!(response.data, value!({}));
        let mut failed = Response::from_errors(vec![ServerError::new("no", None)]);
        settle(&mut failed);
        assert_eq!(failed.data, Value::Null);
    }

    #[test]
    fn the_values_of_an_answer_are_counted() {
        for (data, expected) in [
            (value!(null), 0),
            (value!({ "a": 1, "b": null }), 2),
            (value!({ "rows": [{ "a": 1, "b": [1, 2, 3] }, { "a": 1, "b": [] }] }), 5),
        ] {
            assert_eq!(values(&data), expected, "{data}");
        }
    }
}
