//! What an answer shows besides its data: errors with codes of ours, few and short, and what it cost.

use async_graphql::{Name, Response, ServerError, Value, indexmap::IndexMap};

use crate::{
    budget::BudgetSettings,
    errors::{Code, internal},
};

/// The most errors that one answer shows: a document can be wrong in every place.
const ERRORS_MAX: usize = 20;
/// The most characters of an error's text: some repeat what was sent.
const MESSAGE_MAX: usize = 400;
/// The most places that an error names.
const LOCATIONS_MAX: usize = 10;

/// Whether nothing was run: then an answer has no `data` (GraphQL, October 2021, section 7.1).
pub(crate) fn is_request_error(response: &Response) -> bool {
    response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// Gives all errors codes of ours, and bounds their number and their texts.
pub(super) fn settle(response: &mut Response) {
    if response.errors.is_empty() && response.data == Value::Null {
        // Everything was skipped: no field, and no error either (GraphQL, October 2021, section 7.1.1).
        response.data = Value::Object(IndexMap::new());
    }
    response.errors.truncate(ERRORS_MAX);
    for error in &mut response.errors {
        mark(error);
        shorten(&mut error.message);
        error.locations.truncate(LOCATIONS_MAX);
    }
}

/// Gives an error of the library a code of ours. What came from a resolver without one is a failure that
/// nobody meant to show.
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

/// A failure that reached the edge without [`internal`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unmarked(String);

/// Cuts a text that is too long.
fn shorten(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(MESSAGE_MAX) {
        text.truncate(at);
        text.push('…');
    }
}

/// What a request cost, and what its caller has left.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// What it may cost at most: `None` when it was refused before that was known.
    pub(crate) requested: Option<u64>,
    /// What it did cost.
    pub(crate) actual: u64,
    /// The caller's budget, and what is left of it; `None` for those without one.
    pub(crate) budget: Option<(BudgetSettings, u64)>,
}

impl Cost {
    /// Puts it into the extensions of an answer, as `cost`. An answer that may be kept for others must be
    /// written without `budget`.
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

/// How many values of an answer have a name.
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
    fn errors_are_few_and_short_whatever_was_sent() {
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
    fn where_everything_is_skipped_the_answer_is_empty_and_not_null() {
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
