//! How the input of an operation is read: field by field, so that one answer has all that does not parse,
//! each with its path.
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
//! In a mutation `?` tells everything that is wrong as data. In a query it answers an error that names the
//! first thing.

use std::fmt::Display;

use async_graphql::{Error, ID, MaybeUndefined};
use domain::platform::{
    EntityId, Money,
    idempotency::IdempotencyKey,
    ids::IdError,
    slugs::Slug,
    text::{Line, TextError},
};

use super::{context, errors::bad_input, money::MoneyInput};

/// A field that does not parse. Its form knows why: nothing else can make this value.
#[derive(Debug)]
pub(crate) struct Noted(());

/// A field of an input, or a request that is made of fields.
pub(crate) type Parsed<T> = Result<T, Noted>;

/// One thing that does not parse.
#[derive(Debug)]
pub(crate) struct InputFault {
    pub(crate) path: Vec<String>,
    pub(crate) message: String,
}

/// All that does not parse in an input.
#[derive(Debug)]
pub(crate) struct InvalidInput(pub(crate) Vec<InputFault>);

impl InvalidInput {
    /// One field that does not parse.
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

/// Collects what does not parse.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// The way to the object or the list whose fields are read now.
    prefix: Vec<String>,
    faults: Vec<InputFault>,
}

impl Form {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A field that must be there.
    pub(crate) fn field<T, E: Display>(&mut self, name: &str, value: Result<T, E>) -> Parsed<T> {
        value.map_err(|why| {
            let path = self.prefix.iter().map(String::as_str).chain([name]).map(str::to_owned).collect();
            self.faults.push(InputFault { path, message: why.to_string() });
            Noted(())
        })
    }

    /// A field that may be absent.
    pub(crate) fn optional<T, E: Display>(
        &mut self,
        name: &str,
        value: Option<Result<T, E>>,
    ) -> Parsed<Option<T>> {
        value.map(|value| self.field(name, value)).transpose()
    }

    /// A field of an update that can be emptied: absent, it stays as it is; null takes it away, and so does a
    /// value that `read` answers `None` for.
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

    /// A global id of one kind.
    pub(crate) fn id<I: EntityId>(&mut self, name: &str, id: &ID) -> Parsed<I> {
        self.field(name, context::id(id))
    }

    /// An amount, whose decimals must fit its currency.
    pub(crate) fn money(&mut self, name: &str, money: &MoneyInput) -> Parsed<Money> {
        self.inside(name, |form| form.field("amount", money.parse()))
    }

    /// The idempotency key. `rule` says which texts are keys.
    pub(crate) fn key(&mut self, key: &str, rule: &'static str) -> Parsed<IdempotencyKey> {
        self.field("idempotencyKey", IdempotencyKey::new(key).ok_or(rule))
    }

    /// The fields of an object within the input.
    pub(crate) fn inside<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.prefix.push(name.to_owned());
        let value = read(self);
        self.prefix.pop();
        value
    }

    /// The items of a list, of which `most` are looked at. `read` is given the place of the item as a name.
    pub(crate) fn each<I, T>(
        &mut self,
        name: &str,
        items: &[I],
        most: usize,
        mut read: impl FnMut(&mut Self, &str, &I) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let read_all = |form: &mut Self| {
            // Not `collect`, which would end at the first that does not parse.
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

    /// The same for a list of objects.
    pub(crate) fn each_object<I, T>(
        &mut self,
        name: &str,
        items: &[I],
        most: usize,
        mut read: impl FnMut(&mut Self, &I) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.each(name, items, most, |form, at, item| form.inside(at, |form| read(form, item)))
    }

    /// The request, if nothing is wrong with the input.
    pub(crate) fn finish<T>(self, request: Parsed<T>) -> Result<T, InvalidInput> {
        match request {
            Ok(request) if self.faults.is_empty() => Ok(request),
            Ok(_) | Err(Noted(())) => Err(InvalidInput(self.faults)),
        }
    }
}

/// Makes a request of its parsed fields. All of them are read, in the order in which they are written, before
/// any is looked at.
macro_rules! parsed {
    ($request:ident { $($field:ident: $value:expr),* $(,)? }) => {{
        let ($($field,)*) = ($(crate::graphql::input::read($value),)*);
        (|| crate::graphql::input::read(Ok($request { $($field: $field?),* })))()
    }};
}
pub(crate) use parsed;

/// Tells the compiler that a value is [`Parsed`].
pub(crate) fn read<T>(value: Parsed<T>) -> Parsed<T> {
    value
}

/// Two parsed values as one.
pub(crate) fn both<A, B>(first: Parsed<A>, second: Parsed<B>) -> Parsed<(A, B)> {
    Ok((first?, second?))
}

/// A global id of one kind that is needed before all else.
pub(crate) fn id_at<I: EntityId>(name: &str, id: &ID) -> Result<I, InvalidInput> {
    context::id(id).map_err(|why: IdError| InvalidInput::at(name, why))
}

/// An argument of a field, of which the complaint is the end of a sentence that begins with its name.
pub(crate) fn argument<T, E: Display>(name: &str, value: Result<T, E>) -> async_graphql::Result<T> {
    value.map_err(|why| bad_input(format!("`{name}` {why}")))
}

/// Reads a slug.
pub(crate) fn slug(text: &str) -> Result<Slug, &'static str> {
    text.parse()
        .map_err(|()| "is not a slug: 2 to 80 of a-z, 0-9 and single inner hyphens; neither a bare number nor a reserved word")
}

/// Reads a line that may be left empty.
pub(crate) fn line_or_none<const MAX: usize>(text: &str) -> Result<Option<Line<MAX>>, TextError> {
    if text.trim().is_empty() { Ok(None) } else { Line::new(text).map(Some) }
}

/// Reads a number that counts something.
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
    fn all_that_does_not_parse_is_told_in_the_order_of_the_fields_with_its_path() {
        let Err(InvalidInput(faults)) = read_all(Err("is empty"), -1, &[1, -1, 2, -1]) else {
            panic!("it parses")
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
    fn a_field_that_is_noted_stops_the_request_even_if_it_is_not_part_of_it() {
        let mut form = Form::new();
        let _ = form.field::<(), _>("tags", Err("are too many"));
        assert!(form.finish(Ok(())).is_err());
    }

    #[test]
    fn a_change_tells_absent_from_null() {
        let mut form = Form::new();
        let mut change = |value| form.change("limit", value, |number| count(number).map(Some)).unwrap();
        assert_eq!(change(MaybeUndefined::Undefined), None);
        assert_eq!(change(MaybeUndefined::Null), Some(None));
        assert_eq!(change(MaybeUndefined::Value(3)), Some(Some(3)));
    }
}
