//! Relay connections over keyset pages. Cursors are opaque and typed. The total count is capped, and computed
//! only if it is selected.

use std::{borrow::Cow, future::Future};

use async_graphql::{
    Context, Error, InputType, Object, ObjectType, ServerError, SimpleObject, TypeName,
    registry::{Deprecation, MetaInputValue, MetaType, Registry},
};
use domain::platform::{
    Db,
    page::{PAGE_SIZE_MAX, Page, Slice, SortKey, TOTAL_COUNT_MAX},
};
use futures_util::future::BoxFuture;
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};

use super::errors::{Internal, bad_input};

/// The number of rows in a page if the request gives no size.
pub(crate) const PAGE_SIZE: i32 = 20;

/// The position of a page in its list.
#[derive(SimpleObject, Debug, Clone)]
pub struct PageInfo {
    /// Whether there are rows after this page.
    pub has_next_page: bool,
    /// Whether there are rows before this page.
    pub has_previous_page: bool,
    /// The cursor of the first row, for `before`. Null if the page is empty.
    pub start_cursor: Option<String>,
    /// The cursor of the last row, for `after`. Null if the page is empty.
    pub end_cursor: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    #[serde(rename = "l")]
    list: String,
    #[serde(rename = "k")]
    key: SortKey,
}

/// Writes a cursor. `list` names the list and its order, so that a cursor of another list is refused.
fn cursor(list: &str, key: &SortKey) -> String {
    let cursor = Cursor { list: list.to_owned(), key: key.clone() };
    serde_json::to_vec(&cursor).map(hex::encode).unwrap_or_default()
}

fn read_cursor(list: &str, name: &str, text: &str) -> async_graphql::Result<SortKey> {
    let wrong = || bad_input(format!("`{name}`: is not a cursor of this list in this order"));
    if text.len() > 1_000 {
        return Err(wrong());
    }
    let bytes = hex::decode(text).map_err(|_| wrong())?;
    let cursor: Cursor = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    if cursor.list == list { Ok(cursor.key) } else { Err(wrong()) }
}

/// The paging arguments of a list field.
#[derive(Debug, Clone, Default)]
struct PageArguments {
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
}

impl PageArguments {
    /// Reads the arguments that [`describe_pages`] adds to a field.
    fn of(ctx: &Context<'_>) -> async_graphql::Result<Self> {
        let failed = |error: ServerError| Error {
            message: error.message,
            source: error.source,
            extensions: error.extensions,
        };
        let size = |name| ctx.param_value(name, None).map(|(_, size)| size).map_err(failed);
        let cursor = |name| ctx.param_value(name, None).map(|(_, cursor)| cursor).map_err(failed);
        Ok(Self {
            first: size("first")?,
            after: cursor("after")?,
            last: size("last")?,
            before: cursor("before")?,
        })
    }

    /// Validates the arguments for the list named `list`.
    fn page(&self, list: &str) -> async_graphql::Result<Page> {
        let (size, backward) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(bad_input("`first`: cannot be combined with `last`")),
            (Some(first), None) => (first, false),
            (None, Some(last)) => (last, true),
            (None, None) => (PAGE_SIZE, false),
        };
        let name = if backward { "last" } else { "first" };
        let size = u64::try_from(size).ok().filter(|size| (0..=PAGE_SIZE_MAX).contains(size));
        let size = size.ok_or_else(|| bad_input(format!("`{name}`: must be 0 to {PAGE_SIZE_MAX}")))?;
        let read = |name: &str, text: &Option<String>| {
            text.as_deref().map(|text| read_cursor(list, name, text)).transpose()
        };
        Ok(Page { size, after: read("after", &self.after)?, before: read("before", &self.before)?, backward })
    }
}

/// A requested list and page.
pub(crate) struct List {
    name: String,
    pub(crate) page: Page,
}

impl List {
    /// Reads the paging arguments of the field that is being resolved. `name` names the list and its order: a
    /// cursor of another list is refused.
    pub(crate) fn of(ctx: &Context<'_>, name: impl Into<String>) -> async_graphql::Result<Self> {
        let name = name.into();
        let page = PageArguments::of(ctx)?.page(&name)?;
        Ok(Self { name, page })
    }

    /// Returns the connection for the page that was found. If the total count is selected, `count` counts the
    /// list that `asked` describes.
    pub(crate) fn connection<N, A, F, R>(self, slice: Slice<N>, db: &Db, asked: A, count: F) -> Connection<N>
    where
        N: ListNode,
        A: Clone + Send + Sync + 'static,
        F: Fn(Db, A) -> R + Send + Sync + 'static,
        R: Future<Output = Result<u64, DbErr>> + Send + 'static,
    {
        let db = db.clone();
        let count: Count = Box::new(move || Box::pin(count(db.clone(), asked.clone())));
        Connection { list: self.name, slice, count }
    }
}

/// A function that counts a list.
type Count = Box<dyn Fn() -> BoxFuture<'static, Result<u64, DbErr>> + Send + Sync>;

/// A type that can be listed: `impl ListNode for Drop {}` makes the types `DropConnection` and `DropEdge`.
pub trait ListNode: ObjectType + Clone {
    /// Returns the prefix of the names of the connection and of the edge.
    fn list_name() -> Cow<'static, str> {
        Self::type_name()
    }
}

