//! Reads the input of an operation field by field, so that one response reports every field that does not
//! parse, with its path.
//!
//! ```text
//! let mut form = Form::new();
//! let request = parsed!(CreateProduct {
//!     title: form.field("title", ProductTitle::new(&input.title)),
//!     slug: form.optional("slug", input.slug.as_deref().map(slug)),
//!     currency: Ok(input.currency.0),
//! });
//! let request = form.finish(request)?;
//! ```
//!
//! In a mutation, `?` turns all faults into errors of the payload. In a query, it returns a GraphQL error
//! that names the first fault.

use std::fmt::Display;

use async_graphql::{Error, ID, MaybeUndefined};
use domain::platform::{
    EntityId, Money,
    idempotency::IdempotencyKey,
    ids::IdError,
    slugs::Slug,
    text::{TextError, TextLine},
};

use super::{context, errors::bad_input, money::MoneyInput};

/// The marker of a field that does not parse. Only a form makes this value, so the form has recorded the
/// fault.
#[derive(Debug)]
pub(crate) struct Noted(());

/// A parsed field, or a request that is made of parsed fields.
pub(crate) type Parsed<T> = Result<T, Noted>;

/// A field that does not parse.
#[derive(Debug)]
pub(crate) struct InputFault {
    pub(crate) path: Vec<String>,
    pub(crate) message: String,
}

/// All fields of an input that do not parse.
#[derive(Debug)]
pub(crate) struct InvalidInput(pub(crate) Vec<InputFault>);

impl InvalidInput {
    /// Returns the error for a single field that does not parse.
    pub(crate) fn at(field: &str, message: impl Display) -> Self {
        Self(vec![InputFault { path: vec![field.to_owned()], message: message.to_string() }])
    }
}

impl From<InvalidInput> for Error {
    fn from(InvalidInput(faults): InvalidInput) -> Self {
        let told = faults.first().map(|fault| format!("`{}`: {}", fault.path.join("."), fault.message));
        bad_input(told.unwrap_or_default())
    }
}

/// Collects the fields that do not parse.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// The path to the object or list whose fields are being read.
    prefix: Vec<String>,
    faults: Vec<InputFault>,
}

impl Form {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Reads a required field.
    pub(crate) fn field<T, E: Display>(&mut self, name: &str, value: Result<T, E>) -> Parsed<T> {
        value.map_err(|why| {
            let path = self.prefix.iter().map(String::as_str).chain([name]).map(str::to_owned).collect();
            self.faults.push(InputFault { path, message: why.to_string() });
            Noted(())
        })
    }

    /// Reads an optional field.
    pub(crate) fn optional<T, E: Display>(
        &mut self,
        name: &str,
        value: Option<Result<T, E>>,
    ) -> Parsed<Option<T>> {
        value.map(|value| self.field(name, value)).transpose()
    }

    /// Reads a field of an update that can be emptied. An absent field stays as it is. Null empties it, and
    /// so does a value for which `read` returns `None`.
    pub(crate) fn change<V, T, E: Display>(
        &mut self,
        name: &str,
        value: MaybeUndefined<V>,
        read: impl FnOnce(V) -> Result<Option<T>, E>,
    ) -> Parsed<Option<Option<T>>> {
        match value {
            MaybeUndefined::Undefined => Ok(None),
            MaybeUndefined::Null => Ok(Some(None)),
            MaybeUndefined::Value(value) => self.field(name, read(value)).map(Some),
        }
    }

    /// Reads a global id of one kind.
    pub(crate) fn id<I: EntityId>(&mut self, name: &str, id: &ID) -> Parsed<I> {
        self.field(name, context::id(id))
    }

    /// Reads an amount, whose decimals must fit its currency.
    pub(crate) fn money(&mut self, name: &str, money: &MoneyInput) -> Parsed<Money> {
        self.inside(name, |form| form.field("amount", money.parse()))
    }

    /// Reads the idempotency key.
    pub(crate) fn key(&mut self, key: &str) -> Parsed<IdempotencyKey> {
        let wrong = || {
            let (min, max) = IdempotencyKey::CHARS.into_inner();
            format!("must be {min} to {max} characters of A-Z, a-z, 0-9, _, ., : and -")
        };
        self.field("idempotencyKey", IdempotencyKey::new(key).ok_or_else(wrong))
    }

    /// Reads the fields of an object inside the input.
    pub(crate) fn inside<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.prefix.push(name.to_owned());
        let value = read(self);
        self.prefix.pop();
        value
    }

    /// Reads the first `most` items of a list. `read` gets the index of the item as a name.
    pub(crate) fn each<I, T>(
        &mut self,
        name: &str,
        items: &[I],
        most: usize,
        mut read: impl FnMut(&mut Self, &str, &I) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let read_all = |form: &mut Self| {
            // All items are read before `collect`, which stops at the first fault.
            let parsed: Vec<_> = items
                .iter()
                .take(most)
                .enumerate()
                .map(|(at, item)| read(form, &at.to_string(), item))
                .collect();
            parsed.into_iter().collect()
        };
        self.inside(name, read_all)
    }

    /// Reads the first `most` objects of a list.
    pub(crate) fn each_object<I, T>(
        &mut self,
        name: &str,
        items: &[I],
        most: usize,
        mut read: impl FnMut(&mut Self, &I) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.each(name, items, most, |form, at, item| form.inside(at, |form| read(form, item)))
    }

    /// Returns the request, if no field is faulty.
    pub(crate) fn finish<T>(self, request: Parsed<T>) -> Result<T, InvalidInput> {
        match request {
            Ok(request) if self.faults.is_empty() => Ok(request),
            Ok(_) | Err(Noted(())) => Err(InvalidInput(self.faults)),
        }
    }
}

/// Makes a request of its parsed fields. All fields are read, in the order of the source, before any result
/// is inspected.
macro_rules! parsed {
    ($request:ident { $($field:ident: $value:expr),* $(,)? }) => {{
        let ($($field,)*) = ($(crate::graphql::input::read($value),)*);
        (|| crate::graphql::input::read(Ok($request { $($field: $field?),* })))()
    }};
}
pub(crate) use parsed;

/// Returns its argument. It only fixes the type for [`parsed!`].
pub(crate) fn read<T>(value: Parsed<T>) -> Parsed<T> {
    value
}

/// Joins two parsed values into one.
pub(crate) fn both<A, B>(first: Parsed<A>, second: Parsed<B>) -> Parsed<(A, B)> {
    Ok((first?, second?))
}

/// Reads a global id that must be known before anything else is read.
pub(crate) fn id_at<I: EntityId>(name: &str, id: &ID) -> Result<I, InvalidInput> {
    context::id(id).map_err(|why: IdError| InvalidInput::at(name, why))
}

/// Reads an argument of a field.
pub(crate) fn argument<T, E: Display>(name: &str, value: Result<T, E>) -> async_graphql::Result<T> {
    value.map_err(|why| bad_input(format!("`{name}`: {why}")))
}

/// Reads a slug.
pub(crate) fn slug(text: &str) -> Result<Slug, String> {
    text.parse().map_err(|()| {
        let (min, max) = Slug::CHARS.into_inner();
        format!(
            "is not a slug: {min} to {max} of a-z, 0-9 and single inner hyphens; \
             neither a bare number nor a reserved word"
        )
    })
}

/// Reads a line that may be empty.
pub(crate) fn line_or_none<const MAX: usize>(text: &str) -> Result<Option<TextLine<MAX>>, TextError> {
    if text.trim().is_empty() { Ok(None) } else { TextLine::new(text).map(Some) }
}

/// Reads a count: a number that must not be negative.
pub(crate) fn count<T: TryFrom<i32>>(number: i32) -> Result<T, &'static str> {
    T::try_from(number).map_err(|_| "must not be negative")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request {
        name: String,
        units: u32,
        tags: Vec<u32>,
    }

    fn read_all(name: Result<&str, &str>, units: i32, tags: &[i32]) -> Result<Request, InvalidInput> {
        let mut form = Form::new();
        let request = parsed!(Request {
            name: form.inside("address", |form| form.field("name", name.map(str::to_owned))),
            units: form.field("units", count(units)),
            tags: form.each("tags", tags, 3, |form, at, tag| form.field(at, count(*tag))),
        });
        form.finish(request)
    }

    #[test]
    fn faults_are_reported_in_the_order_of_the_fields_with_their_paths() {
        let Err(InvalidInput(faults)) = read_all(Err("is empty"), -1, &[1, -1, 2, -1]) else {
            panic!("the input parses")
        };
        let told: Vec<_> =
            faults.iter().map(|fault| format!("{}: {}", fault.path.join("."), fault.message)).collect();
        assert_eq!(
            told,
            ["address.name: is empty", "units: must not be negative", "tags.1: must not be negative"]
        );
        let error = Error::from(InvalidInput(faults));
        assert_eq!(error.message, "`address.name`: is empty");
    }

    #[test]
    fn an_input_with_nothing_wrong_is_a_request() {
        let request = read_all(Ok("Ada"), 2, &[1, 2]).unwrap();
        assert_eq!((request.name.as_str(), request.units, request.tags), ("Ada", 2, vec![1, 2]));
    }

    #[test]
    fn a_recorded_fault_fails_the_request_even_if_no_field_of_it_is_faulty() {
        let mut form = Form::new();
        let _ = form.field::<(), _>("tags", Err("are too many"));
        assert!(form.finish(Ok(())).is_err());
    }

    #[test]
    fn a_change_distinguishes_absent_from_null() {
        let mut form = Form::new();
        let mut change = |value| form.change("limit", value, |number| count(number).map(Some)).unwrap();
        assert_eq!(change(MaybeUndefined::Undefined), None);
        assert_eq!(change(MaybeUndefined::Null), Some(None));
        assert_eq!(change(MaybeUndefined::Value(3)), Some(Some(3)));
    }
}