/// A row of a list, with its cursor.
#[derive(SimpleObject)]
#[graphql(name_type)]
pub struct Edge<N: ListNode> {
    /// The cursor of the row, for `after` and `before`.
    pub cursor: String,
    /// The row.
    pub node: N,
}

impl<N: ListNode> TypeName for Edge<N> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Edge", N::list_name()).into()
    }
}

/// A page of a list.
pub struct Connection<N> {
    list: String,
    slice: Slice<N>,
    count: Count,
}

impl<N: ListNode> TypeName for Connection<N> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Connection", N::list_name()).into()
    }
}

impl<N> Connection<N> {
    fn cursor_at(&self, row: Option<&(SortKey, N)>) -> Option<String> {
        row.map(|(key, _)| cursor(&self.list, key))
    }
}

/// A page of a list, as the Relay specification of connections defines it.
#[Object(name_type)]
impl<N: ListNode> Connection<N> {
    /// The rows with their cursors.
    async fn edges(&self) -> Vec<Edge<N>> {
        let edge = |(key, node): &(SortKey, N)| Edge { cursor: cursor(&self.list, key), node: node.clone() };
        self.slice.rows.iter().map(edge).collect()
    }

    /// The rows without their cursors.
    async fn nodes(&self) -> Vec<N> {
        self.slice.rows.iter().map(|(_, node)| node.clone()).collect()
    }

    /// The position of the page in the list.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_next_page: self.slice.has_next,
            has_previous_page: self.slice.has_previous,
            start_cursor: self.cursor_at(self.slice.rows.first()),
            end_cursor: self.cursor_at(self.slice.rows.last()),
        }
    }

    /// The number of rows in the whole list.
    async fn total_count(&self) -> async_graphql::Result<i32> {
        Ok(i32::try_from((self.count)().await.internal()?).unwrap_or(i32::MAX))
    }
}

/// Adds the four paging arguments, which resolvers read with [`List::of`], to every field that returns a
/// connection, and describes the cap of every connection's total count.
pub(super) fn describe_pages(registry: &mut Registry) {
    let (size, cursor) =
        (<Option<i32>>::create_type_info(registry), <Option<String>>::create_type_info(registry));
    let arguments = [
        (
            "first",
            &size,
            format!(
                "The maximum number of rows to return, from the start of the list or from `after` on: \
                 0 to {PAGE_SIZE_MAX}. The default is {PAGE_SIZE} if `last` is absent too."
            ),
        ),
        ("after", &cursor, "Returns only rows after this cursor.".to_owned()),
        (
            "last",
            &size,
            format!(
                "The maximum number of rows to return, from the end of the list or back from `before`: \
                 0 to {PAGE_SIZE_MAX}."
            ),
        ),
        ("before", &cursor, "Returns only rows before this cursor.".to_owned()),
    ];
    let arguments = arguments.map(|(name, ty, description)| MetaInputValue {
        name: name.to_owned(),
        description: Some(description),
        ty: ty.clone(),
        deprecation: Deprecation::NoDeprecated,
        default_value: None,
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        is_secret: false,
        directive_invocations: Vec::new(),
    });
    for known in registry.types.values_mut() {
        let MetaType::Object { name, fields, .. } = known else { continue };
        if let Some(count) = fields.get_mut("totalCount").filter(|_| name.ends_with("Connection")) {
            count.description = Some(format!(
                "The number of rows in the whole list. Counting stops at {TOTAL_COUNT_MAX}, which then means \
                 \"{TOTAL_COUNT_MAX} or more\"."
            ));
        }
        for field in
            fields.values_mut().filter(|field| field.ty.trim_end_matches('!').ends_with("Connection"))
        {
            field.args.extend(arguments.iter().map(|argument| (argument.name.clone(), argument.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::platform::page::SortValue;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_cursor_is_of_one_list_in_one_order() {
        let key = SortKey { value: SortValue::Int(7), id: Uuid::from_u128(1) };
        let text = cursor("drops:NEWEST", &key);
        let args = |after: &str| PageArguments { after: Some(after.to_owned()), ..PageArguments::default() };
        assert_eq!(args(&text).page("drops:NEWEST").unwrap().after, Some(key));
        for bad in [text.as_str(), "", "zz", "00", &"0".repeat(2_000)] {
            assert!(args(bad).page("drops:OPENS_SOONEST").is_err(), "{bad}");
        }
    }

    #[test]
    fn page_sizes_are_bounded() {
        let size = |first, last| {
            PageArguments { first, last, ..PageArguments::default() }
                .page("x")
                .map(|page| (page.size, page.backward))
                .ok()
        };
        for (first, last, expected) in [
            (None, None, Some((20, false))),
            (Some(1), None, Some((1, false))),
            (Some(100), None, Some((100, false))),
            (None, Some(5), Some((5, true))),
            (Some(0), None, Some((0, false))),
            (Some(101), None, None),
            (Some(-1), None, None),
            (Some(1), Some(1), None),
        ] {
            assert_eq!(size(first, last), expected, "{first:?} {last:?}");
        }
    }
}
